/** How far the import of an image, or the copy of disks, has come; see `operations.ts`. */
import type { ClusterState } from '../model/cluster.ts'
import { bytesText } from '../model/container-limits.ts'
import type { FileMaking, MakingStep } from '../model/file-making.ts'
import type { GuestId } from '../model/ids.ts'
import type { Operation } from '../model/operation.ts'

/** Where each step begins, and where the last ends. Converting is the long one; fetching is mostly nothing. */
const SCALE: Readonly<Record<MakingStep, readonly [from: number, to: number]>> = {
  waiting: [0, 0],
  fetching: [0.02, 0.1],
  checking: [0.1, 0.2],
  converting: [0.2, 0.8],
  copying: [0.1, 0.8],
  unpacking: [0.1, 0.5],
  writing: [0.5, 0.8],
  digesting: [0.8, 0.9],
  sending: [0.9, 1],
}

const WORDS: Readonly<Record<MakingStep, string>> = {
  waiting: 'waiting for its turn',
  fetching: 'fetching the upload',
  checking: 'checking it',
  converting: 'converting it',
  copying: 'copying it',
  unpacking: 'unpacking it',
  writing: 'writing its file system',
  digesting: 'computing its digest',
  sending: 'sending it to other hosts',
}

export function importOutcome(operation: Operation, state: ClusterState): Operation {
  const [, name = ''] = operation.subject.split('/')
  const known = state.imports.get(name)?.value
  if (known) return { ...operation, ...makingProgress(known) }
  // Whoever ends the record says in the same transaction how the operation has ended.
  if (state.images.has(name)) return { ...operation, state: 'succeeded', progress: 1, message: 'imported' }
  const message = 'the import ended without an image'
  return { ...operation, state: 'failed', message, failure: { code: 'conflict', message } }
}

/** Its subject is the guest that becomes a template, or the volume that becomes a file. */
export function copyOutcome(operation: Operation, state: ClusterState): Operation {
  const [, id = ''] = operation.subject.split('/')
  const known = state.copies.get(id)?.value
  if (known) return { ...operation, ...makingProgress(known) }
  if (state.guests.get(id as GuestId)?.value.template)
    return { ...operation, state: 'succeeded', progress: 1, message: 'it is a template' }
  const message = 'the copy ended without a file'
  return { ...operation, state: 'failed', message, failure: { code: 'conflict', message } }
}

export function makingProgress(making: FileMaking): Pick<Operation, 'state' | 'progress' | 'message'> {
  return { state: 'running', progress: progressOf(making), message: messageOf(making) }
}

function progressOf({ progress }: FileMaking): number {
  const { step, doneBytes = 0, totalBytes, disk } = progress
  const [from, to] = SCALE[step]
  const share = totalBytes ? Math.min(1, doneBytes / totalBytes) : 0
  const ofDisk = from + share * (to - from)
  if (!disk || step === 'sending') return ofDisk
  // What is done to each disk has its part of the scale.
  const [first, last] = [SCALE.checking[0], SCALE.digesting[1]]
  return first + ((disk.number - 1 + (ofDisk - first) / (last - first)) / disk.of) * (last - first)
}

function messageOf({ progress, host, begun }: FileMaking): string {
  const { step, doneBytes, totalBytes, disk } = progress
  const amount =
    doneBytes === undefined
      ? ''
      : totalBytes === undefined
        ? `, ${bytesText(doneBytes)} so far`
        : `, ${bytesText(doneBytes)} of ${bytesText(totalBytes)}`
  const which = disk && disk.of > 1 ? `disk ${disk.number} of ${disk.of}: ` : ''
  const again = begun > 1 ? ', begun again' : ''
  return `${which}${WORDS[step]}${amount} (${host}${again})`
}

/**
 * The end of a copy of disks, in one transaction, as that of an import (`import-records.ts`): the record goes, and what
 * the files are for is written, or that nothing comes of it.
 */
import type { Failure } from '../errors.ts'
import type { ClusterState, Versioned } from '../model/cluster.ts'
import { copySubject, type DiskCopy } from '../model/disk-copy.ts'
import type { Guest } from '../model/guest.ts'
import type { GuestId } from '../model/ids.ts'
import { KEYS } from '../model/keys.ts'
import { endOf, type Operation } from '../model/operation.ts'
import { volumesOf } from '../model/records.ts'
import type { GuestTemplate } from '../model/template.ts'
import type { Volume } from '../model/volume.ts'
import type { Compare, Transaction, Write } from '../ports/store.ts'
import { failedOperationWrites } from './ended-operations.ts'
import type { HostContext } from './host-context.ts'

type RecordContext = Pick<HostContext, 'mirror' | 'clock'>

/** What was made of the disks. */
export interface CopiedDisks extends GuestTemplate {
  /** Of the first file. */
  readonly sizeBytes: number
  /** Of the guest's grant before they were read: as long as it is the same, the guest has not run. */
  readonly grantRevision: bigint
  readonly message: string
}

export function finishedCopy(context: RecordContext, seen: Versioned<DiskCopy>, copied: CopiedDisks): Transaction {
  const { mirror } = context
  const compares = [unchanged(seen), { key: KEYS.grant(seen.value.guest), modRevision: copied.grantRevision }]
  switch (seen.value.purpose) {
    case 'template': {
      const guest = mirror.state.guests.get(seen.value.guest)
      const template = { disks: copied.disks, ...(copied.firmware ? { firmware: copied.firmware } : {}) }
      const next = guest && { ...guest.value, desired: 'stopped', ha: 'stopped', template }
      return {
        compares: [...compares, { key: KEYS.guest(seen.value.guest), modRevision: guest?.revision ?? 0n }],
        writes: [remove(seen), put(KEYS.guest(seen.value.guest), next), ...ended(context, seen, copied)],
      }
    }
    case 'clone': {
      const filled = cloneVolumes(mirror.state, seen.value, copied)
      return {
        compares: [
          ...compares,
          ...filled.map(({ revision, value }) => ({ key: KEYS.volume(value.id), modRevision: revision })),
        ],
        writes: [remove(seen), ...filled.map(({ value }) => put(KEYS.volume(value.id), value))],
      }
    }
    case 'file':
      return { compares, writes: [remove(seen), ...ended(context, seen, copied)] }
  }
}

/** The new guest's disks, each with what the disk at its place held. */
function cloneVolumes(state: ClusterState, { name, linked }: DiskCopy, copied: CopiedDisks): Versioned<Volume>[] {
  const guest = state.guests.get(name as GuestId)?.value
  const contents = [...copied.disks]
  return ((guest && volumesOf(state, guest)) ?? []).flatMap(({ value, revision }) => {
    const { awaitsContent, ...volume } = value
    const from = awaitsContent && (volume.role === 'firmware' ? copied.firmware : contents.shift())
    if (!from) return []
    const share = linked && volume.role === undefined ? { linked } : {}
    return [{ value: { ...volume, content: { blob: from.blob, format: from.format, ...share } }, revision }]
  })
}

/** A guest that was to be a clone goes with it. */
export function failedCopy(
  context: RecordContext,
  seen: Versioned<DiskCopy>,
  error: Failure,
  compares: readonly Compare[] = [],
): Transaction {
  const { purpose, name } = seen.value
  const clone = purpose === 'clone' ? context.mirror.state.guests.get(name as GuestId) : undefined
  const undone: Guest | undefined = clone && { ...clone.value, desired: 'stopped', deleting: true }
  const subject = copySubject(seen.value)
  return {
    compares: [
      unchanged(seen),
      ...(clone ? [{ key: KEYS.guest(clone.value.id), modRevision: clone.revision }] : []),
      ...compares,
    ],
    writes: [
      remove(seen),
      ...(undone ? [put(KEYS.guest(undone.id), undone)] : []),
      ...failedOperationWrites(context, subject, error, OPERATION_KIND[purpose]),
    ],
  }
}

const OPERATION_KIND = { template: 'vm.template', clone: 'vm.create', file: 'volume.capture' } as const

export function putCopy(record: DiskCopy): Write {
  return put(KEYS.diskCopy(record.name), record)
}

/** The clone's operation goes on: its disks are made next. */
function ended({ mirror, clock }: RecordContext, { value }: Versioned<DiskCopy>, copied: CopiedDisks): Write[] {
  const [file] = copied.disks
  const made = value.purpose === 'file' && file ? { made: { blob: file.blob, sizeBytes: copied.sizeBytes } } : {}
  const end = { state: 'succeeded', progress: 1, message: copied.message, ...made } as const
  return [...mirror.state.operations.values()]
    .filter(({ value: { kind, subject } }) => kind === OPERATION_KIND[value.purpose] && subject === copySubject(value))
    .filter(({ value: { finishedAt } }) => finishedAt === undefined)
    .map(({ value: operation }) => {
      const finishedAt = endOf(operation, clock.wallMs())
      return put(KEYS.operation(operation.id), { ...operation, ...end, finishedAt } satisfies Operation)
    })
}

function unchanged({ value, revision }: Versioned<DiskCopy>): Compare {
  return { key: KEYS.diskCopy(value.name), modRevision: revision }
}

function remove({ value }: Versioned<DiskCopy>): Write {
  return { kind: 'delete', key: KEYS.diskCopy(value.name) }
}

function put(key: string, value: unknown): Write {
  return { kind: 'put', key, value: JSON.stringify(value) }
}

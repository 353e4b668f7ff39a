/** Disks of guests that do not run as files: what `MakingWorker` needs to know of them. */
import { failure, type Failure } from '@stead/core/errors.ts'
import { failedCopy, finishedCopy, putCopy, type CopiedDisks } from '@stead/core/host/copy-records.ts'
import type { HostContext } from '@stead/core/host/host-context.ts'
import { referencedBlobs } from '@stead/core/model/blob-references.ts'
import type { ClusterState } from '@stead/core/model/cluster.ts'
import { copyingHost, objectionToCopy, type DiskCopy } from '@stead/core/model/disk-copy.ts'
import type { BlobId, GuestId, HostId, VolumeId } from '@stead/core/model/ids.ts'
import { KEYS } from '@stead/core/model/keys.ts'
import { inSync } from '@stead/core/model/records.ts'
import type { ImageDisk, Volume } from '@stead/core/model/volume.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import type { BlobStore } from '../blobs/blob-store.ts'
import type { ImageCopies } from './image-copies.ts'
import type { MakingTask } from './making-task.ts'
import type { Making } from './making-worker.ts'

export interface CopyMakingContext extends Pick<HostContext, 'self' | 'mirror' | 'clock'> {
  readonly blobs: Pick<BlobStore, 'ensure' | 'sizeBytes'>
  /** The disk of a replica as a file in that host's blobs; another host stops when the record with this id has gone. */
  readonly captureDisk: (host: HostId, order: CaptureOrder, task: MakingTask) => Promise<Result<ImageDisk>>
  readonly copies: Pick<ImageCopies, 'send'>
  readonly isUp: (host: HostId) => boolean
}

export interface CaptureOrder {
  readonly volume: VolumeId
  readonly pool: string
  /** The record's. */
  readonly name: string
  readonly id: string
}

export function copyMaking(context: CopyMakingContext): Making<DiskCopy, CopiedDisks> {
  const { mirror } = context
  return {
    what: 'a copy of disks',
    where: 'the copy',
    records: (state) => state.copies,
    key: KEYS.diskCopy,
    put: putCopy,
    make: (record, task) => copyDisks(context, record, task),
    finished: (seen, copied) => finishedCopy(context, seen, copied),
    failed: (seen, error) => failedCopy(context, seen, error),
    isKept: (_, { disks }) => disks.every(({ blob }) => isNamed(mirror.state, blob)),
    objection: (record, copied) =>
      objectionToCopy(mirror.state, record) ?? (copied && hasRunMeanwhile(mirror.state, record.guest, copied)),
  }
}

/** By what was made of it, or by the operation of whoever is to fetch it. */
function isNamed(state: ClusterState, blob: BlobId): boolean {
  return (
    referencedBlobs(state).has(blob) || [...state.operations.values()].some(({ value }) => value.made?.blob === blob)
  )
}

/** Whether a copy that the record names is still wanted on a host that helps with it. */
export function isCopyWanted(state: ClusterState, { name, id }: CaptureOrder): boolean {
  return state.copies.get(name)?.value.id === id
}

async function copyDisks(context: CopyMakingContext, record: DiskCopy, task: MakingTask): Promise<Result<CopiedDisks>> {
  const { mirror, blobs, copies } = context
  // Read first: what changes from here on is found by the transaction.
  const grantRevision = mirror.state.grants.get(record.guest)?.revision ?? 0n
  const disks: ImageDisk[] = []
  let firmware: ImageDisk | undefined
  for (const [index, id] of record.volumes.entries()) {
    const volume = mirror.state.volumes.get(id)?.value
    if (!volume) return fail(failure('conflict', 'A disk was deleted meanwhile'))
    const disk = { number: index + 1, of: record.volumes.length }
    const copied = await copyDisk(context, record, volume, {
      ...task,
      tell: (progress) => task.tell({ ...progress, disk }),
    })
    if (!copied.ok) return copied
    if (volume.role === 'firmware') firmware = copied.value
    else disks.push(copied.value)
  }
  const files = [...disks, ...(firmware ? [firmware] : [])].map(({ blob }) => blob)
  let message = 'copied'
  if (record.purpose === 'template') {
    task.tell({ step: 'sending' })
    message = await copies.send(record.name, files, task.signal)
  }
  const [first] = files
  const sizeBytes = first === undefined ? 0 : await blobs.sizeBytes(first)
  return ok({ disks, ...(firmware ? { firmware } : {}), sizeBytes, grantRevision, message })
}

async function copyDisk(
  { self, captureDisk, blobs, mirror, isUp }: CopyMakingContext,
  { name, id }: DiskCopy,
  volume: Volume,
  task: MakingTask,
): Promise<Result<ImageDisk>> {
  const host = copyingHost(mirror.state, [volume.id], isUp, self)
  const replica = inSync(volume).find((each) => each.host === host)
  if (host === undefined || !replica) return fail(noSource(volume))
  task.tell({ step: 'copying', doneBytes: 0, totalBytes: volume.sizeBytes })
  const disk = await captureDisk(host, { volume: volume.id, pool: replica.pool, name, id }, task)
  if (!disk.ok || host === self) return disk
  await task.made(disk.value.blob)
  const here = await blobs.ensure(disk.value.blob)
  return here.ok ? disk : here
}

export function noSource(volume: Volume): Failure {
  const hosts = inSync(volume).map(({ host }) => host)
  return failure('waits_for_host', `No host that is up has a current copy of ${volume.name}`, {
    hint: `Bring ${hosts.join(' or ')} back`,
  })
}

function hasRunMeanwhile(state: ClusterState, guest: GuestId, { grantRevision }: CopiedDisks): Failure | undefined {
  return (state.grants.get(guest)?.revision ?? 0n) === grantRevision
    ? undefined
    : failure('conflict', 'The guest has run while its disks were copied', { hint: 'Stop it, and ask again' })
}

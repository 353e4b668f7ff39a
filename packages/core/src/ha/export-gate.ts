/**
 * Whether the host that holds a replica may open it for somebody, judged by its own read of the cluster's records and
 * never by what the caller claims. The same in production and in the simulator.
 */
import { failure, type Failure } from '../errors.ts'
import { newestEpoch, type Grant } from '../model/grant.ts'
import type { HostId, VolumeId } from '../model/ids.ts'
import { isActive, isFillable, replicaIn } from '../model/records.ts'
import type { Volume } from '../model/volume.ts'

/** What the records say of one replica, read linearizably. */
export interface ReplicaGrant {
  /** Of the run that has the guest; 0 before the first. */
  readonly epoch: number
  /** That of a live move: its destination may open the replica beside the run. */
  readonly handoverEpoch?: number
  /** The newest that was ever promised; `epoch` when absent. */
  readonly newestEpoch?: number
  readonly inSync: boolean
  /** The run has been given up, wherever it may still be: nothing is served to it. */
  readonly isReleased?: true
  /**
   * Nobody may fill it now: the record names no replica in this pool, or one whose file is only to be made, or it does not
   * call it `syncing` while the guest runs. So a resync that began before the replica was taken away, and another made in
   * its place, finds no way to make a leg of that.
   */
  readonly isClosed?: true
  /** It is being made, and given what the guest's snapshots hold; nothing else. */
  readonly takesSnapshots?: true
}

/** What a caller wants to do with the replica decides what the record must say of it. */
export type Purpose = 'serve' | 'rejoin' | 'overwrite' | 'copy-from' | 'give-snapshots'

export function replicaGrantOf(grant: Grant | undefined, volume: Volume, host: HostId, pool: string): ReplicaGrant {
  const handoverEpoch = grant?.handover?.epoch
  const replica = replicaIn(volume, host, pool)
  const isOpen = replica !== undefined && isFillable(replica) && (!isActive(grant) || replica.state === 'syncing')
  return {
    epoch: grant?.epoch ?? 0,
    ...(handoverEpoch === undefined ? {} : { handoverEpoch }),
    newestEpoch: newestEpoch(grant),
    inSync: replica?.state === 'in-sync',
    ...(grant?.state === 'released' ? { isReleased: true } : {}),
    ...(isOpen ? {} : { isClosed: true }),
    ...(replica?.incoming === 'taking-snapshots' ? { takesSnapshots: true } : {}),
  }
}

/** Whether a volume's record, as the store has it, wants a replica there: else its file is not made. */
export function namesReplica(record: string | undefined, host: HostId, pool: string): boolean {
  return record !== undefined && replicaIn(JSON.parse(record) as Volume, host, pool) !== undefined
}

export function objectionToOpening(
  volume: VolumeId,
  granted: ReplicaGrant,
  epoch: number,
  purpose: Purpose,
): Failure | undefined {
  const isHandover = purpose === 'serve' && epoch === granted.handoverEpoch
  if (epoch < granted.epoch) return staleEpoch(volume, epoch, granted.epoch)
  if (epoch > granted.epoch && !isHandover) {
    const newest = granted.newestEpoch ?? granted.epoch
    if (epoch <= newest) return staleEpoch(volume, epoch, newest)
    return failure('conflict', `Epoch ${epoch} of volume ${volume} was never granted; the newest is ${newest}`)
  }
  if (purpose === 'serve' && granted.isReleased)
    return failure('stale_epoch', `Epoch ${epoch} of volume ${volume} is over; its guest is stopped`)
  if ((purpose === 'serve' || purpose === 'copy-from') && !granted.inSync)
    return failure('replica_not_current', `The replica of volume ${volume} on this host is not in sync`, {
      hint: 'It is brought up to date as soon as a current replica can be reached',
    })
  if (purpose === 'overwrite' && granted.inSync)
    return failure('conflict', `The replica of volume ${volume} on this host is in sync and is not overwritten`)
  if ((purpose === 'overwrite' || purpose === 'rejoin') && granted.isClosed)
    return failure('conflict', `The replica of volume ${volume} on this host is not to be filled now`)
  // Apart from filling: a resync that is late must not write into what becomes a snapshot.
  if (purpose === 'give-snapshots' && !granted.takesSnapshots)
    return failure('conflict', `The replica of volume ${volume} on this host takes no snapshots now`)
  return undefined
}

/**
 * `served`: the epochs of the exports that there are now. One that is newer than anything the read knows of shows that
 * somebody has read a newer grant since. For a guest that comes live the run's own must be there: it ends with the
 * storage daemon, and with it the bitmaps that know what the other replicas lack.
 */
export function objectionToServed(
  volume: VolumeId,
  granted: ReplicaGrant,
  epoch: number,
  served: readonly number[],
): Failure | undefined {
  const newest = granted.newestEpoch ?? granted.epoch
  const newer = served.find((each) => each > newest)
  if (newer !== undefined) return staleEpoch(volume, epoch, newer)
  if (isBesideRun(granted, epoch) && !served.includes(granted.epoch))
    return failure('conflict', `The storage daemon of volume ${volume} was restarted while the guest ran`)
  return undefined
}

/**
 * The bitmaps of a replica belong to the newest run that is served: a resync of an earlier one that goes on late must not
 * turn them under the hands of the next. `epoch` is the caller's; absent: nobody's in particular.
 */
export function objectionToTurning(
  volume: VolumeId,
  epoch: number | undefined,
  served: readonly number[],
): Failure | undefined {
  const newer = epoch === undefined ? undefined : served.find((each) => each > epoch)
  return epoch === undefined || newer === undefined ? undefined : staleEpoch(volume, epoch, newer)
}

/** For a live move: the bitmaps belong to the run that goes on, and stay as they are. */
export function isBesideRun(granted: ReplicaGrant, epoch: number): boolean {
  return epoch === granted.handoverEpoch && epoch !== granted.epoch
}

/** There is no export of the run that could be renewed: its storage daemon is not the one that the run began with. */
export function notServedSince(volume: VolumeId, epoch: number): Failure {
  return failure('replica_not_current', `The storage daemon has not served volume ${volume} at epoch ${epoch} since`, {
    hint: 'The replica is recorded stale and brought up to date again',
  })
}

/** Exports at these epochs stay when another run is served; all others are over, or came to nothing. */
export function isStillServed({ epoch, handoverEpoch }: ReplicaGrant, exportEpoch: number): boolean {
  return exportEpoch === epoch || exportEpoch === handoverEpoch
}

function staleEpoch(volume: VolumeId, epoch: number, granted: number): Failure {
  return failure('stale_epoch', `Epoch ${epoch} of volume ${volume} is over; ${granted} has been granted`)
}

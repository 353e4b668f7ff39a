/**
 * A replica changes from one pool of its host to another while its guest runs: the new file is filled like that of any
 * stale replica, and takes the old one's place while nothing can be written to the disk. docs/internals/storage-move.md.
 */
import { failure, type Failure } from '../errors.ts'
import { canChangePool, withPoolChanged } from '../ha/storage-move.ts'
import type { GuestId } from '../model/ids.ts'
import { replicaOn } from '../model/records.ts'
import type { Replica, Volume } from '../model/volume.ts'
import { fail, type Result } from '../result.ts'
import type { HostContext } from './host-context.ts'
import { resync } from './resync.ts'
import type { RunRecords } from './run-records.ts'

export interface PoolChange {
  readonly context: HostContext
  readonly guest: GuestId
  readonly epoch: number
  readonly records: RunRecords
  readonly volume: Volume
  readonly signal: AbortSignal
  /** All replicas are legs of the disk. */
  readonly isWhole: () => boolean
  /** Keeps other surgery on the guest's disks away. */
  readonly exclusively: <T>(task: () => Promise<T>) => Promise<T>
  /**
   * Pauses the guest, makes sure that nothing can be written to the disk, does this, opens the disk by the record that it
   * returns and lets the guest go on. Resolves to how long it stood still, in ms.
   */
  readonly reopen: (whileHeld: () => Promise<Volume | undefined>) => Promise<Result<number>>
}

/** The failure, if there is one; everything is as it was then, and can be tried again. */
export async function changePool(change: PoolChange): Promise<Failure | undefined> {
  const { context, guest, epoch, records, signal, isWhole, exclusively, reopen } = change
  const since = change.volume.move?.since
  // One that was called off and asked for again is another move, with another file.
  const isSame = (record: Volume) => record.move?.since === since && canChangePool(record)
  const setState = (state: Replica['state']) =>
    records.changeVolume(change.volume.id, (record) => (isSame(record) ? withIncoming(record, state) : record), signal)
  // From here on the storage host opens it for filling.
  const marked = await setState('syncing')
  const volume = marked.kind === 'recorded' ? marked.value : undefined
  const target = volume?.move?.incoming
  const source = target && replicaOn(volume, target.host)
  if (!volume || !target || !source || target.state !== 'syncing' || !isSame(volume)) return undefined
  const said: { refused?: Failure } = {}
  const reopened = async (lastPass: () => Promise<Result<void>>): Promise<Result<number>> => {
    const pauseMs = await reopen(async () => {
      const passed = await lastPass()
      if (!passed.ok) {
        said.refused = passed.error
        return volume
      }
      const recorded = await records.changeVolume(volume.id, (record) =>
        isSame(record) && record.move?.incoming?.state === 'syncing' ? withPoolChanged(record) : record,
      )
      if (recorded.kind === 'deposed') return undefined
      if (replicaOn(recorded.value, target.host)?.pool !== target.pool)
        said.refused = failure('conflict', 'it was called off, or another replica fell behind')
      return recorded.value
    })
    return pauseMs.ok && said.refused ? fail(said.refused) : pauseMs
  }
  const done = await resync({
    ...{ context, volume, epoch, source, target, signal },
    run: {
      ...{ guest, exclusively },
      isCurrent: isWhole,
      onAttached: () => undefined,
      onJoined: async () => undefined,
      onBroken: () => undefined,
      takePlace: reopened,
    },
  })
  if (!done.ok) {
    await setState('stale')
    return done.error
  }
  const { copiedBytes, passes, pauseMs } = done.value
  const text = `the new replica in ${target.pool} on ${target.host} has taken the place of the one in ${source.pool}`
  context.log.info(text, { volume: volume.id, copiedBytes, passes, pauseMs })
  return undefined
}

function withIncoming(volume: Volume, state: Replica['state']): Volume {
  const { move } = volume
  return move?.incoming ? { ...volume, move: { ...move, incoming: { ...move.incoming, state } } } : volume
}

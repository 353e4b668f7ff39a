/** Moves a running disk's sync point on: new bitmaps on all legs, wait for all requests in flight, flush, forget the old ones. */
import { inSync } from '../model/records.ts'
import type { Volume } from '../model/volume.ts'
import type { Result } from '../result.ts'
import type { HostContext } from './host-context.ts'
import { dropOldBitmaps, nextSyncPoint } from './resync.ts'
import type { RunRecords } from './run-records.ts'

/** The sync point moves on when this much is dirty since the last one: what a crash may make us copy is bounded. */
const ROTATE_BYTES = 64 << 20

export interface SyncPointMove {
  readonly context: HostContext
  readonly records: RunRecords
  readonly epoch: number
  /** All of its replicas are in sync. */
  readonly volume: Volume
  readonly flush: () => Promise<Result<void>>
  /** How many legs the disk has now. */
  readonly legs: () => number
}

export async function moveSyncPoint({ context, records, epoch, volume, flush, legs }: SyncPointMove): Promise<void> {
  const replicas = inSync(volume)
  // All have the same bitmap; the one of this host needs no question to another one.
  const asked = replicas.find((replica) => replica.host === context.self) ?? replicas[0]
  if (!asked) return
  const dirty = await context.volumesOn(asked.host).dirtyBytes(volume.id, asked.pool, volume.syncPoint)
  if (!dirty.ok || dirty.value < ROTATE_BYTES) return
  const point = nextSyncPoint(context)
  for (const replica of replicas)
    if (!(await context.volumesOn(replica.host).addBitmap(volume.id, replica.pool, point, undefined, epoch)).ok) return
  const flushed = await flush()
  if (!flushed.ok || legs() !== replicas.length) return
  const recorded = await records.changeVolume(volume.id, (record) =>
    inSync(record).length === replicas.length ? { ...record, syncPoint: point } : record,
  )
  if (recorded.kind === 'recorded' && recorded.value.syncPoint === point)
    await dropOldBitmaps(context, recorded.value, epoch)
}

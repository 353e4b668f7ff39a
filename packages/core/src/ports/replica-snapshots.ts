/**
 * The part of the port `VolumeHost` that keeps earlier states of a replica. A snapshot is cut in three steps, so that
 * the guest stands still for the second only: `prepareSnapshot` makes all that takes time, `cutSnapshot` is the moment,
 * `sealSnapshot` makes it durable. How a pool does it is its own affair: by cloning the file where the file system
 * can (`clones`), else by a new layer that takes the writes from then on (`layers`).
 */
import type { VolumeId } from '../model/ids.ts'
import type { SnapshotId } from '../model/snapshot.ts'
import type { Result } from '../result.ts'

export interface HeldSnapshots {
  readonly volume: VolumeId
  readonly pool: string
  readonly method: 'clones' | 'layers'
  readonly snapshots: readonly HeldSnapshot[]
  /** Layers above the lowest one; each is looked through by reads of what it does not hold. */
  readonly layers: number
  /** What must still be copied down because its snapshot was deleted, bytes; and since when it waits, wall clock, ms. */
  readonly debtBytes: number
  readonly debtSince?: number
}

export interface HeldSnapshot {
  readonly snapshot: SnapshotId
  /** What was written since then, up to the next snapshot; absent where the file system keeps that to itself. */
  readonly changedBytes?: number
}

export interface ReplicaSnapshots {
  /**
   * Makes ready, while the guest runs; room for all that it may write afterwards is taken now (`no_capacity`), so that
   * no write can meet a full disk later. Repeating it is harmless. `conflict` when too many are held.
   */
  prepareSnapshot(volume: VolumeId, pool: string, snapshot: SnapshotId): Promise<Result<void>>
  /**
   * The moment: what is written from now on is no part of the snapshot. The caller has made sure that nothing is in
   * flight; it need not be flushed. Not to be repeated: `conflict` when it was not prepared or is cut already.
   */
  cutSnapshot(volume: VolumeId, pool: string, snapshot: SnapshotId): Promise<Result<void>>
  /** Makes the cut snapshot last through a power cut. Repeating it is harmless. */
  sealSnapshot(volume: VolumeId, pool: string, snapshot: SnapshotId): Promise<Result<void>>
  /** Gives a snapshot up, whatever state it is in; `mergeLayers` then frees its space. Absent: harmless. */
  releaseSnapshot(volume: VolumeId, pool: string, snapshot: SnapshotId): Promise<Result<void>>
  /**
   * Copies down what no snapshot needs apart any more, with the guest running; resolves when nothing is left to do or
   * to be done now. Of a served volume a small rest may stay. Repeating it goes on where it stopped.
   */
  mergeLayers(volume: VolumeId, pool: string): Promise<Result<void>>
  /**
   * Makes the replica what it was, which the snapshot survives; newer ones may not. Refused unless the volume's record
   * names this snapshot as its target (`conflict`); ends all exports. Repeating it is harmless.
   */
  rollBackReplica(volume: VolumeId, pool: string, snapshot: SnapshotId): Promise<Result<void>>
  /** All that this host's pools hold, and what is left to merge. */
  heldSnapshots(): Promise<Result<readonly HeldSnapshots[]>>
}

/**
 * Port: the replicas that one host holds. The local implementation drives qemu-storage-daemon; the remote
 * one speaks to another host's agent; both behave alike. Every call that opens data for writing carries the
 * epoch, and the host that holds the replica checks it against a linearizable read of the grant.
 */
import type { VolumeId } from '../model/ids.ts'
import type { SnapshotId } from '../model/snapshot.ts'
import type { VolumeContent } from '../model/volume.ts'
import type { Result } from '../result.ts'
import type { ReplicaSnapshots } from './replica-snapshots.ts'

export interface ReplicaSpec {
  readonly volume: VolumeId
  readonly pool: string
  readonly sizeBytes: number
  /** `Volume.form`. */
  readonly form?: 'subvolume'
  /** `Volume.cloneOf`. */
  readonly cloneOf?: VolumeId
}

/** What opens one export from another host: who asks with it is known by it, and all that is said is encrypted with it. */
export interface ExportKey {
  /** `HOST/EXPORT`: whom it was given to, and for what. */
  readonly identity: string
  /** 32 bytes in hexadecimal. */
  readonly secret: string
}

/**
 * Where a client finds an export: a client on the same host at `loopback` on `port`, in clear; every other one at an
 * address of the host's own record, on the gate's port, with its key. (QEMU has one NBD server per process, so there is
 * no unix socket too.)
 */
export interface ExportAddress {
  readonly exportName: string
  readonly loopback: string
  readonly port: number
  /** Of a subvolume, which a guest of this very host mounts: nothing listens on `port`. */
  readonly folder?: string
  /** Absent: the host's version has no gate, and serves on `port` in clear. */
  readonly gate?: { readonly port: number; readonly key: ExportKey }
}

export interface BitmapInfo {
  readonly name: string
  readonly dirtyBytes: number
  readonly recording: boolean
}

export interface ReplicaInfo {
  readonly volume: VolumeId
  readonly pool: string
  readonly sizeBytes: number
  readonly bitmaps: readonly BitmapInfo[]
  readonly exports: readonly string[]
  /**
   * Runs that were served since the host's last boot, and of which everything that was acknowledged has gone to the
   * replica's file: it is there also when the storage daemon has ended meanwhile, as long as the host has kept its power.
   * Absent: told by a version that does not know.
   */
  readonly keptEpochs?: readonly number[]
}

export interface CopyProgress {
  readonly copiedBytes: number
  readonly totalBytes: number
}

export interface CopyRequest {
  readonly volume: VolumeId
  readonly pool: string
  readonly epoch: number
  /**
   * Blocks to consider: those dirty in `bitmap` of the source (which must not be recording), plus `extra`
   * ranges, or all. With `compare` the two sides exchange digests first and only differing blocks move.
   */
  readonly select: { readonly bitmap: string; readonly extra: readonly ByteRange[] } | 'all'
  readonly compare: boolean
  /** What this snapshot holds is copied, and no present state: `select` is `all`. It may be smaller than the target. */
  readonly snapshot?: SnapshotId
  /** Of the volume: a source that serves nobody is enlarged to it first, since its target has been. */
  readonly sizeBytes?: number
  readonly target: {
    readonly host: string
    /** The target replica's pool on that host. */
    readonly pool: string
    readonly address: string
    readonly port: number
    readonly exportName: string
    /** In clear when absent: on the source's own host. */
    readonly key?: ExportKey
  }
}

export interface ByteRange {
  readonly offset: number
  readonly length: number
}

export interface VolumeHost extends ReplicaSnapshots {
  /** Allocates the replica's whole size, filled with zeros or with `content`. Repeating it is harmless. */
  createReplica(spec: ReplicaSpec, content?: VolumeContent): Promise<Result<void>>
  /**
   * Allocates what the replica lacks to have this size, which it has only once it is served so (`sizeBytes` below): nobody
   * notices. With the size that it has: gives back what was allocated. Refuses where there is no room (`no_capacity`).
   * Repeating it is harmless.
   */
  reserveReplica(spec: ReplicaSpec): Promise<Result<void>>
  /** Revokes all exports, closes the file, removes it. Repeating it is harmless. */
  removeReplica(volume: VolumeId, pool: string): Promise<Result<void>>
  /**
   * Serves the replica to the guest at this epoch under `vol-<id>-e<epoch>`. Every export of the volume with
   * an older epoch, and every resync export, is hard-deleted and its end awaited first. Refuses an epoch older
   * than the granted one (`stale_epoch`) and a replica that the record does not call in-sync
   * (`replica_not_current`), unless `rejoining`: the last step of a resync, at the granted epoch.
   * What earlier runs have written lasts when it returns. Ensures the recording bitmap `syncPoint` (created when absent: `bitmapIsNew`), except for a live move's destination,
   * which is served beside the run whose bitmaps these are. A smaller replica is enlarged to `sizeBytes` first, except
   * for such a destination.
   */
  exportToGuest(request: {
    readonly volume: VolumeId
    readonly pool: string
    readonly epoch: number
    readonly syncPoint: string
    readonly rejoining: boolean
    readonly sizeBytes?: number
  }): Promise<Result<ExportAddress & { readonly bitmapIsNew: boolean; readonly revoked: readonly string[] }>>
  /**
   * Serves the replica to the same run again, after the end of its export: what a dead connection may still hold is
   * never executed later. Everything that was acknowledged through the old export is flushed first. Only while the
   * export of this epoch is still there: otherwise the storage daemon was restarted, and may have lost what it had
   * acknowledged (`replica_not_current`). Refuses what `exportToGuest` refuses. Enlarges the replica to `sizeBytes`.
   */
  serveAnew(request: {
    readonly volume: VolumeId
    readonly pool: string
    readonly epoch: number
    readonly sizeBytes?: number
  }): Promise<Result<ExportAddress>>
  /** Serves the replica as resync target under `vol-<id>-e<epoch>-sync`, after hard-deleting every other export of it. Enlarges it to `sizeBytes`. */
  exportAsTarget(request: {
    readonly volume: VolumeId
    readonly pool: string
    readonly epoch: number
    readonly sizeBytes?: number
    /** Of one that is being made: what it is given becomes snapshots (`incoming: taking-snapshots`). */
    readonly forSnapshots?: boolean
  }): Promise<Result<ExportAddress>>
  /** Hard-deletes all exports of the volume with an epoch below this one. Returns their names. */
  revokeBelow(volume: VolumeId, pool: string, epoch: number): Promise<Result<readonly string[]>>
  /** Hard-deletes one export and waits for its end. Absent: harmless. */
  revokeExport(volume: VolumeId, pool: string, exportName: string): Promise<Result<void>>
  /** What the host really has for the volume now; `not_found` when it has no file. */
  inspect(volume: VolumeId, pool: string): Promise<Result<ReplicaInfo>>
  /**
   * How much is dirty in the bitmap, bytes, as it was some seconds ago at most: many ask this all the time, and the answer
   * only says when to tidy up. 0 without that bitmap.
   */
  dirtyBytes(volume: VolumeId, pool: string, bitmap: string): Promise<Result<number>>
  /**
   * Adds an enabled bitmap (64 KiB granularity) and, in the same transaction, disables `disable`, which must record: a
   * second copy that turns the bitmaps at the same time finds that out here (`conflict`). `epoch` is that of the run for
   * which it is done: once a newer one is served, the bitmaps are its own (`stale_epoch`).
   */
  addBitmap(volume: VolumeId, pool: string, name: string, disable?: string, epoch?: number): Promise<Result<void>>
  removeBitmap(volume: VolumeId, pool: string, name: string, epoch?: number): Promise<Result<void>>
  /** Dirty ranges of a bitmap, merged and in order. */
  dirtyRanges(volume: VolumeId, pool: string, bitmap: string): Promise<Result<readonly ByteRange[]>>
  /** Copies from this replica to a target export, ending with a flush of the target. Runs on the source host. */
  copy(
    request: CopyRequest,
    onProgress: (progress: CopyProgress) => void,
    signal: AbortSignal,
  ): Promise<Result<CopyProgress>>
  /** Makes all last that this replica holds, whoever wrote it. */
  flush(volume: VolumeId, pool: string): Promise<Result<void>>
  /** SHA-256 of each 64 KiB block of the range, base64, read from this replica. */
  digests(volume: VolumeId, pool: string, range: ByteRange): Promise<Result<readonly string[]>>
}

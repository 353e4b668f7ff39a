import type { RootFacts } from './container-template.ts'
import type { DiskLimits } from './hardware.ts'
import type { NetworkRole } from './host.ts'
import type { VolumeRole } from './platform.ts'
import type { RootCopy } from './root-copy.ts'
import type { SnapshotId } from './snapshot.ts'
import type { BlobId, GuestId, HostId, VolumeId } from './ids.ts'

export interface Replica {
  readonly host: HostId
  readonly pool: string
  readonly state: 'in-sync' | 'stale' | 'syncing'
  /** Set while not in-sync. */
  readonly stale?: Staleness
  /** Its running guest reaches it by this network, since the one for storage is cut between the two hosts. */
  readonly redirected?: NetworkRole
  /**
   * It has never been current since it was asked for: `to-be-made` until its host has made the file, `taking-snapshots`
   * while that is given what the guest's snapshots hold, `being-filled` until it is in sync for the first time. Whatever
   * it holds is no copy of the disk, not even an old one.
   */
  readonly incoming?: 'to-be-made' | 'taking-snapshots' | 'being-filled'
}

/**
 * A change of where the volume's replicas are: one comes, one goes, or both. docs/internals/storage-move.md. At least
 * one of `to` and `from` is there.
 */
export interface ReplicaMove {
  /** The new replica's host. The replica is one of `replicas` all the time, unless it is `incoming`. */
  readonly to?: HostId
  /** The host whose replica leaves once `to` is in sync. */
  readonly from?: HostId
  /**
   * From pool to pool of one host, which has one replica of a volume: the new one. It is none of `replicas` and serves
   * nobody until it takes the other one's place.
   */
  readonly incoming?: Replica
  /** It was that replica, and is none of `replicas` any more; its file goes once no running guest has it open. */
  readonly leaving?: { readonly host: HostId; readonly pool: string }
  /** The guest's snapshots that the new replica holds too. */
  readonly carried?: readonly SnapshotId[]
  /** Of a subvolume, which moves by a restart: what is left to be sent takes a moment, so that its guest may be stopped. */
  readonly near?: true
  /** Nobody asked for it: the host that the root is on is drained. */
  readonly forDrain?: true
  /** Wall clock, ms. */
  readonly since: number
}

/** Of a subvolume: a move that came to nothing. */
export interface FailedRootMove {
  readonly to: HostId
  readonly reason: string
  /** Wall clock, ms. */
  readonly at: number
  /** In a row. */
  readonly times: number
}

export interface Staleness {
  /** The replica has everything up to some moment of this epoch. */
  readonly sinceEpoch: number
  /** Wall clock, ms; tells an administrator how old the copy is. */
  readonly since: number
  readonly reason: string
  /**
   * `leg-lost`: the guest's QEMU survived and wrote every block again elsewhere, so the survivor's bitmap
   * holds all that this replica lacks. `run-lost`: QEMU died with writes in flight; this replica may hold
   * writes that the source lacks, so the union of both bitmaps is copied. `unknown`: compare everything.
   */
  readonly cause: 'leg-lost' | 'run-lost' | 'unknown'
}

export interface VolumeContent {
  readonly blob: BlobId
  readonly format: 'raw' | 'qcow2'
  /** The image's blocks are shared, not copied: its file stays as long as the replicas. */
  readonly linked?: true
}

/** A guest's disk, mirrored between its replicas. Only `in-sync` replicas may serve. */
export interface Volume {
  readonly id: VolumeId
  readonly guest: GuestId
  /** Of one that its guest gives back: whose it stays when the guest is gone; `DEFAULT_PROJECT` when absent. */
  readonly project?: string
  readonly name: string
  /** A disk when absent. */
  readonly role?: VolumeRole
  /**
   * `subvolume`: a folder of its pool's own file system, with a quota instead of a size. It has one replica, which
   * only that host's containers can use, as a root. Absent: an image of a disk, which can be mirrored.
   */
  readonly form?: 'subvolume'
  /** Of a subvolume. None of them is a replica: what was written since is not in it. */
  readonly copies?: readonly RootCopy[]
  /**
   * Of a subvolume that was set aside when its container was started from a copy: of which volume it was the root, and
   * under whose name it still lies on its host, which has not been back since.
   */
  readonly takesOver?: VolumeId
  readonly sizeBytes: number
  /** The size that it is to have, while its replicas make room for it. */
  readonly growTo?: number
  /** False until every replica's file exists. */
  readonly ready: boolean
  /** What the disk holds at first; zeros when absent. */
  readonly content?: VolumeContent
  /** A subvolume that begins as this one was when it was made, in the same pool of the same host. */
  readonly cloneOf?: VolumeId
  /** What it holds at first is still being copied from another disk; its replicas are made once that is `content`. */
  readonly awaitsContent?: true
  readonly replicas: readonly Replica[]
  /**
   * Name of the dirty bitmap that every in-sync replica keeps since a moment at which all in-sync
   * replicas were equal and flushed. It is not rotated while any replica is stale.
   */
  readonly syncPoint: string
  /** The number of the disk, which decides its place in the machine; absent: its position among the guest's disks. */
  readonly slot?: number
  readonly limits?: DiskLimits
  /**
   * `joining`: being made for a guest that it is not yet part of. `leaving`, `leaving-for-good`: the guest is to give it
   * back, after which it is kept or deleted. `detached`: kept, of no guest; `guest` is the last one. Absent: the guest's.
   */
  readonly attachment?: 'joining' | 'leaving' | 'leaving-for-good' | 'detached'
  /** Set while a replica comes or goes. */
  readonly move?: ReplicaMove
  /** Of a subvolume: the last try to move it, when that failed. A drain waits for a while before the next. */
  readonly failedMove?: FailedRootMove
  /** Set, with `ready` false, while the replicas are made to be this snapshot again. */
  readonly rollBackTo?: SnapshotId
}

/** As part of what a host is told of a replica. */
export function formOf({ form, cloneOf }: Volume): Pick<Volume, 'form' | 'cloneOf'> {
  return { ...(form === undefined ? {} : { form }), ...(cloneOf === undefined ? {} : { cloneOf }) }
}

/** Left by a deletion for each replica; the replica's host removes the file, then the record. */
export interface Removal {
  readonly host: HostId
  readonly volume: VolumeId
  readonly pool: string
}

/** A disk image that new volumes can start from, a CD, or the root file system of containers. */
export interface Image {
  readonly name: string
  /** `disk` when absent. */
  readonly kind?: 'disk' | 'iso' | 'root'
  /** Of kind `root`. */
  readonly root?: RootFacts
  readonly blob: BlobId
  readonly format: 'raw' | 'qcow2'
  readonly virtualSizeBytes: number
  /** Whose it is; the cluster's when absent. */
  readonly project?: string
  /** Of a machine with several disks: those after the first. */
  readonly moreDisks?: readonly ImageDisk[]
  /** What the machine had that was imported; a new guest has it too when nothing else is said. */
  readonly hardware?: ImageHardware
  readonly createdAt: number
}

export interface ImageDisk {
  readonly blob: BlobId
  readonly format: 'raw' | 'qcow2'
  readonly virtualSizeBytes: number
}

export interface ImageHardware {
  readonly memoryBytes?: number
  readonly cpus?: number
}

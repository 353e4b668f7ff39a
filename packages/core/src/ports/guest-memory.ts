/**
 * Port: a guest's memory and the state of its devices, kept in images beside the snapshots of its disks, and brought
 * back to life. The real implementation drives QEMU's migration, into files instead of to another host. It decides
 * nothing: whether an image still belongs to the disks is said by the guest's record (`Guest.resumeFrom`).
 *
 * An image is given up by `ReplicaSnapshots.releaseSnapshot`, whole or not.
 */
import type { GuestId, HostId, VolumeId } from '../model/ids.ts'
import type { SnapshotId } from '../model/snapshot.ts'
import type { Result } from '../result.ts'
import type { GuestLaunch, RunningGuest } from './guest-host.ts'

/** Beside this replica. */
export interface ImagePlace {
  readonly host: HostId
  readonly volume: VolumeId
  readonly pool: string
}

export interface WrittenImage {
  readonly bytes: number
  /** `sha256:` and 64 hexadecimal digits. */
  readonly digest: string
  /** Where it is whole and lasts. */
  readonly hosts: readonly HostId[]
}

export interface GuestMemory {
  /**
   * Begins to write the memory into one image in each place; the guest runs on. Room for as much as the images may
   * become is taken first (`no_capacity`). After a failure the guest runs on, and no image is being written.
   */
  begin(guest: GuestId, snapshot: SnapshotId, places: readonly ImagePlace[]): Promise<Result<void>>
  /** Resolves in the moment in which the guest stands still, its disks flushed, and little of its memory is missing. */
  awaitStandstill(guest: GuestId, signal: AbortSignal): Promise<Result<void>>
  /** Writes what is missing. The guest stands still until `GuestHost.resume`; after a failure it may run already. */
  complete(guest: GuestId): Promise<Result<void>>
  /** Makes the images last. One that cannot be is left out; fails when there is none. The guest may run. */
  seal(guest: GuestId): Promise<Result<WrittenImage>>
  /** Stops writing, and lets the guest run on if it stands still for this. Harmless when nothing is under way. */
  abandon(guest: GuestId): Promise<Result<void>>
  /**
   * Makes a copy of an image that lasts in another place, on this host. Tries one source after the other, and compares
   * what has come with the digest. Fails with `storage` where none is whole; nothing is left then.
   */
  copyImage(
    image: { readonly snapshot: SnapshotId; readonly bytes: number; readonly digest: string },
    from: readonly ImagePlace[],
    to: ImagePlace,
  ): Promise<Result<void>>
  /**
   * Makes a machine and puts the guest into it, paused where it was, its disks open and untouched. Tries one place after
   * the other. Fails with `storage` where all images are damaged or gone, and leaves nothing behind then.
   */
  restore(
    launch: GuestLaunch,
    image: { readonly snapshot: SnapshotId; readonly bytes: number; readonly digest: string },
    places: readonly ImagePlace[],
  ): Promise<Result<RunningGuest>>
}

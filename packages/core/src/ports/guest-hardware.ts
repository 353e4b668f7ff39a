/**
 * Port, part of `GuestHost`: changes of a running guest's hardware. Each call can be repeated: it does what is still
 * missing. What depends on the guest (it gives a device back, it takes memory) fails with `conflict` while the guest does
 * not do its part, and is asked again later.
 */
import type { DiskLimits } from '../model/hardware.ts'
import type { GuestId, VolumeId } from '../model/ids.ts'
import type { Result } from '../result.ts'
import type { GuestDisk, LaunchNic } from './guest-host.ts'

export interface HardwareFacts {
  /** False for a guest that was started without places for hot-plug: only a new start changes it. */
  readonly hotPlug: boolean
  readonly disks: readonly {
    readonly volume: VolumeId
    readonly slot: number
    readonly sizeBytes: number
    readonly limits: DiskLimits
  }[]
  readonly nics: readonly { readonly slot: number; readonly mac: string }[]
  /** What it was started with and what it has taken since. */
  readonly memoryBytes: number
  readonly memoryMaxBytes: number
  readonly cpus: number
  readonly cpusMax: number
  /** What the balloon leaves the guest; absent without a balloon. */
  readonly balloonBytes?: number
}

export interface GuestHardware {
  hardware(guest: GuestId): Promise<Result<HardwareFacts>>
  /** Opens the legs and plugs the disk in. `conflict` when its slot is taken. */
  addDisk(guest: GuestId, disk: GuestDisk & { readonly slot: number }): Promise<Result<void>>
  /**
   * Asks the guest for the disk and, once it has given it back, closes all legs. `flushed`: nothing that was written can
   * be missing on a leg. Waits some seconds for the guest.
   */
  removeDisk(guest: GuestId, volume: VolumeId): Promise<Result<{ readonly flushed: boolean }>>
  /** Live; an empty object lifts all limits. */
  limitDisk(guest: GuestId, volume: VolumeId, limits: DiskLimits): Promise<Result<void>>
  /** The tap exists. */
  addNic(guest: GuestId, nic: LaunchNic & { readonly slot: number }): Promise<Result<void>>
  removeNic(guest: GuestId, slot: number): Promise<Result<void>>
}

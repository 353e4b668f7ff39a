/**
 * Port, part of `GuestHost`: changes of a running guest's hardware. Each call can be repeated: it does what is still
 * missing. What depends on the guest (it gives a device back, it takes memory) fails with `conflict` while the guest does
 * not do its part, and is asked again later.
 */
import type { DiskLimits } from '../model/hardware.ts'
import type { GuestId, VolumeId } from '../model/ids.ts'
import type { Result } from '../result.ts'
import type { GuestDisk, LaunchContainer, LaunchNic } from './guest-host.ts'

/** As in `Nic`. */
export interface NicAddresses {
  readonly addresses: readonly string[]
  readonly gateways: readonly string[]
}

export interface HardwareFacts {
  /** False for a guest that was started without places for hot-plug: only a new start changes it. */
  readonly hotPlug: boolean
  readonly disks: readonly {
    readonly volume: VolumeId
    readonly slot: number
    readonly sizeBytes: number
    readonly limits: DiskLimits
    /** Of a container: its file system has not taken the disk's size yet. */
    readonly fileSystemIsSmaller?: true
  }[]
  /** With the addresses that a container has been given; a VM's are its own affair. */
  readonly nics: readonly ({ readonly slot: number; readonly mac: string } & Partial<NicAddresses>)[]
  /** What it was started with and what it has taken since; between these two it can change. */
  readonly memoryBytes: number
  readonly memoryMinBytes: number
  readonly memoryMaxBytes: number
  /** All that are plugged in, whether the guest uses them or not. */
  readonly cpus: number
  readonly cpusMin: number
  readonly cpusMax: number
  /** What the balloon leaves the guest; absent without a balloon. */
  readonly balloonBytes?: number
  /** Of a container: the settings that it has. */
  readonly container?: LaunchContainer
}

export interface GuestHardware {
  hardware(guest: GuestId): Promise<Result<HardwareFacts>>
  /** Opens the legs and plugs the disk in; a container has it mounted where `LaunchContainer.mounts` says. `conflict` when its slot is taken. */
  addDisk(guest: GuestId, disk: GuestDisk & { readonly slot: number }): Promise<Result<void>>
  /**
   * Asks the guest for the disk and, once it has given it back, closes all legs. `flushed`: nothing that was written can
   * be missing on a leg. Waits some seconds for the guest.
   */
  removeDisk(guest: GuestId, volume: VolumeId): Promise<Result<{ readonly flushed: boolean }>>
  /**
   * Flushes the disk and closes its legs: whatever the guest asks of it from now on fails and stops the guest. The guest
   * must be paused. Repeating it is harmless; after a failure the disk is as it was. A disk that is held has no legs.
   */
  holdDisk(guest: GuestId, volume: VolumeId): Promise<Result<void>>
  /** Gives a held disk these legs, the size that they have, and tells the guest. After a failure it is held still. */
  growDisk(guest: GuestId, disk: GuestDisk): Promise<Result<void>>
  /**
   * Of a container: the file system on the disk takes the size that the disk has. Fails with `conflict`, saying why, where it
   * cannot while it is mounted: it does so at the next start. A VM's file systems are its own affair: nothing is done.
   */
  growFileSystem(guest: GuestId, volume: VolumeId): Promise<Result<void>>
  /** Live; an empty object lifts all limits. */
  limitDisk(guest: GuestId, volume: VolumeId, limits: DiskLimits): Promise<Result<void>>
  /** The tap exists. */
  addNic(guest: GuestId, nic: LaunchNic & { readonly slot: number }): Promise<Result<void>>
  removeNic(guest: GuestId, slot: number): Promise<Result<void>>
  /** Of a container: instead of those that the card was given before, which go. A VM's are its own affair: `bad_request`. */
  setAddresses(guest: GuestId, slot: number, wanted: NicAddresses): Promise<Result<void>>
  /** Plugs in or asks back until there are so many, within what the guest was started for. Waits some seconds. */
  setCpus(guest: GuestId, cpus: number): Promise<Result<void>>
  /** Gives the guest memory or asks for it, to the nearest step, within `memoryMinBytes` and `memoryMaxBytes`. */
  setMemory(guest: GuestId, memoryBytes: number): Promise<Result<void>>
  /** Has the balloon leave the guest so much of what it has; all of it when absent. */
  setBalloon(guest: GuestId, leaveBytes: number | undefined): Promise<Result<void>>
  /**
   * Of a container: limits, name, name servers. Live; what only a start can change (its ids, nesting, its init) must be as
   * it was started with. A VM has no such settings: `bad_request`.
   */
  setContainer(guest: GuestId, container: LaunchContainer): Promise<Result<void>>
  /** As the guest itself tells; undefined where it has no balloon or its driver says nothing. */
  memoryUse(guest: GuestId): Promise<Result<GuestMemoryUse | undefined>>
}

export interface GuestMemoryUse {
  /** All that its system sees, less what the balloon has taken. */
  readonly totalBytes: number
  readonly freeBytes: number
  /** What programs could still have: free memory, and caches that the system would give up. */
  readonly availableBytes: number
}

/** What of a guest's hardware can change while it runs, and the numbers (slots) by which devices keep their places. */
import type { VolumeId } from './ids.ts'
import type { Nic } from './guest.ts'
import type { Volume } from './volume.ts'

/** How many there can be at a time; the machine has a port for each from its start. */
export const DISK_SLOTS = 12
export const NIC_SLOTS = 4

/** What a guest may take of a disk; absent: as much as there is. */
export interface DiskLimits {
  readonly operationsPerSecond?: number
  readonly bytesPerSecond?: number
  /** Allowed for `burstSeconds` after a quieter time. */
  readonly burstOperationsPerSecond?: number
  readonly burstBytesPerSecond?: number
  /** 1 when absent. */
  readonly burstSeconds?: number
}

/** What may pass a network card, seen from the guest. */
export interface NicLimits {
  readonly receiveBytesPerSecond?: number
  readonly sendBytesPerSecond?: number
  /** What is more is dropped and counted: a flood of small packets stays below any limit of bytes. */
  readonly sendPacketsPerSecond?: number
}

/** What of the wishes has not come true in the running guest, and why. */
export interface PendingChange {
  /** `disk disk1`, `nic 1`, `memory`, `cpus`, `balloon`. */
  readonly what: string
  readonly why: string
}

/** What the host of a running guest sees of the hardware that can change. */
export interface HardwareObservation {
  readonly volumes: readonly { readonly id: VolumeId; readonly sizeBytes: number }[]
  readonly nics: readonly { readonly slot: number; readonly mac: string }[]
  readonly memoryBytes: number
  /** What of its memory it was given since it was started; absent: none. */
  readonly addedMemoryBytes?: number
  readonly cpus: number
  /** Up to what it can grow while it runs; absent: it was started without room for that. */
  readonly memoryMaxBytes?: number
  readonly cpusMax?: number
  /** What the balloon leaves the guest; absent without a balloon. */
  readonly balloonBytes?: number
  readonly pending: readonly PendingChange[]
}

export function nicSlot(nic: Nic, position: number): number {
  return nic.slot ?? position
}

export function diskSlot(volume: Volume, position: number): number {
  return volume.slot ?? position
}

/** The lowest number that none of these has. */
export function freeSlot(taken: readonly number[], slots: number): number | undefined {
  for (let slot = 0; slot < slots; slot++) if (!taken.includes(slot)) return slot
  return undefined
}

/**
 * What a guest's machine is made with and keeps until it is switched off: firmware, TPM, watchdog, what its memory and
 * its processors stand on, devices of the host. See docs/internals/platform.md.
 */
import type { BlobId } from './ids.ts'

export interface Firmware {
  readonly kind: 'uefi'
  readonly secureBoot: boolean
  /** The firmware itself, the same on every host; its variables are a volume of the guest. */
  readonly code: BlobId
}

/** What follows when the guest has not fed its watchdog in time. `poweroff`: the run ends in order, and HA starts it anew. */
export const WATCHDOG_ACTIONS = ['reset', 'poweroff', 'pause', 'none'] as const
export type WatchdogAction = (typeof WATCHDOG_ACTIONS)[number]

export const HUGE_PAGES = { '2M': 2 ** 21, '1G': 2 ** 30 } as const
export type HugePages = keyof typeof HUGE_PAGES

/** Every field is optional; absent means: without. */
export interface GuestPlatform {
  /** Legacy BIOS when absent. */
  readonly firmware?: Firmware
  /** A TPM 2.0, whose state is a volume of the guest. */
  readonly tpm?: boolean
  readonly watchdog?: WatchdogAction
  /** Its memory stands on pages of this size, which its host must have free. */
  readonly hugePages?: HugePages
  /** Each of its processors has a processor of the host for itself. */
  readonly dedicatedCpus?: boolean
  /** Into how many nodes its memory and its processors are divided; one when absent. */
  readonly numaNodes?: number
  /** Classes of devices and how many of each: `gpu/nvidia-l4` -> 1. */
  readonly devices?: Readonly<Record<string, number>>
}

/** Of a guest's volumes, those that are no disk: the variables of its firmware, the state of its TPM. */
export type VolumeRole = 'firmware' | 'tpm'

/** Why the guest cannot be moved while it runs; empty when nothing of its platform speaks against it. */
export function whyNotMigratable({ devices = {} }: GuestPlatform): string {
  const held = Object.keys(devices)
  return held.length === 0 ? '' : `it holds a device of its host (${held.join(', ')}), whose state cannot be moved`
}

/** Why a snapshot cannot have the guest's memory; empty when nothing of its platform speaks against it. */
export function whyMemoryNotKept(platform: GuestPlatform): string {
  return platform.tpm ? 'the state of its TPM is neither in its memory nor on its disks' : whyNotMigratable(platform)
}

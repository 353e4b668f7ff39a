import type { ContainerSettings } from './container.ts'
import type { GuestHolds } from './growth.ts'
import type { HardwareObservation, NicLimits } from './hardware.ts'
import type { GuestPlatform } from './platform.ts'
import type { SnapshotSchedule } from './snapshot.ts'
import type { BlobId, GuestId, HostId, VolumeId } from './ids.ts'
import type { GuestProcessor } from './processor.ts'
import type { RootCopyPolicy } from './root-copy.ts'
import type { GuestLifecycle } from './lifecycle.ts'
import type { Readiness } from './probe.ts'
import type { GuestMedia } from './media.ts'
import type { GuestTemplate } from './template.ts'

/** HA vocabulary of the field: what the cluster keeps true for the guest. `ignored`: the cluster never acts by itself. */
export type HaMode = 'started' | 'stopped' | 'ignored'

export interface KernelBoot {
  readonly kind: 'kernel'
  readonly kernel: BlobId
  readonly initrd?: BlobId
  readonly append: string
}
/** Boot from the first volume. */
export interface DiskBoot {
  readonly kind: 'disk'
}
/** Of a container: the first volume is its root file system. */
export interface ContainerBoot {
  readonly kind: 'container'
}

export interface Nic {
  readonly mac: string
  /** The bridge's role; only `lan` carries guests. */
  readonly network: 'lan'
  /** The number of the card, which decides its place in the machine; absent: its position in the list. */
  readonly slot?: number
  readonly limits?: NicLimits
  /** With prefix length, `192.0.2.10/24`. Of a container: given to it before its init runs; it may use no others. */
  readonly addresses?: readonly string[]
  /** Of a container: where its default routes lead, one for each family. */
  readonly gateways?: readonly string[]
}

/** `vga`: a screen and a keyboard, seen by VNC. `none`: the serial console only. */
export type GuestDisplay = 'none' | 'vga'

/** A virtual machine or a system container. */
export type GuestKind = 'vm' | 'ct'

/** What the administrator wants of a guest. */
export interface Guest {
  readonly id: GuestId
  readonly name: string
  readonly kind: GuestKind
  /** `DEFAULT_PROJECT` when absent. */
  readonly project?: string
  readonly memoryBytes: number
  readonly cpus: number
  /** Up to what it can grow while it runs; absent: it changes with its next start only. See `model/growth.ts`. */
  readonly memoryMaxBytes?: number
  readonly cpusMax?: number
  /** What it was asked to give back and may still have. */
  readonly holds?: GuestHolds
  /** What the balloon should leave it of its memory; all when absent. */
  readonly balloonBytes?: number
  readonly boot: KernelBoot | DiskBoot | ContainerBoot
  /** Of a container only. */
  readonly container?: ContainerSettings
  readonly volumes: readonly VolumeId[]
  readonly nics: readonly Nic[]
  /** `none` when absent. */
  readonly display?: GuestDisplay
  /** CD drives, boot order and cloud-init; absent: none of them. */
  readonly media?: GuestMedia
  /** Others are cloned from it, and it is never started; absent: an ordinary guest. */
  readonly template?: GuestTemplate
  /** `baseline` when absent. */
  readonly processor?: GuestProcessor
  readonly ha: HaMode
  /** Whether it should run. For `ha` started and stopped it says the same; for `ignored` it is the user's last word. */
  readonly desired: 'running' | 'stopped'
  /** `stop --force`: do not wait for the guest's own shutdown. Reset by the next start. */
  readonly forceStop: boolean
  /** How long a shutdown may take before the power is cut, ms; the default of 30 s when absent. */
  readonly shutdownTimeoutMs?: number
  /** Placed and recovered before those with less; 0 when absent. */
  readonly priority?: number
  /** See `haPolicyOf`. */
  readonly maxRestart?: number
  readonly maxRelocate?: number
  readonly failback?: boolean
  /** An ordinary machine when absent. */
  readonly platform?: GuestPlatform
  /** What those outside may do through its agent; nothing but ask when absent. */
  readonly agent?: { readonly execute: boolean }
  /** A host that the user asked for; kept as a preference. */
  readonly preferredHost?: HostId
  /** `start --accept-data-loss` names the epoch whose loss was accepted; one use. */
  readonly acceptDataLoss?: { readonly host: HostId; readonly atEpoch: number }
  /** Asked to be moved there; gone once it has arrived, or once a live move has failed. */
  readonly moveTo?: HostId
  /** `live`: without a break, or not at all. `restart`, also when absent: stopped, and started there. */
  readonly moveHow?: 'live' | 'post-copy' | 'restart'
  /** The run of this epoch is to be stopped in order and started again, on the same host where that can take it. */
  readonly restartEpoch?: number
  /** The epoch of a hand-over that a user has called off. */
  readonly cancelledHandover?: number
  readonly lifecycle?: GuestLifecycle
  /**
   * The name of the snapshot whose memory belongs to the disks as they are now. Taken out before the guest runs: from
   * then on they do not belong together any more.
   */
  readonly resumeFrom?: string
  /** Snapshots that are taken and removed by themselves. */
  readonly snapshotSchedule?: SnapshotSchedule
  /** Of a container with a native root: a copy of it on another host; none when absent. */
  readonly rootCopy?: RootCopyPolicy
  /** Set by delete: the guest is stopped, its volumes removed, then the record goes. */
  readonly deleting: boolean
  readonly createdAt: number
}

export interface HaPolicy {
  readonly priority: number
  /** Further tries on the host on which a run failed. */
  readonly maxRestart: number
  /** Other hosts that are tried then; after the last one the guest is left in `error` until somebody acts. */
  readonly maxRelocate: number
  /** Whether it returns to the hosts that a rule prefers as soon as one is there again. */
  readonly failback: boolean
}

export function haPolicyOf({ priority = 0, maxRestart = 1, maxRelocate = 2, failback = true }: Guest): HaPolicy {
  return { priority, maxRestart, maxRelocate, failback }
}

/** For sorting: whose turn comes first. */
export function compareImportance(a: Guest, b: Guest): number {
  return haPolicyOf(b).priority - haPolicyOf(a).priority || a.createdAt - b.createdAt
}

/**
 * Failed runs in a row after which the guest is left in `error` until somebody acts. One that HA ignores is not tried
 * again at all.
 */
export function failuresMax(guest: Guest): number {
  if (guest.ha === 'ignored') return 1
  const { maxRestart, maxRelocate } = haPolicyOf(guest)
  return (maxRestart + 1) * (maxRelocate + 1)
}

/**
 * How many failed runs to record of a guest whose host booted under it, when `known` were before. That is no fault of
 * the guest's: such runs slow the next tries down, but alone they never end them, if the guest is to start again at all.
 */
export function failuresAfterBoot(guest: Guest, known: number): number {
  if (guest.ha === 'ignored' && guest.lifecycle?.autostart !== true) return known + 1
  return Math.max(known, Math.min(known + 1, failuresMax(guest) - 1))
}

/** What the granted host sees of its guest. Written by that host's agent; older epochs are refused. */
export interface GuestObservation {
  readonly guest: GuestId
  readonly host: HostId
  readonly epoch: number
  readonly phase: 'starting' | 'running' | 'paused' | 'stopping' | 'stopped' | 'failed'
  /** Why it is paused or failed; empty otherwise. */
  readonly reason: string
  readonly since: number
  /** How often QEMU ended by itself or could not be started since the last user's start, in a row. */
  readonly failures: number
  /** Hosts on which that was; absent while there was none. */
  readonly failedOn?: readonly HostId[]
  /** Absent until its host has looked. */
  readonly hardware?: HardwareObservation
  /** How far its move to another host has come; absent while it does not move. */
  readonly migration?: MigrationReport
  /** The host's boot in which this was seen. */
  readonly bootId?: string
  /** Of a running guest that has a probe: what that has found. */
  readonly readiness?: Readiness
}

/** A live move as the source sees it, brought up to date about once a second. */
export interface MigrationReport {
  readonly to: HostId
  readonly since: number
  readonly totalBytes: number
  readonly transferredBytes: number
  readonly remainingBytes: number
  readonly dirtyBytesPerSecond: number
  readonly bandwidthBytesPerSecond: number
  /** How far the guest is slowed down so that the copy converges, percent. */
  readonly throttlePercent: number
  readonly expectedDowntimeMs: number
}

/** What `vm list` shows. */
export type GuestState =
  | 'creating'
  | 'stopped'
  | 'starting'
  | 'running'
  | 'paused'
  | 'stopping'
  | 'waiting'
  | 'unknown'
  | 'error'
  | 'deleting'

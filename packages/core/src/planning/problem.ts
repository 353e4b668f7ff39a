/**
 * The question of placement, apart from where it comes from: a live cluster, a file, a benchmark. Plain data with all
 * that bears on the answer, so that one planner serves recovery, draining, admission, balancing and "what if".
 */
import type { GuestId, HostId } from '../model/ids.ts'
import type { Rule } from '../model/rule.ts'

export interface PlanningHost {
  readonly id: HostId
  /** Empty when guests may be placed there; else why not, in words: "it is lost", "it is in maintenance". */
  readonly unusableBecause: string
  /** What guests may take together, in bytes: the host's memory without its own reserve. */
  readonly memoryBytes: number
  /** Virtual processors that guests may take together: cores times the overcommit ratio. */
  readonly cpus: number
  /** Kind of fault domain -> its name: `rack` -> `r1`. */
  readonly faultDomains: Readonly<Record<string, string>>
  /** Kind of device -> how many shares guests may take: `gpu/nvidia-l4` -> 4. */
  readonly devices: Readonly<Record<string, number>>
}

export interface PlanningGuest {
  readonly id: GuestId
  readonly name: string
  readonly memoryBytes: number
  readonly cpus: number
  readonly devices: Readonly<Record<string, number>>
  /** Higher is placed first. */
  readonly priority: number
  /** Where it runs and takes resources; undefined when nowhere. On an unusable host it runs until it is moved. */
  readonly at: HostId | undefined
  /** True when it needs a (new) place: it is to run and runs nowhere, or its host is lost or drained. */
  readonly needsPlace: boolean
  /** False when it may not be moved from where it runs, other than by `needsPlace`. */
  readonly movable: boolean
  /** Hosts that it can't run on for reasons of its own, in words: "no path to its disks". */
  readonly impossible: Readonly<Record<HostId, string>>
  /** Hosts with a current replica of its disks, so that reads stay local. */
  readonly near: readonly HostId[]
  /** The host that somebody asked for, or that has it of old; a wish, before those of rules. */
  readonly preferred?: HostId
  /** The host that it is meant for next, before all wishes: it was stopped to move there, returns there, is retried there. */
  readonly meantFor?: { readonly host: HostId; readonly because: string }
  /** Hosts on which it failed lately: taken last. */
  readonly failedOn: readonly HostId[]
  /** What a move costs: its memory rewritten by the guest, bytes/s; 0 when not known. */
  readonly dirtyBytesPerSecond: number
}

export interface PlanningProblem {
  readonly hosts: readonly PlanningHost[]
  readonly guests: readonly PlanningGuest[]
  readonly rules: readonly Rule[]
}

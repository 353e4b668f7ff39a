import type { GuestLaunch } from '../ports/guest-host.ts'
import type { Branded, GuestId, HostId, VolumeId } from './ids.ts'

/** UUID without dashes, since it becomes part of file names beside the replicas. */
export type SnapshotId = Branded<'SnapshotId'>

/**
 * All disks of a guest as they were at one moment. A replica that holds it keeps it however its volume goes on: a
 * snapshot is a file that nobody writes any more. What its replicas still have to merge after a snapshot was deleted
 * is said by the hosts themselves (`heldSnapshots`), never by a record.
 */
export interface Snapshot {
  readonly id: SnapshotId
  readonly guest: GuestId
  /** Unique among the guest's snapshots; with the guest's id it is the record's key. */
  readonly name: string
  /** Wall clock, ms: of the request, then of the moment that the snapshot shows. */
  readonly createdAt: number
  /**
   * `wanted`: nobody has begun. `cutting`: `cutter` is at it; found by anybody else it is undone. `ready`: it is whole
   * and durable on all replicas that `volumes` names. `rolling-back`: the guest is stopped, then made to be this.
   */
  readonly state: 'wanted' | 'cutting' | 'ready' | 'rolling-back'
  readonly cutter?: {
    readonly host: HostId
    readonly epoch: number
    /** One life of an agent. */ readonly life: string
  }
  /** What is asked for; without a guest agent `filesystem` becomes `crash`. */
  readonly wanted: SnapshotConsistency
  /** What it became; meaningful once it is ready. */
  readonly consistent: SnapshotConsistency
  readonly volumes: readonly SnapshotVolume[]
  /** Taken by the guest's schedule, which removes the oldest of these; others only a user removes. */
  readonly scheduled: boolean
  /** While rolling back: whether the guest runs again afterwards, as it did before. */
  readonly startAfter?: boolean
  /** The guest's memory is asked for too. */
  readonly withMemory?: boolean
  /** The guest's memory at that moment; absent: a guest that is rolled back boots. */
  readonly memory?: SnapshotMemory
  /** While rolling back: the memory is left out, and the guest boots. */
  readonly withoutMemory?: boolean
}

/** What a guest had in its memory, and the machine that it had it in. docs/internals/memory-snapshots.md */
export interface SnapshotMemory {
  /** The image lies beside the snapshots of this volume's replicas, on these hosts. */
  readonly volume: VolumeId
  readonly hosts: readonly HostId[]
  readonly bytes: number
  /** `sha256:` and 64 hexadecimal digits. */
  readonly digest: string
  readonly takenOn: HostId
  /** Of the hypervisor that wrote it; an older one need not be able to read it. Absent: not known. */
  readonly qemuVersion?: string
  /** What the guest ran with. Its legs are left out: the machine is the same wherever its disks are served. */
  readonly launch: GuestLaunch
}

/** `crash`: what a power cut would have left. `filesystem`: the guest's file systems were frozen or unmounted. */
export type SnapshotConsistency = 'crash' | 'filesystem'

export interface SnapshotVolume {
  readonly volume: VolumeId
  readonly sizeBytes: number
  /** The hosts of the replicas that hold it: all that were in sync then. */
  readonly hosts: readonly HostId[]
}

/** How often a guest is snapshotted by itself, and how many of those snapshots are kept. Part of the guest's record. */
export interface SnapshotSchedule {
  readonly everyMs: number
  readonly keep: number
  /** Each with the guest's memory, as long as that can be kept. */
  readonly memory?: boolean
  /** Wall clock, ms, of the last one that the schedule asked for, done or not. */
  readonly lastAt?: number
}

/** Each layer that a read must look through costs a little; beyond this many a snapshot is refused. */
export const SNAPSHOTS_MAX = 32

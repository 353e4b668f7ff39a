import type { GuestId, HostId } from './ids.ts'
import type { ProcessorLevel } from './processor.ts'

/**
 * The right to run a guest. A guest runs only under a held grant, on that host, at that epoch; storage
 * serves only the newest epoch. The record stays when the run ends, so that epochs only grow.
 */
export interface Grant {
  readonly guest: GuestId
  readonly epoch: number
  readonly host: HostId
  /** `recalled`: the holder is asked to end the run in order (drain, stop) and to release. */
  readonly state: 'held' | 'recalled' | 'released'
  /**
   * Meaningful once released: true when the guest's last write was flushed to every in-sync replica
   * before the release. After an unclean end the replicas may differ in unacknowledged writes.
   */
  readonly clean: boolean
  /** Ended because the host reboots, to which the guest returns: it waits for it. */
  readonly returns?: boolean
  /** The host for which it was recalled: where it is meant to run next, if that can still take it. */
  readonly movesTo?: HostId
  /** The guest's memory is on its way to another host (docs/internals/migration.md). Only of a held or recalled one. */
  readonly handover?: Handover
  /** The newest epoch that was promised to a hand-over which came to nothing; greater than `epoch`. */
  readonly spentEpoch?: number
  /** The processor that the run's guest sees; absent: the host's own. */
  readonly processorLevel?: ProcessorLevel
  /** This run did not begin with a boot: the guest came over from that host. */
  readonly cameFrom?: HostId
  /**
   * Post-copy: it runs here, and the rest of its memory is still on that host, where it can never run again. Without
   * both of them there is no such guest any more.
   */
  readonly memoryOn?: HostId
  /** The last try to move it away live, when that failed. */
  readonly failedHandover?: FailedHandover
  readonly grantedAt: number
  readonly reason: string
}

/** Lets `to` open the guest's disks at `epoch` beside the run, and no more: whose the guest is, the grant itself says. */
export interface Handover {
  readonly to: HostId
  readonly epoch: number
  readonly reason: string
  readonly since: number
  /** It was asked for that the guest goes on there before all of its memory has come. */
  readonly postCopy?: true
}

export interface FailedHandover {
  readonly to: HostId
  readonly reason: string
  /** Wall clock, ms. */
  readonly at: number
  /** In a row, since the run began. */
  readonly times: number
}

/** The newest epoch that was ever promised to anybody; 0 before the first. */
export function newestEpoch(grant: Grant | undefined): number {
  return grant === undefined ? 0 : Math.max(grant.epoch, grant.spentEpoch ?? 0, grant.handover?.epoch ?? 0)
}

/** The grant without its hand-over, whose epoch is spent. */
export function withoutHandover(grant: Grant): Grant {
  const { handover, ...rest } = grant
  return handover === undefined ? grant : { ...rest, spentEpoch: handover.epoch }
}

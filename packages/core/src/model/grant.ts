import type { GuestId, HostId } from './ids.ts'

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
  readonly grantedAt: number
  readonly reason: string
}

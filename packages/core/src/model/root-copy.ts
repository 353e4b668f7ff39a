/** Copies of a container's native root on other hosts, each as the root was at one moment. docs/internals/native-roots.md */
import type { HostId } from './ids.ts'

/** What the administrator wants: a copy that follows the root, so and so far behind. */
export interface RootCopyPolicy {
  /** Absent: the cluster chooses. */
  readonly to?: HostId
  readonly everyMs: number
  /** When the root's host is lost. `wait`: for that host, or until an administrator decides. */
  readonly onLoss: 'wait' | 'start-from-copy'
}

export interface RootCopy {
  readonly host: HostId
  readonly pool: string
  /** When it was asked for; wall clock, ms. */
  readonly since: number
  /** What the newest whole one shows: the root as it was at that moment, in the run of this epoch. Absent: none is there yet. */
  readonly newest?: { readonly at: number; readonly epoch: number }
  /** Why the last try came to nothing. */
  readonly trouble?: { readonly message: string; readonly since: number }
  /** It is older than the policy allows for, and that was told. */
  readonly late?: true
}

export const COPY_EVERY_MS_MIN = 60_000
export const COPY_EVERY_MS_MAX = 7 * 24 * 3_600_000
/** So many times the interval may pass before a copy is late. */
export const LATE_AFTER_INTERVALS = 3

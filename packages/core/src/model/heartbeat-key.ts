import type { HostId } from './ids.ts'

/** Of the key by which hosts know each other's heartbeats: which one counts. Absent: the one that they were set up with. */
export interface HeartbeatKey {
  /** Grows with each new key. 0: the one that the hosts were set up with. */
  readonly generation: number
  /** Hosts that were removed and know the present one: another is due. */
  readonly due: readonly HostId[]
  /** The one before is still sent and taken: not every host is known to have the present one. */
  readonly formerCounts: boolean
  /** The present one and the one before, which only the hosts can read for whom it was written. Empty for generation 0. */
  readonly sealed: string
  /** Wall clock, ms since 1970, for people: when it was made. 0 for generation 0. */
  readonly madeAt: number
  /** For whose removal it was made. */
  readonly madeFor: readonly HostId[]
}

export const FIRST_HEARTBEAT_KEY: HeartbeatKey = {
  ...{ generation: 0, due: [], formerCounts: false, sealed: '', madeAt: 0, madeFor: [] },
}

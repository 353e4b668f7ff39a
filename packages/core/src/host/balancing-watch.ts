/**
 * Remembers what balancing must know from one decision to the next: since when the hosts are unevenly filled, and when
 * it moved guests. By the monotonic clock of the coordinator; a new one begins to watch anew, and only waits longer.
 */
import { clusterPolicyOf, problemOf } from '../ha/planning-problem.ts'
import type { ClusterState } from '../model/cluster.ts'
import type { HostId } from '../model/ids.ts'
import { isActive } from '../model/records.ts'
import { balance } from '../planning/balance.ts'
import { balancingDecision } from '../planning/balancing-decision.ts'
import type { Clock } from '../ports/clock.ts'

/** How uneven the hosts are is worked out this often: with thousands of guests it takes some milliseconds. */
const LOOK_MS = 10_000
const HOUR_MS = 3_600_000

export class BalancingWatch {
  readonly #clock: Clock
  #lookedAtMs = -Infinity
  #unevenSince: number | undefined
  #underWay = false
  #movedAt: number[] = []
  #movesMax = 0

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** How many guests may be moved now to even out the hosts. */
  movesMax(state: ClusterState, isUp: (host: HostId) => boolean): number {
    const { balancing } = clusterPolicyOf(state)
    const nowMs = this.#clock.monotonicMs()
    if (balancing.mode !== 'automatic') return 0
    if (nowMs - this.#lookedAtMs < LOOK_MS) return this.#movesMax
    this.#lookedAtMs = nowMs
    this.#movedAt = this.#movedAt.filter((atMs) => nowMs - atMs < HOUR_MS)
    const score = balance(problemOf({ state, isUp, needing: new Set() }), { movesMax: 0 }).scoreBefore
    const decision = balancingDecision(
      balancing,
      {
        score,
        unevenSince: this.#unevenSince,
        underWay: this.#underWay,
        movedAt: this.#movedAt,
        recovering: isRecovering(state),
      },
      nowMs,
    )
    this.#unevenSince = decision.unevenSince
    this.#underWay = decision.underWay
    this.#movesMax = decision.act ? decision.movesMax : 0
    return this.#movesMax
  }

  /** One was moved: it counts for the hour, and the next look comes before the next move. */
  moved(): void {
    this.#movedAt.push(this.#clock.monotonicMs())
    this.#movesMax = 0
    this.#lookedAtMs = this.#clock.monotonicMs()
  }
}

/** A host is lost or drained, or a guest has no host or is on its way. */
function isRecovering(state: ClusterState): boolean {
  for (const { value } of state.statuses.values()) if (value.state === 'lost') return true
  for (const { value } of state.policies.values()) if (value.maintenance || value.shutdown) return true
  for (const { value: guest } of state.guests.values()) {
    if (guest.desired !== 'running' || guest.ha !== 'started') continue
    const grant = state.grants.get(guest.id)?.value
    if (!isActive(grant) || grant.state === 'recalled' || grant.handover) return true
  }
  return false
}

/**
 * Whether to balance now. Moves cost something and a load that swings would have guests move to and fro, so balancing
 * waits until an imbalance has lasted, ends well below where it begins, and does so much an hour and no more.
 */
export interface BalancingPolicy {
  /** `off`: never; `recommend`: moves are shown and not made. */
  readonly mode: 'off' | 'recommend' | 'automatic'
  /** Balancing begins when the score has been above this… */
  readonly scoreMax: number
  /** …for this long, ms… */
  readonly holdMs: number
  /** …and goes on until it is below this one. */
  readonly scoreGoal: number
  readonly movesPerHourMax: number
}

export interface BalancingState {
  readonly score: number
  /** When the score rose above `scoreMax`; undefined while it is not. */
  readonly unevenSince: number | undefined
  /** True from the first moves until the score is below the goal. */
  readonly underWay: boolean
  /** Times of moves that balancing made, any order. */
  readonly movedAt: readonly number[]
  /** Guests are being recovered, hosts drained, or a host is not in a known state. */
  readonly recovering: boolean
}

export interface BalancingDecision {
  /** Guests that may be moved now; 0 for none. */
  readonly movesMax: number
  /** False while moves are only recommended. */
  readonly act: boolean
  /** In words. */
  readonly why: string
  /** To be kept until the next time. */
  readonly unevenSince: number | undefined
  readonly underWay: boolean
}

const HOUR_MS = 3_600_000

export function balancingDecision(policy: BalancingPolicy, state: BalancingState, now: number): BalancingDecision {
  const { score, recovering } = state
  const unevenSince = score > policy.scoreMax ? (state.unevenSince ?? now) : undefined
  const underWay = state.underWay && score > policy.scoreGoal
  const wait = (why: string): BalancingDecision => ({ movesMax: 0, act: false, why, unevenSince, underWay })
  if (policy.mode === 'off') return wait('balancing is off')
  // Recovery needs the room and the network; and what it is about to do may even out the hosts by itself.
  if (recovering) return wait('guests are being recovered or hosts drained')
  if (!underWay) {
    if (unevenSince === undefined) return wait(`the hosts are evenly filled (${shown(score)})`)
    const lastedMs = now - unevenSince
    if (lastedMs < policy.holdMs)
      return wait(`the hosts have been unevenly filled for ${seconds(lastedMs)} of ${seconds(policy.holdMs)}`)
  }
  const lately = state.movedAt.filter((at) => now - at < HOUR_MS).length
  const movesMax = Math.max(0, policy.movesPerHourMax - lately)
  if (movesMax === 0) return { ...wait(`${lately} guests were moved within the last hour`), underWay }
  const act = policy.mode === 'automatic'
  return {
    movesMax,
    act,
    why: `the hosts are unevenly filled (${shown(score)}, wanted ${shown(policy.scoreGoal)})`,
    unevenSince,
    underWay: act,
  }
}

function shown(score: number): string {
  return score.toFixed(3)
}

function seconds(ms: number): string {
  return `${Math.floor(ms / 1000)} s`
}

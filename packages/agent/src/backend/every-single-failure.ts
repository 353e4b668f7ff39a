import { singleFailureView, type ForeseenFailure, type SingleFailureView } from '@stead/api/foresight-view.ts'
import { foresee, worstFirst, type ForeseeOptions } from '@stead/core/foresight/foresee.ts'
import { singleFailures } from '@stead/core/foresight/supposition.ts'
import type { ClusterState } from '@stead/core/model/cluster.ts'
import type { Clock } from '@stead/core/ports/clock.ts'

export interface EveryFailure {
  readonly items: readonly ForeseenFailure[]
  readonly skipped: number
}

interface Run {
  readonly state: ClusterState
  /** Who waits for it, by what tells that he does no more. */
  readonly waiting: Set<AbortSignal>
  /** Undefined: nobody waited any more. */
  readonly outcome: Promise<EveryFailure | undefined>
}

/** What decides where guests go; the hosts' beats and the progress of operations do not. */
const DECISIVE = ['hosts', 'liveness', 'guests', 'grants', 'volumes', 'rules', 'policies', 'clusterPolicy'] as const

/**
 * What each single failure would do, worked out once for all who ask meanwhile, and only while somebody waits: with
 * 10,000 guests it takes some 20 s of a processor, which a page that is loaded again and again must not multiply.
 */
export class SingleFailures {
  readonly #clock: Clock
  #run: Run | undefined

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** Of the state when it was asked; undefined when `signal` says that nobody waits. */
  async ask(
    signal: AbortSignal,
    now: () => { readonly state: ClusterState; readonly options: ForeseeOptions },
  ): Promise<EveryFailure | undefined> {
    while (!signal.aborted) {
      const { state, options } = now()
      const run = this.#run ?? this.#begin(state, options, signal)
      const isSame = DECISIVE.every((name) => run.state[name] === state[name])
      if (isSame) run.waiting.add(signal)
      const outcome = await run.outcome
      if (isSame && outcome) return outcome
    }
    return undefined
  }

  #begin(state: ClusterState, options: ForeseeOptions, signal: AbortSignal): Run {
    const waiting = new Set([signal])
    const run = { state, waiting, outcome: this.#work(state, options, waiting) }
    this.#run = run
    return run
  }

  /** With a rest after each, in which the agent does its other work: with a thousand guests one takes some 50 ms. */
  async #work(
    state: ClusterState,
    options: ForeseeOptions,
    waiting: ReadonlySet<AbortSignal>,
  ): Promise<EveryFailure | undefined> {
    const all: ForeseenFailure[] = []
    try {
      for (const suppose of singleFailures(state)) {
        await this.#clock.sleep(0)
        if ([...waiting].every(({ aborted }) => aborted)) return undefined
        all.push({ ...foresee(state, suppose, options), suppose })
      }
      const items = worstFirst(all)
      return { items, skipped: all.length - items.length }
    } finally {
      this.#run = undefined
    }
  }
}

export function everyFailureView(
  { items, skipped }: EveryFailure,
  state: ClusterState,
  { brief }: { readonly brief: boolean },
): { items: SingleFailureView[]; skipped: number } {
  return { items: items.map((one) => singleFailureView(one, state, { brief })), skipped }
}

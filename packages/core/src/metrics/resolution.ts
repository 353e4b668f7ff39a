/** How finely and for how long figures are kept, and which of them answer a question. Pure. */

const SECOND_MS = 1_000
const MINUTE_MS = 60 * SECOND_MS
const HOUR_MS = 60 * MINUTE_MS
const DAY_MS = 24 * HOUR_MS

/** A look at the counters. */
export const SAMPLE_MS = 10 * SECOND_MS
/** Figures are put together, and kept, in pieces of so long; each resolution divides it. */
export const PIECE_MS = 15 * MINUTE_MS

export interface Resolution {
  readonly stepMs: number
  readonly keepMs: number
}

/** From fine to coarse. */
export const RESOLUTIONS: readonly Resolution[] = [
  { stepMs: SAMPLE_MS, keepMs: DAY_MS },
  { stepMs: MINUTE_MS, keepMs: 7 * DAY_MS },
  { stepMs: PIECE_MS, keepMs: 366 * DAY_MS },
]

/** What a chart has room for. */
const POINTS_WISHED = 720
export const POINTS_MAX = 4_000

/** Each a multiple of one of the resolutions, and of the steps before it or nearly so. */
const STEPS_MS = [
  ...[SAMPLE_MS, 30 * SECOND_MS, MINUTE_MS, 5 * MINUTE_MS, PIECE_MS],
  ...[30 * MINUTE_MS, HOUR_MS, 2 * HOUR_MS, 6 * HOUR_MS, 12 * HOUR_MS, DAY_MS],
]

export interface Span {
  /** A multiple of the step. */
  readonly fromMs: number
  /** Not part of it. */
  readonly toMs: number
  readonly stepMs: number
}

export interface SpanWish {
  /** Wall clock, ms. */
  readonly fromMs: number
  readonly toMs: number
  readonly stepMs?: number
}

/** The step that was asked for, or one that suits a chart; never finer than what is still kept of that time. */
export function spanOf({ fromMs, toMs, stepMs }: SpanWish, nowMs: number): Span {
  const kept = RESOLUTIONS.find(({ keepMs }) => nowMs - fromMs <= keepMs) ?? RESOLUTIONS.at(-1)!
  const wished = stepMs ?? (toMs - fromMs) / POINTS_WISHED
  const least = Math.max(kept.stepMs, wished, (toMs - fromMs) / POINTS_MAX)
  const step = STEPS_MS.find((each) => each >= least) ?? Math.ceil(least / DAY_MS) * DAY_MS
  return { fromMs: Math.floor(fromMs / step) * step, toMs: Math.ceil(toMs / step) * step, stepMs: step }
}

/** Which of the resolutions such a span is put together from: the coarsest that is still as fine as its step. */
export function resolutionOf({ stepMs }: Span): Resolution {
  return RESOLUTIONS.findLast((each) => stepMs % each.stepMs === 0) ?? RESOLUTIONS[0]!
}

/** Means over equal stretches of time, of whatever was measured in each. */
export class Means {
  readonly #sums: Float64Array
  readonly #counts: Uint32Array

  constructor(slots: number) {
    this.#sums = new Float64Array(slots)
    this.#counts = new Uint32Array(slots)
  }

  /** NaN: nothing was measured. */
  add(slot: number, figure: number): void {
    if (Number.isNaN(figure) || slot < 0 || slot >= this.#sums.length) return
    this.#sums[slot]! += figure
    this.#counts[slot]! += 1
  }

  at(slot: number): number | undefined {
    const count = this.#counts[slot] ?? 0
    return count === 0 ? undefined : this.#sums[slot]! / count
  }
}

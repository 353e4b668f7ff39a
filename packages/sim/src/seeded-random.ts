/** Randomness from a seed: the same seed gives the same world, on every machine and for ever. */
import type { Random } from '@stead/core/ports/clock.ts'

/** Mulberry32: 32 bits of state, good enough to choose faults. Each call gives 0 <= x < 1. */
export function seededFractions(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

export class SeededRandom implements Random {
  readonly fraction: () => number

  constructor(seed: number) {
    this.fraction = seededFractions(seed)
  }

  uuid(): string {
    const digits = Array.from({ length: 32 }, () => Math.floor(this.fraction() * 16).toString(16)).join('')
    return `${digits.slice(0, 8)}-${digits.slice(8, 12)}-4${digits.slice(13, 16)}-8${digits.slice(17, 20)}-${digits.slice(20)}`
  }

  /** A whole number, `from` <= x < `to`. */
  between(from: number, to: number): number {
    return from + Math.floor(this.fraction() * (to - from))
  }

  pick<T>(choices: readonly T[]): T {
    const chosen = choices[this.between(0, choices.length)]
    if (chosen === undefined) throw new Error('nothing to choose from')
    return chosen
  }
}

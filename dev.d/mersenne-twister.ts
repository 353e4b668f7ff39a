/**
 * The random numbers of Python's `random.Random(seed)` (MT19937, Matsumoto and Nishimura 1998), so that `./dev bench
 * planner` plans the very clusters that other planners were measured on.
 */
const WORDS = 624
const SHIFT = 397

export class MersenneTwister {
  readonly #state = new Uint32Array(WORDS)
  #next = WORDS

  /** `seed`: a whole number below 2^32. */
  constructor(seed: number) {
    const state = this.#state
    state[0] = 19_650_218
    for (let index = 1; index < WORDS; index++) {
      const before = state[index - 1]! ^ (state[index - 1]! >>> 30)
      state[index] = Math.imul(1_812_433_253, before) + index
    }
    // `init_by_array` with a key of one word.
    let index = 1
    const mix = (factor: number, added: number, sign: 1 | -1) => {
      const before = state[index - 1]! ^ (state[index - 1]! >>> 30)
      state[index] = (state[index]! ^ Math.imul(before, factor)) + sign * added
      if (++index === WORDS) {
        state[0] = state[WORDS - 1]!
        index = 1
      }
    }
    for (let count = 0; count < WORDS; count++) mix(1_664_525, seed, 1)
    for (let count = 0; count < WORDS - 1; count++) mix(1_566_083_941, index, -1)
    state[0] = 0x8000_0000
  }

  /** 0 <= x < 1, with 53 bits. */
  fraction(): number {
    const high = this.#word() >>> 5
    const low = this.#word() >>> 6
    return (high * 67_108_864 + low) / 9_007_199_254_740_992
  }

  pick<T>(from: readonly T[]): T {
    return from[this.#below(from.length)]!
  }

  /** One of `from` by weight. */
  pickWeighted<T>(from: readonly T[], weights: readonly number[]): T {
    const total = weights.reduce((sum, weight) => sum + weight, 0)
    let left = this.fraction() * total
    for (const [index, weight] of weights.entries()) {
      left -= weight
      if (left < 0) return from[index]!
    }
    return from.at(-1)!
  }

  /** Two different ones; `from` must have more than 21, since Python goes another way for fewer. */
  pickTwo<T>(from: readonly T[]): [T, T] {
    const first = this.#below(from.length)
    let second = this.#below(from.length)
    while (second === first) second = this.#below(from.length)
    return [from[first]!, from[second]!]
  }

  #below(limit: number): number {
    const bits = 32 - Math.clz32(limit)
    let value = this.#word() >>> (32 - bits)
    while (value >= limit) value = this.#word() >>> (32 - bits)
    return value
  }

  #word(): number {
    if (this.#next === WORDS) this.#turn()
    let word = this.#state[this.#next++]!
    word ^= word >>> 11
    word ^= (word << 7) & 0x9d2c_5680
    word ^= (word << 15) & 0xefc6_0000
    return (word ^ (word >>> 18)) >>> 0
  }

  #turn(): void {
    const state = this.#state
    for (let index = 0; index < WORDS; index++) {
      const both = (state[index]! & 0x8000_0000) | (state[(index + 1) % WORDS]! & 0x7fff_ffff)
      state[index] = state[(index + SHIFT) % WORDS]! ^ (both >>> 1) ^ ((both & 1) * 0x9908_b0df)
    }
    this.#next = 0
  }
}

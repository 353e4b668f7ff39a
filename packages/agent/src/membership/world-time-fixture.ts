/**
 * The time of a simulated world in which real keys are made. They take real time, in which the world stands still: a little now
 * and then, and as much as a busy machine needs before anything is given up.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type { VirtualClock } from '@stead/sim/virtual-clock.ts'

const STEPS_OF_A_MS = 10
const REAL_MS_MAX = 20_000

export class WorldTime {
  readonly #clock: VirtualClock
  readonly #stepMs: number
  readonly #afterStep: () => void
  #steps = 0

  constructor(clock: VirtualClock, stepMs: number, afterStep: () => void) {
    this.#clock = clock
    this.#stepMs = stepMs
    this.#afterStep = afterStep
  }

  async pass(ms: number): Promise<void> {
    for (let passed = 0; passed < ms; passed += this.#stepMs) {
      await this.#clock.advance(this.#stepMs)
      this.#steps += 1
      await (this.#steps % STEPS_OF_A_MS === 0 ? sleep(1) : new Promise((resolve) => setImmediate(resolve)))
      this.#afterStep()
    }
  }

  async until(what: string, holds: () => boolean | Promise<boolean>, limitMs: number): Promise<void> {
    const began = performance.now()
    for (let passed = 0; !(await holds()); passed += this.#stepMs) {
      if (passed > limitMs && performance.now() - began > REAL_MS_MAX)
        throw new Error(`${what}: not within ${limitMs} ms`)
      await this.pass(this.#stepMs)
    }
  }
}

/**
 * Time that passes only when nothing is left to do: each timer runs in its turn, and everything that waited for it
 * has come to rest before the next one. A minute of a cluster's life takes some milliseconds.
 */
import type { Clock } from '@stead/core/ports/clock.ts'

/** 2026-01-01, so that records look like real ones. */
const WALL_START_MS = Date.UTC(2026, 0, 1)

interface Timer {
  readonly atMs: number
  readonly order: number
  run: (() => void) | undefined
}

export class VirtualClock implements Clock {
  #nowMs = 0
  #order = 0
  #wallOffsetMs = 0
  /** By time, then by age; the next one last. */
  readonly #timers: Timer[] = []

  monotonicMs(): number {
    return this.#nowMs
  }

  wallMs(): number {
    return WALL_START_MS + this.#nowMs + this.#wallOffsetMs
  }

  /** Somebody sets the wall clock; time itself goes on as before. */
  setWallBack(ms: number): void {
    this.#wallOffsetMs -= ms
  }

  /** Ends early, without a failure, when the signal is aborted. */
  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      if (signal?.aborted) return resolve()
      const finish = () => {
        cancel()
        signal?.removeEventListener('abort', finish)
        resolve()
      }
      const cancel = this.after(ms, finish)
      signal?.addEventListener('abort', finish)
    })
  }

  /** Calls once after this long; the returned function calls it off. */
  after(ms: number, run: () => void): () => void {
    const timer: Timer = { atMs: this.#nowMs + Math.max(0, ms), order: this.#order++, run }
    let low = 0
    let high = this.#timers.length
    while (low < high) {
      const middle = (low + high) >> 1
      const other = this.#timers[middle]
      if (other && other.atMs > timer.atMs) low = middle + 1
      else high = middle
    }
    this.#timers.splice(low, 0, timer)
    return () => (timer.run = undefined)
  }

  /** Lets this much time pass. */
  async advance(ms: number): Promise<void> {
    await this.until(() => false, ms)
  }

  /** Lets time pass until the condition holds; false when it did not within the limit. */
  async until(condition: () => boolean, limitMs: number): Promise<boolean> {
    const endMs = this.#nowMs + limitMs
    await settle()
    while (!condition()) {
      const next = this.#timers.at(-1)
      if (!next || next.atMs > endMs) {
        this.#nowMs = endMs
        return condition()
      }
      this.#timers.pop()
      if (!next.run) continue
      this.#nowMs = next.atMs
      next.run()
      await settle()
    }
    return true
  }
}

/** Resolves when every promise that could go on has done so: all microtasks run before a macrotask. */
function settle(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}

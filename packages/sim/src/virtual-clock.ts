/**
 * Time that passes only when nothing is left to do: each timer runs in its turn, and everything that waited for it
 * has come to rest before the next one. A minute of a cluster's life takes some milliseconds.
 */
import type { Clock } from '@stead/core/ports/clock.ts'

/** 2026-01-01, so that records look like real ones. */
export const WALL_START_MS = Date.UTC(2026, 0, 1)
/** After so many timers the event loop gets a turn, so that a test's own time limit can strike. */
const TIMERS_PER_TURN = 5_000

/** No real timer is as exact as a fraction of a float: without this, whoever waits for a rest of 1e-13 ms waits for ever. */
const TIMER_MS_MIN = 0.01

const DONE = Promise.resolve()

/** A timer that says `quiet` promises that it woke nobody who waits for a promise: the next one may run at once. */
export type TimerResult = void | 'quiet'

interface Timer {
  readonly atMs: number
  readonly order: number
  run: (() => TimerResult) | undefined
}

export class VirtualClock implements Clock {
  #nowMs = 0
  #order = 0
  #ran = 0
  /** A binary heap by time, then by age. */
  readonly #heap: Timer[] = []

  monotonicMs(): number {
    return this.#nowMs
  }

  wallMs(): number {
    return WALL_START_MS + this.#nowMs
  }

  /** How many timers have run: the events of this world. */
  get ran(): number {
    return this.#ran
  }

  /** Ends early, without a failure, when the signal is aborted. */
  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      if (!signal) return void this.after(ms, resolve)
      if (signal.aborted) return resolve()
      const finish = () => {
        cancel()
        signal.removeEventListener('abort', finish)
        resolve()
      }
      const cancel = this.after(ms, finish)
      signal.addEventListener('abort', finish)
    })
  }

  /** Calls once after this long; the returned function calls it off. */
  after(ms: number, run: () => TimerResult): () => void {
    const timer: Timer = { atMs: this.#nowMs + Math.max(TIMER_MS_MIN, ms), order: this.#order++, run }
    this.#push(timer)
    return () => (timer.run = undefined)
  }

  /** Lets this much time pass. */
  async advance(ms: number): Promise<void> {
    await this.until(() => false, ms)
  }

  /** Lets time pass until the condition holds; false when it did not within the limit. */
  until(condition: () => boolean, limitMs: number): Promise<boolean> {
    const endMs = this.#nowMs + limitMs
    return new Promise((resolve, reject) => {
      const goOn = () => {
        try {
          const outcome = this.#run(condition, endMs)
          if (typeof outcome === 'boolean') resolve(outcome)
          else if (outcome === 'settle') void DONE.then(goOnLater)
          else setImmediate(goOn)
        } catch (error) {
          reject(error)
        }
      }
      // Ticks queued by a microtask run once the queue of microtasks is empty: every promise that could go on has done
      // so. This costs a tenth of what `setImmediate` costs, which goes round the whole event loop.
      const goOnLater = () => process.nextTick(goOn)
      void DONE.then(goOnLater)
    })
  }

  /** Runs timers up to one after which others must have their turn, or to the end. */
  #run(condition: () => boolean, endMs: number): boolean | 'settle' | 'turn' {
    for (;;) {
      if (condition()) return true
      const next = this.#heap[0]
      if (!next || next.atMs > endMs) {
        this.#nowMs = endMs
        return condition()
      }
      this.#pop()
      if (!next.run) continue
      this.#nowMs = next.atMs
      this.#ran += 1
      const result = next.run()
      if (this.#ran % TIMERS_PER_TURN === 0) return 'turn'
      if (result !== 'quiet') return 'settle'
    }
  }

  #push(timer: Timer): void {
    const heap = this.#heap
    let at = heap.length
    heap.push(timer)
    while (at > 0) {
      const parent = (at - 1) >> 1
      const above = heap[parent] as Timer
      if (isBefore(above, timer)) break
      heap[at] = above
      at = parent
    }
    heap[at] = timer
  }

  #pop(): void {
    const heap = this.#heap
    const last = heap.pop()
    if (!last || heap.length === 0) return
    let at = 0
    for (;;) {
      let child = 2 * at + 1
      if (child >= heap.length) break
      if (child + 1 < heap.length && isBefore(heap[child + 1] as Timer, heap[child] as Timer)) child += 1
      if (isBefore(last, heap[child] as Timer)) break
      heap[at] = heap[child] as Timer
      at = child
    }
    heap[at] = last
  }
}

function isBefore(a: Timer, b: Timer): boolean {
  return a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order)
}

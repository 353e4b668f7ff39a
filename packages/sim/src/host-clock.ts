/**
 * The clocks of one simulated host. Its monotonic clock counts from its own boot and runs a little fast or slow; its
 * wall clock may be set at any time. One that belongs to a process stands still, for its owner, while that is paused.
 */
import type { Clock } from '@stead/core/ports/clock.ts'
import type { ProcessLife } from './process-life.ts'
import { WALL_START_MS, type TimerResult, type VirtualClock } from './virtual-clock.ts'

export class HostClock implements Clock {
  readonly #world: VirtualClock
  #rate = 1
  /** Of the last change of the rate, or of the boot. */
  #sinceMs = 0
  #countedMs = 0
  #wallOffsetMs = 0

  constructor(world: VirtualClock) {
    this.#world = world
  }

  monotonicMs(): number {
    return this.#countedMs + (this.#world.monotonicMs() - this.#sinceMs) * this.#rate
  }

  wallMs(): number {
    return WALL_START_MS + this.#world.monotonicMs() + this.#wallOffsetMs
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return this.#world.sleep(ms / this.#rate, signal)
  }

  /** Calls back once after so much of this host's time. */
  after(ms: number, run: () => TimerResult): () => void {
    return this.#world.after(ms / this.#rate, run)
  }

  boot(): void {
    this.#sinceMs = this.#world.monotonicMs()
    this.#countedMs = 0
  }

  /** `ratePpm`: 200 runs fast by 0.2 ms a second. */
  setDrift(ratePpm: number): void {
    this.#countedMs = this.monotonicMs()
    this.#sinceMs = this.#world.monotonicMs()
    this.#rate = 1 + ratePpm / 1e6
  }

  /** Somebody sets the wall clock; time itself goes on as before. */
  jumpWall(ms: number): void {
    this.#wallOffsetMs += ms
  }

  /** As a process of the host uses it. */
  ofProcess(life: ProcessLife): Clock {
    return {
      monotonicMs: () => this.monotonicMs(),
      wallMs: () => this.wallMs(),
      sleep: (ms, signal) => life.receive(this.sleep(ms, signal)),
    }
  }
}

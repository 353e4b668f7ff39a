import type { Clock } from './ports/clock.ts'

/** The rest of a loop between two looks: ends in time, or as soon as somebody has news. */
export class WakeableSleep {
  readonly #clock: Clock
  #woken = false
  #end: () => void = () => undefined

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** Ends the sleep, or keeps the next one from beginning: news that came during a look is not lost. */
  wake(): void {
    this.#woken = true
    this.#end()
  }

  async sleep(ms: number, signal?: AbortSignal): Promise<void> {
    if (!this.#woken && !signal?.aborted) {
      const ending = new AbortController()
      // A reason of its own: the default one is an error, with a stack that nobody reads.
      this.#end = () => ending.abort('woken')
      signal?.addEventListener('abort', this.#end)
      await this.#clock.sleep(ms, ending.signal)
      signal?.removeEventListener('abort', this.#end)
    }
    this.#woken = false
  }
}

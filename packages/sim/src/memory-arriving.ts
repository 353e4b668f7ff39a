/** What is still missing of the memory of a guest that runs already: how it is with that, and who waits for it. */
import type { MemoryState } from '@stead/core/ports/guest-migration.ts'

export class ArrivingMemory {
  #state: MemoryState = 'coming'
  readonly #waiting = new Set<() => void>()

  get state(): MemoryState {
    return this.#state
  }

  set(state: MemoryState): void {
    this.#state = state
    for (const wake of [...this.#waiting]) wake()
  }

  /** Once it is another than `known`, or at once when aborted. */
  async otherThan(known: MemoryState, signal: AbortSignal): Promise<MemoryState> {
    while (this.#state === known && !signal.aborted)
      await new Promise<void>((resolve) => {
        const wake = () => {
          this.#waiting.delete(wake)
          signal.removeEventListener('abort', wake)
          resolve()
        }
        this.#waiting.add(wake)
        signal.addEventListener('abort', wake)
      })
    return this.#state
  }
}

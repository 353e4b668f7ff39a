/**
 * Tells when a guest stands still and when it goes on. The moment that the loss of a replica takes is told with that
 * loss (`replica.stale`); an event of its own is for a pause that a user of the guest may notice.
 */
import type { GuestObservation } from '../model/guest.ts'
import type { Clock } from '../ports/clock.ts'
import type { EventWriter } from './event-writer.ts'

const NOTICEABLE_MS = 200

interface Pause {
  readonly sinceMs: number
  isTold: boolean
}

export class PauseEvents {
  readonly #clock: Clock
  readonly #events: EventWriter
  #pause: Pause | undefined

  constructor(clock: Clock, events: EventWriter) {
    this.#clock = clock
    this.#events = events
  }

  phase(name: string, phase: GuestObservation['phase'], reason: string): void {
    if (phase === 'paused') {
      if (!this.#pause) this.#begin(name, reason)
      return
    }
    const ended = this.#pause
    this.#pause = undefined
    if (!ended?.isTold || phase !== 'running') return
    const pausedMs = Math.round(this.#clock.monotonicMs() - ended.sinceMs)
    this.#events.tell({
      kind: 'guest.resumed',
      subject: `guest/${name}`,
      message: `${name} goes on after ${pausedMs} ms`,
      details: { pausedMs },
    })
  }

  #begin(name: string, reason: string): void {
    const pause: Pause = { sinceMs: this.#clock.monotonicMs(), isTold: false }
    this.#pause = pause
    void this.#clock.sleep(NOTICEABLE_MS).then(() => {
      if (this.#pause !== pause) return
      pause.isTold = true
      this.#events.tell({ kind: 'guest.paused', subject: `guest/${name}`, message: `${name} stands still: ${reason}` })
    })
  }
}

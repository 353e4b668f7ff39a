/** What a guest's host says of it: the newest word only, one at a time, so that an old one can never overtake it. */
import type { GuestObservation, MigrationReport } from '../model/guest.ts'
import type { GuestId } from '../model/ids.ts'
import type { HostContext } from './host-context.ts'
import { PauseEvents } from './pause-events.ts'
import { RunRecords } from './run-records.ts'

interface Word {
  readonly phase: GuestObservation['phase']
  readonly reason: string
  readonly epoch: number
  readonly migration?: MigrationReport
}

export class GuestReport {
  readonly #context: HostContext
  readonly #guest: GuestId
  readonly #failures: () => number
  readonly #pauses: PauseEvents
  #next: Word | undefined
  #isTalking = false

  /** `failures`: how often the guest has failed in a row, as of the moment in which the word is said. */
  constructor(context: HostContext, guest: GuestId, failures: () => number) {
    this.#context = context
    this.#guest = guest
    this.#failures = failures
    this.#pauses = new PauseEvents(context.clock, context.events)
  }

  say(word: Word): void {
    this.#next = word
    const name = this.#context.mirror.state.guests.get(this.#guest)?.value.name ?? this.#guest
    this.#pauses.phase(name, word.phase, word.reason)
    if (!this.#isTalking) void this.#talk()
  }

  async #talk(): Promise<void> {
    this.#isTalking = true
    while (this.#next) {
      const { phase, reason, epoch, migration } = this.#next
      this.#next = undefined
      const records = new RunRecords(this.#context, this.#guest, epoch)
      await records.observe(phase, reason, this.#failures(), () => this.#next !== undefined, migration)
    }
    this.#isTalking = false
  }
}

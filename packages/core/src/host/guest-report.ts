/** What a guest's host says of it: the newest word only, one at a time, so that an old one can never overtake it. */
import type { GuestObservation, MigrationReport } from '../model/guest.ts'
import type { HardwareObservation } from '../model/hardware.ts'
import type { GuestId } from '../model/ids.ts'
import type { Readiness } from '../model/probe.ts'
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
  #said: Word | undefined
  /** By the probe of the run at that epoch. */
  #found: { readonly epoch: number; readonly readiness: Readiness | undefined } | undefined
  /** What the hardware of the run at that epoch has become; nothing while it is as it was started. */
  #hardware: { readonly epoch: number; readonly seen: HardwareObservation } | undefined
  #isTalking = false

  /** `failures`: how often the guest has failed in a row, as of the moment in which the word is said. */
  constructor(context: HostContext, guest: GuestId, failures: () => number) {
    this.#context = context
    this.#guest = guest
    this.#failures = failures
    this.#pauses = new PauseEvents(context.clock, context.events)
  }

  say(word: Word): void {
    this.#next = this.#said = word
    const name = this.#context.mirror.state.guests.get(this.#guest)?.value.name ?? this.#guest
    this.#pauses.phase(name, word.phase, word.reason)
    if (!this.#isTalking) void this.#talk()
  }

  /** What was said last of the run at this epoch. */
  phaseAt(epoch: number): Word['phase'] | undefined {
    return this.#said?.epoch === epoch ? this.#said.phase : undefined
  }

  /** What a run's probe has found. It is told with the phase; at once where that has been told of already. */
  readiness(readiness: Readiness | undefined, epoch: number): void {
    this.#found = { epoch, readiness }
    if (this.#said?.epoch === epoch) this.say(this.#said)
  }

  hardware(seen: HardwareObservation, epoch: number): void {
    this.#hardware = { epoch, seen }
    if (this.#said?.epoch === epoch) this.say(this.#said)
  }

  async #talk(): Promise<void> {
    this.#isTalking = true
    while (this.#next) {
      const word = this.#next
      this.#next = undefined
      const records = new RunRecords(this.#context, this.#guest, word.epoch)
      const readiness = this.#found?.epoch === word.epoch ? this.#found.readiness : undefined
      const hardware = this.#hardware?.epoch === word.epoch ? this.#hardware.seen : undefined
      const observed = { ...word, ...(readiness ? { readiness } : {}), ...(hardware ? { hardware } : {}) }
      await records.observe(observed, this.#failures(), () => this.#next !== undefined)
    }
    this.#isTalking = false
  }
}

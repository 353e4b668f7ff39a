/** `GuestProbe` on a real host: asks over the host's own networks, or looks at what the guest's console has said. */
import type { ProbeOutcome } from '@stead/core/ha/readiness.ts'
import type { GuestId } from '@stead/core/model/ids.ts'
import type { ProbeCheck } from '@stead/core/model/probe.ts'
import type { GuestProbe } from '@stead/core/ports/guest-probe.ts'
import { ConsoleSearch } from './console-search.ts'
import { attemptHttp } from './http-attempt.ts'
import { attemptTcp } from './tcp-attempt.ts'

export class HostGuestProbe implements GuestProbe {
  readonly #consoleLogPath: (guest: GuestId) => string
  readonly #searches = new Map<GuestId, ConsoleSearch>()

  constructor(consoleLogPath: (guest: GuestId) => string) {
    this.#consoleLogPath = consoleLogPath
  }

  attempt(guest: GuestId, check: ProbeCheck, timeoutMs: number): Promise<ProbeOutcome> {
    switch (check.kind) {
      case 'tcp':
        return attemptTcp(check, timeoutMs)
      case 'http':
        return attemptHttp(check, timeoutMs)
      case 'console':
        return this.#searchOf(guest).attempt(check)
    }
  }

  hasRebooted(guest: GuestId): void {
    this.#searchOf(guest).startOver()
  }

  forget(guest: GuestId): void {
    this.#searches.delete(guest)
  }

  #searchOf(guest: GuestId): ConsoleSearch {
    let search = this.#searches.get(guest)
    if (!search) this.#searches.set(guest, (search = new ConsoleSearch(this.#consoleLogPath(guest))))
    return search
  }
}

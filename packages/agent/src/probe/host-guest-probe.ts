/** `GuestProbe` on a real host: asks over the host's own networks, or looks at what the guest's console has said. */
import type { ProbeOutcome } from '@stead/core/ha/readiness.ts'
import type { GuestId } from '@stead/core/model/ids.ts'
import { canBeGuests, type ProbeCheck } from '@stead/core/model/probe.ts'
import type { Clock } from '@stead/core/ports/clock.ts'
import type { GuestAgent } from '@stead/core/ports/guest-agent.ts'
import type { GuestProbe } from '@stead/core/ports/guest-probe.ts'
import { ConsoleSearch } from './console-search.ts'
import { attemptHttp } from './http-attempt.ts'
import { attemptTcp } from './tcp-attempt.ts'

export interface HostGuestProbeOptions {
  readonly consoleLogPath: (guest: GuestId) => string
  readonly agent: Pick<GuestAgent, 'ping' | 'interfaces'>
  readonly clock: Clock
}

/** For those that notice by themselves that the time is up, and say more of it. */
const GRACE_MS = 20

export class HostGuestProbe implements GuestProbe {
  readonly #options: HostGuestProbeOptions
  readonly #searches = new Map<GuestId, ConsoleSearch>()

  constructor(options: HostGuestProbeOptions) {
    this.#options = options
  }

  async attempt(guest: GuestId, check: ProbeCheck, timeoutMs: number): Promise<ProbeOutcome> {
    if (check.kind === 'console') return this.#searchOf(guest).attempt(check)
    const answered = new AbortController()
    const asked = check.kind === 'agent' ? this.#ping(guest) : this.#overNetwork(guest, check, timeoutMs)
    // The agent inside a guest may take longer than a try may.
    const late = this.#options.clock
      .sleep(timeoutMs + GRACE_MS, answered.signal)
      .then((): ProbeOutcome => ({ succeeded: false, reason: `no answer within ${timeoutMs} ms` }))
    const outcome = await Promise.race([asked, late])
    answered.abort()
    return outcome
  }

  hasRebooted(guest: GuestId): void {
    this.#searchOf(guest).startOver()
  }

  forget(guest: GuestId): void {
    this.#searches.delete(guest)
  }

  async #ping(guest: GuestId): Promise<ProbeOutcome> {
    const answer = await this.#options.agent.ping(guest)
    return answer.ok ? { succeeded: true } : { succeeded: false, reason: answer.error.message }
  }

  async #overNetwork(
    guest: GuestId,
    check: Extract<ProbeCheck, { kind: 'tcp' | 'http' }>,
    timeoutMs: number,
  ): Promise<ProbeOutcome> {
    const address = check.address ?? (await this.#addressToldBy(guest))
    if (typeof address !== 'string') return address
    return check.kind === 'tcp' ? attemptTcp(address, check, timeoutMs) : attemptHttp(address, check, timeoutMs)
  }

  /** The first that can be the guest's and be reached without naming an interface, IPv4 before IPv6. */
  async #addressToldBy(guest: GuestId): Promise<string | ProbeOutcome> {
    const told = await this.#options.agent.interfaces(guest)
    if (!told.ok) return { succeeded: false, reason: `its address is not known: ${told.error.message}` }
    const addresses = told.value
      .flatMap((each) => each.addresses)
      .map((address) => address.split('/')[0] ?? '')
      .filter((address) => canBeGuests(address) && !/^fe80:/i.test(address))
    const found = addresses.find((address) => !address.includes(':')) ?? addresses[0]
    return found ?? { succeeded: false, reason: 'it tells no address at which it could be asked' }
  }

  #searchOf(guest: GuestId): ConsoleSearch {
    let search = this.#searches.get(guest)
    if (!search) this.#searches.set(guest, (search = new ConsoleSearch(this.#options.consoleLogPath(guest))))
    return search
  }
}

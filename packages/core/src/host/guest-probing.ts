/**
 * Tries the probe of one run again and again, and tells what it finds: in the guest's observation, in events, and by
 * `onRestart` when a guest that was ready is to be restarted. A guest that stands still is not asked: that is no fault
 * of its own.
 */
import { counted, NOTHING_TRIED, type ProbeCount } from '../ha/readiness.ts'
import type { GuestId } from '../model/ids.ts'
import type { Readiness, ReadinessProbe } from '../model/probe.ts'
import type { HostContext } from './host-context.ts'

/** A guest that has been ready for so long has shown that earlier failures are over. */
export const PROVEN_READY_MS = 600_000

export interface GuestProbingOptions {
  readonly context: HostContext
  readonly guest: GuestId
  readonly epoch: number
  readonly isRunning: () => boolean
  /** Undefined: the guest has no probe. Called once at first. */
  readonly onChange: (readiness: Readiness | undefined) => void
  /** It was ready, is not any more, and is to be restarted for that. */
  readonly onRestart: (reason: string) => void
}

export class GuestProbing {
  readonly #options: GuestProbingOptions
  readonly #ending = new AbortController()
  #readiness: Readiness | undefined
  #count: ProbeCount = NOTHING_TRIED
  #probe: ReadinessProbe | undefined
  #readySinceMs: number | undefined
  /** Of the guest's boots within this run. */
  #boot = 0

  constructor(options: GuestProbingOptions) {
    this.#options = options
    const { context, guest, epoch } = options
    // An agent that was restarted goes on with what it had found; the monotonic time of it is gone.
    const seen = context.mirror.state.observations.get(guest)?.value
    const grant = context.mirror.state.grants.get(guest)?.value
    // One that came over live has not booted: what the other host had found still holds.
    const cameOver = grant?.epoch === epoch && grant.cameFrom !== undefined && grant.cameFrom === seen?.host
    const known = seen?.epoch === epoch || cameOver ? seen?.readiness : undefined
    this.#probe = this.#wanted
    if (known && this.#probe) {
      this.#readiness = known
      this.#count = { ...NOTHING_TRIED, ready: known.ready }
      this.#readySinceMs = known.ready ? context.clock.monotonicMs() : undefined
    } else if (this.#probe) this.#readiness = this.#notYet()
    options.onChange(this.#readiness)
    if (this.#probe) void this.#keepTrying()
  }

  /** Called now and then: a guest that had no probe may have been given one. */
  look(): void {
    if (this.#probe || !this.#wanted || this.#ending.signal.aborted) return
    this.#followWishes()
    void this.#keepTrying()
  }

  /** Whether it has been ready for long without a break; undefined while it has no probe. */
  get isProven(): boolean | undefined {
    if (!this.#probe) return undefined
    const since = this.#readySinceMs
    return since !== undefined && this.#options.context.clock.monotonicMs() - since >= PROVEN_READY_MS
  }

  /** The guest has booted anew: it is not ready until it has said so again. */
  hasRebooted(): void {
    const { context, guest } = this.#options
    this.#boot += 1
    context.probe.hasRebooted(guest)
    if (this.#probe) this.#startOver()
  }

  end(): void {
    this.#ending.abort()
    this.#options.context.probe.forget(this.#options.guest)
  }

  get #wanted(): ReadinessProbe | undefined {
    return this.#options.context.mirror.state.guests.get(this.#options.guest)?.value.lifecycle?.probe
  }

  /** For as long as there is a probe. */
  async #keepTrying(): Promise<void> {
    const { context } = this.#options
    const { clock } = context
    const { signal } = this.#ending
    let bootSeen = -1
    while (!signal.aborted) {
      this.#followWishes()
      const probe = this.#probe
      if (!probe) return
      if (bootSeen !== this.#boot) {
        bootSeen = this.#boot
        if (!this.#count.ready) await clock.sleep(probe.initialDelayMs, signal)
      }
      const beganMs = clock.monotonicMs()
      // What its console has said stays said until it boots anew, on whatever host that was.
      const isSettled = probe.check.kind === 'console' && this.#count.ready
      if (!isSettled && this.#options.isRunning()) await this.#attempt(probe)
      await clock.sleep(Math.max(0, probe.periodMs - (clock.monotonicMs() - beganMs)), signal)
    }
  }

  /** The probe may be given, changed or taken away at any time. */
  #followWishes(): void {
    const wanted = this.#wanted
    if (JSON.stringify(wanted) === JSON.stringify(this.#probe)) return
    this.#probe = wanted
    this.#startOver()
  }

  #startOver(): void {
    this.#count = NOTHING_TRIED
    this.#readySinceMs = undefined
    this.#readiness = this.#probe ? this.#notYet() : undefined
    this.#options.onChange(this.#readiness)
  }

  async #attempt(probe: ReadinessProbe): Promise<void> {
    const { context, guest, onRestart, isRunning } = this.#options
    const boot = this.#boot
    const outcome = await context.probe.attempt(guest, probe.check, probe.timeoutMs)
    // Of a run, a boot or a probe that is no more; or the guest was stopped in the middle of it.
    if (this.#ending.signal.aborted || boot !== this.#boot || probe !== this.#probe || !isRunning()) return
    const before = this.#count
    this.#count = counted(before, probe, outcome)
    const reason = outcome.succeeded ? '' : outcome.reason
    if (this.#count.ready === before.ready) {
      if (!this.#count.ready && reason !== '' && reason !== this.#readiness?.reason) this.#say(false, reason)
      return
    }
    this.#readySinceMs = this.#count.ready ? context.clock.monotonicMs() : undefined
    this.#say(this.#count.ready, reason)
    this.#tell(this.#count, reason)
    if (!this.#count.ready && probe.onFailure === 'restart') onRestart(reason)
  }

  #say(ready: boolean, reason: string): void {
    const isNews = this.#readiness?.ready !== ready
    const since = isNews || !this.#readiness ? this.#options.context.clock.wallMs() : this.#readiness.since
    this.#readiness = { ready, since, reason }
    this.#options.onChange(this.#readiness)
  }

  #tell({ ready, failures }: ProbeCount, reason: string): void {
    const { context, guest, epoch } = this.#options
    const name = context.mirror.state.guests.get(guest)?.value.name ?? guest
    const tries = failures === 1 ? 'a try' : `${failures} tries in a row`
    context.events.tell({
      kind: ready ? 'guest.ready' : 'guest.unready',
      subject: `guest/${name}`,
      message: ready
        ? `${name} is ready on ${context.self}`
        : `${name} is not ready any more: ${tries} failed: ${reason}`,
      details: { host: context.self, epoch },
    })
  }

  #notYet(): Readiness {
    return { ready: false, since: this.#options.context.clock.wallMs(), reason: 'its probe has not succeeded yet' }
  }
}

/**
 * Slows the guessing of passwords down, without letting anybody keep others from signing in: failures are counted
 * against who made them (an address, a device), never against the account alone. docs/internals/access.md says why.
 * Each host counts by itself. Pure: time is given.
 */

export interface Attempt {
  readonly user: string
  /** As `clientAddress` gives it. */
  readonly address: string
  /** A device by which this user has signed in before: it is counted by itself. */
  readonly device?: string
}

const FREE_OF_ADDRESS_AND_USER = 5
/** When many addresses try one user, each of them gets one try. */
const FREE_WHEN_ATTACKED = 1
const ATTACKED_FROM = 50
/** A computer room may have one address. */
const FREE_OF_ADDRESS = 50
const FREE_OF_DEVICE = 10
const FIRST_WAIT_MS = 1_000
const WAIT_MS_MAX = 15 * 60_000
/** Failures are forgotten after this long without another one. */
const FORGOTTEN_AFTER_MS = 30 * 60_000
const COUNTERS_MAX = 50_000

interface Counter {
  readonly failures: number
  readonly lastMs: number
}

export class SignInThrottle {
  /** Those that changed last are last. */
  readonly #counters = new Map<string, Counter>()

  /** How long this one must wait, ms. 0: go on; until it says `succeeded`, the attempt counts as failed. */
  begin(attempt: Attempt, nowMs: number): number {
    const waitMs = Math.max(...this.#limits(attempt, nowMs).map(([key, free]) => this.#waitMs(key, free, nowMs)))
    if (waitMs > 0) return waitMs
    for (const [key] of this.#limits(attempt, nowMs)) this.#count(key, nowMs)
    if (attempt.device === undefined) this.#count(ofUser(attempt), nowMs)
    return 0
  }

  succeeded(attempt: Attempt, nowMs: number): void {
    for (const [key] of this.#limits(attempt, nowMs)) {
      // One who knows one account's password may still be guessing at others.
      if (key === ofAddress(attempt)) this.#uncount(key)
      else this.#counters.delete(key)
    }
    if (attempt.device === undefined) this.#uncount(ofUser(attempt))
  }

  /** It was not the password that was wrong: the attempt does not count. */
  undo(attempt: Attempt, nowMs: number): void {
    for (const [key] of this.#limits(attempt, nowMs)) this.#uncount(key)
    if (attempt.device === undefined) this.#uncount(ofUser(attempt))
  }

  #limits(attempt: Attempt, nowMs: number): readonly (readonly [key: string, free: number])[] {
    if (attempt.device !== undefined) return [[`device ${attempt.user} ${attempt.device}`, FREE_OF_DEVICE]]
    const attacked = this.#failures(ofUser(attempt), nowMs) >= ATTACKED_FROM
    return [
      [`user ${attempt.user} ${attempt.address}`, attacked ? FREE_WHEN_ATTACKED : FREE_OF_ADDRESS_AND_USER],
      [ofAddress(attempt), FREE_OF_ADDRESS],
    ]
  }

  #failures(key: string, nowMs: number): number {
    const counter = this.#counters.get(key)
    return counter && nowMs - counter.lastMs < FORGOTTEN_AFTER_MS ? counter.failures : 0
  }

  #waitMs(key: string, free: number, nowMs: number): number {
    const over = this.#failures(key, nowMs) - free
    if (over < 0) return 0
    const pauseMs = Math.min(WAIT_MS_MAX, FIRST_WAIT_MS * 2 ** Math.min(over, 20))
    return Math.max(0, (this.#counters.get(key)?.lastMs ?? 0) + pauseMs - nowMs)
  }

  #count(key: string, nowMs: number): void {
    const failures = this.#failures(key, nowMs) + 1
    this.#counters.delete(key)
    this.#counters.set(key, { failures, lastMs: nowMs })
    if (this.#counters.size > COUNTERS_MAX)
      for (const oldest of this.#counters.keys()) if (this.#counters.delete(oldest)) break
  }

  #uncount(key: string): void {
    const counter = this.#counters.get(key)
    if (!counter || counter.failures <= 1) this.#counters.delete(key)
    else this.#counters.set(key, { ...counter, failures: counter.failures - 1 })
  }
}

const ofUser = ({ user }: Attempt) => `all of ${user}`
const ofAddress = ({ address }: Attempt) => `address ${address}`

/**
 * Keeps this host's lease and remembers when the newest answered renewal was *sent*.
 *
 * A renewal is a keepalive and then a linearizable read of the lease's key. The read is the proof of quorum: an etcd
 * leader that was just cut off from its followers still answers keepalives for up to an election timeout. It also
 * shows when somebody has deleted the key.
 */
import type { Clock } from '../ports/clock.ts'
import type { Log } from '../ports/log.ts'
import type { LeaseId, Store } from '../ports/store.ts'
import { WakeableSleep } from '../wakeable-sleep.ts'

/** What the lease keeper needs of a store. */
export type LeaseStore = Pick<Store, 'grantLease' | 'keepLease' | 'get' | 'transact' | 'close'>

export interface LeaseKeeperOptions {
  readonly store: LeaseStore
  readonly clock: Clock
  readonly log: Log
  readonly ttlMs: number
  readonly key: string
  readonly bootId: string
}

export class LeaseKeeper {
  readonly #options: LeaseKeeperOptions
  readonly #stop = new AbortController()
  readonly #rest: WakeableSleep
  #isUrgent = true
  #lease: LeaseId | undefined
  #sentAt: number | undefined
  #trouble = ''
  #running: Promise<void> | undefined

  constructor(options: LeaseKeeperOptions) {
    this.#options = options
    this.#rest = new WakeableSleep(options.clock)
  }

  /** Monotonic ms; undefined until the first renewal was answered. */
  get sentAt(): number | undefined {
    return this.#sentAt
  }

  start(): void {
    this.#running ??= this.#run()
  }

  /** Urgent while the peers are not heard: then the lease is the only evidence that this host is not cut off. */
  setUrgent(isUrgent: boolean): void {
    if (isUrgent && !this.#isUrgent) this.#rest.wake()
    this.#isUrgent = isUrgent
  }

  /** The lease is left to expire: whoever restarts this process goes on with the same host. */
  async stop(): Promise<void> {
    this.#stop.abort()
    await this.#running
  }

  async #run(): Promise<void> {
    const { clock, ttlMs } = this.#options
    const { signal } = this.#stop
    while (!signal.aborted) {
      const sentAt = clock.monotonicMs()
      const kept = await this.#renew()
      if (kept) this.#sentAt = sentAt
      // A failure is tried again sooner, since each lost period is a part of the guests' time.
      const pauseMs = sentAt + ttlMs / (kept ? (this.#isUrgent ? 6 : 2) : 10) - clock.monotonicMs()
      await this.#rest.sleep(Math.max(20, pauseMs), signal)
    }
  }

  async #renew(): Promise<boolean> {
    const { store, key } = this.#options
    if (this.#lease === undefined) return await this.#begin()
    const kept = await store.keepLease(this.#lease)
    if (!kept.ok) return this.#failed('keepalive', kept.error.message)
    if (kept.value <= 0) {
      this.#lease = undefined
      this.#options.log.warn('the lease was lost; taking a new one', { key })
      return await this.#begin()
    }
    const found = await store.get(key)
    if (!found.ok) return this.#failed('read', found.error.message)
    if (found.value?.value !== this.#value()) return await this.#register(this.#lease)
    this.#recovered()
    // The server may promise less than was asked for; a lease that is about to run out is no evidence of more.
    return kept.value >= this.#options.ttlMs
  }

  async #begin(): Promise<boolean> {
    const granted = await this.#options.store.grantLease(this.#options.ttlMs)
    if (!granted.ok) return this.#failed('grant', granted.error.message)
    return await this.#register(granted.value)
  }

  async #register(lease: LeaseId): Promise<boolean> {
    const { store, key } = this.#options
    const write = { kind: 'put', key, value: this.#value(), lease } as const
    const written = await store.transact({ compares: [], writes: [write] })
    if (!written.ok) return this.#failed('write', written.error.message)
    this.#lease = lease
    this.#recovered()
    return true
  }

  #value(): string {
    return JSON.stringify({ bootId: this.#options.bootId })
  }

  #failed(step: string, message: string): false {
    if (this.#trouble !== step) this.#options.log.warn('the lease cannot be renewed', { step, message })
    this.#trouble = step
    return false
  }

  #recovered(): void {
    if (this.#trouble) this.#options.log.info('the lease is renewed again')
    this.#trouble = ''
  }
}

/**
 * The cluster's address: one host of the LAN at a time answers at it. Who holds it is a key of the store under a lease,
 * which one transaction takes and only who has it renews. The holder's kernel keeps the address for less long than the lease
 * lives, counted from when the renewal was *sent*: it is gone here before another host can take it, whatever has become
 * of this agent. docs/internals/cluster-address.md.
 */
import type { ClusterMirror } from '@stead/core/host/cluster-mirror.ts'
import type { AddressHolder, ClusterState } from '@stead/core/model/cluster.ts'
import type { HostId } from '@stead/core/model/ids.ts'
import { KEYS } from '@stead/core/model/keys.ts'
import type { Clock } from '@stead/core/ports/clock.ts'
import type { Log } from '@stead/core/ports/log.ts'
import type { LeaseId, Store } from '@stead/core/ports/store.ts'
import { WakeableSleep } from '@stead/core/wakeable-sleep.ts'
import type { LanAddress } from './lan-address.ts'

export const ADDRESS_TTL_MS = 6_000
/** For the kernel, which ends an address at a whole second, up to one late. */
const KERNEL_LATE_MS = 1_000
/** The kernel's time for the address, from when a renewal was sent: what is left is for `ip` to be run. */
const HELD_S = 3
const RENEW_MS = 1_200
const RETRY_MS = 250
const IDLE_MS = 5_000
/** How long others leave a free address to the coordinator. */
const OTHERS_WAIT_MS = 2_000
/** The first one may be lost, as may be those that follow a port's coming up. */
const ANNOUNCEMENTS = 3

export interface ClusterAddressOptions {
  readonly self: HostId
  readonly store: Pick<Store, 'grantLease' | 'keepLease' | 'revokeLease' | 'get' | 'transact'>
  readonly mirror: ClusterMirror
  readonly lan: LanAddress
  readonly clock: Clock
  readonly log: Log
}

interface Hold {
  readonly address: string
  readonly lease: LeaseId
  /** Of the store, at which this host took it. */
  readonly revision: bigint
  announced: number
  /** Until when the kernel has it for certain. */
  keptUntilMs: number
}

export class ClusterAddress {
  readonly #options: ClusterAddressOptions
  readonly #rest: WakeableSleep
  readonly #listeners = new Set<() => void>()
  #hold: Hold | undefined
  #freeSinceMs: number | undefined
  #told = ''

  constructor(options: ClusterAddressOptions) {
    this.#options = options
    this.#rest = new WakeableSleep(options.clock)
  }

  /** What the administrator has set. */
  get wanted(): string | undefined {
    return this.#options.mirror.state.clusterPolicy?.value.clusterAddress
  }

  /** While this host answers at it. */
  get held(): string | undefined {
    return this.#hold?.address
  }

  /** Calls whenever either may be another. */
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** Until aborted. What is held then is left to end by itself: an agent that is started again goes on with it. */
  async run(signal: AbortSignal): Promise<void> {
    let seen: readonly unknown[] = []
    const off = this.#options.mirror.onChange((state) => {
      const now = [state.clusterPolicy, state.addressHolder, state.coordinator]
      if (now.every((part, index) => part === seen[index])) return
      seen = now
      this.#rest.wake()
    })
    let before = ''
    while (!signal.aborted) {
      const pauseMs = await this.#round()
      const now = `${this.wanted} ${this.held}`
      if (now !== before) for (const listener of this.#listeners) listener()
      before = now
      await this.#rest.sleep(pauseMs, signal)
    }
    off()
  }

  async #round(): Promise<number> {
    const { mirror, self, lan, log } = this.#options
    if (!mirror.loaded) return RETRY_MS
    const { state } = mirror
    const { wanted } = this
    if (this.#hold)
      return this.#hold.address !== wanted || this.#isDeposed(state, this.#hold.revision)
        ? this.#giveUp(this.#hold)
        : this.#renew(this.#hold)
    if (wanted === undefined) return IDLE_MS
    if (!lan.canHold(wanted)) {
      if (this.#told !== wanted)
        log.warn("the cluster's address is not of the network of this host's LAN port", { wanted })
      this.#told = wanted
      return IDLE_MS
    }
    const holder = state.addressHolder
    if (holder !== undefined) {
      this.#freeSinceMs = undefined
      if (holder.value.host !== self) return IDLE_MS
      // Taken by this host's agent before it was started again, or by a transaction whose answer was lost.
      this.#hold = {
        ...holder.value,
        lease: BigInt(holder.value.lease),
        revision: holder.revision,
        announced: 0,
        keptUntilMs: 0,
      }
      return 0
    }
    const waitMs = this.#waitMs(state)
    return waitMs > 0 ? waitMs : this.#take(wanted)
  }

  /** Somebody else has become coordinator since: his agent lived then, so he can take the address. */
  #isDeposed(state: ClusterState, since: bigint): boolean {
    const heir = heirOf(state)
    return heir !== undefined && heir !== this.#options.self && (state.coordinator?.revision ?? 0n) > since
  }

  #waitMs(state: ClusterState): number {
    const heir = heirOf(state)
    if (heir === undefined || heir === this.#options.self) return 0
    const now = this.#options.clock.monotonicMs()
    this.#freeSinceMs ??= now
    return Math.max(0, this.#freeSinceMs + OTHERS_WAIT_MS - now)
  }

  async #take(address: string): Promise<number> {
    const { store, self, clock, log } = this.#options
    const sentMs = clock.monotonicMs()
    const lease = await store.grantLease(ADDRESS_TTL_MS)
    if (!lease.ok) return RETRY_MS
    const value = recordOf(self, address, lease.value)
    const taken = await store.transact({
      compares: [{ key: KEYS.addressHolder, modRevision: 0n }],
      writes: [{ kind: 'put', key: KEYS.addressHolder, value, lease: lease.value }],
    })
    // Unknown whether it was taken: the copy of the records will tell.
    if (!taken.ok) return RETRY_MS
    if (!taken.value.committed) {
      await store.revokeLease(lease.value)
      return RETRY_MS
    }
    log.info("this host takes the cluster's address", { address })
    this.#freeSinceMs = undefined
    this.#hold = { address, lease: lease.value, revision: taken.value.revision, announced: 0, keptUntilMs: 0 }
    return this.#holdOn(this.#hold, sentMs)
  }

  /** A keepalive, and a linearizable read: a leader that was cut off answers the first for a while all the same. */
  async #renew(hold: Hold): Promise<number> {
    const { store, clock, self } = this.#options
    const sentMs = clock.monotonicMs()
    const kept = await store.keepLease(hold.lease)
    if (!kept.ok) return RETRY_MS
    if (kept.value <= 0) return this.#lost(hold)
    const found = await store.get(KEYS.addressHolder)
    if (!found.ok) return RETRY_MS
    if (found.value?.value !== recordOf(self, hold.address, hold.lease)) return this.#lost(hold)
    return kept.value < ADDRESS_TTL_MS ? RETRY_MS : this.#holdOn(hold, sentMs)
  }

  /** `sentMs`: when that was asked for which the lease lives on. */
  async #holdOn(hold: Hold, sentMs: number): Promise<number> {
    const { lan, clock, log } = this.#options
    const latestMs = sentMs + ADDRESS_TTL_MS - HELD_S * 1000 - KERNEL_LATE_MS
    if (clock.monotonicMs() >= latestMs) return RETRY_MS
    const done = await lan.hold(hold.address, HELD_S)
    if (!done.ok) log.error("the cluster's address cannot be held", { cause: done.error })
    // The machine stood still meanwhile: the kernel would keep it for longer than the lease lives.
    if (clock.monotonicMs() >= latestMs) {
      await lan.release(hold.address)
      return 0
    }
    if (!done.ok) return RETRY_MS
    // It may have been away for a while, and others may have asked for it in vain.
    if (hold.keptUntilMs < sentMs) hold.announced = 0
    hold.keptUntilMs = sentMs + HELD_S * 1000
    if (hold.announced < ANNOUNCEMENTS) lan.announce(hold.address)
    hold.announced += 1
    return Math.max(0, sentMs + RENEW_MS - clock.monotonicMs())
  }

  async #lost(hold: Hold): Promise<number> {
    const { lan, log } = this.#options
    log.warn("this host has lost the cluster's address", { address: hold.address })
    this.#hold = undefined
    await lan.release(hold.address)
    return RETRY_MS
  }

  /** First here, then in the store. */
  async #giveUp(hold: Hold): Promise<number> {
    const { lan, store, log } = this.#options
    const released = await lan.release(hold.address)
    // Not renewed any more, it ends by itself.
    if (!released.ok) return RETRY_MS
    log.info("this host gives the cluster's address up", { address: hold.address })
    this.#hold = undefined
    this.#freeSinceMs = undefined
    await store.revokeLease(hold.lease)
    return RETRY_MS
  }
}

function recordOf(host: HostId, address: string, lease: LeaseId): string {
  return JSON.stringify({ host, address, lease: String(lease) } satisfies AddressHolder)
}

/** Who is to have the address before others: the coordinator, unless it is the witness, which holds none. */
function heirOf({ coordinator, hosts }: ClusterState): HostId | undefined {
  const host = coordinator?.value.host
  return host !== undefined && hosts.get(host)?.value.role !== 'witness' ? host : undefined
}

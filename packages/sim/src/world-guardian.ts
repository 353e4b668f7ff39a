/**
 * The guardian of one simulated host and the kernel timer that it renews, with the real code for what it decides. Each
 * heartbeat is a packet of its own. The guests' processes die with the timer, whether or not anything of the host runs.
 */
import { GuardianRound } from '@stead/core/ha/guardian-round.ts'
import type { Heartbeat } from '@stead/core/ha/heartbeat.ts'
import { LeaseKeeper } from '@stead/core/host/lease-keeper.ts'
import { NETWORK_ROLES, type NetworkRole } from '@stead/core/model/host.ts'
import type { HostId } from '@stead/core/model/ids.ts'
import { KEYS } from '@stead/core/model/keys.ts'
import type { Fence, HeartbeatView } from '@stead/core/ports/fence.ts'
import type { Log } from '@stead/core/ports/log.ts'
import type { Store } from '@stead/core/ports/store.ts'
import type { HostClock } from './host-clock.ts'
import { ProcessLife } from './process-life.ts'
import type { SeededRandom } from './seeded-random.ts'
import type { TimerResult } from './virtual-clock.ts'
import type { WorldNetwork } from './world-network.ts'

/** A view that is older says nothing any more. */
const VIEW_AGE_MS_MAX = 3_000
/** A renewal that adds less is left out, as the real guardian does. */
const RENEWAL_STEP_MS = 250
/** How long the kernel takes to kill all of a host's guests; measured: 303 processes in less than half a second. */
const KILL_MS_MAX = 450
/** Packets that a socket holds while nobody reads it. */
const INBOX_MAX = 100

export interface Timing {
  readonly heartbeatIntervalMs: number
  readonly detectionMs: number
  readonly leaseTtlMs: number
  readonly marginMs: number
}

export interface WorldGuardianOptions {
  readonly self: HostId
  readonly hosts: readonly HostId[]
  readonly timing: Timing
  readonly clock: HostClock
  readonly random: SeededRandom
  readonly network: WorldNetwork
  readonly log: Log
  readonly bootId: () => string
  readonly storeFor: (life: ProcessLife) => Store
  readonly peer: (host: HostId) => WorldGuardian
  /** The timer has fired; the guests are dead when this is called. */
  readonly onFired: () => void
}

export class WorldGuardian implements Fence {
  readonly #options: WorldGuardianOptions
  readonly #listeners = new Set<(view: HeartbeatView) => void>()
  readonly #peers: readonly HostId[]
  #life: ProcessLife | undefined
  #round: GuardianRound | undefined
  #lease: LeaseKeeper | undefined
  #inbox: (() => void)[] = []
  #turn = 0
  #view: HeartbeatView | undefined
  #renewedUntil = -Infinity
  #cancelTimer: () => void = () => undefined
  #hasNamespace = true

  constructor(options: WorldGuardianOptions) {
    this.#options = options
    this.#peers = options.hosts.filter((host) => host !== options.self)
  }

  get isRunning(): boolean {
    return this.#life !== undefined && !this.#life.isPaused
  }

  /** Whether guests can be started: the deadman and its namespace are there. */
  get hasNamespace(): boolean {
    return this.#hasNamespace
  }

  start(isPaused = false): void {
    const { self, timing, clock, log, bootId, storeFor } = this.#options
    const life = new ProcessLife()
    this.#life = life
    const boot = bootId()
    this.#round = new GuardianRound({
      hostId: self,
      bootId: boot,
      bootTag: (id) => id,
      ...timing,
      startedAt: clock.monotonicMs(),
    })
    this.#round.setPeers(this.#peers)
    this.#lease = new LeaseKeeper({
      store: storeFor(life),
      clock: clock.ofProcess(life),
      log,
      ttlMs: timing.leaseTtlMs,
      key: KEYS.liveness(self),
      bootId: boot,
    })
    this.#lease.start()
    // The new process knows of no earlier renewal.
    this.#renewedUntil = -Infinity
    this.#tick(life)
    if (isPaused) life.pause()
  }

  end(): void {
    this.#life?.end()
    this.#life = undefined
    this.#round = undefined
    this.#view = undefined
    this.#inbox = []
  }

  /** The process stands still, or goes on. */
  setPaused(isPaused: boolean): void {
    if (!this.#life) return
    if (isPaused) return this.#life.pause()
    this.#life.resume()
  }

  /** Power is gone: the kernel and its timer with it. */
  powerOff(): void {
    this.end()
    this.#cancelTimer()
    this.#hasNamespace = false
  }

  /** The deadman's process is there again, with a new namespace; its timer is not armed before the first renewal. */
  startDeadman(): void {
    this.#hasNamespace = true
    this.#renewedUntil = -Infinity
  }

  /** The guests die with it. */
  killDeadman(): void {
    if (!this.#hasNamespace) return
    this.#cancelTimer()
    this.#hasNamespace = false
    this.#options.onFired()
  }

  view(): HeartbeatView | undefined {
    const now = this.#options.clock.monotonicMs()
    return this.#view && now - this.#view.at <= VIEW_AGE_MS_MAX ? this.#view : undefined
  }

  subscribe(listener: (view: HeartbeatView) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  guestNamespacePid(): Promise<number | undefined> {
    return Promise.resolve(this.#hasNamespace ? 1 : undefined)
  }

  /** A peer's packet has come. */
  arrive(network: NetworkRole, heartbeat: Heartbeat): void {
    if (!this.#life) return
    if (!this.#life.isPaused) this.#read(network, heartbeat)
    else if (this.#inbox.length < INBOX_MAX) this.#inbox.push(() => this.#read(network, heartbeat))
  }

  #read(network: NetworkRole, heartbeat: Heartbeat): void {
    this.#round?.table.receive(network, heartbeat, this.#options.clock.monotonicMs())
  }

  #schedule(life: ProcessLife, afterMs: number): void {
    const { clock, random } = this.#options
    clock.after(afterMs, () => {
      if (!life.isPaused) return this.#tick(life)
      return life.whenRunning(() => {
        // After a standstill the queued packets may be read before the late timer is noticed, or after it.
        const queued = this.#inbox.splice(0)
        const first = random.fraction() < 0.5
        if (first) for (const read of queued) read()
        this.#tick(life)
        if (!first) for (const read of queued) read()
      })
    })
  }

  #tick(life: ProcessLife): TimerResult {
    const round = this.#round
    if (life.isOver || !round) return 'quiet'
    const beat = round.beat(this.#options.clock.monotonicMs(), this.#lease?.sentAt)
    this.#lease?.setUrgent(beat.isLeaseUrgent)
    if (beat.decision.kind === 'renew' && beat.decision.until !== undefined) this.#renew(beat.decision.until)
    if (beat.heartbeat) this.#send(beat.heartbeat, beat.on)
    if (beat.isDue) {
      this.#view = beat.view
      for (const listener of [...this.#listeners]) listener(beat.view)
    }
    this.#schedule(life, beat.nextInMs)
    return beat.isDue || beat.isLeaseUrgent ? undefined : 'quiet'
  }

  #send(heartbeat: Heartbeat, on: 'next-network' | 'all-networks'): void {
    const { self, network, peer } = this.#options
    const roles = on === 'all-networks' ? NETWORK_ROLES : [NETWORK_ROLES[this.#turn++ % NETWORK_ROLES.length] ?? 'lan']
    for (const role of roles)
      for (const to of this.#peers) network.datagram(self, to, role, () => peer(to).arrive(role, heartbeat))
  }

  #renew(until: number): void {
    const { clock, timing, random, onFired } = this.#options
    const added = until - this.#renewedUntil
    if (!this.#hasNamespace || (added >= 0 && added < RENEWAL_STEP_MS)) return
    const leftMs = Math.min(until - clock.monotonicMs(), timing.leaseTtlMs)
    if (leftMs < 1) return
    this.#renewedUntil = until
    this.#cancelTimer()
    this.#cancelTimer = clock.after(leftMs, () => {
      this.#hasNamespace = false
      this.#cancelTimer = clock.after(random.fraction() * KILL_MS_MAX, onFired)
    })
  }
}

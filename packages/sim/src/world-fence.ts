/** The port `Fence` of one simulated host: what its guardian would know of the others from their heartbeats. */
import { silenceMs } from '@stead/core/ha/detection.ts'
import { NETWORK_ROLES } from '@stead/core/model/host.ts'
import type { HostId } from '@stead/core/model/ids.ts'
import type { Fence, HeartbeatView, PeerView } from '@stead/core/ports/fence.ts'
import type { VirtualClock } from './virtual-clock.ts'
import type { WorldNetwork } from './world-network.ts'

/** Age of the newest heartbeat while all is well: half an interval. */
const FRESH_MS = 50

export interface WorldFenceOptions {
  readonly self: HostId
  readonly hosts: readonly HostId[]
  readonly network: WorldNetwork
  readonly clock: VirtualClock
  readonly detectionMs: number
  readonly bootIdOf: (host: HostId) => string
  readonly fenceOf: (host: HostId) => WorldFence
}

export class WorldFence implements Fence {
  readonly #options: WorldFenceOptions
  readonly #listeners = new Set<(view: HeartbeatView) => void>()
  #startedAt = 0
  #observingSince = 0
  #stalledUntil = -Infinity
  /** Of each peer and network: whether a heartbeat ever came since the start. */
  readonly #heard = new Map<HostId, Set<string>>()

  constructor(options: WorldFenceOptions) {
    this.#options = options
    options.network.onChange(() => this.#tellInTime())
  }

  /** The guardian starts afresh. */
  start(): void {
    this.#startedAt = this.#options.clock.monotonicMs()
    this.#observingSince = this.#startedAt
    this.#stalledUntil = -Infinity
    this.#heard.clear()
  }

  /** The host was frozen and goes on. */
  wakeUp(): void {
    this.#observingSince = this.#options.clock.monotonicMs()
    this.#stalledUntil = this.#observingSince + this.#options.detectionMs / 2
  }

  view(): HeartbeatView {
    const { clock, network, self } = this.#options
    const now = clock.monotonicMs()
    const common = this.#observed(now)
    const peers: Record<string, PeerView> = {}
    for (const [id, peer] of Object.entries(common.peers)) {
      const speaker = id as HostId
      // What was said too long ago counts for nothing, so only what is said now is worked out.
      const hears = network.hears(self, speaker) ? this.#options.fenceOf(speaker).statements() : {}
      peers[id] = { ...peer, hears }
    }
    return { at: now, ...common, peers, isolated: false }
  }

  /** What this guardian puts into its heartbeats: how long each other host has been silent. */
  statements(): Readonly<Record<string, number>> {
    const now = this.#options.clock.monotonicMs()
    if (now < this.#stalledUntil) return {}
    const observed = this.#observed(now)
    const said: Record<string, number> = {}
    for (const host of this.#options.hosts) {
      if (host === this.#options.self) continue
      const silence = silenceMs(observed, host)
      if (silence !== undefined) said[host] = silence
    }
    return said
  }

  subscribe(listener: (view: HeartbeatView) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  guestNamespacePid(): Promise<number | undefined> {
    return Promise.resolve(1)
  }

  #observed(now: number): Pick<HeartbeatView, 'peers' | 'startedMs' | 'observingMs' | 'stalled'> {
    const { hosts, self, network, bootIdOf } = this.#options
    const peers: Record<string, PeerView> = {}
    for (const host of hosts) {
      if (host === self) continue
      const heard = this.#heard.get(host) ?? new Set<string>()
      this.#heard.set(host, heard)
      const ageMs: Record<string, number> = {}
      for (const role of NETWORK_ROLES) {
        const silentSince = network.silentSinceMs(self, host, role)
        if (silentSince === undefined) heard.add(role)
        else if (silentSince <= this.#startedAt) heard.delete(role)
        if (heard.has(role)) ageMs[role] = silentSince === undefined ? FRESH_MS : now - silentSince + FRESH_MS
      }
      peers[host] = { ageMs, bootId: heard.size > 0 ? bootIdOf(host) : '', hears: {} }
    }
    return {
      peers,
      startedMs: now - this.#startedAt,
      observingMs: now - this.#observingSince,
      stalled: now < this.#stalledUntil,
    }
  }

  /** Whoever waits for the view is told at once, and when silence may have become a suspicion. */
  #tellInTime(): void {
    const { clock, detectionMs } = this.#options
    for (const delayMs of [FRESH_MS, detectionMs + FRESH_MS, detectionMs * 1.6])
      clock.after(delayMs, () => this.#tell())
  }

  #tell(): void {
    if (this.#options.network.presence(this.#options.self) !== 'on') return
    const view = this.view()
    for (const listener of [...this.#listeners]) listener(view)
  }
}

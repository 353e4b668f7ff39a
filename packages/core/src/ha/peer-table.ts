/**
 * What this host knows of its peers from their heartbeats. No sockets, no clock: every call is given the time, so
 * tests play any history.
 *
 * A peer's new boot id is accepted only with a heartbeat that repeats a recent stamp of ours: a recorded packet cannot
 * do that, and no wall clock (which may be set back) is needed. Within a boot the sequence must grow per network.
 */
import { silenceMs } from './detection.ts'
import type { HostId } from '../model/ids.ts'
import type { HeartbeatView, PeerView } from '../ports/fence.ts'
import type { Echo, Heartbeat, Statement } from './heartbeat.ts'

/** How old the repeated stamp may be in the first heartbeat of a new boot. */
const GREETING_AGE_MS_MAX = 5000
const RETIRED_BOOTS_MAX = 8

interface PeerState {
  bootId: string
  bootTag: string
  /** Highest of `bootId`, on any network. */
  seq: number
  networks: Map<string, { seq: number; arrivedAt: number }>
  /** What the peer said in the heartbeat `seq`: silence in ms by host. */
  hears: Record<string, number>
  /** A boot that has not yet shown that it hears us. */
  candidate: { bootId: string; tag: string; seq: number } | undefined
  retiredBoots: string[]
}

export interface PeerTableOptions {
  readonly hostId: HostId
  readonly bootId: string
  /** A short text that stands for a boot id inside packets; the same on all hosts. */
  readonly bootTag: (bootId: string) => string
  readonly heartbeatIntervalMs: number
  readonly detectionMs: number
  /** Monotonic ms. */
  readonly startedAt: number
}

export class PeerTable {
  readonly #hostId: HostId
  readonly #bootId: string
  readonly #bootTag: string
  readonly #tagOf: (bootId: string) => string
  readonly #intervalMs: number
  readonly #startedAt: number
  readonly #peers = new Map<HostId, PeerState>()
  #detectionMs: number
  #lastTickAt: number
  #observingSince: number
  #stalledUntil = -Infinity
  /** True from a late awakening to the next punctual tick: what arrives then was queued while we slept. */
  #discarding = false
  #lastSeq = 0
  #contactSentAt: number | undefined

  constructor(options: PeerTableOptions) {
    this.#hostId = options.hostId
    this.#bootId = options.bootId
    this.#tagOf = options.bootTag
    this.#bootTag = options.bootTag(options.bootId)
    this.#intervalMs = options.heartbeatIntervalMs
    this.#detectionMs = options.detectionMs
    this.#startedAt = options.startedAt
    this.#lastTickAt = options.startedAt
    this.#observingSince = options.startedAt
  }

  /** Keeps what is known of peers that stay. */
  setPeers(ids: readonly HostId[]): void {
    const wanted = new Set(ids)
    for (const id of this.#peers.keys()) if (!wanted.has(id)) this.#peers.delete(id)
    for (const id of wanted) {
      if (id === this.#hostId || this.#peers.has(id)) continue
      const unheard = {
        bootId: '',
        bootTag: '',
        seq: 0,
        networks: new Map(),
        hears: {},
        candidate: undefined,
        retiredBoots: [],
      }
      this.#peers.set(id, unheard)
    }
  }

  setDetectionMs(detectionMs: number): void {
    this.#detectionMs = detectionMs
  }

  get peerCount(): number {
    return this.#peers.size
  }

  /** Whether any network has brought a heartbeat of the peer within the last `limitMs`. */
  heardWithin(id: HostId, limitMs: number, now: number): boolean {
    const networks = this.#peers.get(id)?.networks.values() ?? []
    for (const { arrivedAt } of networks) if (now - arrivedAt <= limitMs) return true
    return false
  }

  /** When the newest of our heartbeats that a peer has repeated was sent: proof of both directions. */
  get contactSentAt(): number | undefined {
    return this.#contactSentAt
  }

  /**
   * To be called every heartbeat interval, before the heartbeat is made. A call that comes late by more than half the
   * detection time means that this process was frozen or starved: ages start afresh.
   */
  tick(now: number): void {
    this.#discarding = this.#isLate(now)
    if (this.#discarding) this.#observeAfresh(now)
    this.#lastTickAt = now
  }

  /** What this host tells of that view, its newest. */
  makeHeartbeat(view: HeartbeatView): Heartbeat {
    this.#lastSeq = Math.max(Math.floor(view.at), this.#lastSeq + 1)
    const statements = new Map<string, Statement>()
    for (const [id, peer] of this.#peers) {
      const silence = view.stalled ? undefined : silenceMs(view, id)
      const echoes: Echo[] = []
      if (peer.bootId !== '') echoes.push({ seq: peer.seq, bootTag: peer.bootTag })
      if (peer.candidate) echoes.push({ seq: peer.candidate.seq, bootTag: peer.candidate.tag })
      statements.set(id, { silenceMs: silence ?? -1, echoes })
    }
    return { from: this.#hostId, bootId: this.#bootId, seq: this.#lastSeq, statements }
  }

  receive(network: string, heartbeat: Heartbeat, now: number): void {
    const peer = this.#peers.get(heartbeat.from as HostId)
    if (!peer || this.#discarding || this.#isLate(now)) return
    const confirmedAt = this.#newestEcho(heartbeat, now)
    if (heartbeat.bootId !== peer.bootId && !this.#greet(peer, heartbeat, confirmedAt, now)) return
    const before = peer.networks.get(network)
    if (before && heartbeat.seq <= before.seq) return
    if (this.#wasAlone(now)) this.#observeAfresh(now)
    peer.networks.set(network, { seq: heartbeat.seq, arrivedAt: now })
    if (heartbeat.seq > peer.seq) {
      peer.seq = heartbeat.seq
      peer.hears = {}
      for (const [host, said] of heartbeat.statements) if (said.silenceMs >= 0) peer.hears[host] = said.silenceMs
    }
    if (confirmedAt !== undefined) this.#contactSentAt = Math.max(this.#contactSentAt ?? -Infinity, confirmedAt)
  }

  view(now: number, fencing: Pick<HeartbeatView, 'isolated' | 'guards' | 'deadlineInMs'>): HeartbeatView {
    const peers: Record<string, PeerView> = {}
    for (const [id, peer] of this.#peers) {
      const ageMs: Record<string, number> = {}
      for (const [network, { arrivedAt }] of peer.networks) ageMs[network] = Math.round(now - arrivedAt)
      peers[id] = { ageMs, bootId: peer.bootId, hears: peer.hears }
    }
    return {
      at: now,
      peers,
      startedMs: now - this.#startedAt,
      observingMs: now - this.#observingSince,
      stalled: now < this.#stalledUntil,
      ...fencing,
    }
  }

  /** What is known is out of date: nothing is said for a while, and silence counts from now. */
  #observeAfresh(now: number): void {
    this.#observingSince = now
    this.#stalledUntil = now + this.#detectionMs / 2
    for (const peer of this.#peers.values()) peer.hears = {}
  }

  /**
   * True when nobody was heard for the detection time. When the networks come back, whoever is heard first has nothing
   * to say but how long it was alone as well: without a new beginning, hosts would hold each other lost and found until
   * everybody has heard everybody.
   */
  #wasAlone(now: number): boolean {
    let newest = this.#startedAt
    for (const { networks } of this.#peers.values())
      for (const { arrivedAt } of networks.values()) newest = Math.max(newest, arrivedAt)
    return now - newest > this.#detectionMs
  }

  #isLate(now: number): boolean {
    return now - this.#lastTickAt > this.#intervalMs + this.#detectionMs / 2
  }

  /** Moment at which we sent the newest heartbeat of this boot that the peer repeats. */
  #newestEcho(heartbeat: Heartbeat, now: number): number | undefined {
    let newest: number | undefined
    for (const echo of heartbeat.statements.get(this.#hostId)?.echoes ?? []) {
      if (echo.bootTag === this.#bootTag && echo.seq <= now && echo.seq > (newest ?? -Infinity)) newest = echo.seq
    }
    return newest
  }

  /** Whether the peer's other boot id is now accepted; it then replaces all that was known. */
  #greet(peer: PeerState, { bootId, seq }: Heartbeat, confirmedAt: number | undefined, now: number): boolean {
    if (bootId === '' || peer.retiredBoots.includes(bootId)) return false
    if (confirmedAt === undefined || now - confirmedAt > GREETING_AGE_MS_MAX) {
      if (peer.candidate?.bootId === bootId) peer.candidate.seq = Math.max(peer.candidate.seq, seq)
      else peer.candidate = { bootId, tag: this.#tagOf(bootId), seq }
      return false
    }
    if (peer.bootId !== '') peer.retiredBoots = [...peer.retiredBoots, peer.bootId].slice(-RETIRED_BOOTS_MAX)
    Object.assign(peer, {
      bootId,
      bootTag: this.#tagOf(bootId),
      seq: 0,
      networks: new Map(),
      hears: {},
      candidate: undefined,
    })
    return true
  }
}

/**
 * What a guardian does at each beat, apart from sockets and processes: how long the guests may live, what it says to
 * its peers and where, and whether its agent must hear of it now. The same code runs in the simulator.
 */
import type { HostId } from '../model/ids.ts'
import type { HeartbeatView } from '../ports/fence.ts'
import { verdictOn } from './detection.ts'
import type { Heartbeat } from './heartbeat.ts'
import { PeerTable, type PeerTableOptions } from './peer-table.ts'
import { deadmanDecision, type SelfFencingDecision } from './self-fencing.ts'

/** A subscriber hears from the guardian at least every so many heartbeats; silence means that it is gone. */
export const HEARTBEATS_PER_PUSH_MAX = 5

/** A peer that was not heard for so many rounds is in doubt. */
const CALM_ROUNDS = 2
/** In doubt heartbeats go out on all networks and so many times as often: the observers agree the sooner. */
const HASTE = 4

export interface GuardianRoundOptions extends PeerTableOptions {
  readonly leaseTtlMs: number
  /** Reserve for the killing itself: the guests' time ends this much before the lease's. */
  readonly marginMs: number
}

export interface GuardianBeat {
  readonly decision: SelfFencingDecision
  /** Undefined without peers. */
  readonly heartbeat: Heartbeat | undefined
  /** While every peer was heard a moment ago the networks take turns; else every heartbeat goes out on all. */
  readonly on: 'next-network' | 'all-networks'
  /** The lease is the only evidence that this host is not cut off: it is to be renewed soon. */
  readonly isLeaseUrgent: boolean
  /** When the next beat is due. */
  readonly nextInMs: number
  readonly view: HeartbeatView
  /** Whether the view says something new, or has not been told for long. */
  readonly isDue: boolean
}

export class GuardianRound {
  #guards = false
  readonly table: PeerTable
  readonly #options: GuardianRoundOptions
  #peers: readonly HostId[] = []
  #members: readonly HostId[] = []
  #detectionMs: number
  #armed = true
  /** What the newest view says of each host, oneself included. */
  readonly #noted = new Map<HostId, readonly [unknown, unknown]>()
  #beatsSinceTold = 0

  constructor(options: GuardianRoundOptions) {
    this.#options = options
    this.#detectionMs = options.detectionMs
    this.table = new PeerTable(options)
  }

  /** All other hosts, witness included, dead or alive. */
  setPeers(ids: readonly HostId[]): void {
    this.#peers = ids.filter((id) => id !== this.#options.hostId)
    this.#members = [this.#options.hostId, ...this.#peers]
    this.table.setPeers(this.#peers)
  }

  setDetectionMs(detectionMs: number): void {
    this.#detectionMs = detectionMs
    this.table.setDetectionMs(detectionMs)
  }

  setArmed(armed: boolean): void {
    this.#armed = armed
  }

  /** One beat. `now`: monotonic ms, as in all of these. `leaseSentAt`: when the newest answered renewal was sent. */
  beat(now: number, leaseSentAt: number | undefined): GuardianBeat {
    this.table.tick(now)
    const decision = this.#decide(now, leaseSentAt)
    // Its caller renews the deadman before anybody is told of this view.
    if (decision.kind === 'renew') this.#guards = true
    const view = this.#viewAt(now, decision)
    const heartbeat = this.#peers.length > 0 ? this.table.makeHeartbeat(view) : undefined
    const isCalm = this.#isCalm(now)
    const { heartbeatIntervalMs } = this.#options
    return {
      decision,
      heartbeat,
      on: isCalm ? 'next-network' : 'all-networks',
      isLeaseUrgent: !isCalm,
      nextInMs: isCalm ? heartbeatIntervalMs : heartbeatIntervalMs / HASTE,
      view,
      isDue: this.#isDue(view),
    }
  }

  view(now: number, leaseSentAt: number | undefined): HeartbeatView {
    return this.#viewAt(now, this.#decide(now, leaseSentAt))
  }

  #decide(now: number, leaseSentAt: number | undefined): SelfFencingDecision {
    return deadmanDecision({
      now,
      leaseSentAt,
      contactSentAt: this.table.contactSentAt,
      peerCount: this.table.peerCount,
      leaseTtlMs: this.#options.leaseTtlMs,
      marginMs: this.#options.marginMs,
      detectionMs: this.#detectionMs,
      armed: this.#armed,
    })
  }

  #viewAt(now: number, { isolated, fencesItself, until }: SelfFencingDecision): HeartbeatView {
    const hasDeadline = fencesItself && until !== undefined
    const guards = this.#guards ? { guards: true as const } : {}
    return this.table.view(now, {
      isolated,
      ...guards,
      ...(hasDeadline ? { deadlineInMs: Math.round(until - now) } : {}),
    })
  }

  /** Every peer was heard a moment ago: nobody needs more than the usual from us. */
  #isCalm(now: number): boolean {
    const limitMs = CALM_ROUNDS * this.#options.heartbeatIntervalMs
    return this.#peers.every((peer) => this.table.heardWithin(peer, limitMs, now))
  }

  #isDue(view: HeartbeatView): boolean {
    const isNews = this.#noteNews(view)
    this.#beatsSinceTold += 1
    if (!isNews && this.#beatsSinceTold < HEARTBEATS_PER_PUSH_MAX) return false
    this.#beatsSinceTold = 0
    return true
  }

  /** Whether anything is new of which a subscriber should hear at once. */
  #noteNews(view: HeartbeatView): boolean {
    const self = this.#options.hostId
    const input = { self, view, members: this.#members, detectionMs: this.#detectionMs }
    let isNews = this.#note(self, view.guards ? view.isolated : undefined, view.stalled)
    for (const peer of this.#peers)
      if (this.#note(peer, verdictOn(input, peer), view.peers[peer]?.bootId)) isNews = true
    return isNews
  }

  #note(host: HostId, first: unknown, second: unknown): boolean {
    const noted = this.#noted.get(host)
    if (noted !== undefined && noted[0] === first && noted[1] === second) return false
    this.#noted.set(host, [first, second])
    return true
  }
}

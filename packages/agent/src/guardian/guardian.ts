/**
 * The guardian: heartbeats, lease and deadman of one host, in a small process of its own. The agent's event loop may
 * block (10,000 rows of JSON take 30 ms) or end; this one must not.
 */
import { hostVerdicts } from '@stead/core/ha/detection.ts'
import { deadmanDecision, type SelfFencingDecision } from '@stead/core/ha/self-fencing.ts'
import type { Clock } from '@stead/core/ports/clock.ts'
import type { HeartbeatView } from '@stead/core/ports/fence.ts'
import type { Log } from '@stead/core/ports/log.ts'
import { ControlServer, type GuardianUpdate } from './control-server.ts'
import type { Deadman } from './deadman-client.ts'
import type { GuardianConfig, GuardianPeer } from './guardian-config.ts'
import { encodeHeartbeat, HeartbeatReader, PacketKey } from './heartbeat-packet.ts'
import { HeartbeatSockets } from './heartbeat-sockets.ts'
import type { LeaseStore } from './lease-gateway.ts'
import { LeaseKeeper } from './lease-keeper.ts'
import { PeerTable } from './peer-table.ts'

/** A subscriber hears from the guardian at least every so many heartbeats; silence means that it is gone. */
export const HEARTBEATS_PER_PUSH_MAX = 5

/** A peer that was not heard for so many rounds is in doubt. */
const CALM_ROUNDS = 2
/** In doubt heartbeats go out on all networks and so many times as often: the observers agree the sooner. */
const HASTE = 4

export interface GuardianDependencies {
  readonly store: LeaseStore
  /** `monotonicMs` must be the machine's CLOCK_MONOTONIC: stamps have to grow over restarts of this process. */
  readonly clock: Clock
  readonly log: Log
  readonly deadman: Deadman
}

export class Guardian {
  readonly #config: GuardianConfig
  readonly #dependencies: GuardianDependencies
  readonly #key: PacketKey
  readonly #table: PeerTable
  readonly #lease: LeaseKeeper
  #peers: readonly GuardianPeer[]
  #detectionMs: number
  #sockets: HeartbeatSockets | undefined
  #control: ControlServer | undefined
  #timer: NodeJS.Timeout | undefined
  #pushedState = ''
  #ticksSincePush = 0
  #decisionKind: SelfFencingDecision['kind'] | undefined

  private constructor(config: GuardianConfig, dependencies: GuardianDependencies) {
    const { clock, store, log } = dependencies
    this.#config = config
    this.#dependencies = dependencies
    this.#key = new PacketKey(Buffer.from(config.clusterKey, 'hex'))
    this.#peers = config.peers.filter((peer) => peer.id !== config.hostId)
    this.#detectionMs = config.detectionMs
    const { hostId, bootId, heartbeatIntervalMs, detectionMs } = config
    this.#table = new PeerTable({ hostId, bootId, heartbeatIntervalMs, detectionMs, startedAt: clock.monotonicMs() })
    this.#table.setPeers(this.#peers.map((peer) => peer.id))
    this.#lease = new LeaseKeeper({ store, clock, log, ttlMs: config.leaseTtlMs, key: config.leaseKey, bootId })
  }

  /** Rejects when the control socket cannot be bound; networks that are down are tried again by themselves. */
  static async start(config: GuardianConfig, dependencies: GuardianDependencies): Promise<Guardian> {
    const guardian = new Guardian(config, dependencies)
    await guardian.#open()
    return guardian
  }

  view(): HeartbeatView {
    const now = this.#dependencies.clock.monotonicMs()
    return this.#viewAt(now, this.#decide(now))
  }

  /** Leaves the deadman armed and the lease alive: a successor has their remaining time to take over. */
  async close(): Promise<void> {
    clearTimeout(this.#timer)
    this.#sockets?.close()
    this.#dependencies.deadman.close()
    await this.#control?.close()
    await this.#lease.stop()
  }

  async #open(): Promise<void> {
    const { log, clock } = this.#dependencies
    this.#control = await ControlServer.listen({
      path: this.#config.controlSocket,
      log,
      onUpdate: (update) => this.#update(update),
      presentView: () => this.view(),
    })
    const reader = new HeartbeatReader(this.#key)
    this.#sockets = new HeartbeatSockets({
      addresses: this.#config.addresses,
      port: this.#config.port,
      log,
      onPacket: (network, packet) => {
        const heartbeat = reader.read(packet)
        if (heartbeat) this.#table.receive(network, heartbeat, clock.monotonicMs())
      },
    })
    this.#lease.start()
    this.#tick()
  }

  #tick(): void {
    const { clock, deadman, log } = this.#dependencies
    const now = clock.monotonicMs()
    this.#table.tick(now)
    const isCalm = this.#isCalm(now)
    this.#lease.setUrgent(!isCalm)

    const decision = this.#decide(now)
    if (decision.kind === 'renew' && decision.until !== undefined) deadman.renew(decision.until)
    if (decision.kind !== this.#decisionKind) {
      const { kind, reason, isolated } = decision
      const report = kind === 'renew' ? 'the guests are kept alive' : 'the deadman is no longer renewed'
      log[kind === 'renew' ? 'info' : 'warn'](report, { reason, isolated })
      this.#decisionKind = kind
    }

    if (this.#peers.length > 0) {
      const packet = encodeHeartbeat(this.#table.makeHeartbeat(now), this.#key)
      this.#sockets?.send(packet, this.#peers, isCalm ? 'next-network' : 'all-networks')
    }
    this.#pushIfDue(this.#viewAt(now, decision))
    const { heartbeatIntervalMs } = this.#config
    this.#timer = setTimeout(() => this.#tick(), isCalm ? heartbeatIntervalMs : heartbeatIntervalMs / HASTE)
  }

  /** Every peer was heard a moment ago: nobody needs more than the usual from us. */
  #isCalm(now: number): boolean {
    const limitMs = CALM_ROUNDS * this.#config.heartbeatIntervalMs
    return this.#peers.every((peer) => this.#table.heardWithin(peer.id, limitMs, now))
  }

  #pushIfDue(view: HeartbeatView): void {
    const state = this.#summarize(view)
    if (state === this.#pushedState && ++this.#ticksSincePush < HEARTBEATS_PER_PUSH_MAX) return
    this.#pushedState = state
    this.#ticksSincePush = 0
    this.#control?.push(view)
  }

  /** What a subscriber should hear of at once when it changes. */
  #summarize(view: HeartbeatView): string {
    const self = this.#config.hostId
    const members = [self, ...this.#peers.map((peer) => peer.id)]
    const verdicts = hostVerdicts({ self, view, members, detectionMs: this.#detectionMs })
    const boots = this.#peers.map((peer) => view.peers[peer.id]?.bootId)
    return [view.isolated, view.stalled, ...verdicts.values(), ...boots].join(' ')
  }

  #decide(now: number): SelfFencingDecision {
    return deadmanDecision({
      now,
      leaseSentAt: this.#lease.sentAt,
      contactSentAt: this.#table.contactSentAt,
      peerCount: this.#table.peerCount,
      leaseTtlMs: this.#config.leaseTtlMs,
      marginMs: this.#config.marginMs,
      detectionMs: this.#detectionMs,
    })
  }

  #viewAt(now: number, decision: SelfFencingDecision): HeartbeatView {
    const { isolated, fencesItself, until } = decision
    const hasDeadline = fencesItself && until !== undefined
    return this.#table.view(now, { isolated, ...(hasDeadline ? { deadlineInMs: Math.round(until - now) } : {}) })
  }

  #update(update: GuardianUpdate): void {
    if (update.peers) {
      this.#peers = update.peers.filter((peer) => peer.id !== this.#config.hostId)
      this.#table.setPeers(this.#peers.map((peer) => peer.id))
    }
    if (update.detectionMs !== undefined) {
      this.#detectionMs = update.detectionMs
      this.#table.setDetectionMs(update.detectionMs)
    }
    this.#dependencies.log.info('updated', {
      peers: this.#peers.map((peer) => peer.id),
      detectionMs: this.#detectionMs,
    })
  }
}

/**
 * The guardian: heartbeats, lease and deadman of one host, in a small process of its own. The agent's event loop may
 * block (10,000 rows of JSON take 30 ms) or end; this one must not.
 */
import { GuardianRound } from '@stead/core/ha/guardian-round.ts'
import type { SelfFencingDecision } from '@stead/core/ha/self-fencing.ts'
import { LeaseKeeper, type LeaseStore } from '@stead/core/host/lease-keeper.ts'
import type { Clock } from '@stead/core/ports/clock.ts'
import type { HeartbeatView } from '@stead/core/ports/fence.ts'
import type { Log } from '@stead/core/ports/log.ts'
import { AgentWatch } from './agent-watch.ts'
import { ControlServer, type GuardianUpdate } from './control-server.ts'
import type { Deadman } from './deadman-client.ts'
import type { GuardianConfig, GuardianPeer } from './guardian-config.ts'
import { HeartbeatKeyRing } from './heartbeat-keys.ts'
import { bootTag } from './heartbeat-packet.ts'
import { HeartbeatSockets } from './heartbeat-sockets.ts'

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
  readonly #keys: HeartbeatKeyRing
  readonly #round: GuardianRound
  readonly #lease: LeaseKeeper
  readonly #agent: AgentWatch
  #peers: readonly GuardianPeer[]
  #sockets: HeartbeatSockets | undefined
  #control: ControlServer | undefined
  #timer: NodeJS.Timeout | undefined
  #decisionKind: SelfFencingDecision['kind'] | undefined

  private constructor(config: GuardianConfig, dependencies: GuardianDependencies) {
    const { clock, store, log } = dependencies
    this.#config = config
    this.#dependencies = dependencies
    this.#keys = new HeartbeatKeyRing(config.keys)
    this.#agent = new AgentWatch(log)
    this.#peers = config.peers.filter((peer) => peer.id !== config.hostId)
    const { bootId } = config
    this.#round = new GuardianRound({ ...config, bootTag, startedAt: clock.monotonicMs() })
    this.#round.setPeers(this.#peers.map((peer) => peer.id))
    this.#lease = new LeaseKeeper({ store, clock, log, ttlMs: config.leaseTtlMs, key: config.leaseKey, bootId })
  }

  /** Rejects when the control socket cannot be bound; networks that are down are tried again by themselves. */
  static async start(config: GuardianConfig, dependencies: GuardianDependencies): Promise<Guardian> {
    const guardian = new Guardian(config, dependencies)
    await guardian.#open()
    return guardian
  }

  view(): HeartbeatView {
    return this.#withKey(this.#round.view(this.#dependencies.clock.monotonicMs(), this.#lease.sentAt))
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
    this.#sockets = new HeartbeatSockets({
      addresses: this.#config.addresses,
      port: this.#config.port,
      log,
      onPacket: (network, packet) => {
        const heartbeat = this.#keys.read(packet)
        if (heartbeat) this.#round.table.receive(network, heartbeat, clock.monotonicMs())
      },
    })
    this.#lease.start()
    this.#tick()
  }

  #tick(): void {
    const { clock, deadman, log } = this.#dependencies
    const now = clock.monotonicMs()
    this.#agent.look(now)
    const { decision, heartbeat, on, isLeaseUrgent, nextInMs, view, isDue } = this.#round.beat(now, this.#lease.sentAt)
    this.#lease.setUrgent(isLeaseUrgent)
    if (decision.kind === 'renew' && decision.until !== undefined) deadman.renew(decision.until)
    if (decision.kind !== this.#decisionKind) {
      const { kind, reason, isolated } = decision
      const report = kind === 'renew' ? 'the guests are kept alive' : 'the deadman is no longer renewed'
      log[kind === 'renew' ? 'info' : 'warn'](report, { reason, isolated })
      this.#decisionKind = kind
    }
    if (heartbeat) this.#sockets?.send(this.#keys.encode(heartbeat), this.#peers, on)
    if (isDue) this.#control?.push(this.#withKey(view))
    this.#timer = setTimeout(() => this.#tick(), nextInMs)
  }

  #update(update: GuardianUpdate): void {
    if (update.agent) return this.#agent.alive(update.agent, this.#dependencies.clock.monotonicMs())
    if (update.peers) {
      this.#peers = update.peers.filter((peer) => peer.id !== this.#config.hostId)
      this.#round.setPeers(this.#peers.map((peer) => peer.id))
    }
    if (update.detectionMs !== undefined) this.#round.setDetectionMs(update.detectionMs)
    if (update.armed !== undefined) this.#round.setArmed(update.armed)
    const { keys, ...told } = update
    // The agent waits for the answer.
    if (keys && this.#keys.replace(keys)) this.#control?.push(this.view())
    const key = this.#keys.generation
    this.#dependencies.log.info('updated', { ...told, key, peers: this.#peers.map((peer) => peer.id) })
  }

  #withKey(view: HeartbeatView): HeartbeatView {
    return { ...view, keyGeneration: this.#keys.generation }
  }
}

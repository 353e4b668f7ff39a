/**
 * The coordinator's part when a host was removed that knows the key of the heartbeats: a new one for those that are
 * left, and no more of the former one once they have it. docs/internals/trust.md.
 */
import { randomBytes } from 'node:crypto'
import { heartbeatKeyStep, hostsWithoutKey, type HeartbeatKeyStep } from '@stead/core/ha/heartbeat-key-step.ts'
import type { ClusterMirror } from '@stead/core/host/cluster-mirror.ts'
import type { EventWriter } from '@stead/core/host/event-writer.ts'
import type { Versioned } from '@stead/core/model/cluster.ts'
import type { HeartbeatKey } from '@stead/core/model/heartbeat-key.ts'
import type { HostId } from '@stead/core/model/ids.ts'
import { KEYS } from '@stead/core/model/keys.ts'
import type { Clock } from '@stead/core/ports/clock.ts'
import type { Log } from '@stead/core/ports/log.ts'
import type { Compare, Store } from '@stead/core/ports/store.ts'
import { WakeableSleep } from '@stead/core/wakeable-sleep.ts'
import type { AgentConfig } from '../config.ts'
import { isCertificateOf } from '../trust/certificate-reading.ts'
import type { HostCredentials } from '../trust/host-credentials.ts'
import { sealToHosts } from '../trust/sealed-to-hosts.ts'
import { MEMBERSHIP_KEY, membershipOf, readMembership } from './membership.ts'
import type { OwnHeartbeatKeys } from './own-heartbeat-keys.ts'

/** While a step is due; else only news wake it. */
const LOOK_MS = 1_000
const REST_MS = 600_000
const KEY_BYTES = 32
/** It is told once that somebody is waited for this long. */
const TELL_AFTER_MS = 120_000

export interface HeartbeatKeyReplacementContext {
  readonly config: Pick<AgentConfig, 'hostId' | 'members' | 'etcdMembers'>
  readonly credentials: Pick<HostCredentials, 'material' | 'isRevoked'>
  readonly own: Pick<OwnHeartbeatKeys, 'keys'>
  readonly store: Pick<Store, 'get' | 'transact'>
  readonly mirror: Pick<ClusterMirror, 'state' | 'onChange'>
  readonly events: EventWriter
  readonly clock: Clock
  readonly log: Log
}

export async function replaceHeartbeatKey(context: HeartbeatKeyReplacementContext, signal: AbortSignal): Promise<void> {
  const { mirror, clock } = context
  const replacement = new HeartbeatKeyReplacement(context)
  const rest = new WakeableSleep(clock)
  let seen = mirror.state.heartbeatKey
  const off = mirror.onChange(({ heartbeatKey }) => {
    if (heartbeatKey !== seen) rest.wake()
    seen = heartbeatKey
  })
  while (!signal.aborted) {
    const isDue = await replacement.look()
    await rest.sleep(isDue ? LOOK_MS : REST_MS, signal)
  }
  off()
}

class HeartbeatKeyReplacement {
  readonly #context: HeartbeatKeyReplacementContext
  readonly #members: readonly HostId[]
  readonly #leaselessSince = new Map<HostId, number>()
  #waitingSince: number | undefined
  #told = false

  constructor(context: HeartbeatKeyReplacementContext) {
    this.#context = context
    this.#members = context.config.members.map(({ hostId }) => hostId as HostId)
  }

  /** Whether there is, or will be, something to do. */
  async look(): Promise<boolean> {
    const { config, mirror, clock } = this.#context
    const { heartbeatKey, coordinator } = mirror.state
    if (!heartbeatKey || (!heartbeatKey.value.formerCounts && heartbeatKey.value.due.length === 0)) return false
    this.#noteLeases()
    if (coordinator?.value.host !== config.hostId) return true
    const step = heartbeatKeyStep({
      ...{ state: mirror.state, members: this.#members, now: clock.monotonicMs() },
      canReceive: (host) => this.#certificateOf(host) !== undefined,
      leaselessSince: (host) => this.#leaselessSince.get(host),
    })
    this.#tell(step)
    if (step.kind === 'make') await this.#make(heartbeatKey)
    if (step.kind === 'drop-former') await this.#dropFormer(heartbeatKey)
    return true
  }

  async #make({ value: before, revision }: Versioned<HeartbeatKey>): Promise<void> {
    const { own, store, clock } = this.#context
    // Whoever makes the next one must know the present one, by which the hosts are heard meanwhile.
    if (own.keys.generation !== before.generation) return
    const membership = await this.#compareMembers()
    if (!membership) return
    const recipients = this.#members.map((host) => ({ host, certificate: this.#certificateOf(host) ?? '' }))
    const key = randomBytes(KEY_BYTES).toString('hex')
    const after: HeartbeatKey = {
      ...{ generation: before.generation + 1, due: [], formerCounts: true },
      sealed: await sealToHosts(recipients, { key, former: own.keys.key }),
      ...{ madeAt: clock.wallMs(), madeFor: before.due },
    }
    const outcome = await store.transact({
      compares: [{ key: KEYS.heartbeatKey, modRevision: revision }, membership],
      writes: [{ kind: 'put', key: KEYS.heartbeatKey, value: JSON.stringify(after) }],
    })
    if (!outcome.ok) this.#context.log.warn('the heartbeats have no new key yet', { cause: outcome.error })
  }

  async #dropFormer({ value: before, revision }: Versioned<HeartbeatKey>): Promise<void> {
    const { store, events, mirror, log } = this.#context
    const membership = await this.#compareMembers()
    if (!membership) return
    const [without, removed] = [hostsWithoutKey(mirror.state, this.#members), before.madeFor.join(', ')]
    const outcome = await store.transact({
      compares: [
        { key: KEYS.heartbeatKey, modRevision: revision },
        membership,
        // Who has come back meanwhile is waited for.
        ...without.map((host) => ({ key: KEYS.liveness(host), modRevision: 0n })),
      ],
      writes: [
        { kind: 'put', key: KEYS.heartbeatKey, value: JSON.stringify({ ...before, formerCounts: false }) },
        ...events.writesFor([
          {
            ...{ kind: 'cluster.key-changed', subject: 'cluster' },
            message: `heartbeats by the key that ${removed} knows count no more`,
            details: { generation: before.generation },
          },
        ]),
      ],
    })
    if (!outcome.ok) log.warn('the former key of the heartbeats still counts', { cause: outcome.error })
  }

  /** Undefined when the members are not those of this agent's configuration: it is about to start anew. */
  async #compareMembers(): Promise<Compare | undefined> {
    const { config, store } = this.#context
    const found = await store.get(MEMBERSHIP_KEY)
    if (!found.ok) return undefined
    const { members } = found.value ? readMembership(found.value.value) : membershipOf(config)
    const same = members.map(({ hostId }) => hostId).join() === this.#members.join()
    return same ? { key: MEMBERSHIP_KEY, modRevision: found.value?.modRevision ?? 0n } : undefined
  }

  #certificateOf(host: HostId): string | undefined {
    const { mirror, credentials } = this.#context
    const certificate = mirror.state.hosts.get(host)?.value.certificate
    if (certificate === undefined) return undefined
    const isGood = isCertificateOf(host, certificate, credentials.material.ca, (serial) =>
      credentials.isRevoked(serial),
    )
    return isGood ? certificate : undefined
  }

  #noteLeases(): void {
    const { mirror, clock } = this.#context
    for (const host of this.#members) {
      if (mirror.state.liveness.has(host)) this.#leaselessSince.delete(host)
      else if (!this.#leaselessSince.has(host)) this.#leaselessSince.set(host, clock.monotonicMs())
    }
  }

  #tell(step: HeartbeatKeyStep): void {
    const { clock, log } = this.#context
    if (step.kind !== 'wait') {
      this.#waitingSince = undefined
      this.#told = false
      return
    }
    this.#waitingSince ??= clock.monotonicMs()
    if (this.#told || clock.monotonicMs() - this.#waitingSince < TELL_AFTER_MS) return
    this.#told = true
    log.warn('a removed host still knows the key of the heartbeats: hosts are waited for', { waitsFor: step.for })
  }
}

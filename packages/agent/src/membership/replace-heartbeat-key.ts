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
import type { Store } from '@stead/core/ports/store.ts'
import { WakeableSleep } from '@stead/core/wakeable-sleep.ts'
import type { AgentConfig } from '../config.ts'
import { sealToHosts } from '../trust/sealed-to-hosts.ts'
import { KnownMembers, type KnownMembersOptions } from './known-members.ts'
import type { OwnHeartbeatKeys } from './own-heartbeat-keys.ts'

/** While a step is due; else only news wake it. */
const LOOK_MS = 1_000
const REST_MS = 600_000
const KEY_BYTES = 32
/** It is told once that somebody is waited for this long. */
const TELL_AFTER_MS = 120_000

export interface HeartbeatKeyReplacementContext extends KnownMembersOptions {
  readonly config: Pick<AgentConfig, 'hostId' | 'members' | 'etcdMembers'>
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
  readonly #members: KnownMembers
  readonly #leaselessSince = new Map<HostId, number>()
  #waitingSince: number | undefined
  #told = false

  constructor(context: HeartbeatKeyReplacementContext) {
    this.#context = context
    this.#members = new KnownMembers(context)
  }

  /** Whether there is, or will be, something to do. */
  async look(): Promise<boolean> {
    const { config, mirror, clock } = this.#context
    const { heartbeatKey, coordinator } = mirror.state
    if (!heartbeatKey || (!heartbeatKey.value.formerCounts && heartbeatKey.value.due.length === 0)) return false
    this.#noteLeases()
    if (coordinator?.value.host !== config.hostId) return true
    const step = heartbeatKeyStep({
      ...{ state: mirror.state, members: this.#members.ids, now: clock.monotonicMs() },
      canReceive: (host) => this.#members.certificateOf(host) !== undefined,
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
    const membership = await this.#members.unchanged()
    if (!membership) return
    const recipients = this.#members.ids.map((host) => ({ host, certificate: this.#members.certificateOf(host) ?? '' }))
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
    const membership = await this.#members.unchanged()
    if (!membership) return
    const [without, removed] = [hostsWithoutKey(mirror.state, this.#members.ids), before.madeFor.join(', ')]
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

  #noteLeases(): void {
    const { mirror, clock } = this.#context
    for (const host of this.#members.ids) {
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

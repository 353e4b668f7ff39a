/**
 * Hosts that hear each other, on a clock of their own: the real guardian's rounds with real packets, the real part of
 * each agent, one store. Networks and watches are as slow as the seed says.
 */
import { recordDecoder } from '@stead/api/records.ts'
import { verdictOn } from '@stead/core/ha/detection.ts'
import { GuardianRound } from '@stead/core/ha/guardian-round.ts'
import { ClusterMirror } from '@stead/core/host/cluster-mirror.ts'
import { EventWriter } from '@stead/core/host/event-writer.ts'
import type { HeartbeatKey } from '@stead/core/model/heartbeat-key.ts'
import type { Host } from '@stead/core/model/host.ts'
import type { HostId } from '@stead/core/model/ids.ts'
import { KEYS } from '@stead/core/model/keys.ts'
import type { HeartbeatView } from '@stead/core/ports/fence.ts'
import type { Store, Write } from '@stead/core/ports/store.ts'
import { MemoryStoreServer } from '@stead/sim/memory-store.ts'
import { SeededRandom } from '@stead/sim/seeded-random.ts'
import { VirtualClock } from '@stead/sim/virtual-clock.ts'
import { silent } from '../backend/backend-fixture.ts'
import type { GuardianUpdate } from '../guardian/control-server.ts'
import { HeartbeatKeyRing, type HeartbeatKeys } from '../guardian/heartbeat-keys.ts'
import { bootTag } from '../guardian/heartbeat-packet.ts'
import { createAuthority, issueCertificate } from '../trust/certificates.ts'
import { HostCredentials } from '../trust/host-credentials.ts'
import { hostContent } from '../trust/host-trust.ts'
import { WorldTime } from './world-time-fixture.ts'
import { OwnHeartbeatKeys } from './own-heartbeat-keys.ts'
import { replaceHeartbeatKey } from './replace-heartbeat-key.ts'

export const FIRST_KEY = '5a'.repeat(32)
export const DETECTION_MS = 1_000
const INTERVAL_MS = 200
const LEASE_TTL_MS = 3_000
const NETWORK_MS_MAX = 30
const STEP_MS = 250

const IDS = ['h1', 'h2', 'h3', 'h4'] as HostId[]
const NOW = Date.UTC(2026, 10, 23)
const authority = await createAuthority('demo', NOW)
const CREDENTIALS = new Map<HostId, HostCredentials>()
for (const id of IDS) {
  const { certificatePem: cert, keyPem: key } = await issueCertificate(
    authority,
    hostContent({ id, addresses: {} }),
    NOW,
  )
  CREDENTIALS.set(id, new HostCredentials({ ca: authority.certificatePem, cert, key }))
}

export interface KeyWorldOptions {
  readonly seed: number
  /** How long a host's watch is behind at most, ms. */
  readonly watchMsMax?: Readonly<Record<string, number>>
}

export class KeyWorld {
  readonly clock = new VirtualClock()
  readonly #time = new WorldTime(this.clock, STEP_MS, () => this.#judge())
  readonly random: SeededRandom
  readonly server: MemoryStoreServer
  readonly store: Store
  readonly hosts = new Map<HostId, KeyHost>()
  readonly watchMsMax: Readonly<Record<string, number>>
  /** Whoever was taken for silent, when, and by whom. */
  readonly suspicions: string[] = []

  private constructor({ seed, watchMsMax = {} }: KeyWorldOptions) {
    this.random = new SeededRandom(seed)
    this.server = new MemoryStoreServer(this.clock)
    this.store = this.server.client()
    this.watchMsMax = watchMsMax
  }

  /** All hosts are up and hear each other; h1 coordinates. */
  static async start(options: KeyWorldOptions): Promise<KeyWorld> {
    const world = new KeyWorld(options)
    await world.put(KEYS.coordinator, { host: 'h1', term: 1 })
    for (const id of IDS) await world.powerOn(id)
    await world.pass(10_000)
    world.suspicions.length = 0
    return world
  }

  get record(): Promise<HeartbeatKey | undefined> {
    return this.store
      .get(KEYS.heartbeatKey)
      .then((found) => (found.ok && found.value ? (JSON.parse(found.value.value) as HeartbeatKey) : undefined))
  }

  async put(key: string, value: unknown): Promise<void> {
    await this.write({ kind: 'put', key, value: JSON.stringify(value) })
  }

  async write(...writes: Write[]): Promise<void> {
    await this.store.transact({ compares: [], writes })
  }

  /** With the keys that it was configured with, or those that it kept. */
  async powerOn(id: HostId): Promise<void> {
    const kept = this.hosts.get(id)?.kept ?? { generation: 0, key: FIRST_KEY }
    this.hosts.set(id, new KeyHost(id, this, kept))
    await this.put(KEYS.liveness(id), { bootId: 'b' })
  }

  async powerOff(id: HostId): Promise<void> {
    this.hosts.get(id)?.end()
    await this.write({ kind: 'delete', key: KEYS.liveness(id) })
  }

  pass(ms: number): Promise<void> {
    return this.#time.pass(ms)
  }

  until(what: string, holds: () => boolean | Promise<boolean>, limitMs: number): Promise<void> {
    return this.#time.until(what, holds, limitMs)
  }

  close(): void {
    for (const host of this.hosts.values()) host.end()
    this.server.close()
  }

  #judge(): void {
    const up = [...this.hosts.values()].filter(({ isUp }) => isUp)
    for (const observer of up)
      for (const target of up) {
        if (observer === target) continue
        const input = { self: observer.id, view: observer.view(), members: IDS, detectionMs: DETECTION_MS }
        const verdict = verdictOn(input, target.id)
        if (verdict !== 'heard')
          this.suspicions.push(`${Math.round(this.clock.monotonicMs())}: ${target.id} is ${verdict} to ${observer.id}`)
      }
  }
}

export class KeyHost {
  readonly id: HostId
  readonly ring: HeartbeatKeyRing
  readonly own: OwnHeartbeatKeys
  readonly #world: KeyWorld
  readonly #round: GuardianRound
  readonly #listeners = new Set<(view: HeartbeatView) => void>()
  readonly #ending = new AbortController()
  /** As in this host's configuration file. */
  kept: HeartbeatKeys

  constructor(id: HostId, world: KeyWorld, keys: HeartbeatKeys) {
    this.id = id
    this.kept = keys
    this.#world = world
    this.ring = new HeartbeatKeyRing(keys)
    const { clock, store } = world
    const bootId = `${id}-${clock.monotonicMs()}`
    this.#round = new GuardianRound({
      ...{ hostId: id, bootId, bootTag, heartbeatIntervalMs: INTERVAL_MS, detectionMs: DETECTION_MS },
      ...{ leaseTtlMs: LEASE_TTL_MS, marginMs: 500, startedAt: clock.monotonicMs() },
    })
    this.#round.setPeers(IDS)
    const mirror = new ClusterMirror(recordDecoder, silent)
    const credentials = CREDENTIALS.get(id) as HostCredentials
    const log = silent
    this.own = new OwnHeartbeatKeys({
      ...{ host: id, keys, credentials, store, mirror, clock, log },
      guardian: {
        view: () => this.view(),
        subscribe: (listener) => {
          this.#listeners.add(listener)
          return () => this.#listeners.delete(listener)
        },
        update: (update) => this.#update(update),
      },
      keep: (kept) => (this.kept = kept),
      acknowledge: () => this.#register(),
    })
    const members = IDS.map((hostId, at) => ({ hostId, role: 'compute' as const, order: at + 1, addresses: {} }))
    const config = { hostId: id, members, etcdMembers: [...IDS] }
    const events = new EventWriter({ store, clock, host: id, bootId, log })
    const { signal } = this.#ending
    void mirror.follow(this.#slowly(store), signal)
    void this.own.follow(signal)
    void replaceHeartbeatKey({ config, credentials, own: this.own, store, mirror, events, clock, log }, signal)
    this.#tick()
  }

  get isUp(): boolean {
    return !this.#ending.signal.aborted
  }

  view(): HeartbeatView {
    const { clock } = this.#world
    return { ...this.#round.view(clock.monotonicMs(), clock.monotonicMs()), keyGeneration: this.ring.generation }
  }

  arrive(packet: Buffer): void {
    const heartbeat = this.isUp ? this.ring.read(packet) : undefined
    if (heartbeat) this.#round.table.receive('lan', heartbeat, this.#world.clock.monotonicMs())
  }

  end(): void {
    this.#ending.abort()
  }

  #tick(): void {
    if (!this.isUp) return
    const { clock, random, hosts } = this.#world
    const beat = this.#round.beat(clock.monotonicMs(), clock.monotonicMs())
    for (const packet of beat.heartbeat ? this.ring.encode(beat.heartbeat) : [])
      for (const peer of IDS)
        if (peer !== this.id) clock.after(random.fraction() * NETWORK_MS_MAX, () => hosts.get(peer)?.arrive(packet))
    if (beat.isDue) for (const listener of this.#listeners) listener(this.view())
    clock.after(beat.nextInMs, () => this.#tick())
  }

  #update({ keys }: GuardianUpdate): void {
    const { clock, random } = this.#world
    if (keys) clock.after(random.fraction() * NETWORK_MS_MAX, () => void this.ring.replace(keys))
  }

  async #register(): Promise<void> {
    const host: Host = {
      ...{ id: this.id, role: 'compute', order: 1, addresses: {}, agentPort: 8444, pools: [], cpuCount: 1 },
      ...{ memoryBytes: 1, bootId: 'b', accelerator: 'none', heartbeatKey: this.ring.generation },
      certificate: CREDENTIALS.get(this.id)?.material.cert ?? '',
    }
    await this.#world.put(KEYS.host(this.id), host)
  }

  /** The same store, of whose news this host hears late. */
  #slowly(store: Store): Pick<Store, 'watch'> {
    const { clock, random, watchMsMax } = this.#world
    const watch: Store['watch'] = async function* (this: KeyHost, prefix: string, signal: AbortSignal) {
      for await (const batch of store.watch(prefix, signal)) {
        await clock.sleep(random.fraction() * (watchMsMax[this.id] ?? NETWORK_MS_MAX))
        yield batch
      }
    }.bind(this)
    return { watch }
  }
}

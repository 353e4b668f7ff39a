/**
 * A cluster in one process and in virtual time: N hosts that run the real core (`runHostAgent`) over simulated ports.
 * All chance comes from the seed, so that a world replays exactly.
 */
import { ClusterMirror } from '@stead/core/host/cluster-mirror.ts'
import { EventWriter } from '@stead/core/host/event-writer.ts'
import { runHostAgent } from '@stead/core/host/host-agent.ts'
import type { HostContext } from '@stead/core/host/host-context.ts'
import type { RecordDecoder } from '@stead/core/model/cluster-reducer.ts'
import type { ClusterEvent } from '@stead/core/model/event.ts'
import type { Grant } from '@stead/core/model/grant.ts'
import type { Guest, GuestObservation } from '@stead/core/model/guest.ts'
import type { NetworkRole } from '@stead/core/model/host.ts'
import type { HostId, VolumeId } from '@stead/core/model/ids.ts'
import { KEYS, PREFIX } from '@stead/core/model/keys.ts'
import { replicaOn } from '@stead/core/model/records.ts'
import type { Volume } from '@stead/core/model/volume.ts'
import { failure } from '@stead/core/errors.ts'
import type { NetworkHost } from '@stead/core/ports/network-host.ts'
import type { Store } from '@stead/core/ports/store.ts'
import { fail, ok } from '@stead/core/result.ts'
import { AgentLife } from './agent-life.ts'
import { MemoryGuestHost, MemoryMachine } from './memory-guest-host.ts'
import { MemoryStoreServer } from './memory-store.ts'
import { MemoryVolumeHost, type CopyTarget } from './memory-volume-host.ts'
import { SeededRandom } from './seeded-random.ts'
import { VirtualClock } from './virtual-clock.ts'
import { WorldChecks } from './world-checks.ts'
import { WorldFence } from './world-fence.ts'
import { worldLog } from './world-log.ts'
import { WorldNetwork } from './world-network.ts'
import { guestId, guestRecords, hostRecord, SETTINGS, volumeId } from './world-records.ts'
import { copyTarget, guardedByDaemon, remoteVolumes } from './world-remote.ts'
import { POOL, WorldStorage } from './world-storage.ts'
import { WorldStore } from './world-store.ts'

const DETECTION_MS = 1_000
const LEASE_TTL_MS = 3_000
const GUEST_WRITE_MS = 30
const AGENT_RESTART_MS = 700
const DAEMON_RESTART_MS = 300
const GUARDIAN_RESTART_MS = 600
const MEMBER_RESTART_MS = 1_000
const ANSWER_MS_MAX = 3
const GIB = 2 ** 30

interface WorldHost {
  readonly id: HostId
  readonly order: number
  readonly machine: MemoryMachine
  readonly volumes: MemoryVolumeHost
  readonly fence: WorldFence
  boots: number
  frozenAtMs: number
  isolatedSinceMs: number | undefined
  life?: AgentLife
}

export interface WorldOptions {
  readonly seed: number
  readonly hosts?: number
  /** Hosts of each guest's replicas, by the guest's name. */
  readonly guests: Readonly<Record<string, readonly string[]>>
}

export class World {
  readonly clock = new VirtualClock()
  readonly random: SeededRandom
  readonly network: WorldNetwork
  readonly store: MemoryStoreServer
  readonly storage: WorldStorage
  readonly checks: WorldChecks
  /** What the agents' logs say, newest last. */
  readonly log: string[] = []
  readonly hostIds: readonly HostId[]
  readonly #hosts = new Map<HostId, WorldHost>()
  readonly #membersDown = new Set<HostId>()
  readonly #read = new Map<string, { readonly revision: bigint; readonly value: unknown }>()

  constructor({ seed, hosts = 3, guests }: WorldOptions) {
    this.random = new SeededRandom(seed)
    this.hostIds = Array.from({ length: hosts }, (_, index) => `h${index + 1}` as HostId)
    this.network = new WorldNetwork(this.hostIds, this.clock)
    this.store = new MemoryStoreServer(this.clock)
    this.checks = new WorldChecks({
      clock: this.clock,
      record: (key) => this.record(key),
      contentOf: (host, volume) => this.#host(host).volumes.contentOf(volume, POOL),
    })
    this.storage = new WorldStorage({
      clock: this.clock,
      random: this.random,
      network: this.network,
      volumesOf: (host) => this.#host(host).volumes,
      onWritten: (writer, _, volume, exportName) => this.checks.written(writer, volume, exportName),
    })
    for (const [index, id] of this.hostIds.entries()) this.#hosts.set(id, this.#makeHost(id, index + 1))
    this.network.onChange(() => this.#noteIsolation())
    this.#writeRecords(guests)
    for (const host of this.#hosts.values()) this.#startAgent(host)
    this.#tick()
  }

  /** The value of a record in the store; undefined when there is none. */
  record<T>(key: string): T | undefined {
    const entry = this.store.get(key)
    if (!entry) return undefined
    // Asked at every step of time: read anew only when it has changed.
    let read = this.#read.get(key)
    if (read?.revision !== entry.modRevision) {
      read = { revision: entry.modRevision, value: JSON.parse(entry.value) }
      this.#read.set(key, read)
    }
    return read.value as T
  }

  guest(name: string): Guest {
    const guest = this.record<Guest>(KEYS.guest(guestId(name)))
    if (!guest) throw new Error(`there is no guest ${name}`)
    return guest
  }

  grant(name: string): Grant | undefined {
    return this.record(KEYS.grant(guestId(name)))
  }

  volume(name: string): Volume {
    const volume = this.record<Volume>(KEYS.volume(volumeId(name)))
    if (!volume) throw new Error(`there is no volume of ${name}`)
    return volume
  }

  events(): readonly ClusterEvent[] {
    return this.store.range(`${PREFIX}events/`).map((entry) => JSON.parse(entry.value) as ClusterEvent)
  }

  /** Which host the guest really runs on, whatever the records say; several when something is wrong. */
  runsOn(name: string): readonly HostId[] {
    return this.hostIds.filter((id) => this.#host(id).machine.processes.get(guestId(name))?.status === 'running')
  }

  /** Highest write that the guest was told is safe. */
  acknowledged(name: string): number {
    return this.checks.acknowledgedOf(volumeId(name))
  }

  /** The grant, the report and the process agree: it runs. */
  isRunning(name: string): boolean {
    const grant = this.grant(name)
    const seen = this.record<GuestObservation>(KEYS.observation(guestId(name)))
    return (
      grant?.state === 'held' &&
      seen?.epoch === grant.epoch &&
      seen.phase === 'running' &&
      this.runsOn(name).includes(grant.host)
    )
  }

  isProtected(name: string): boolean {
    return this.volume(name).replicas.every((replica) => replica.state === 'in-sync')
  }

  /** Asks for a guest to run or to stop, as a user does. */
  want(name: string, desired: Guest['desired']): void {
    this.store.execute(
      {
        compares: [],
        writes: [
          { kind: 'put', key: KEYS.guest(guestId(name)), value: JSON.stringify({ ...this.guest(name), desired }) },
        ],
      },
      () => undefined,
    )
  }

  powerOff(id: HostId): void {
    const host = this.#host(id)
    this.network.setPresence(id, 'off')
    host.life?.end()
    delete host.life
    host.machine.powerOff()
    this.storage.stopDaemon(id)
  }

  powerOn(id: HostId): void {
    const host = this.#host(id)
    if (this.network.presence(id) !== 'off') return
    host.boots += 1
    host.fence.start()
    this.storage.startAfresh(id)
    this.network.setPresence(id, 'on')
    this.#startAgent(host)
  }

  freeze(id: HostId): void {
    if (this.network.presence(id) !== 'on') return
    const host = this.#host(id)
    host.frozenAtMs = this.clock.monotonicMs()
    host.life?.freeze()
    this.network.setPresence(id, 'frozen')
  }

  thaw(id: HostId): void {
    if (this.network.presence(id) !== 'frozen') return
    const host = this.#host(id)
    // The kernel's timer ran on: it strikes before anything else of the host gets to run.
    if (this.clock.monotonicMs() - host.frozenAtMs >= LEASE_TTL_MS) this.#fenceItself(host)
    host.fence.wakeUp()
    this.network.setPresence(id, 'on')
    host.life?.thaw()
  }

  cut(id: HostId, roles?: readonly NetworkRole[]): void {
    this.network.cut(id, roles)
  }

  killAgent(id: HostId): void {
    const host = this.#host(id)
    if (!host.life) return
    host.life.end()
    delete host.life
    const { boots } = host
    this.clock.after(AGENT_RESTART_MS, () => {
      if (host.boots === boots && !host.life && this.network.presence(id) !== 'off') this.#startAgent(host)
    })
  }

  killDaemon(id: HostId): void {
    if (this.network.presence(id) === 'off') return
    this.storage.stopDaemon(id)
    const { boots } = this.#host(id)
    this.clock.after(DAEMON_RESTART_MS, () => {
      if (this.#host(id).boots === boots && this.network.presence(id) !== 'off') this.storage.startDaemon(id)
    })
  }

  killGuardian(id: HostId): void {
    this.network.setMute(id, true)
    this.clock.after(GUARDIAN_RESTART_MS, () => {
      this.#host(id).fence.start()
      this.network.setMute(id, false)
    })
  }

  killMember(id: HostId): void {
    this.#membersDown.add(id)
    this.clock.after(MEMBER_RESTART_MS, () => this.#membersDown.delete(id))
  }

  killGuests(id: HostId): void {
    const { machine } = this.#host(id)
    for (const guest of machine.processes.keys()) machine.crash(guest)
  }

  /** Everything that can be mended is. */
  healAll(): void {
    for (const id of this.hostIds) {
      this.network.mend(id)
      this.thaw(id)
      this.powerOn(id)
    }
  }

  close(): void {
    for (const host of this.#hosts.values()) host.life?.end()
    this.store.close()
  }

  #host(id: HostId): WorldHost {
    const host = this.#hosts.get(id)
    if (!host) throw new Error(`there is no host ${id}`)
    return host
  }

  #makeHost(id: HostId, order: number): WorldHost {
    const machine = new MemoryMachine(this.storage.legsOf(id), {
      patience: () => this.clock.sleep(3_000),
      firstPid: order * 1_000,
      onStart: (process) => this.checks.started(id, process),
      onAcknowledged: (_, volume, value) => this.checks.acknowledge(volume, value),
    })
    const volumes = new MemoryVolumeHost({
      host: id,
      pools: [POOL],
      capacityBytes: GIB,
      readEpoch: (volume) => this.#readEpoch(id, volume),
      copyTarget: (target) => this.#copyTarget(id, target as HostId),
      digest: async () => '',
    })
    const fence = new WorldFence({
      self: id,
      hosts: this.hostIds,
      network: this.network,
      clock: this.clock,
      detectionMs: DETECTION_MS,
      bootIdOf: (host) => this.#bootId(this.#host(host)),
      fenceOf: (host) => this.#host(host).fence,
    })
    return { id, order, machine, volumes, fence, boots: 1, frozenAtMs: 0, isolatedSinceMs: undefined }
  }

  #bootId(host: WorldHost): string {
    return `${host.id}-boot-${host.boots}`
  }

  #storeOf(host: WorldHost, life: AgentLife): Store {
    const client = this.store.client()
    const latency = () => this.clock.sleep(this.random.fraction() * ANSWER_MS_MAX)
    return new WorldStore({
      client,
      isServed: () => this.#reachesMajority(host.id),
      changed: () => this.clock.sleep(50),
      sleep: (ms) => this.clock.sleep(ms),
      latency: () => life.receive(latency()),
    })
  }

  /** Whether the host and enough members of the store hear each other. */
  #reachesMajority(id: HostId): boolean {
    if (this.network.presence(id) !== 'on') return false
    const members = this.hostIds.filter(
      (other) => !this.#membersDown.has(other) && (other === id || this.network.hears(id, other)),
    )
    // Members that this host reaches must also reach each other: one of them leads.
    return members.some(
      (leader) =>
        members.filter((other) => other === leader || this.network.hears(leader, other)).length * 2 >
        this.hostIds.length,
    )
  }

  #startAgent(host: WorldHost): void {
    const life = new AgentLife(() => this.clock.sleep(this.random.fraction() * ANSWER_MS_MAX))
    host.life = life
    if (this.network.presence(host.id) === 'frozen') life.freeze()
    const store = life.bind(this.#storeOf(host, life))
    const clock = life.bind(this.clock)
    const log = worldLog(host.id, this.clock, this.log, (fault) => this.checks.violate(fault))
    const mirror = new ClusterMirror(TRUSTING_DECODER, log)
    const events = new EventWriter({ store, clock, host: host.id, bootId: this.#bootId(host), log })
    const remotes = new Map(
      this.hostIds.map((to) => [to, life.bind(remoteVolumes(this.#remoteOptions(host.id, to, life)))]),
    )
    const own = life.bind(guardedByDaemon(host.volumes, () => this.storage.isDaemonUp(host.id)))
    const context: HostContext = {
      self: host.id,
      store,
      mirror,
      fence: life.bind(host.fence),
      guests: life.bind(new MemoryGuestHost(host.machine)),
      volumesOn: (id) => (id === host.id ? own : (remotes.get(id) ?? own)),
      network: NO_TAPS,
      legWatch: life.bind(this.storage.watchOf(host.id, (endpoint) => this.#hostAt(host.id, endpoint))),
      blobPath: async (blob) => ok(`/blobs/${blob}`),
      events,
      clock,
      random: this.random,
      log,
    }
    const running = async () => {
      for (;;) {
        const written = await store.transact({
          compares: [],
          writes: [
            {
              kind: 'put',
              key: KEYS.host(host.id),
              value: JSON.stringify(hostRecord(host.id, host.order, this.#bootId(host))),
            },
          ],
        })
        if (written.ok) break
        await clock.sleep(100)
      }
      await runHostAgent({ context, role: 'compute', detectionMs: DETECTION_MS }, new AbortController().signal)
    }
    running().catch((error: unknown) =>
      this.checks.violate(`the agent of ${host.id} crashed: ${error instanceof Error ? error.stack : String(error)}`),
    )
  }

  #remoteOptions(from: HostId, to: HostId, callerLife: AgentLife): Parameters<typeof remoteVolumes>[0] {
    return {
      from,
      to,
      network: this.network,
      clock: this.clock,
      latency: () => this.clock.sleep(this.random.fraction() * ANSWER_MS_MAX),
      callerLife,
      served: () => {
        const host = this.#host(to)
        return (
          host.life && { volumes: guardedByDaemon(host.volumes, () => this.storage.isDaemonUp(to)), life: host.life }
        )
      },
    }
  }

  async #readEpoch(
    id: HostId,
    volume: VolumeId,
  ): ReturnType<ConstructorParameters<typeof MemoryVolumeHost>[0]['readEpoch']> {
    await this.clock.sleep(this.random.fraction() * ANSWER_MS_MAX)
    if (!this.#reachesMajority(id)) return fail(failure('no_quorum', 'no majority of the store can be reached'))
    const record = this.record<Volume>(KEYS.volume(volume))
    if (!record) return fail(failure('not_found', `There is no volume ${volume}`))
    const epoch = this.record<Grant>(KEYS.grant(record.guest))?.epoch ?? 0
    // The answer is true when it is given, and old when it arrives.
    await this.clock.sleep(this.random.fraction() * ANSWER_MS_MAX)
    return ok({ epoch, inSync: replicaOn(record, id)?.state === 'in-sync' })
  }

  #copyTarget(from: HostId, to: HostId): CopyTarget {
    const { clock, network, storage } = this
    const latency = () => clock.sleep(1 + this.random.fraction() * ANSWER_MS_MAX)
    return copyTarget({ from, to, clock, network, storage, latency, volumes: this.#host(to).volumes })
  }

  #hostAt(from: HostId, endpoint: { readonly kind: string; readonly address?: string }): HostId {
    if (endpoint.address === '127.0.0.1') return from
    return this.hostIds[Number(endpoint.address?.split('.').at(-1)) - 1] ?? from
  }

  #writeRecords(guests: WorldOptions['guests']): void {
    const put = (key: string, value: unknown) =>
      this.store.execute(
        { compares: [], writes: [{ kind: 'put', key, value: JSON.stringify(value) }] },
        () => undefined,
      )
    put(KEYS.settings, SETTINGS)
    for (const [index, [name, replicas]] of Object.entries(guests).entries()) {
      const { guest, volume } = guestRecords(name, index, replicas as readonly HostId[])
      for (const { host, pool } of volume.replicas) {
        void this.#host(host).volumes.createReplica({ volume: volume.id, pool, sizeBytes: volume.sizeBytes })
      }
      this.checks.watchVolume(volume.id)
      put(KEYS.volume(volume.id), volume)
      put(KEYS.guest(guest.id), guest)
    }
  }

  /** The guests write, the records are checked, hosts that are cut off for too long fence themselves. */
  #tick(): void {
    const nowMs = this.clock.monotonicMs()
    for (const host of this.#hosts.values()) {
      if (this.network.presence(host.id) !== 'on') continue
      if (host.isolatedSinceMs !== undefined && nowMs - host.isolatedSinceMs >= LEASE_TTL_MS) this.#fenceItself(host)
      host.machine.runGuests()
    }
    this.checks.look()
    this.clock.after(GUEST_WRITE_MS, () => this.#tick())
  }

  #fenceItself(host: WorldHost): void {
    for (const guest of host.machine.processes.keys()) host.machine.crash(guest)
  }

  #noteIsolation(): void {
    for (const host of this.#hosts.values()) {
      const isolated =
        this.network.presence(host.id) === 'on' &&
        !this.hostIds.some((other) => other !== host.id && this.network.hears(host.id, other))
      if (!isolated) host.isolatedSinceMs = undefined
      else host.isolatedSinceMs ??= this.clock.monotonicMs()
    }
  }
}

const NO_TAPS: NetworkHost = { ensureTap: async () => ok('tap0'), removeTaps: async () => ok() }

/** The world writes only records of its own: they need no check. */
const TRUSTING_DECODER = new Proxy({}, { get: () => (json: unknown) => ok(json) }) as RecordDecoder

/**
 * One simulated host: its clock, its storage daemon, its guests' processes, its guardian, and the agent that runs the
 * real core over all this. What a real host's agent keeps running is started again here by the same hand.
 */
import { Arrivals, type ArrivalHost } from '@stead/core/host/arrivals.ts'
import { ClusterMirror } from '@stead/core/host/cluster-mirror.ts'
import { EventWriter } from '@stead/core/host/event-writer.ts'
import { runHostAgent } from '@stead/core/host/host-agent.ts'
import type { HostContext } from '@stead/core/host/host-context.ts'
import type { RecordDecoder } from '@stead/core/model/cluster-reducer.ts'
import type { ClusterState } from '@stead/core/model/cluster.ts'
import type { Grant } from '@stead/core/model/grant.ts'
import type { HostRole } from '@stead/core/model/host.ts'
import type { HostId, VolumeId } from '@stead/core/model/ids.ts'
import { KEYS } from '@stead/core/model/keys.ts'
import type { Volume } from '@stead/core/model/volume.ts'
import { failure } from '@stead/core/errors.ts'
import { replicaGrantOf, type ReplicaGrant } from '@stead/core/ha/export-gate.ts'
import type { Leg } from '@stead/core/ports/guest-host.ts'
import type { GuestProbe } from '@stead/core/ports/guest-probe.ts'
import type { Log } from '@stead/core/ports/log.ts'
import type { OwnRootCopies, RootCopies } from '@stead/core/ports/root-copies.ts'
import type { Store } from '@stead/core/ports/store.ts'
import type { VolumeHost } from '@stead/core/ports/volume-host.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import { NO_DEVICES, NO_TAPS } from './bare-host.ts'
import { EtcdClient } from './etcd-client.ts'
import type { GuestFaults } from './guest-faults.ts'
import { HostClock } from './host-clock.ts'
import { MemoryGuestAgent } from './memory-guest-agent.ts'
import type { WaitingPlaces } from './memory-guest-migration.ts'
import { MemoryMachine, type Pace, type Process } from './memory-machine.ts'
import { MemoryRoots } from './memory-roots.ts'
import { ProcessLife } from './process-life.ts'
import type { SeededRandom } from './seeded-random.ts'
import type { VirtualClock } from './virtual-clock.ts'
import type { WorldChecks } from './checks/world-checks.ts'
import type { WorldEtcd } from './world-etcd.ts'
import { WorldGuardian, type Timing } from './world-guardian.ts'
import { WorldGuests } from './world-guests.ts'
import { WorldProbe } from './world-probe.ts'
import { orderAt } from './world-addresses.ts'
import { worldLegWatch } from './world-leg-watch.ts'
import { worldLog } from './world-log.ts'
import { WorldMemory } from './world-memory.ts'
import { WorldMigration } from './world-migration.ts'
import type { WorldNetwork } from './world-network.ts'
import { hostRecord } from './world-records.ts'
import { copyTarget, remoteService, throughDaemon } from './world-remote.ts'
import { POOLS, WORLD_BLOCK_BYTES, type WorldStorage } from './world-storage.ts'
import type { WorldMachine } from './world.ts'

const AGENT_RESTART_MS = 700
/** The guardian ends an agent that has said nothing for so long. */
const AGENT_HANGS_MS = 10_000
const DAEMON_RESTART_MS = 300
/** A daemon that stands still is killed when three questions, two seconds each, stayed without an answer. */
const DAEMON_HUNG_MS = 7_000
const GUARDIAN_RESTART_MS = 600
const DEADMAN_RESTART_MS = 300
const MEMBER_RESTART_MS = 1_000
/** How often the agent looks at what it keeps running. */
const SUPERVISION_MS = 250
const LATENCY_MS_MAX = 3
const PATIENCE_MS = { stop: 10_000, flush: 30_000 } as const
const PIDS_PER_HOST = 10_000
/** Another host starts a hypervisor and opens disks for a guest that is to come. */
const PREPARE_MS_MAX = 20_000
/** Of what a native root lacks on another host. */
const CARRY_SLICES_MAX = 5
const CARRY_SLICE_MS = 50

/** What a host shares with all others. */
export interface HostSurroundings {
  readonly clock: VirtualClock
  readonly random: SeededRandom
  readonly network: WorldNetwork
  readonly storage: WorldStorage
  readonly etcd: WorldEtcd
  readonly checks: WorldChecks
  readonly timing: Timing
  readonly logLines: string[]
  readonly hostIds: readonly HostId[]
  readonly guestFaults: GuestFaults
  /** Of all hosts: where hypervisors wait for guests. */
  readonly places: WaitingPlaces
  readonly keepDecision?: NonNullable<HostContext['keepDecision']>
  /** Of all hosts; without it no guest moves live. */
  readonly qemuVersion?: string
  /** A storage host takes up to so long before it begins to open a replica. */
  readonly openMs: number
  readonly pace: Omit<Pace, 'isRunning' | 'after'>
  readonly host: (id: HostId) => WorldHost
}

interface Agent {
  readonly life: ProcessLife
  readonly mirror: ClusterMirror
  readonly arrivals: Arrivals
}

export class WorldHost {
  readonly id: HostId
  readonly order: number
  readonly role: HostRole
  readonly clock: HostClock
  readonly machine: MemoryMachine
  readonly volumes: MemoryRoots
  readonly guardian: WorldGuardian
  readonly #machine: WorldMachine
  readonly #around: HostSurroundings
  readonly #log: Log
  #agent: Agent | undefined
  #boots = 1
  #agentPaused = false
  #guardianPaused = false
  #watchHeldUntilMs = 0

  constructor(machine: WorldMachine, order: number, around: HostSurroundings) {
    const { id } = machine
    this.id = id
    this.order = order
    this.role = machine.role
    this.#machine = machine
    this.#around = around
    const { clock, random, network, storage, checks, timing, hostIds } = around
    this.clock = new HostClock(clock)
    this.#log = worldLog(id, clock, around.logLines, (fault) => checks.violate(fault))
    this.machine = new MemoryMachine(storage.legsOf(id), {
      patience: (what) => clock.sleep(PATIENCE_MS[what]),
      firstPid: order * PIDS_PER_HOST,
      pace: {
        ...around.pace,
        after: (ms, run) => clock.after(ms, run),
        isRunning: () => network.presence(id) === 'on',
      },
      onStart: (process) => checks.started(id, process),
      onEnd: (process) => checks.ended(id, process),
      onAcknowledged: (process, disk) => checks.writes.acknowledge(process, disk),
      onFlushed: (process, disk, upTo) => checks.writes.flushed(process, disk, upTo),
    })
    this.volumes = new MemoryRoots({
      host: id,
      pools: POOLS,
      capacityBytes: machine.poolBytes * POOLS.length,
      blockBytes: WORLD_BLOCK_BYTES,
      readEpoch: (volume, pool) => this.#readEpoch(volume, pool),
      readRollBack: async (volume) => {
        const entry = await this.#storeOf(this.#agent?.life ?? new ProcessLife()).get(KEYS.volume(volume))
        if (!entry.ok) return entry
        return ok(entry.value ? (JSON.parse(entry.value.value) as Volume).rollBackTo : undefined)
      },
      copyTarget: (to) =>
        copyTarget({
          from: id,
          to: to as HostId,
          clock,
          network,
          storage,
          random,
          volumes: around.host(to as HostId).volumes,
        }),
      digest: async () => '',
      readVolume: async (volume) => {
        const entry = await this.#storeOf(this.#agent?.life ?? new ProcessLife()).get(KEYS.volume(volume))
        return entry.ok ? ok(entry.value && (JSON.parse(entry.value.value) as Volume)) : entry
      },
      rootsOf: (other) => around.host(other).volumes,
      carry: (from) => this.#carry(from),
    })
    this.guardian = new WorldGuardian({
      self: id,
      hosts: hostIds,
      timing,
      clock: this.clock,
      random,
      network,
      log: this.#log,
      bootId: () => this.#bootId,
      storeFor: (life) => this.#storeOf(life),
      peer: (host) => around.host(host).guardian,
      onFired: () => this.#deadmanFired(),
    })
  }

  get isOn(): boolean {
    return this.#around.network.presence(this.id) === 'on'
  }

  /** An agent runs here and does not stand still. */
  get hasRunningAgent(): boolean {
    return this.isOn && this.#agent !== undefined && !this.#agent.life.isPaused
  }

  get processes(): Iterable<Process> {
    return this.machine.processes.values()
  }

  /** What the agent believes; undefined while none runs. */
  get belief(): ClusterState | undefined {
    return this.#agent?.mirror.state
  }

  start(): void {
    this.guardian.start()
    this.startAgent()
  }

  powerOff(): void {
    const { network, storage, checks, random, hostIds, host } = this.#around
    if (network.presence(this.id) === 'off') return
    const written = new Set(
      hostIds.map(host).flatMap((each) => [...each.processes].flatMap((process) => [...process.disks.keys()])),
    )
    network.setPresence(this.id, 'off')
    this.#endAgent()
    this.guardian.powerOff()
    this.machine.powerOff()
    storage.stopDaemon(this.id)
    this.volumes.losePower(() => random.fraction() < 0.5)
    checks.writes.powerLost(this.id, written)
    checks.writers.disturbed(this.id)
  }

  powerOn(): void {
    const { network, storage, etcd } = this.#around
    if (network.presence(this.id) !== 'off') return
    this.#boots += 1
    etcd.startMember(this.id)
    this.#agentPaused = false
    this.#guardianPaused = false
    this.clock.boot()
    storage.startDaemon(this.id)
    network.setPresence(this.id, 'on')
    this.guardian.startDeadman()
    this.guardian.start()
    this.startAgent()
  }

  freeze(): void {
    if (!this.isOn) return
    this.#around.network.setPresence(this.id, 'frozen')
    this.#syncPauses()
  }

  thaw(): void {
    const { network, checks } = this.#around
    if (network.presence(this.id) !== 'frozen') return
    network.setPresence(this.id, 'on')
    checks.writers.disturbed(this.id)
    this.machine.runGuests()
    this.#syncPauses()
  }

  setAgentPaused(isPaused: boolean): void {
    this.#agentPaused = isPaused
    this.#around.checks.writers.disturbed(this.id)
    this.#syncPauses()
    if (!isPaused) return
    const hanging = this.#agent
    this.#around.clock.after(AGENT_HANGS_MS, () => {
      // The guardian ends it, unless it stands still itself.
      if (!this.#agentPaused || this.#agent !== hanging || this.#guardianPaused) return
      this.#agentPaused = false
      this.killAgent()
    })
  }

  setGuardianPaused(isPaused: boolean): void {
    this.#guardianPaused = isPaused
    this.#syncPauses()
  }

  killAgent(): void {
    if (!this.#agent) return
    this.#endAgent()
    this.#around.checks.writers.disturbed(this.id)
    const boots = this.#boots
    this.#around.clock.after(AGENT_RESTART_MS, () => {
      if (this.#boots === boots && !this.#agent && this.#around.network.presence(this.id) !== 'off') this.startAgent()
    })
  }

  killGuardian(): void {
    this.guardian.end()
    this.#whenAgentRuns(GUARDIAN_RESTART_MS, () => this.guardian.start(this.#guardianPaused))
  }

  killDaemon(): void {
    const { network, storage, checks } = this.#around
    if (network.presence(this.id) === 'off' || storage.daemon(this.id) === 'down') return
    checks.writes.daemonLost(this.id, storage.stopDaemon(this.id))
    checks.writers.disturbed(this.id)
    this.#whenAgentRuns(DAEMON_RESTART_MS, () => storage.startDaemon(this.id))
  }

  pauseDaemon(isPaused: boolean): void {
    const { storage, checks } = this.#around
    storage.pauseDaemon(this.id, isPaused)
    checks.writers.disturbed(this.id)
    if (isPaused)
      this.#whenAgentRuns(DAEMON_HUNG_MS, () => {
        if (storage.daemon(this.id) === 'paused') this.killDaemon()
      })
  }

  killMember(): void {
    const { etcd } = this.#around
    etcd.stopMember(this.id)
    this.#whenAgentRuns(MEMBER_RESTART_MS, () => etcd.startMember(this.id))
  }

  killGuests(reason: string): void {
    for (const guest of this.machine.processes.keys()) this.machine.crash(guest, reason)
  }

  /** The agent learns of no change for so long. */
  delayWatch(ms: number): void {
    this.#watchHeldUntilMs = this.#around.clock.monotonicMs() + ms
    this.#around.checks.writers.disturbed(this.id)
  }

  close(): void {
    this.#endAgent()
    this.guardian.end()
  }

  startAgent(): void {
    const { clock, network, checks, timing, random, hostIds, storage, qemuVersion } = this.#around
    const life = new ProcessLife()
    const ownClock = this.clock.ofProcess(life)
    const store = this.#storeOf(life)
    const mirror = new ClusterMirror(TRUSTING_DECODER, this.#log)
    const latency = () => clock.sleep(random.fraction() * LATENCY_MS_MAX)
    const own = life.bind(throughDaemon({ ...this.#around, volumes: this.volumes, host: this.id, life }), latency)
    const ownRoots = life.bind<OwnRootCopies>(this.volumes, latency)
    const remotes = new Map(
      hostIds.map((to) => {
        const there = { from: this.id, to, network, clock, callerLife: life }
        const volumes = remoteService<VolumeHost>({ ...there, served: () => this.#around.host(to).servedVolumes() })
        const served = () => this.#around.host(to).servedArrivals()
        const arrivals = remoteService<ArrivalHost>({ ...there, served, limitMs: PREPARE_MS_MAX })
        const roots = remoteService<RootCopies>({ ...there, served: () => this.#around.host(to).servedRoots() })
        return [to, { volumes: life.bind(volumes), arrivals: life.bind(arrivals), roots: life.bind(roots) }]
      }),
    )
    const events = new EventWriter({ store, clock: ownClock, host: this.id, bootId: this.#bootId, log: this.#log })
    const onThisHost = { ...this.#around, host: this.id, machine: this.machine, guardian: this.guardian }
    const context: HostContext = {
      self: this.id,
      store,
      mirror,
      fence: life.bind<WorldGuardian>(this.guardian),
      guests: life.bind(new WorldGuests(onThisHost), latency),
      guestAgent: life.bind(new MemoryGuestAgent({ machine: this.machine, clock: ownClock }), latency),
      migration: life.bind(new WorldMigration(onThisHost), latency),
      memory: life.bind(new WorldMemory({ ...onThisHost, volumesOn: (id) => this.#around.host(id).volumes }), latency),
      arrivalsOn: (id) => remotes.get(id)?.arrivals ?? arrivals,
      volumesOn: (id) => (id === this.id ? own : (remotes.get(id)?.volumes ?? own)),
      rootsOn: (id) => (id === this.id ? ownRoots : (remotes.get(id)?.roots ?? ownRoots)),
      ownRoots,
      hostDevices: NO_DEVICES,
      network: NO_TAPS,
      probe: life.bind<GuestProbe>(new WorldProbe(this.machine, this.#around.guestFaults, clock)),
      legWatch: life.bind(
        worldLegWatch({
          client: this.id,
          clock,
          random,
          network,
          storage,
          hostAt: (endpoint) => this.#hostAt(endpoint),
        }),
      ),
      blobPath: async (blob) => ok(`/blobs/${blob}`),
      events,
      clock: ownClock,
      random,
      log: this.#log,
      ...(this.#around.keepDecision ? { keepDecision: this.#around.keepDecision } : {}),
    }
    const arrivals: Arrivals = new Arrivals(context)
    this.#agent = { life, mirror, arrivals }
    this.#syncPauses()
    let known: ClusterState['grants'] | undefined
    mirror.onChange((state) => {
      if (state.grants === known) return
      known = state.grants
      const grants: Grant[] = [...state.grants.values()].map(({ value }) => value)
      checks.writers.learned(this.id, grants, (grant) => state.guests.get(grant.guest)?.value.volumes ?? [])
    })
    const record = hostRecord({
      id: this.id,
      order: this.order,
      role: this.role,
      bootId: this.#bootId,
      memoryBytes: this.#machine.memoryBytes,
      poolBytes: this.#machine.poolBytes,
      cpuCount: this.#machine.cpuCount,
      ...(qemuVersion === undefined ? {} : { qemuVersion }),
    })
    const running = async () => {
      const write = { kind: 'put', key: KEYS.host(this.id), value: JSON.stringify(record) } as const
      while (!(await store.transact({ compares: [], writes: [write] })).ok) await ownClock.sleep(100)
      const { detectionMs } = timing
      await runHostAgent({ context, arrivals, role: this.role, detectionMs }, new AbortController().signal)
    }
    running().catch((error: unknown) =>
      checks.violate(`the agent of ${this.id} crashed: ${error instanceof Error ? error.stack : String(error)}`),
    )
  }

  /** The replicas as this host's agent serves them to others; undefined while none runs. */
  servedVolumes(): { readonly service: VolumeHost; readonly life: ProcessLife } | undefined {
    const agent = this.#agent
    if (!agent || this.role === 'witness') return undefined
    const { life } = agent
    return { service: throughDaemon({ ...this.#around, volumes: this.volumes, host: this.id, life }), life }
  }

  servedRoots(): { readonly service: RootCopies; readonly life: ProcessLife } | undefined {
    const agent = this.#agent
    return agent && this.role !== 'witness' ? { service: this.volumes, life: agent.life } : undefined
  }

  servedArrivals(): { readonly service: ArrivalHost; readonly life: ProcessLife } | undefined {
    const agent = this.#agent
    return agent && this.role !== 'witness' ? { service: agent.arrivals, life: agent.life } : undefined
  }

  /** What is sent of a root: for as long as both hosts and the way between them are there, and this agent lives. */
  async #carry(from: HostId): Promise<boolean> {
    const { clock, network, random, host } = this.#around
    const agent = this.#agent
    for (let slices = random.between(1, CARRY_SLICES_MAX); slices > 0; slices--) {
      await clock.sleep(CARRY_SLICE_MS)
      const isThere = network.passesAnyhow(from, this.id) && host(from).hasRunningAgent
      if (!isThere || !agent || this.#agent !== agent) return false
    }
    return true
  }

  get #bootId(): string {
    return `${this.id}-boot-${this.#boots}`
  }

  #endAgent(): void {
    this.#agent?.life.end()
    this.#agent = undefined
  }

  #syncPauses(): void {
    const isFrozen = this.#around.network.presence(this.id) === 'frozen'
    this.guardian.setPaused(isFrozen || this.#guardianPaused)
    if (isFrozen || this.#agentPaused) this.#agent?.life.pause()
    else this.#agent?.life.resume()
  }

  /** Does what a running agent does by itself after a while; not before there is one, and not after a reboot. */
  #whenAgentRuns(afterMs: number, work: () => void): void {
    const boots = this.#boots
    const look = (): void => {
      if (this.#boots !== boots || this.#around.network.presence(this.id) === 'off') return
      if (this.hasRunningAgent) work()
      else this.#around.clock.after(SUPERVISION_MS, look)
    }
    this.#around.clock.after(afterMs, look)
  }

  #deadmanFired(): void {
    this.killGuests('the deadman has ended it')
    this.#whenAgentRuns(DEADMAN_RESTART_MS, () => this.guardian.startDeadman())
  }

  #storeOf(life: ProcessLife): Store {
    const { etcd, network, clock } = this.#around
    const watchHeldUntilMs = () => this.#watchHeldUntilMs
    return new EtcdClient({ host: this.id, etcd, network, clock, life, watchHeldUntilMs })
  }

  /** As the agent does it: two linearizable reads. Each is true when it is made, and old when it arrives. */
  async #readEpoch(volume: VolumeId, pool: string): Promise<Result<ReplicaGrant>> {
    const store = this.#storeOf(this.#agent?.life ?? new ProcessLife())
    const entry = await store.get(KEYS.volume(volume))
    if (!entry.ok) return entry
    if (!entry.value) return fail(failure('not_found', `There is no volume ${volume}`))
    const record = JSON.parse(entry.value.value) as Volume
    const grant = await store.get(KEYS.grant(record.guest))
    if (!grant.ok) return grant
    const granted = grant.value ? (JSON.parse(grant.value.value) as Grant) : undefined
    return ok(replicaGrantOf(granted, record, this.id, pool))
  }

  #hostAt(endpoint: Leg['endpoint']): HostId {
    const order = orderAt(endpoint)
    return order === undefined ? this.id : (this.#around.hostIds[order - 1] ?? this.id)
  }
}

/** The world writes only records of its own: they need no check. */
const TRUSTING_DECODER = new Proxy({}, { get: () => (json: unknown) => ok(json) }) as RecordDecoder

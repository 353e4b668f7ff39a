/**
 * A cluster in one process and in virtual time: hosts that run the real core (`runHostAgent`, the guardian's round) over
 * simulated ports. All chance comes from the seed, so that a world replays exactly.
 */
import type { HostContext } from '@stead/core/host/host-context.ts'
import { storeVoters } from '@stead/core/ha/store-voters.ts'
import type { ClusterEvent } from '@stead/core/model/event.ts'
import type { Grant } from '@stead/core/model/grant.ts'
import type { Guest, GuestObservation } from '@stead/core/model/guest.ts'
import type { HostPolicy, HostRole } from '@stead/core/model/host.ts'
import type { GuestId, HostId, VolumeId } from '@stead/core/model/ids.ts'
import { KEYS, PREFIX } from '@stead/core/model/keys.ts'
import { replicaOn } from '@stead/core/model/records.ts'
import type { Removal, Volume } from '@stead/core/model/volume.ts'
import type { StoreEntry, Write } from '@stead/core/ports/store.ts'
import { WorldChecks } from './checks/world-checks.ts'
import type { FaultCommand } from './fault-commands.ts'
import { GuestFaults } from './guest-faults.ts'
import { WaitingPlaces } from './memory-guest-migration.ts'
import { SeededRandom } from './seeded-random.ts'
import { VirtualClock } from './virtual-clock.ts'
import { perform } from './world-commands.ts'
import { WorldEtcd } from './world-etcd.ts'
import { keepingPart } from './world-health.ts'
import type { Timing } from './world-guardian.ts'
import { WorldHost, type HostSurroundings } from './world-host.ts'
import { WorldNetwork } from './world-network.ts'
import { GUEST_MEMORY_BYTES, guestId, guestRecords, settingsRecord } from './world-records.ts'
import { POOL, STRETCH_WRITES, WorldStorage } from './world-storage.ts'

/** As the lab has it. The margin is a quarter of the lease's time. */
const TIMING: Timing = { heartbeatIntervalMs: 100, detectionMs: 1_000, leaseTtlMs: 3_000, marginMs: 750 }
const MEMORY_GUESTS = 8
const CPUS = 8
export const POOL_BYTES = 64 * 2 ** 30
const WRITE_MS = 60
const DISK_MS = 6
const WRITES_PER_FLUSH_MAX = 6
/** A run begins in the stretch of the one before it, or in one of the next four. */
const SKIPPED_MAX = 4 * STRETCH_WRITES
const LOOK_MS = 50
const QEMU_VERSION = '10.0.2'

/** One host, where the hosts of a cluster are not all alike. */
export interface WorldMachine {
  readonly id: HostId
  readonly role: HostRole
  readonly memoryBytes: number
  readonly cpuCount: number
  readonly poolBytes: number
}

export interface WorldOptions {
  readonly seed: number
  /** How many hosts run guests: `h1`, `h2`, ... */
  readonly hosts?: number
  /** A further member that votes and runs no guests, named `witness`. */
  readonly witness?: boolean
  /** Hosts of each guest's replicas, by the guest's name. Their disks exist and are in sync. */
  readonly guests: Readonly<Record<string, readonly string[]>>
  /** Which of the guests are containers; none when absent. */
  readonly containers?: readonly string[]
  /** How many guests fit on a host. */
  readonly memoryGuests?: number
  /** All hosts in the order of succession; instead of `hosts`, `witness` and `memoryGuests`. */
  readonly machines?: readonly WorldMachine[]
  /** How long a guest rests between two writes, on average, in ms. */
  readonly writeMs?: number
  /** How long a disk may take for half of a request, in ms. */
  readonly diskMs?: number
  /** How long a storage host may take before it begins to open a replica, in ms: a newer grant may overtake that. */
  readonly openMs?: number
  /** Running guests move without a break; false when absent. */
  readonly live?: boolean
  /** Keeps what is decided, for replays. */
  readonly keepDecision?: NonNullable<HostContext['keepDecision']>
}

function likeMachines(hosts: number, witness: boolean, memoryGuests: number): readonly WorldMachine[] {
  const size = { memoryBytes: memoryGuests * GUEST_MEMORY_BYTES, cpuCount: CPUS, poolBytes: POOL_BYTES }
  const compute = Array.from({ length: hosts }, (_, index): WorldMachine => {
    return { id: `h${index + 1}` as HostId, role: 'compute', ...size }
  })
  return witness ? [...compute, { id: 'witness' as HostId, role: 'witness', ...size }] : compute
}

export class World {
  readonly clock = new VirtualClock()
  readonly random: SeededRandom
  readonly network: WorldNetwork
  readonly etcd: WorldEtcd
  readonly storage: WorldStorage
  readonly checks: WorldChecks
  readonly guestFaults = new GuestFaults()
  /** What users asked for and did not get: why, oldest first. */
  readonly refusals: string[] = []
  /** What was done, and what the agents' logs say, oldest first. */
  readonly log: string[] = []
  readonly hostIds: readonly HostId[]
  /** How many guests fit on a host. */
  readonly memoryGuests: number
  readonly #hosts = new Map<HostId, WorldHost>()
  readonly #values = new WeakMap<StoreEntry, unknown>()
  readonly #containers: ReadonlySet<string>
  #created = 0
  #changedAtMs = 0

  constructor({
    seed,
    hosts = 3,
    witness = false,
    guests,
    memoryGuests = MEMORY_GUESTS,
    machines = likeMachines(hosts, witness, memoryGuests),
    writeMs = WRITE_MS,
    diskMs = DISK_MS,
    openMs = 0,
    live = false,
    containers = [],
    keepDecision,
  }: WorldOptions) {
    this.random = new SeededRandom(seed)
    this.#containers = new Set(containers)
    this.memoryGuests = memoryGuests
    this.hostIds = machines.map(({ id }) => id)
    const { clock, random, hostIds } = this
    this.network = new WorldNetwork({ hosts: hostIds, clock, random })
    this.etcd = new WorldEtcd({
      members: storeVoters(machines).map(({ id }) => id),
      clock,
      random,
      network: this.network,
      onCommit: (client, transaction) => this.checks.committed(client, transaction),
    })
    this.storage = new WorldStorage({
      hosts: hostIds,
      clock,
      random,
      network: this.network,
      diskMs,
      volumesOf: (host) => this.host(host).volumes,
      poolOf: (host, volume) => {
        const record = this.record<Volume>(KEYS.volume(volume))
        // One that goes is written to until it is taken out of the quorum.
        const { leaving } = record?.move ?? {}
        const going = leaving?.host === host ? leaving.pool : undefined
        return (record && replicaOn(record, host)?.pool) ?? going ?? POOL
      },
      onWritten: (written) => this.checks.writers.written(written),
    })
    this.checks = new WorldChecks(
      {
        clock,
        hostIds,
        record: (key) => this.record(key),
        numbersOn: (host, volume) => this.storage.numbersOn(host, volume),
        flushedNumbersOn: (host, volume) => this.storage.flushedNumbersOn(host, volume),
        processesOn: (host) => this.host(host).processes,
        keepingHosts: () => keepingPart(this),
      },
      this.network,
      TIMING.leaseTtlMs,
    )
    const around: HostSurroundings = {
      clock,
      random,
      network: this.network,
      storage: this.storage,
      etcd: this.etcd,
      checks: this.checks,
      timing: TIMING,
      logLines: this.log,
      openMs,
      hostIds,
      guestFaults: this.guestFaults,
      places: new WaitingPlaces(),
      ...(live ? { qemuVersion: QEMU_VERSION } : {}),
      ...(keepDecision ? { keepDecision } : {}),
      pace: {
        restMs: () => writeMs * 2 * random.fraction(),
        writesPerFlush: () => random.between(1, WRITES_PER_FLUSH_MAX),
        skip: () => random.between(0, SKIPPED_MAX),
      },
      host: (id) => this.host(id),
    }
    for (const [index, machine] of machines.entries())
      this.#hosts.set(machine.id, new WorldHost(machine, index + 1, around))
    this.write({ kind: 'put', key: KEYS.settings, value: JSON.stringify(settingsRecord(TIMING)) })
    for (const [name, replicas] of Object.entries(guests)) this.addGuest(name, replicas as readonly HostId[], true)
    for (const host of this.#hosts.values()) host.start()
    this.#tick()
  }

  get hosts(): Iterable<WorldHost> {
    return this.#hosts.values()
  }

  readonly host = (id: HostId): WorldHost => {
    const host = this.#hosts.get(id)
    if (!host) throw new Error(`there is no host ${id}`)
    return host
  }

  /** When the last command was done. */
  get changedAtMs(): number {
    return this.#changedAtMs
  }

  /** The value of a record in the store; undefined when there is none. */
  record<T>(key: string): T | undefined {
    const entry = this.etcd.server.get(key)
    if (!entry) return undefined
    // Asked at every step of time: read anew only when it has changed.
    let value = this.#values.get(entry)
    if (value === undefined) this.#values.set(entry, (value = JSON.parse(entry.value)))
    return value as T
  }

  guest(name: string): Guest | undefined {
    return this.record<Guest>(KEYS.guest(guestId(name)))
  }

  guests(): readonly Guest[] {
    return this.etcd.server.range(`${PREFIX}guests/`).map((entry) => this.record<Guest>(entry.key) as Guest)
  }

  grant(name: string): Grant | undefined {
    return this.record(KEYS.grant(guestId(name)))
  }

  /** The guest's first disk. */
  volume(name: string): Volume {
    const volume = this.record<Volume>(KEYS.volume(this.guest(name)?.volumes[0] as Volume['id']))
    if (!volume) throw new Error(`there is no volume of ${name}`)
    return volume
  }

  /** Files of the volume that hosts still have to remove. */
  removals(volume: VolumeId): readonly Removal[] {
    const all = this.etcd.server.range(`${PREFIX}removals/`).map((entry) => JSON.parse(entry.value) as Removal)
    return all.filter((removal) => removal.volume === volume)
  }

  policy(id: HostId): HostPolicy | undefined {
    return this.record(KEYS.policy(id))
  }

  events(): readonly ClusterEvent[] {
    return this.etcd.server.range(`${PREFIX}events/`).map((entry) => JSON.parse(entry.value) as ClusterEvent)
  }

  /** Which hosts the guest really runs on, whatever the records say. */
  runsOn(name: string): readonly HostId[] {
    return this.hostIds.filter((id) => this.host(id).machine.processes.get(guestId(name))?.status === 'running')
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

  /** Does one command now. */
  perform(command: Omit<FaultCommand, 'atMs'>): void {
    this.log.push(`${this.clock.monotonicMs().toFixed(0).padStart(7)} *** ${[command.verb, ...command.args].join(' ')}`)
    this.#changedAtMs = this.clock.monotonicMs()
    const before = keepingPart(this).size
    const suspects = this.checks.writes.suspects()
    perform(this, command)
    if (keepingPart(this).size < before) this.checks.writes.struck(suspects)
  }

  /** Writes records as a user does, through any member. */
  write(...writes: readonly Write[]): void {
    this.checks.replicas.asked(writes)
    this.etcd.server.execute({ compares: [], writes }, () => undefined)
  }

  /** As an API's create writes it; with `ready` its disk exists already. */
  addGuest(name: string, replicas: readonly HostId[], ready = false): void {
    this.#created += 1
    const generation = ready ? 0 : this.#created
    const container = this.#containers.has(name)
    const { guest, volume } = guestRecords({ name, createdAt: this.#created, replicas, ready, generation, container })
    const spec = { volume: volume.id, sizeBytes: volume.sizeBytes }
    if (ready)
      for (const { host, pool } of volume.replicas) void this.host(host).volumes.createReplica({ ...spec, pool })
    this.checks.writes.watch(volume.id, guest.id)
    this.write(
      { kind: 'put', key: KEYS.volume(volume.id), value: JSON.stringify(volume) },
      { kind: 'put', key: KEYS.guest(guest.id), value: JSON.stringify(guest) },
    )
  }

  changeGuest(name: string, change: Partial<Guest>): void {
    const guest = this.guest(name)
    if (guest)
      this.write({ kind: 'put', key: KEYS.guest(guestId(name)), value: JSON.stringify({ ...guest, ...change }) })
  }

  /** Which host's process the guest is, if any. */
  hostOf(guest: GuestId): WorldHost | undefined {
    return [...this.#hosts.values()].find((host) => host.machine.processes.has(guest))
  }

  /** Like the clock's own, but the condition is looked at now and then only: it may be costly. */
  async until(condition: () => boolean, limitMs: number): Promise<boolean> {
    const endMs = this.clock.monotonicMs() + limitMs
    while (!condition()) {
      if (this.clock.monotonicMs() >= endMs) return false
      await this.clock.advance(Math.min(LOOK_MS, endMs - this.clock.monotonicMs()))
    }
    return true
  }

  close(): void {
    for (const host of this.#hosts.values()) host.close()
    this.etcd.server.close()
  }

  #tick(): void {
    this.checks.look()
    this.clock.after(LOOK_MS, () => {
      this.#tick()
      return 'quiet'
    })
  }
}

/**
 * A cluster file as the records that would stand in the store, and back. What is asked of a file and what is asked of
 * a live cluster thus go through the same planner.
 */
import { CLUSTER_FILE_FORMAT, type ClusterFile, type FileDisk, type FileGuest, type FileHost } from './cluster-file.ts'
import type { ClusterState, Versioned } from './cluster.ts'
import { DEFAULT_POLICY } from './cluster-policy.ts'
import { emptyClusterState } from './cluster-reducer.ts'
import type { Guest } from './guest.ts'
import type { Host } from './host.ts'
import type { GuestId, HostId, VolumeId } from './ids.ts'
import { isActive, volumesOf } from './records.ts'
import type { Rule } from './rule.ts'
import type { Replica, Volume } from './volume.ts'

/** A file says nothing of the detection's times; these are the product's own. */
const TIMES = { detectionMs: 3_000, heartbeatIntervalMs: 250, leaseTtlMs: 5_000 }
const POOL = 'default'
const BOOT = 'boot-1'
const WHY = 'as the cluster file says'
/** Of every record: nothing has changed since the file was read. */
const REVISION = 1n

/**
 * The file must have passed `parseClusterFile`. Ids are the names. A guest without `replicasOn` has no volumes: its
 * disk can be reached from everywhere, so that no record limits where it may run.
 */
export function stateOf(file: ClusterFile): ClusterState {
  const volumes = file.guests.flatMap((guest) => volumesOfFile(guest))
  const pools = new Map<string, number>()
  for (const { sizeBytes, replicas } of volumes)
    for (const { host } of replicas) pools.set(host, (pools.get(host) ?? 0) + sizeBytes)
  const hosts = file.hosts.map((host, index) => hostRecord(host, index + 1, pools.get(host.name) ?? 0))
  const isOnline = new Set(file.hosts.filter(({ state }) => state !== 'lost').map(({ name }) => name))
  const running = file.guests.flatMap(({ name, host }) =>
    host === undefined ? [] : [{ guest: name as GuestId, host: host as HostId, epoch: 1 }],
  )
  return {
    ...emptyClusterState(),
    settings: versioned({ id: file.name, name: file.name, ...TIMES, createdAt: 0 }),
    clusterPolicy: versioned({ ...DEFAULT_POLICY, ...file.policy }),
    hosts: keyed(hosts, ({ id }) => id),
    statuses: new Map(
      file.hosts.map(({ name, state = 'online' }) => [
        name as HostId,
        versioned({ state, bootId: BOOT, since: 0, reason: state === 'lost' ? WHY : '' }),
      ]),
    ),
    policies: new Map(
      file.hosts.map(({ name, maintenance = false, faultDomains }) => [
        name as HostId,
        versioned({ maintenance, ...(faultDomains === undefined ? {} : { faultDomains }) }),
      ]),
    ),
    liveness: new Map(hosts.filter(({ id }) => isOnline.has(id)).map(({ id }) => [id, versioned({ bootId: BOOT })])),
    guests: keyed(file.guests.map(guestRecord), ({ id }) => id),
    grants: new Map(
      running.map((run) => [
        run.guest,
        versioned({ ...run, state: 'held' as const, clean: false, grantedAt: 0, reason: WHY }),
      ]),
    ),
    volumes: keyed(volumes, ({ id }) => id),
    observations: new Map(
      running.map((run) => [
        run.guest,
        versioned({ ...run, phase: 'running' as const, reason: '', since: 0, failures: 0 }),
      ]),
    ),
    rules: keyed(file.rules, ({ id }) => id),
  }
}

function hostRecord(host: FileHost, order: number, neededBytes: number): Host {
  const isWitness = host.role === 'witness'
  return {
    id: host.name as HostId,
    role: host.role ?? 'compute',
    order,
    addresses: {},
    agentPort: 8444,
    pools: isWitness ? [] : [{ name: POOL, path: '/pool', capacityBytes: host.poolBytes ?? neededBytes }],
    cpuCount: host.cpus,
    memoryBytes: host.memoryBytes,
    bootId: BOOT,
    accelerator: isWitness ? 'none' : 'kvm',
    ...(host.qemuVersion === undefined ? {} : { qemuVersion: host.qemuVersion }),
  }
}

function guestRecord(guest: FileGuest): Guest {
  const {
    name,
    memoryBytes,
    cpus,
    host,
    ha = 'started',
    priority,
    maxRestart,
    maxRelocate,
    failback,
    lifecycle,
  } = guest
  const isWanted = ha === 'ignored' ? host !== undefined : ha === 'started'
  return {
    id: name as GuestId,
    name,
    kind: 'vm',
    memoryBytes,
    cpus,
    boot: { kind: 'disk' },
    volumes: disksOf(guest).map((_, index) => volumeId(name, index)),
    nics: [],
    ha,
    desired: isWanted ? 'running' : 'stopped',
    forceStop: false,
    ...(priority === undefined ? {} : { priority }),
    ...(maxRestart === undefined ? {} : { maxRestart }),
    ...(maxRelocate === undefined ? {} : { maxRelocate }),
    ...(failback === undefined ? {} : { failback }),
    ...(lifecycle === undefined ? {} : { lifecycle }),
    deleting: false,
    createdAt: 0,
  }
}

function volumesOfFile(guest: FileGuest): Volume[] {
  return disksOf(guest).map(({ diskBytes, replicasOn, staleOn = [] }, index) => ({
    id: volumeId(guest.name, index),
    guest: guest.name as GuestId,
    name: `disk${index}`,
    sizeBytes: diskBytes,
    ready: true,
    replicas: replicasOn.map((host) => replicaRecord(host as HostId, staleOn.includes(host))),
    syncPoint: 'sp-1',
  }))
}

function replicaRecord(host: HostId, isStale: boolean): Replica {
  if (!isStale) return { host, pool: POOL, state: 'in-sync' }
  return { host, pool: POOL, state: 'stale', stale: { sinceEpoch: 1, since: 0, reason: WHY, cause: 'unknown' } }
}

function disksOf({ diskBytes = 0, replicasOn, staleOn, moreDisks = [] }: FileGuest): readonly FileDisk[] {
  if (replicasOn === undefined) return []
  return [{ diskBytes, replicasOn, ...(staleOn === undefined ? {} : { staleOn }) }, ...moreDisks]
}

function volumeId(guest: string, index: number): VolumeId {
  return `${guest}-disk${index}` as VolumeId
}

/**
 * What the records say of the cluster, in their order; hosts in the order of succession. Guests that are being deleted
 * or created are left out, as are rules' names of guests and hosts that are gone. Where a host has several pools, their
 * sizes are added up.
 */
export function fileOf(state: ClusterState): ClusterFile {
  const hosts = [...state.hosts.values()].map(({ value }) => value).toSorted((a, b) => a.order - b.order)
  const guests = [...state.guests.values()].flatMap(({ value: guest }) => {
    const exported = guestOfFile(state, guest)
    return exported === undefined ? [] : [{ id: guest.id, exported }]
  })
  const names = new Map(guests.map(({ id, exported }) => [id, exported.name]))
  return {
    format: CLUSTER_FILE_FORMAT,
    name: state.settings?.value.name ?? 'cluster',
    ...(state.clusterPolicy === undefined ? {} : { policy: state.clusterPolicy.value }),
    hosts: hosts.map((host) => hostOfFile(state, host)),
    guests: guests.map(({ exported }) => exported),
    rules: [...state.rules.values()].flatMap(({ value: rule }) => ruleOfFile(state, rule, names)),
  }
}

function hostOfFile(state: ClusterState, host: Host): FileHost {
  const policy = state.policies.get(host.id)?.value
  const domains = policy?.faultDomains
  return {
    name: host.id,
    ...(host.role === 'witness' ? { role: host.role } : {}),
    memoryBytes: host.memoryBytes,
    cpus: host.cpuCount,
    ...(host.pools.length === 0 ? {} : { poolBytes: host.pools.reduce((sum, pool) => sum + pool.capacityBytes, 0) }),
    ...(host.qemuVersion === undefined ? {} : { qemuVersion: host.qemuVersion }),
    ...(state.statuses.get(host.id)?.value.state === 'lost' ? { state: 'lost' } : {}),
    ...(policy?.maintenance === true ? { maintenance: true } : {}),
    ...(domains === undefined || Object.keys(domains).length === 0 ? {} : { faultDomains: domains }),
  }
}

function guestOfFile(state: ClusterState, guest: Guest): FileGuest | undefined {
  const volumes = volumesOf(state, guest)
  if (guest.deleting || volumes?.every(({ value }) => value.ready) !== true) return undefined
  const grant = state.grants.get(guest.id)?.value
  const { priority, maxRestart, maxRelocate, failback, lifecycle } = guest
  const [first, ...more] = volumes.map(({ value }) => diskOfFile(value))
  return {
    name: guest.name,
    memoryBytes: guest.memoryBytes,
    cpus: guest.cpus,
    ...first,
    ...(more.length === 0 ? {} : { moreDisks: more }),
    ...(isActive(grant) ? { host: grant.host } : {}),
    ...(guest.ha === 'started' ? {} : { ha: guest.ha }),
    ...(priority === undefined ? {} : { priority }),
    ...(maxRestart === undefined ? {} : { maxRestart }),
    ...(maxRelocate === undefined ? {} : { maxRelocate }),
    ...(failback === undefined ? {} : { failback }),
    ...(lifecycle === undefined ? {} : { lifecycle }),
  }
}

/** A replica that is being brought up to date can't serve yet, so it counts as stale. */
function diskOfFile({ sizeBytes, replicas }: Volume): FileDisk {
  const staleOn = replicas.filter(({ state }) => state !== 'in-sync').map(({ host }) => host)
  const replicasOn = replicas.map(({ host }) => host)
  return { diskBytes: sizeBytes, replicasOn, ...(staleOn.length === 0 ? {} : { staleOn }) }
}

/** In the file, names stand for ids. Empty when nothing is left that the rule could be about. */
function ruleOfFile(state: ClusterState, rule: Rule, names: ReadonlyMap<GuestId, string>): Rule[] {
  const guests = rule.guests
    .map((id) => names.get(id))
    .filter((name) => name !== undefined) as readonly string[] as readonly GuestId[]
  if (guests.length === 0) return []
  if (rule.kind === 'hosts') {
    const hosts = rule.hosts.filter(({ host }) => state.hosts.has(host))
    return hosts.length === 0 ? [] : [{ ...rule, guests, hosts }]
  }
  if (rule.kind === 'ban') {
    const hosts = rule.hosts.filter((host) => state.hosts.has(host))
    return hosts.length === 0 ? [] : [{ ...rule, guests, hosts }]
  }
  return [{ ...rule, guests }]
}

function versioned<T>(value: T): Versioned<T> {
  return { value, revision: REVISION }
}

function keyed<Id extends string, T>(records: readonly T[], idOf: (record: T) => Id): ReadonlyMap<Id, Versioned<T>> {
  return new Map(records.map((record) => [idOf(record), versioned(record)]))
}

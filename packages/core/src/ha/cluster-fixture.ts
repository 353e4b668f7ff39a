/** Small clusters for tests: records as they would stand in the store, with revisions that grow. */
import { emptyClusterState } from '../model/cluster-reducer.ts'
import type { ClusterState, Versioned } from '../model/cluster.ts'
import type { Grant } from '../model/grant.ts'
import type { Guest, GuestObservation } from '../model/guest.ts'
import type { Host } from '../model/host.ts'
import type { GuestId, HostId, VolumeId } from '../model/ids.ts'
import type { Replica, Volume } from '../model/volume.ts'
import type { CoordinatorInput, Verdict } from './coordinator.ts'

const GIB = 2 ** 30

type Mutable<T> = {
  -readonly [K in keyof T]: T[K] extends ReadonlyMap<infer Key, infer Value> ? Map<Key, Value> : T[K]
}

export class ClusterFixture {
  readonly state: Mutable<ClusterState>
  readonly verdicts = new Map<HostId, Verdict>()
  readonly bootIds = new Map<HostId, string>()
  #revision = 1n

  constructor(hosts = 3, options: { readonly witness?: boolean } = {}) {
    this.state = emptyClusterState() as Mutable<ClusterState>
    for (let number = 1; number <= hosts; number++) this.addHost(`h${number}`, number, 'compute')
    if (options.witness) this.addHost('witness', hosts + 1, 'witness')
  }

  addHost(name: string, order: number, role: Host['role']): void {
    const id = name as HostId
    const host: Host = {
      id,
      role,
      order,
      addresses: { lan: `10.66.0.${order}`, san: `10.77.0.${order}`, ran: `10.88.0.${order}` },
      agentPort: 8444,
      pools: role === 'witness' ? [] : [{ name: 'default', path: '/pool', capacityBytes: 20 * GIB }],
      cpuCount: 2,
      memoryBytes: 8 * GIB,
      bootId: `boot-${name}-1`,
      accelerator: role === 'witness' ? 'none' : 'tcg',
    }
    this.state.hosts.set(id, this.#versioned(host))
    this.state.statuses.set(id, this.#versioned({ state: 'online', bootId: host.bootId, since: 0, reason: '' }))
    this.verdicts.set(id, 'heard')
    this.bootIds.set(id, host.bootId)
  }

  /** As large as the first one. */
  addPool(host: HostId, name: string): void {
    const known = this.state.hosts.get(host)!
    const pools = [...known.value.pools, { name, path: `/${name}`, capacityBytes: 20 * GIB }]
    this.state.hosts.set(host, this.#versioned({ ...known.value, pools }))
  }

  guest(name: string, change: Partial<Guest> = {}): Guest {
    const id = `guest-${name}` as GuestId
    const guest: Guest = {
      id,
      name,
      kind: 'vm',
      memoryBytes: GIB,
      cpus: 1,
      boot: { kind: 'disk' },
      volumes: [],
      nics: [],
      ha: 'started',
      desired: 'running',
      forceStop: false,
      deleting: false,
      createdAt: Number(this.#revision),
      ...change,
    }
    this.state.guests.set(id, this.#versioned(guest))
    return guest
  }

  /** A guest with one mirrored disk on these hosts. */
  guestWithDisk(
    name: string,
    replicas: readonly (string | Replica)[],
    change: Partial<Guest> = {},
  ): { guest: Guest; volume: Volume } {
    const volumeId = `volume${name}` as VolumeId
    const guest = this.guest(name, { volumes: [volumeId], ...change })
    const volume: Volume = {
      id: volumeId,
      guest: guest.id,
      name: 'disk0',
      sizeBytes: GIB,
      ready: true,
      replicas: replicas.map((replica) =>
        typeof replica === 'string' ? { host: replica as HostId, pool: 'default', state: 'in-sync' } : replica,
      ),
      syncPoint: 'sp-1',
    }
    this.state.volumes.set(volumeId, this.#versioned(volume))
    return { guest, volume }
  }

  grant(guest: Guest, host: string, change: Partial<Grant> = {}): Grant {
    const grant: Grant = {
      guest: guest.id,
      epoch: 1,
      host: host as HostId,
      state: 'held',
      clean: false,
      grantedAt: 0,
      reason: '',
      ...change,
    }
    this.state.grants.set(guest.id, this.#versioned(grant))
    return grant
  }

  observe(guest: Guest, change: Partial<GuestObservation>): void {
    const grant = this.state.grants.get(guest.id)?.value
    const observation: GuestObservation = {
      guest: guest.id,
      host: grant?.host ?? ('h1' as HostId),
      epoch: grant?.epoch ?? 0,
      phase: 'running',
      reason: '',
      since: 0,
      failures: 0,
      ...change,
    }
    this.state.observations.set(guest.id, this.#versioned(observation))
  }

  /** All observers have stopped hearing the host. */
  silence(host: string): void {
    this.verdicts.set(host as HostId, 'suspected')
  }

  lose(host: string): void {
    this.silence(host)
    const bootId = this.bootIds.get(host as HostId) ?? ''
    this.state.statuses.set(host as HostId, this.#versioned({ state: 'lost', bootId, since: 0, reason: 'test' }))
  }

  maintain(host: string): void {
    this.state.policies.set(host as HostId, this.#versioned({ maintenance: true }))
  }

  input(self = 'h1'): CoordinatorInput {
    const verdicts = new Map(this.verdicts)
    verdicts.delete(self as HostId)
    return {
      state: this.state,
      self: self as HostId,
      planId: 'plan-1',
      verdicts,
      bootIds: this.bootIds,
      wallMs: 1_000_000,
      pausedRetries: new Map(),
      runningForMs: new Map(),
    }
  }

  #versioned<T>(value: T): Versioned<T> {
    return { value, revision: this.#revision++ }
  }
}

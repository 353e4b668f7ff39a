/** The records that a world starts with, and those that its users write. */
import type { ClusterSettings } from '@stead/core/model/cluster.ts'
import type { Guest } from '@stead/core/model/guest.ts'
import type { Host, HostRole } from '@stead/core/model/host.ts'
import type { GuestId, HostId, VolumeId } from '@stead/core/model/ids.ts'
import type { Volume } from '@stead/core/model/volume.ts'
import { addressesOf } from './world-addresses.ts'
import type { Timing } from './world-guardian.ts'
import { POOL, POOLS, SLOTS, WORLD_BLOCK_BYTES } from './world-storage.ts'

export const GUEST_MEMORY_BYTES = 2 ** 30

export function settingsRecord({ detectionMs, heartbeatIntervalMs, leaseTtlMs }: Timing): ClusterSettings {
  return { id: 'world', name: 'world', detectionMs, heartbeatIntervalMs, leaseTtlMs, createdAt: 0 }
}

export function guestId(name: string): GuestId {
  return `guest-${name}` as GuestId
}

export function volumeId(name: string): VolumeId {
  return `volume${name}` as VolumeId
}

export interface HostRecordOptions {
  readonly id: HostId
  readonly order: number
  readonly role: HostRole
  readonly bootId: string
  readonly memoryBytes: number
  readonly poolBytes: number
  readonly cpuCount: number
  readonly qemuVersion?: string
}

export function hostRecord(options: HostRecordOptions): Host {
  const { id, order, role, bootId, memoryBytes, poolBytes, cpuCount, qemuVersion } = options
  const isCompute = role === 'compute'
  return {
    id,
    role,
    order,
    addresses: addressesOf(order),
    agentPort: 8444,
    pools: isCompute
      ? POOLS.map((name) => ({ name, path: `/${name}`, capacityBytes: poolBytes, subvolumes: true }))
      : [],
    cpuCount,
    memoryBytes,
    bootId,
    accelerator: isCompute ? 'kvm' : 'none',
    powerSwitch: true,
    ...(isCompute && qemuVersion !== undefined ? { qemuVersion } : {}),
    ...(isCompute ? { containers: { lxc: '5.0.2', liveMove: liveMoveOf(order, qemuVersion !== undefined) } } : {}),
  }
}

/** The trial of every third host has failed, so that containers go there by a restart. */
function liveMoveOf(order: number, live: boolean) {
  const possible = live && order % 3 !== 0
  return { possible, reason: possible ? '' : 'the trial failed', criu: '4.2.1' }
}

const CONTAINER = {
  kind: 'ct',
  boot: { kind: 'container' },
  container: { template: 'busybox', system: { haltSignal: 'SIGUSR1' }, idBase: 1_000_000 },
} as const

/** A guest that is to run, with one disk. `generation` tells its disk from that of a deleted guest of the same name. */
export function guestRecords(options: {
  readonly name: string
  readonly createdAt: number
  readonly replicas: readonly HostId[]
  readonly ready: boolean
  readonly generation?: number
  /** A container, whose root its disk is. */
  readonly container?: boolean
}): { readonly guest: Guest; readonly volume: Volume } {
  const { name, createdAt, replicas, ready, generation = 0, container = false } = options
  const id = guestId(name)
  const volume: Volume = {
    id: generation === 0 ? volumeId(name) : volumeId(`${name}${generation}`),
    guest: id,
    name: 'disk0',
    sizeBytes: SLOTS * WORLD_BLOCK_BYTES,
    ready,
    replicas: replicas.map((host) => ({ host, pool: POOL, state: 'in-sync' })),
    syncPoint: 'sp-0',
  }
  const guest: Guest = {
    id,
    name,
    ...(container ? CONTAINER : ({ kind: 'vm', boot: { kind: 'disk' } } as const)),
    memoryBytes: GUEST_MEMORY_BYTES,
    cpus: 1,
    volumes: [volume.id],
    nics: [],
    ha: 'started',
    desired: 'running',
    forceStop: false,
    deleting: false,
    createdAt,
  }
  return { guest, volume }
}

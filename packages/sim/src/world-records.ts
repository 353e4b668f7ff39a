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
    pools: isCompute ? POOLS.map((name) => ({ name, path: `/${name}`, capacityBytes: poolBytes })) : [],
    cpuCount,
    memoryBytes,
    bootId,
    accelerator: isCompute ? 'kvm' : 'none',
    powerSwitch: true,
    ...(isCompute && qemuVersion !== undefined ? { qemuVersion } : {}),
  }
}

/** A guest that is to run, with one disk. `generation` tells its disk from that of a deleted guest of the same name. */
export function guestRecords(options: {
  readonly name: string
  readonly createdAt: number
  readonly replicas: readonly HostId[]
  readonly ready: boolean
  readonly generation?: number
}): { readonly guest: Guest; readonly volume: Volume } {
  const { name, createdAt, replicas, ready, generation = 0 } = options
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
    kind: 'vm',
    memoryBytes: GUEST_MEMORY_BYTES,
    cpus: 1,
    boot: { kind: 'disk' },
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

/** The records that a world starts with. */
import type { ClusterSettings } from '@stead/core/model/cluster.ts'
import type { Guest } from '@stead/core/model/guest.ts'
import type { Host } from '@stead/core/model/host.ts'
import type { GuestId, HostId, VolumeId } from '@stead/core/model/ids.ts'
import type { Volume } from '@stead/core/model/volume.ts'
import { BLOCK_BYTES } from './memory-volume-host.ts'
import { POOL, SLOTS } from './world-storage.ts'

const GIB = 2 ** 30

export const SETTINGS: ClusterSettings = {
  id: 'world',
  name: 'world',
  detectionMs: 1_000,
  heartbeatIntervalMs: 100,
  leaseTtlMs: 3_000,
  createdAt: 0,
}

export function guestId(name: string): GuestId {
  return `guest-${name}` as GuestId
}

export function volumeId(name: string): VolumeId {
  return `volume${name}` as VolumeId
}

export function hostRecord(id: HostId, order: number, bootId: string): Host {
  return {
    id,
    role: 'compute',
    order,
    addresses: { lan: `10.66.0.${order}`, san: `10.77.0.${order}`, ran: `10.88.0.${order}` },
    agentPort: 8444,
    pools: [{ name: POOL, path: '/pool', capacityBytes: GIB }],
    cpuCount: 2,
    memoryBytes: 8 * GIB,
    bootId,
    accelerator: 'kvm',
  }
}

/** A guest that is to run, with one disk whose replicas are in sync. */
export function guestRecords(
  name: string,
  createdAt: number,
  replicas: readonly HostId[],
): { readonly guest: Guest; readonly volume: Volume } {
  const volume: Volume = {
    id: volumeId(name),
    guest: guestId(name),
    name: 'disk0',
    sizeBytes: SLOTS * BLOCK_BYTES,
    ready: true,
    replicas: replicas.map((host) => ({ host, pool: POOL, state: 'in-sync' })),
    syncPoint: 'sp-0',
  }
  const guest: Guest = {
    id: guestId(name),
    name,
    kind: 'vm',
    memoryBytes: GIB,
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

/** Small questions about records, asked in many places and answered in one. */
import { assert } from '../assert.ts'
import type { ClusterState, Versioned } from './cluster.ts'
import type { Grant } from './grant.ts'
import { promisedTo } from './growth.ts'
import type { Guest } from './guest.ts'
import type { GuestId, HostId } from './ids.ts'
import type { Removal, Replica, Volume } from './volume.ts'

/** True while the grant lets a host run the guest. */
export function isActive(grant: Grant | undefined): grant is Grant {
  return grant !== undefined && grant.state !== 'released'
}

/** The guest's volumes in order; undefined while one is not known yet. */
export function volumesOf(state: ClusterState, guest: Guest): readonly Versioned<Volume>[] | undefined {
  const volumes = guest.volumes.map((id) => state.volumes.get(id))
  return volumes.every((volume) => volume !== undefined) ? volumes : undefined
}

export function guestByName(state: Pick<ClusterState, 'guests'>, name: string): Versioned<Guest> | undefined {
  for (const guest of state.guests.values()) if (guest.value.name === name) return guest
  return undefined
}

export function replicaOn(volume: Volume, host: HostId): Replica | undefined {
  return volume.replicas.find((replica) => replica.host === host)
}

/** Whether a run that knows this size is to have another: larger, or of a subvolume, whose size is a quota, smaller too. */
export function isResized({ form, sizeBytes }: Volume, knownBytes: number): boolean {
  return form === 'subvolume' ? knownBytes !== sizeBytes : knownBytes < sizeBytes
}

/** The volume's file in this pool of this host, also while it is to take another pool's place. */
export function replicaIn(volume: Volume, host: HostId, pool: string): Replica | undefined {
  const { incoming } = volume.move ?? {}
  const all = incoming ? [...volume.replicas, incoming] : volume.replicas
  return all.find((replica) => replica.host === host && replica.pool === pool)
}

/** Its file is there, to be brought up to date where it is not. */
export function isFillable({ incoming }: Replica): boolean {
  return incoming === undefined || incoming === 'being-filled'
}

export function inSync(volume: Volume): readonly Replica[] {
  return volume.replicas.filter((replica) => replica.state === 'in-sync')
}

/** The volume with one replica changed. */
export function withReplica(volume: Volume, host: HostId, change: (replica: Replica) => Replica): Volume {
  assert(replicaOn(volume, host), `volume ${volume.id} has no replica on ${host}`)
  return { ...volume, replicas: volume.replicas.map((replica) => (replica.host === host ? change(replica) : replica)) }
}

/** Where the volume has, or is to have, a file: its replicas, one that is none yet or none any more, and copies. */
export function filesOf({
  replicas,
  move,
  copies = [],
}: Volume): readonly { readonly host: HostId; readonly pool: string }[] {
  const { incoming, leaving } = move ?? {}
  return [...replicas, ...[incoming, leaving].filter((file) => file !== undefined), ...copies]
}

/** What is left to do when the volume is deleted: one for each file. */
export function removalsOf(volume: Volume): readonly Removal[] {
  return filesOf(volume).map(({ host, pool }) => ({ host, volume: volume.takesOver ?? volume.id, pool }))
}

/** The guest's root, where that is a subvolume of one host. */
export function nativeRootOf(
  { volumes }: Pick<ClusterState, 'volumes'>,
  guest: Pick<Guest, 'volumes'>,
): Versioned<Volume> | undefined {
  const root = guest.volumes[0] === undefined ? undefined : volumes.get(guest.volumes[0])
  return root?.value.form === 'subvolume' ? root : undefined
}

/** True when every replica is in-sync. */
export function isWhole(volume: Volume): boolean {
  return volume.replicas.every((replica) => replica.state === 'in-sync')
}

/**
 * The volume with one replica in-sync again. The sync point moves on only when none is stale any more: until then the
 * old one names what the others lack.
 */
export function withCurrent(volume: Volume, host: HostId, syncPoint: string): Volume {
  const next = withReplica(volume, host, ({ pool }) => ({ host, pool, state: 'in-sync' }))
  return isWhole(next) ? { ...next, syncPoint } : next
}

/** Memory that the guests granted to a host take, and those on their way to it or not all gone from it, in bytes, without `except`. */
export function grantedMemoryBytes(state: ClusterState, host: HostId, except?: GuestId): number {
  let bytes = 0
  for (const { value: grant } of state.grants.values()) {
    if (!isActive(grant) || grant.guest === except) continue
    const isOnItsWay = grant.handover?.to === host && state.statuses.get(grant.host)?.value.state !== 'lost'
    if (grant.host !== host && grant.memoryOn !== host && !isOnItsWay) continue
    const guest = state.guests.get(grant.guest)?.value
    if (guest) bytes += promisedTo(guest, true).memoryBytes
  }
  return bytes
}

/** Bytes of all replicas that a host's pool is to hold. */
export function promisedPoolBytes(state: ClusterState, host: HostId, pool: string): number {
  let bytes = 0
  for (const { value: volume } of state.volumes.values())
    for (const file of filesOf(volume))
      if (file.host === host && file.pool === pool) bytes += volume.growTo ?? volume.sizeBytes
  return bytes
}

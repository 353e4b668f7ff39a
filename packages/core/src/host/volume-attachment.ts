/**
 * How a volume becomes part of a guest and stops being so: the writes of each step, each with what it compares. A new
 * volume is made beside the guest and joins it once it is whole, so that a guest never waits for a disk that cannot be
 * made. One that leaves is the guest's until nobody can write to it any more.
 */
import type { ClusterState, Versioned } from '../model/cluster.ts'
import type { Guest } from '../model/guest.ts'
import type { VolumeId } from '../model/ids.ts'
import { KEYS } from '../model/keys.ts'
import { inSync, isActive, removalsOf } from '../model/records.ts'
import type { Replica, Volume } from '../model/volume.ts'
import type { Compare, Write } from '../ports/store.ts'

export interface Transaction {
  readonly compares: readonly Compare[]
  readonly writes: readonly Write[]
}

/** The volume is made: it is the guest's from now on. Undefined when the guest is gone or going. */
export function joinWrites(
  state: ClusterState,
  { value: volume, revision }: Versioned<Volume>,
): Transaction | undefined {
  const guest = state.guests.get(volume.guest)
  if (!guest || guest.value.deleting) return undefined
  const { attachment: _joining, ...joined } = volume
  return {
    compares: [
      { key: KEYS.guest(volume.guest), modRevision: guest.revision },
      { key: KEYS.volume(volume.id), modRevision: revision },
    ],
    writes: [
      put(KEYS.volume(volume.id), { ...joined, ready: true }),
      put(KEYS.guest(volume.guest), { ...guest.value, volumes: [...guest.value.volumes, volume.id] }),
    ],
  }
}

/**
 * The guest has given the volume back, or does not run. `flushed`: false when the last writes may be on one replica
 * only; then the others are brought up to date from the first before they serve again.
 */
export function detachWrites(
  guest: Versioned<Guest>,
  { value: volume, revision }: Versioned<Volume>,
  end: { readonly flushed: boolean; readonly wallMs: number; readonly epoch: number },
): Transaction {
  const left: Guest = { ...guest.value, volumes: guest.value.volumes.filter((id) => id !== volume.id) }
  const compares = [
    { key: KEYS.guest(left.id), modRevision: guest.revision },
    { key: KEYS.volume(volume.id), modRevision: revision },
  ]
  if (volume.attachment === 'leaving-for-good')
    return { compares, writes: [put(KEYS.guest(left.id), left), ...eraseVolumeWrites(volume)] }
  const source = inSync(volume)[0]
  const settle = (replica: Replica): Replica => {
    if (end.flushed || replica === source || replica.state !== 'in-sync') return replica
    const reason = 'its last writes were not flushed when the guest gave the disk back'
    return {
      ...replica,
      state: 'stale',
      stale: { sinceEpoch: end.epoch, since: end.wallMs, reason, cause: 'run-lost' },
    }
  }
  const { slot: _slot, ...kept } = volume
  const detached: Volume = { ...kept, attachment: 'detached', replicas: volume.replicas.map(settle) }
  return { compares, writes: [put(KEYS.guest(left.id), left), put(KEYS.volume(volume.id), detached)] }
}

/** The record goes; each replica's host removes its file. */
export function eraseVolumeWrites(volume: Volume): readonly Write[] {
  return [
    { kind: 'delete', key: KEYS.volume(volume.id) },
    ...removalsOf(volume).map((removal) => put(KEYS.removal(removal.host, removal.volume, removal.pool), removal)),
  ]
}

/** Volumes that leave a guest which does not run: nobody has to be asked. */
export function leavingAtRest(state: ClusterState): readonly { guest: Versioned<Guest>; volume: Versioned<Volume> }[] {
  return [...state.volumes.values()].flatMap((volume) => {
    if (!isLeaving(volume.value)) return []
    const guest = state.guests.get(volume.value.guest)
    if (!guest || guest.value.deleting || isActive(state.grants.get(guest.value.id)?.value)) return []
    return guest.value.volumes.includes(volume.value.id) ? [{ guest, volume }] : []
  })
}

export function isLeaving(volume: Volume): boolean {
  return volume.attachment === 'leaving' || volume.attachment === 'leaving-for-good'
}

/** Volumes in the making for a guest. */
export function joiningOf(state: ClusterState, guest: Guest): readonly Volume[] {
  return [...state.volumes.values()]
    .map(({ value }) => value)
    .filter((volume) => volume.guest === guest.id && volume.attachment === 'joining')
}

/** The name by which people know a disk of a guest: its own, or the volume's id. */
export function findDisk(state: ClusterState, guest: Guest, nameOrId: string): Versioned<Volume> | undefined {
  const volumes = [...guest.volumes, ...joiningOf(state, guest).map(({ id }) => id)].flatMap(
    (id: VolumeId) => state.volumes.get(id) ?? [],
  )
  return volumes.find(({ value }) => value.id === nameOrId) ?? volumes.find(({ value }) => value.name === nameOrId)
}

function put(key: string, value: object): Write {
  return { kind: 'put', key, value: JSON.stringify(value) }
}

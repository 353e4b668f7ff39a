/**
 * What a move of a replica means for the guest's snapshots, which are files beside it: the new replica is given them, and
 * the records name who holds them afterwards. Pure decisions; docs/internals/storage-move.md.
 */
import type { ClusterState, Versioned } from '../model/cluster.ts'
import type { HostId } from '../model/ids.ts'
import { KEYS } from '../model/keys.ts'
import { replicaOn } from '../model/records.ts'
import type { Snapshot } from '../model/snapshot.ts'
import type { Replica, Volume } from '../model/volume.ts'
import type { Compare, Write } from '../ports/store.ts'

export interface CarriedSnapshot {
  readonly snapshot: Snapshot
  /** Those that hold it. */
  readonly sources: readonly Replica[]
  /** Those beside which an image of the guest's memory lies that belongs to it. */
  readonly images: readonly Replica[]
}

/** What a new replica is to be given, the oldest first. One that no replica holds any more is left out. */
export function snapshotsToCarry(state: ClusterState, volume: Volume): readonly CarriedSnapshot[] {
  const replicas = (hosts: readonly HostId[]) => hosts.flatMap((host) => replicaOn(volume, host) ?? [])
  return [...state.snapshots.values()]
    .map(({ value }) => value)
    .filter(({ guest, state: how }) => guest === volume.guest && how === 'ready')
    .toSorted((a, b) => a.createdAt - b.createdAt)
    .map((snapshot) => ({
      snapshot,
      sources: replicas(holdersOf(snapshot, volume)),
      images: snapshot.memory?.volume === volume.id ? replicas(snapshot.memory.hosts) : [],
    }))
    .filter(({ sources }) => sources.length > 0)
}

/** Nobody else holds what the replica on this host does of the snapshot, or it is being made just now. */
export function isOnlyOn(snapshot: Snapshot, volume: Volume, host: HostId): boolean {
  if (snapshot.guest !== volume.guest) return false
  if (snapshot.state !== 'ready') return true
  if (volume.move?.carried?.includes(snapshot.id)) return false
  const isOnlyOf = (hosts: readonly HostId[]) => hosts.includes(host) && hosts.every((each) => each === host)
  const { memory } = snapshot
  return isOnlyOf(holdersOf(snapshot, volume)) || (memory?.volume === volume.id && isOnlyOf(memory.hosts))
}

/** What the snapshots' records say when the volume's move is over, with what that relies on. */
export function holderChanges(
  state: ClusterState,
  volume: Volume,
): { readonly writes: readonly Write[]; readonly compares: readonly Compare[] } {
  const changed = [...state.snapshots.values()].flatMap((known): Versioned<Snapshot>[] => {
    if (known.value.guest !== volume.guest) return []
    const next = withHolders(known.value, volume)
    return JSON.stringify(next) === JSON.stringify(known.value) ? [] : [{ value: next, revision: known.revision }]
  })
  const key = ({ value }: Versioned<Snapshot>) => KEYS.snapshot(value.guest, value.name)
  return {
    writes: changed.map((each) => ({ kind: 'put', key: key(each), value: JSON.stringify(each.value) })),
    // One that was deleted meanwhile must not come back.
    compares: changed.map((each) => ({ key: key(each), modRevision: each.revision })),
  }
}

function withHolders(snapshot: Snapshot, { id, move }: Volume): Snapshot {
  const { to, leaving, carried = [] } = move ?? {}
  const isCarried = to !== undefined && carried.includes(snapshot.id)
  const next = (hosts: readonly HostId[]) => [
    ...hosts.filter((host) => host !== leaving?.host && !(isCarried && host === to)),
    ...(isCarried ? [to] : []),
  ]
  const { memory } = snapshot
  return {
    ...snapshot,
    volumes: snapshot.volumes.map((each) => (each.volume === id ? { ...each, hosts: next(each.hosts) } : each)),
    ...(memory?.volume === id ? { memory: { ...memory, hosts: next(memory.hosts) } } : {}),
  }
}

function holdersOf(snapshot: Snapshot, { id }: Volume): readonly HostId[] {
  return snapshot.volumes.find(({ volume }) => volume === id)?.hosts ?? []
}

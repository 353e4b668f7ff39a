/** Which of a host's pools has the most room for a disk. */
import type { ClusterState } from '@stead/core/model/cluster.ts'
import type { Host } from '@stead/core/model/host.ts'
import { promisedPoolBytes } from '@stead/core/model/records.ts'
import type { Replica, Volume } from '@stead/core/model/volume.ts'

/** None where no pool can take it. */
export function roomiestPool(
  state: ClusterState,
  host: Host,
  pool: string | undefined,
  sizeBytes: number,
  promised: ReadonlyMap<string, number>,
  form?: Volume['form'],
): { readonly replica: Replica; readonly freeBytes: number }[] {
  return host.pools
    .filter((candidate) => pool === undefined || candidate.name === pool)
    .filter((candidate) => form === undefined || candidate.subvolumes)
    .map((candidate) => ({
      replica: { host: host.id, pool: candidate.name, state: 'in-sync' as const },
      freeBytes:
        candidate.capacityBytes -
        promisedPoolBytes(state, host.id, candidate.name) -
        (promised.get(`${host.id}/${candidate.name}`) ?? 0),
    }))
    .filter((candidate) => candidate.freeBytes >= sizeBytes)
    .toSorted((a, b) => b.freeBytes - a.freeBytes)
    .slice(0, 1)
}

/** For people: why none could. */
export function describeRoom(state: ClusterState, host: Host, pool: string | undefined, form?: Volume['form']): string {
  const named = host.pools.filter((candidate) => pool === undefined || candidate.name === pool)
  const pools = named.filter((candidate) => form === undefined || candidate.subvolumes)
  if (pools.length < named.length && pools.length === 0)
    return pool === undefined ? 'none of its pools is on btrfs' : `its pool ${pool} is not on btrfs`
  if (pools.length === 0) return pool === undefined ? 'it has no pool' : `it has no pool ${pool}`
  return pools
    .map(
      (candidate) =>
        `${candidate.name} has ${Math.max(0, candidate.capacityBytes - promisedPoolBytes(state, host.id, candidate.name))} bytes free`,
    )
    .join(', ')
}

import type { HostRole } from '../model/host.ts'

/** How many voters the store has at most: more would only make each write slower. */
const VOTERS_MAX = 5

/**
 * Which hosts vote in the store: an odd number where that is possible, a witness always among them. A pair without a
 * witness has two, of which both are needed.
 */
export function storeVoters<T extends { readonly role: HostRole }>(hosts: readonly T[]): readonly T[] {
  const compute = hosts.filter((host) => host.role === 'compute')
  const witnesses = hosts.filter((host) => host.role === 'witness')
  if (compute.length === 1) return compute
  const all = compute.length + witnesses.length
  const size = all >= VOTERS_MAX ? VOTERS_MAX : all >= 3 ? 3 : 2
  return [...compute.slice(0, size - witnesses.length), ...witnesses]
}

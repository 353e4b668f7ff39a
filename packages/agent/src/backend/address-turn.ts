/**
 * An address is one guest's. Every change that gives a guest an address compares and writes one key, and is looked at again
 * once it has: of two that are made at a time, on whatever hosts, the second finds what the first has made of the records.
 */
import type { ClusterState } from '@stead/core/model/cluster.ts'
import type { Guest } from '@stead/core/model/guest.ts'
import { KEYS, PREFIX } from '@stead/core/model/keys.ts'
import type { Compare, Write } from '@stead/core/ports/store.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import { stateAfter } from './admission-check.ts'
import type { Change } from './change.ts'
import { addressInUse } from './container-settings.ts'

const GUESTS = `${PREFIX}guests/`

/** Whether a guest has an address afterwards that it has not now. */
export function givesAddresses(state: ClusterState, writes: readonly Write[]): boolean {
  return changedGuests(state, writes).some(({ after, before }) => {
    const had = new Set(before ? addressesOf(before) : [])
    return addressesOf(after).some((address) => !had.has(address))
  })
}

/** `turn`: taken before `state` was read; none to see only what would be. Fails with `conflict`, naming the owner. */
export function withOwnAddresses(state: ClusterState, change: Change, turn?: Compare): Result<Change> {
  const after = stateAfter(state, change.writes)
  for (const { after: guest } of changedGuests(state, change.writes)) {
    const used = addressInUse(after, guest.id, addressesOf(guest))
    if (used) return fail(used)
  }
  if (!turn) return ok(change)
  const taken: Write = { kind: 'put', key: turn.key, value: JSON.stringify(change.subject) }
  return ok({ ...change, compares: [...change.compares, turn], writes: [...change.writes, taken] })
}

function changedGuests(state: ClusterState, writes: readonly Write[]) {
  const keys = new Set(
    writes.flatMap((write) => (write.kind === 'put' && write.key.startsWith(GUESTS) ? [write.key] : [])),
  )
  if (keys.size === 0) return []
  return [...stateAfter(state, writes).guests.values()].flatMap(({ value: after }) =>
    keys.has(KEYS.guest(after.id)) ? [{ after, before: state.guests.get(after.id)?.value }] : [],
  )
}

function addressesOf({ nics }: Guest): readonly string[] {
  return nics.flatMap(({ addresses = [] }) => addresses)
}

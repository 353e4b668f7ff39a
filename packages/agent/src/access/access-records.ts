/** The records that decide who may do what, in the shape in which they are asked. */
import type { AccessRecords } from '@stead/core/model/access.ts'
import type { ClusterState, Versioned } from '@stead/core/model/cluster.ts'

export const ACCESS_COLLECTIONS = ['users', 'groups', 'roles', 'tokens', 'permissions'] as const
export type AccessState = Pick<ClusterState, (typeof ACCESS_COLLECTIONS)[number]>

let last: { readonly state: AccessState; readonly records: AccessRecords } | undefined

/** Made anew only when one of them has changed: it is asked with every request. */
export function accessRecordsOf(state: AccessState): AccessRecords {
  // A batch copies only the maps that it changes.
  if (last && ACCESS_COLLECTIONS.every((name) => last?.state[name] === state[name])) return last.records
  const { users, groups, roles, tokens, permissions } = state
  const records = {
    users: valuesOf(users),
    groups: valuesOf(groups),
    roles: valuesOf(roles),
    tokens: valuesOf(tokens),
    permissions: [...permissions.values()].map(({ value }) => value),
  }
  last = { state: { users, groups, roles, tokens, permissions }, records }
  return records
}

export function groupsOf({ groups }: Pick<AccessState, 'groups'>, user: string): string[] {
  return [...groups.values()].filter(({ value }) => value.members.includes(user)).map(({ value }) => value.name)
}

function valuesOf<T>(map: ReadonlyMap<string, Versioned<T>>): ReadonlyMap<string, T> {
  return new Map([...map].map(([key, { value }]) => [key, value]))
}

let lastStamp: { readonly state: AccessState; readonly stamp: string } | undefined

/** Another one whenever any of these records has changed, and the same on all hosts. */
export function accessStamp(state: AccessState): string {
  if (lastStamp && ACCESS_COLLECTIONS.every((name) => lastStamp?.state[name] === state[name])) return lastStamp.stamp
  const { users, groups, roles, tokens, permissions } = state
  let newest = 0n
  let count = 0
  for (const records of [users, groups, roles, tokens, permissions])
    for (const { revision } of records.values()) {
      count++
      if (revision > newest) newest = revision
    }
  // A record that goes makes them fewer; one that comes or changes is newer than all.
  const stamp = `${newest}.${count}`
  lastStamp = { state: { users, groups, roles, tokens, permissions }, stamp }
  return stamp
}

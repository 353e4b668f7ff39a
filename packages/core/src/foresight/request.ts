/** A supposition by name, as people and files write it, made into one by the records; unknown names are refused. */
import { failure } from '../errors.ts'
import type { ClusterState } from '../model/cluster.ts'
import type { NetworkRole } from '../model/host.ts'
import type { HostId } from '../model/ids.ts'
import { fail, ok, type Result } from '../result.ts'
import { supposedGuest } from './supposed-guest.ts'
import { hostsOfDomain, type Supposition } from './supposition.ts'

export type SuppositionByName =
  | { readonly kind: 'host-down'; readonly hosts: readonly string[] }
  | { readonly kind: 'network-down'; readonly network: NetworkRole; readonly host?: string }
  | { readonly kind: 'domain-down'; readonly domain: string; readonly name: string }
  | { readonly kind: 'storage-down' | 'drain' | 'remove-host'; readonly host: string }
  | {
      readonly kind: 'add-guest'
      readonly name: string
      readonly memoryBytes: number
      readonly cpus: number
      readonly priority?: number
    }

export function suppositionOf(state: ClusterState, asked: SuppositionByName): Result<Supposition> {
  const hosts =
    asked.kind === 'host-down' ? asked.hosts : 'host' in asked && asked.host !== undefined ? [asked.host] : []
  const unknown = hosts.find((host) => !state.hosts.has(host as HostId))
  if (unknown !== undefined)
    return fail(
      failure('not_found', `There is no host ${unknown}`, {
        hint: `The hosts are ${[...state.hosts.keys()].join(', ')}`,
      }),
    )
  switch (asked.kind) {
    case 'domain-down':
      if (hostsOfDomain(state, asked.domain, asked.name).length === 0)
        return fail(
          failure('not_found', `No host is in ${asked.domain} ${asked.name}`, {
            hint: `Set it with: stead host set HOST --fault-domain ${asked.domain}=${asked.name}`,
          }),
        )
      return ok(asked)
    case 'add-guest':
      for (const { value } of state.guests.values())
        if (value.name === asked.name) return fail(failure('name_taken', `There is a guest ${asked.name} already`))
      return ok({ kind: 'add-guest', guest: supposedGuest(asked.name, asked) })
    default:
      return ok(asked as Supposition)
  }
}

/** What is supposed to happen: a failure, or a change that somebody considers. */
import type { ClusterState } from '../model/cluster.ts'
import type { Guest } from '../model/guest.ts'
import { NETWORK_ROLES, type NetworkRole } from '../model/host.ts'
import type { HostId } from '../model/ids.ts'
import type { Rule, RuleId } from '../model/rule.ts'
import type { Write } from '../ports/store.ts'

export type Supposition =
  /** Their plugs are pulled. */
  | { readonly kind: 'host-down'; readonly hosts: readonly HostId[] }
  /** The switch of a network dies, or, with `host`, one host's cable of it. */
  | { readonly kind: 'network-down'; readonly network: NetworkRole; readonly host?: HostId }
  /** All that hangs on a power feed, a rack, a site. */
  | { readonly kind: 'domain-down'; readonly domain: string; readonly name: string }
  /** The storage daemon of a host, and with it the replicas there. */
  | { readonly kind: 'storage-down'; readonly host: HostId }
  | { readonly kind: 'drain'; readonly host: HostId }
  /** The host leaves the cluster for good. */
  | { readonly kind: 'remove-host'; readonly host: HostId }
  | { readonly kind: 'add-guest'; readonly guest: Guest }
  | { readonly kind: 'set-rule'; readonly rule: Rule }
  | { readonly kind: 'delete-rule'; readonly rule: RuleId }
  /** What a request would write. */
  | { readonly kind: 'change'; readonly summary: string; readonly writes: readonly Write[] }

export function describeSupposition(supposition: Supposition): string {
  switch (supposition.kind) {
    case 'host-down':
      return `${list(supposition.hosts)} ${supposition.hosts.length === 1 ? 'loses its' : 'lose their'} power`
    case 'network-down':
      return supposition.host === undefined
        ? `the ${supposition.network.toUpperCase()} switch fails`
        : `${supposition.host} loses its ${supposition.network.toUpperCase()} cable`
    case 'domain-down':
      return `${supposition.domain} ${supposition.name} fails with all hosts on it`
    case 'storage-down':
      return `the storage of ${supposition.host} fails`
    case 'drain':
      return `${supposition.host} is drained`
    case 'remove-host':
      return `${supposition.host} leaves the cluster`
    case 'add-guest':
      return `guest ${supposition.guest.name} is added`
    case 'set-rule':
      return `rule ${supposition.rule.id} is set`
    case 'delete-rule':
      return `rule ${supposition.rule} is deleted`
    case 'change':
      return supposition.summary
  }
}

/** Hosts that are dead under the supposition. */
export function hostsDown(supposition: Supposition, state: ClusterState): ReadonlySet<HostId> {
  switch (supposition.kind) {
    case 'host-down':
      return new Set(supposition.hosts)
    case 'domain-down':
      return new Set(hostsOfDomain(state, supposition.domain, supposition.name))
    case 'remove-host':
      return new Set([supposition.host])
    default:
      return new Set()
  }
}

/** Whether the path that a guest's leg takes from one host to another is cut. */
export function isLegCut(supposition: Supposition, state: ClusterState, from: HostId, to: HostId): boolean {
  if (supposition.kind === 'storage-down') return to === supposition.host
  if (from === to || supposition.kind !== 'network-down') return false
  if (supposition.host !== undefined && supposition.host !== from && supposition.host !== to) return false
  // A leg goes by any network that its storage host is on, and over to another one when its own is cut.
  const addresses = state.hosts.get(to)?.value.addresses ?? {}
  return NETWORK_ROLES.every((role) => addresses[role] === undefined || role === supposition.network)
}

export type SingleFailure = Extract<
  Supposition,
  { readonly kind: 'host-down' | 'network-down' | 'domain-down' | 'storage-down' }
>

/** Every failure of a single thing that the records know of, likeliest first. */
export function singleFailures(state: ClusterState): SingleFailure[] {
  const hosts = [...state.hosts.values()].map(({ value }) => value).toSorted((a, b) => a.order - b.order)
  const compute = hosts.filter((host) => host.role === 'compute')
  const networks = NETWORK_ROLES.filter((role) => hosts.some((host) => host.addresses[role] !== undefined))
  const domains = new Map<string, SingleFailure>()
  for (const host of hosts)
    for (const [domain, name] of Object.entries(state.policies.get(host.id)?.value.faultDomains ?? {}))
      domains.set(`${domain}/${name}`, { kind: 'domain-down', domain, name })
  return [
    ...hosts.map((host): SingleFailure => ({ kind: 'host-down', hosts: [host.id] })),
    ...compute.map((host): SingleFailure => ({ kind: 'storage-down', host: host.id })),
    ...networks.map((network): SingleFailure => ({ kind: 'network-down', network })),
    ...compute.flatMap((host) =>
      networks.map((network): SingleFailure => ({ kind: 'network-down', network, host: host.id })),
    ),
    ...domains.values(),
  ]
}

export function hostsOfDomain(state: ClusterState, domain: string, name: string): HostId[] {
  return [...state.hosts.keys()].filter((id) => state.policies.get(id)?.value.faultDomains?.[domain] === name)
}

export function list(words: readonly string[]): string {
  if (words.length < 2) return words[0] ?? 'nothing'
  return `${words.slice(0, -1).join(', ')} and ${words.at(-1)}`
}

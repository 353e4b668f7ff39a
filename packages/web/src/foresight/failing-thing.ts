/** What can fail, as the map shows it, the page's address names it, and the cluster is asked about it. */
import type { FailingThing } from '@stead/api/foresight-view.ts'
import type { HostView } from '@stead/api/views.ts'
import { NETWORK_ROLES, type NetworkRole } from '@stead/core/model/host.ts'

/** `host:h1+h2`, `network:san`, `network:san@h1`, `storage:h1`, `domain:rack=r1`. */
export function addressOf(thing: FailingThing): string {
  switch (thing.kind) {
    case 'host-down':
      return `host:${thing.hosts.toSorted().join('+')}`
    case 'network-down':
      return `network:${thing.network}${thing.host === undefined ? '' : `@${thing.host}`}`
    case 'storage-down':
      return `storage:${thing.host}`
    case 'domain-down':
      return `domain:${thing.domain}=${thing.name}`
  }
}

/** Undefined for whatever is no address of a thing. */
export function thingAt(address: string | undefined): FailingThing | undefined {
  const [, kind, rest = ''] = /^(host|network|storage|domain):(.+)$/.exec(address ?? '') ?? []
  switch (kind) {
    case 'host':
      return { kind: 'host-down', hosts: rest.split('+').filter(Boolean) }
    case 'storage':
      return { kind: 'storage-down', host: rest }
    case 'network': {
      const [network, host] = rest.split('@')
      const role = NETWORK_ROLES.find((one) => one === network)
      if (!role) return undefined
      return host === undefined
        ? { kind: 'network-down', network: role }
        : { kind: 'network-down', network: role, host }
    }
    case 'domain': {
      const [domain, name] = rest.split('=')
      return domain && name ? { kind: 'domain-down', domain, name } : undefined
    }
    default:
      return undefined
  }
}

/** Every single thing that can fail, hosts first. */
export function thingsOf(hosts: readonly HostView[]): readonly FailingThing[] {
  const compute = hosts.filter(({ role }) => role === 'compute')
  const networks = networksOf(hosts)
  return [
    ...hosts.map(({ name }): FailingThing => ({ kind: 'host-down', hosts: [name] })),
    ...domainsOf(hosts),
    ...compute.map(({ name }): FailingThing => ({ kind: 'storage-down', host: name })),
    ...networks.map((network): FailingThing => ({ kind: 'network-down', network })),
    ...compute.flatMap(({ name, addresses }) =>
      networks
        .filter((network) => addresses[network] !== undefined)
        .map((network): FailingThing => ({ kind: 'network-down', network, host: name })),
    ),
  ]
}

export function networksOf(hosts: readonly HostView[]): readonly NetworkRole[] {
  return NETWORK_ROLES.filter((role) => hosts.some(({ addresses }) => addresses[role] !== undefined))
}

function domainsOf(hosts: readonly HostView[]): readonly FailingThing[] {
  const domains = new Map<string, FailingThing>()
  for (const { faultDomains } of hosts) {
    for (const [domain, name] of Object.entries(faultDomains)) {
      const thing: FailingThing = { kind: 'domain-down', domain, name }
      domains.set(addressOf(thing), thing)
    }
  }
  return [...domains.values()]
}

/** Which hosts are dead when it fails. */
export function hostsDownBy(thing: FailingThing | undefined, hosts: readonly HostView[]): ReadonlySet<string> {
  if (thing?.kind === 'host-down') return new Set(thing.hosts)
  if (thing?.kind !== 'domain-down') return new Set()
  return new Set(hosts.filter(({ faultDomains }) => faultDomains[thing.domain] === thing.name).map(({ name }) => name))
}

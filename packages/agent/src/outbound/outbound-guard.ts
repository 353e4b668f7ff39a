/**
 * To which addresses the agent connects on a user's word. By a name of his own choice he must not reach what only the hosts
 * can: themselves, their networks, the services of a cloud that answer on link-local addresses.
 */
import type { LookupAddress } from 'node:dns'
import { lookup } from 'node:dns/promises'
import { BlockList, isIP } from 'node:net'
import { failure } from '@stead/core/errors.ts'
import type { ClusterState } from '@stead/core/model/cluster.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'

/** IANA's special-purpose registries, as far as they are not global, and multicast. */
const SPECIAL = listOf([
  ...['0.0.0.0/8', '10.0.0.0/8', '100.64.0.0/10', '127.0.0.0/8', '169.254.0.0/16', '172.16.0.0/12', '192.0.0.0/24'],
  ...['192.0.2.0/24', '192.88.99.0/24', '192.168.0.0/16', '198.18.0.0/15', '198.51.100.0/24', '203.0.113.0/24'],
  ...['224.0.0.0/4', '240.0.0.0/4'],
])
/** Of IPv6 only what is handed out for the Internet, without those that stand for something else. */
const GLOBAL_IPV6 = listOf(['2000::/3'])
const SPECIAL_IPV6 = listOf(['2001::/23', '2001:db8::/32', '2002::/16', '3fff::/20'])

export type Permitted = (address: string) => boolean

/** By the policy's list, which is asked first, and by what is special. The addresses of hosts never count as others. */
export function permittedBy({ hosts, clusterPolicy }: Pick<ClusterState, 'hosts' | 'clusterPolicy'>): {
  readonly isPermitted: Permitted
  readonly isListed: Permitted
} {
  const listed = listOf(clusterPolicy?.value.outboundAllow ?? [])
  const own = new BlockList()
  for (const { value } of hosts.values())
    for (const address of Object.values(value.addresses)) if (isIP(address)) own.addAddress(address, familyOf(address))
  const isListed = (address: string) => listed.check(address, familyOf(address))
  const isPermitted = (address: string) =>
    isListed(address) || (!own.check(address, familyOf(address)) && isGlobal(address))
  return { isPermitted, isListed }
}

function isGlobal(address: string): boolean {
  if (familyOf(address) === 'ipv4') return !SPECIAL.check(address, 'ipv4')
  return GLOBAL_IPV6.check(address, 'ipv6') && !SPECIAL_IPV6.check(address, 'ipv6')
}

/** The addresses of a host, all of which must be permitted: which one is used is not for its name's owner to choose. */
export async function permittedAddresses(hostname: string, isPermitted: Permitted): Promise<Result<LookupAddress[]>> {
  const literal = hostname.replace(/^\[|\]$/g, '')
  const family = isIP(literal)
  const found = family ? [{ address: literal, family }] : await lookup(hostname, { all: true }).catch(() => [])
  if (found.length === 0) return fail(failure('host_unreachable', `${hostname} has no address`))
  if (found.every(({ address }) => isPermitted(address))) return ok(found)
  return fail(
    failure('forbidden', `${hostname} is at an address to which hosts do not connect on a user's word`, {
      hint: 'It is private, of this cluster, or special; `stead policy set --outbound-allow` names networks that are permitted',
    }),
  )
}

function listOf(networks: readonly string[]): BlockList {
  const list = new BlockList()
  for (const network of networks) {
    const [address = '', length = ''] = network.split('/')
    if (isIP(address)) list.addSubnet(address, Number(length), familyOf(address))
  }
  return list
}

function familyOf(address: string): 'ipv4' | 'ipv6' {
  return isIP(address) === 6 ? 'ipv6' : 'ipv4'
}

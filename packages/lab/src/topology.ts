/**
 * What a lab looks like: names, addresses and hardware addresses, computed from its id and its hosts alone.
 * Whatever bears one of these names belongs to the lab, so a crashed `lab up` can be cleaned up without its notes.
 */
import { createHash } from 'node:crypto'
import { join } from 'node:path'
import { failure } from '@stead/core/errors.ts'
import { storeVoters } from '@stead/core/ha/store-voters.ts'
import { NETWORK_ROLES } from '@stead/core/model/host.ts'
import type { HostRole, NetworkRole } from '@stead/core/model/host.ts'
import { fail, ok } from '@stead/core/result.ts'
import type { Result } from '@stead/core/result.ts'

export const HOSTS_MAX = 32
export const CLIENT_ADDRESS = '10.66.250.1'
export const WITNESS_NAME = 'witness'
export const FORWARDER_PORT_FIRST = 8443

/** The second octet of a role's network. Guests take 10.66.1.x and up, so the LAN is a /16. */
const NETWORKS: Record<NetworkRole, { octet: number; prefix: number }> = {
  lan: { octet: 66, prefix: 16 },
  san: { octet: 77, prefix: 24 },
  ran: { octet: 88, prefix: 24 },
}

export interface LabHostSpec {
  readonly id: string
  readonly role: HostRole
  /** 1 and up: the last octet of the host's addresses and its place in the order of succession. */
  readonly number: number
  readonly addresses: Readonly<Record<NetworkRole, string>>
  /** It has the pool `fast` beside `default`. */
  readonly fastPool?: true
  /** It has the pool `btrfs` beside `default`, on a file system of its own. */
  readonly btrfsPool?: true
}

export interface LabPlaces {
  readonly lab: string
  /** `<labRoot>/<lab>` */
  readonly folder: string
}

export function labPlaces(env: NodeJS.ProcessEnv, labOption?: string): Result<LabPlaces> {
  const lab = labOption ?? env['STEAD_LAB'] ?? 'lab'
  // No dash: namespaces are `stead-<lab>-<name>`, and lab `a` must never claim what belongs to lab `a-b`.
  if (!/^[a-z][a-z0-9]{0,14}$/.test(lab)) {
    const hint = 'A lab id has 1 to 15 lower-case letters and digits and starts with a letter.'
    return fail(failure('bad_request', `'${lab}' is no lab id`, { hint }))
  }
  return ok({ lab, folder: join(env['STEAD_LAB_ROOT'] ?? '/var/lib/stead/lab', lab) })
}

export function hostFolder(places: LabPlaces, host: string): string {
  return join(places.folder, 'hosts', host)
}

/** Where the agents of the lab's hosts reach what feeds them. */
export function powerStripSocket(places: LabPlaces): string {
  return join(places.folder, 'power-strip.sock')
}

export function planHosts(
  compute: number,
  witness: boolean,
  { fastPool = false, btrfsPool = false }: { readonly fastPool?: boolean; readonly btrfsPool?: boolean } = {},
): Result<readonly LabHostSpec[]> {
  if (!Number.isInteger(compute) || compute < 1 || compute > HOSTS_MAX) {
    return fail(
      failure('bad_request', `a lab has 1 to ${HOSTS_MAX} hosts`, { hint: 'Give --hosts a number, such as 3.' }),
    )
  }
  const hosts = Array.from({ length: compute }, (_, index) => ({
    ...hostSpec(`h${index + 1}`, 'compute', index + 1),
    ...(fastPool ? { fastPool } : {}),
    ...(btrfsPool ? { btrfsPool } : {}),
  }))
  if (witness) hosts.push(hostSpec(WITNESS_NAME, 'witness', compute + 1))
  return ok(hosts)
}

function hostSpec(id: string, role: HostRole, number: number): LabHostSpec {
  const addresses = { lan: '', san: '', ran: '' }
  for (const network of NETWORK_ROLES) addresses[network] = `10.${NETWORKS[network].octet}.0.${number}`
  return { id, role, number, addresses }
}

/** etcd's voters: an odd number where the hosts allow it, and always the witness when two hosts need a third voice. */
export function etcdMembers(hosts: readonly LabHostSpec[]): readonly string[] {
  return storeVoters(hosts).map((host) => host.id)
}

/** CIDR of a host (or of anything else with an address) on a network. */
export function withPrefix(role: NetworkRole, address: string): string {
  return `${address}/${NETWORKS[role].prefix}`
}

export const namespaceName = (lab: string, name: string): string => `stead-${lab}-${name}`
export const namespaceFile = (lab: string, name: string): string => `/run/netns/${namespaceName(lab, name)}`
/** A switch is the namespace named after its role; no host can be called so. */
export const switchName = (role: NetworkRole): string => role
export const CLIENT_NAME = 'client'
export const switchPort = (host: string): string => `p-${host}`
export const hostPort = (role: NetworkRole): string => `${role}0`
export const LAN_BRIDGE = 'lanbr0'
export const SWITCH_BRIDGE = 'sw0'

/** A stable, locally administered unicast address: a random one left stale ARP entries after a power cycle. */
export function hardwareAddress(lab: string, owner: string, port: string): string {
  const digest = createHash('sha256').update(`${lab}/${owner}/${port}`).digest()
  return ['02', ...[...digest.subarray(0, 5)].map((byte) => byte.toString(16).padStart(2, '0'))].join(':')
}

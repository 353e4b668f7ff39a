/** The ports of a Linux host that carry its addresses, as `ip -json -details -statistics address show` tells of them. */
import { isGuestPort } from './linux-network-host.ts'

export const PORT_KINDS = ['card', 'bridge', 'bond', 'vlan', 'virtual'] as const
export type PortKind = (typeof PORT_KINDS)[number]
export type PortState = 'up' | 'down' | 'unknown'

export interface PortMember {
  readonly name: string
  readonly state: PortState
  readonly speedBitsPerSecond?: number
}

export interface HostPort extends PortMember {
  readonly kind: PortKind
  /** Of `vlan`. */
  readonly vlan?: number
  readonly mtuBytes: number
  /** Packets that arrived or left broken, or for which there was no room, since the host has this port. */
  readonly faultyPackets: number
  readonly droppedPackets: number
  /** Of a bridge or a bond: by which it leads outside. Guests' own ports are none of them. */
  readonly members: readonly PortMember[]
}

/** The parts of an `ip` object that are looked at. */
interface IpLink {
  readonly ifname: string
  readonly flags?: readonly string[]
  readonly mtu?: number
  readonly operstate?: string
  readonly master?: string
  readonly link_type?: string
  readonly linkinfo?: { readonly info_kind?: string; readonly info_data?: { readonly id?: number } }
  readonly addr_info?: readonly { readonly local?: string }[]
  readonly stats64?: { readonly rx?: IpCounters; readonly tx?: IpCounters }
}

interface IpCounters {
  readonly errors?: number
  readonly dropped?: number
}

/** `speedOf`: of a port, bit/s; undefined where nobody knows. */
export function portsByAddress(
  text: string,
  speedOf: (port: string) => number | undefined,
): ReadonlyMap<string, HostPort> {
  const links = JSON.parse(text) as readonly IpLink[]
  return new Map(
    links.flatMap((link) => {
      const addresses = (link.addr_info ?? []).flatMap(({ local }) => local ?? [])
      return addresses.length === 0 ? [] : addresses.map((address) => [address, portOf(link, links, speedOf)] as const)
    }),
  )
}

function portOf(link: IpLink, links: readonly IpLink[], speedOf: (port: string) => number | undefined): HostPort {
  const members = links
    .filter(({ master, ifname }) => master === link.ifname && !isGuestPort(ifname))
    .map((member) => memberOf(member, speedOf))
  const { rx, tx } = link.stats64 ?? {}
  const own = memberOf(link, speedOf)
  const vlan = link.linkinfo?.info_data?.id
  const kind = kindOf(link)
  return {
    ...own,
    // A bridge is up by its guests' ports, even with its cable pulled: what counts is whether it leads outside.
    state: members.length === 0 ? own.state : membersState(members),
    ...speedOfWhole(own, members),
    kind,
    ...(kind === 'vlan' && vlan !== undefined ? { vlan } : {}),
    mtuBytes: link.mtu ?? 0,
    faultyPackets: (rx?.errors ?? 0) + (tx?.errors ?? 0),
    droppedPackets: (rx?.dropped ?? 0) + (tx?.dropped ?? 0),
    members,
  }
}

function memberOf(link: IpLink, speedOf: (port: string) => number | undefined): PortMember {
  const state = stateOf(link)
  // Of a port without a cable the kernel tells the speed of the last one, or none.
  const speed = state === 'down' ? undefined : speedOf(link.ifname)
  return { name: link.ifname, state, ...(speed === undefined ? {} : { speedBitsPerSecond: speed }) }
}

function stateOf({ operstate, flags = [] }: IpLink): PortState {
  if (operstate === 'UP') return 'up'
  if (flags.includes('NO-CARRIER') || (operstate !== undefined && operstate !== 'UNKNOWN')) return 'down'
  // Drivers that do not tell (a tunnel, a loopback) count by whether the layer below carries.
  if (flags.includes('LOWER_UP')) return 'up'
  return 'unknown'
}

function membersState(members: readonly PortMember[]): PortState {
  if (members.some(({ state }) => state === 'up')) return 'up'
  return members.every(({ state }) => state === 'down') ? 'down' : 'unknown'
}

/** A bridge has no speed of its own: what it can is what its fastest way outside can. */
function speedOfWhole(own: PortMember, members: readonly PortMember[]): { readonly speedBitsPerSecond?: number } {
  if (own.speedBitsPerSecond !== undefined) return {}
  const speeds = members.flatMap(({ speedBitsPerSecond }) => speedBitsPerSecond ?? [])
  return speeds.length === 0 ? {} : { speedBitsPerSecond: Math.max(...speeds) }
}

function kindOf({ linkinfo, link_type }: IpLink): PortKind {
  const kind = linkinfo?.info_kind
  if (kind === 'bridge' || kind === 'bond' || kind === 'vlan') return kind
  if (kind === 'openvswitch') return 'bridge'
  return kind === undefined && link_type === 'ether' ? 'card' : 'virtual'
}

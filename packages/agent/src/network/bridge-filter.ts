/**
 * What guests may send onto a bridge, as an nftables table of the family `bridge`. The rules never change; who is who
 * stands in sets. Pure: the table's text, the elements of a port, and what `nft -j list` says of them.
 */
import { SocketAddress, isIPv4, isIPv6 } from 'node:net'
import { failure } from '@stead/core/errors.ts'
import type { NicIdentity, NicPace } from '@stead/core/ports/network-host.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'

export const TABLE = 'bridge stead'

/** One element of a set: `SET { KEY . KEY }`, in the spelling that the kernel gives back. */
export type Element = string

const SETS = {
  // Without a place here a port is not a guest's, and not filtered.
  ports: 'type ifname',
  sources: 'type ifname . ether_addr',
  // Ports whose addresses are known.
  bound: 'type ifname',
  addresses4: 'type ifname . ether_addr . ipv4_addr',
  addresses6: 'type ifname . ether_addr . ipv6_addr',
  // Each with a limit of its own; what is above it is counted and dropped. Its set's own limit is nobody's.
  paced: 'type ifname\n    limit rate over 1/second\n    counter',
  // `icmpv6 taddr` came with nftables 1.0.7: the target of a neighbour advertisement, bytes 8 to 23 of the message.
  announced6: 'typeof iifname . ether saddr . @th,64,128',
} as const

/**
 * - `received` beside `bridged`: frames to 01:80:c2:00:00:0x (LLDP and the like) do not pass prerouting, and yet the bridge
 *   would learn their sender.
 * - Only ARP, IPv4, IPv6 and RARP, with which QEMU announces a guest that has moved. VLAN tags and SNAP headers carry
 *   the same protocols past such filters (CVE-2021-27853, -27854, -27861, -27862).
 * - A message cut in pieces hides what it is (RFC 7113); nothing honest sends link-local messages in pieces (RFC 6980).
 * - Queries of IGMP and MLD make a bridge send all multicast traffic to whoever asked.
 * - Answers of DHCP are known by where they go, whatever port they come from.
 */
const CHAINS = `
  chain bridged {
    type filter hook prerouting priority -300; policy accept;
    iifname @paced drop
    iifname @ports jump guest
  }
  chain received {
    type filter hook input priority -300; policy accept;
    iifname @ports jump guest
  }
  chain guest {
    iifname . ether saddr != @sources drop
    ether daddr & ff:ff:ff:ff:ff:f0 == 01:80:c2:00:00:00 drop
    ether type vmap { arp : jump resolution, ip : jump inet4, ip6 : jump inet6, 0x8035 : accept }
    drop
  }
  chain resolution {
    arp htype != 1 drop
    arp ptype != ip drop
    arp hlen != 6 drop
    arp plen != 4 drop
    iifname . arp saddr ether != @sources drop
    iifname != @bound accept
    arp saddr ip 0.0.0.0 accept
    iifname . arp saddr ether . arp saddr ip @addresses4 accept
    drop
  }
  chain inet4 {
    udp dport 68 drop
    igmp type membership-query drop
    iifname != @bound accept
    iifname . ether saddr . ip saddr @addresses4 accept
    ip saddr 0.0.0.0 udp sport 68 udp dport 67 accept
    drop
  }
  chain inet6 {
    udp dport 546 drop
    icmpv6 type { nd-router-advert, nd-redirect, mld-listener-query } drop
    ip6 saddr fe80::/10 exthdr frag exists drop
    iifname != @bound accept
    icmpv6 type nd-neighbor-advert iifname . ether saddr . @th,64,128 != @announced6 drop
    iifname . ether saddr . ip6 saddr @addresses6 accept
    ip6 saddr :: icmpv6 type { nd-neighbor-solicit, nd-router-solicit, mld-listener-report, mld-listener-done, mld2-listener-report } accept
    drop
  }
`

/** The elements that let a card send as itself; refuses what is no address. */
export function elementsOf(
  port: string,
  { mac, addresses = [], packetsPerSecond }: NicIdentity & NicPace,
): Result<readonly Element[]> {
  if (!/^([0-9a-f]{2}:){5}[0-9a-f]{2}$/i.test(mac)) return refuse(mac, 'hardware address')
  const hardware = mac.toLowerCase()
  const elements = [element('ports', port), element('sources', port, hardware)]
  if (packetsPerSecond !== undefined) elements.push(paced(port, packetsPerSecond, burstOf(packetsPerSecond)))
  if (addresses.length === 0) return ok(elements)
  elements.push(element('bound', port))
  const wanted = new Set<string>()
  for (const address of [...addresses, linkLocalOf(hardware)]) {
    const [host = ''] = address.split('/', 1)
    if (isIPv4(host)) wanted.add(element('addresses4', port, hardware, host))
    else if (isIPv6(host) && !host.includes('%')) {
      const canonical = new SocketAddress({ address: host, family: 'ipv6' }).address
      if (canonical.includes('.')) return refuse(address, 'network address that is sent from')
      wanted.add(element('addresses6', port, hardware, canonical))
      wanted.add(element('announced6', port, hardware, hexOf(canonical)))
    } else return refuse(address, 'network address')
  }
  return ok([...elements, ...wanted])
}

/** One transaction: what goes, then what comes. */
export function changeText(gone: readonly Element[], come: readonly Element[]): string {
  return [
    ...gone.map((each) => `delete element ${TABLE} ${each}\n`),
    ...come.map((each) => `add element ${TABLE} ${each}\n`),
  ].join('')
}

/** One transaction: the whole table anew, whatever was there. */
export function tableText(elements: Iterable<Element>): string {
  const bySet = new Map<string, string[]>()
  for (const each of elements) {
    const [, set = '', keys = ''] = /^(\S+) \{ (.*) \}$/.exec(each) ?? []
    const list = bySet.get(set)
    if (list) list.push(keys)
    else bySet.set(set, [keys])
  }
  const sets = Object.entries(SETS).map(([name, type]) => {
    const keys = bySet.get(name)
    return `  set ${name} {\n    ${type}${keys ? `\n    elements = { ${keys.join(',\n      ')} }` : ''}\n  }\n`
  })
  return `add table ${TABLE}\ndelete table ${TABLE}\ntable ${TABLE} {\n${sets.join('')}${CHAINS}}\n`
}

export interface ListedTable {
  /** Of each port. */
  readonly elements: ReadonlyMap<string, readonly Element[]>
  /** All but the elements, to compare with another listing. */
  readonly rules: string
}

/** What `nft -j list table` prints. */
export function readListing(text: string): ListedTable {
  const { nftables } = JSON.parse(text) as { readonly nftables: readonly Record<string, ListedObject>[] }
  const elements = new Map<string, Element[]>()
  const rules: unknown[] = []
  for (const object of nftables) {
    const { set } = object
    if (set)
      for (const entry of set.elem ?? []) {
        if (isPaced(entry)) {
          const { val, limit } = entry.elem
          elements.set(val, [...(elements.get(val) ?? []), paced(val, limit.rate, limit.burst)])
          continue
        }
        const [port = '', ...keys] = typeof entry === 'object' ? entry.concat.map(String) : [entry]
        const values = set.name === 'announced6' ? [keys[0] ?? '', hexDigits(BigInt(keys[1] ?? 0))] : keys
        const list = elements.get(port)
        const one = element(set.name ?? '', port, ...values)
        if (list) list.push(one)
        else elements.set(port, [one])
      }
    const withoutElements = set ? { set: { ...set, elem: undefined } } : object
    // Handles are given anew with each load.
    if (!object['metainfo']) rules.push(withoutElements)
  }
  return { elements, rules: JSON.stringify(rules, (key, value: unknown) => (key === 'handle' ? undefined : value)) }
}

/** What `nft list set` prints of `paced`: how many packets of each port were dropped. (As JSON nftables 1.0.6 leaves that out.) */
export function readDropped(text: string): ReadonlyMap<string, number> {
  return new Map(
    [...text.matchAll(/"(st[0-9a-f]+)"[^"]*?counter packets (\d+)/g)].map(([, port = '', packets]) => [
      port,
      Number(packets),
    ]),
  )
}

interface PacedEntry {
  readonly elem: { readonly val: string; readonly limit: { readonly rate: number; readonly burst: number } }
}

type ListedEntry = string | { readonly concat: readonly (string | number)[] } | PacedEntry

interface ListedObject {
  readonly name?: string
  readonly elem?: readonly ListedEntry[]
}

function isPaced(entry: ListedEntry): entry is PacedEntry {
  return typeof entry === 'object' && 'elem' in entry
}

/** What saves up: packets come in bursts. */
function burstOf(packetsPerSecond: number): number {
  return Math.max(1, Math.ceil(packetsPerSecond / 5))
}

function paced(port: string, packetsPerSecond: number, burst: number): Element {
  return `paced { "${port}" limit rate over ${packetsPerSecond}/second burst ${burst} packets counter }`
}

function element(set: string, port: string, ...keys: readonly string[]): Element {
  return `${set} { ${[`"${port}"`, ...keys].join(' . ')} }`
}

/** By which a kernel speaks on the link unless it was told otherwise (RFC 4291, appendix A). */
function linkLocalOf(mac: string): string {
  const [a = 0, b = 0, c = 0, d = 0, e = 0, f = 0] = mac.split(':').map((byte) => Number.parseInt(byte, 16))
  const words = [((a ^ 2) << 8) | b, (c << 8) | 0xff, 0xfe00 | d, (e << 8) | f]
  return `fe80::${words.map((word) => word.toString(16)).join(':')}`
}

function hexOf(canonical: string): string {
  const [head = '', tail] = canonical.split('::')
  const before = head === '' ? [] : head.split(':')
  const after = tail === undefined || tail === '' ? [] : tail.split(':')
  const words = [...before, ...Array<string>(8 - before.length - after.length).fill('0'), ...after]
  return hexDigits(BigInt(`0x${words.map((word) => word.padStart(4, '0')).join('')}`))
}

function hexDigits(value: bigint): string {
  return `0x${value.toString(16).padStart(32, '0')}`
}

function refuse(text: string, what: string): Result<readonly Element[]> {
  return fail(failure('bad_request', `${text} is no ${what}`))
}

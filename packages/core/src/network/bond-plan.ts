/**
 * How ports of a host become one bond, and how they are ports again: pure, from what `ip` says. The host is talked to by the
 * very addresses that move, so the orders are given in one go, and what undoes them is known before. docs/internals/bonds.md.
 */

export const BOND_MODES = ['active-backup', '802.3ad', 'balance-xor'] as const
export type BondMode = (typeof BOND_MODES)[number]
export const HASH_POLICIES = ['layer2', 'layer2+3', 'layer3+4'] as const
export const LACP_RATES = ['slow', 'fast'] as const

export interface Bond {
  readonly name: string
  readonly ports: readonly string[]
  readonly mode: BondMode
  /** How often the ports' links are looked at, ms. */
  readonly miimonMs: number
  /** Of `802.3ad`. */
  readonly lacpRate: (typeof LACP_RATES)[number]
  /** By what a packet's port is chosen; not of `active-backup`, which uses one. */
  readonly hashPolicy: (typeof HASH_POLICIES)[number]
  /** `192.0.2.1/24`: what it has besides what its ports had. */
  readonly addresses: readonly string[]
  readonly routes: readonly BondRoute[]
}

export interface BondRoute {
  /** `default`, or a network. */
  readonly to: string
  readonly via?: string
  readonly metric?: number
}

/** A port as the kernel has it. */
export interface PlainPort {
  readonly name: string
  /** `card`: of hardware, or the cable of a virtual machine. */
  readonly kind: 'card' | 'bond' | 'other'
  readonly hasLink: boolean
  readonly speedMbits?: number
  readonly mtuBytes: number
  /** The bond or bridge that it is of. */
  readonly master?: string
  /** With the length of the network; those that the kernel makes by itself are none of them. */
  readonly addresses: readonly { readonly address: string; readonly leased: boolean }[]
  readonly routes: readonly BondRoute[]
}

export interface BondFinding {
  readonly state: 'warning' | 'failed' | 'refused'
  readonly text: string
  readonly hint: string
}

export interface BondPlan {
  /** As it will be, with all that its ports have now: what is kept for the next boot. */
  readonly bond: Bond
  readonly findings: readonly BondFinding[]
  /** Lines for `ip -batch`; none where everything is so already. */
  readonly orders: readonly string[]
  /** The same, for `ip -force -batch`: the ports as they were. None where the bond was there before. */
  readonly undo: readonly string[]
  /** At the far end of routes that move: who must still answer afterwards. */
  readonly gateways: readonly string[]
}

export function planBond(wanted: Bond, ports: readonly PlainPort[]): BondPlan {
  const known = ports.find(({ name }) => name === wanted.name)
  const members = wanted.ports.flatMap((name) => ports.find((port) => port.name === name) ?? [])
  const free = members.filter(({ master }) => master !== wanted.name)
  // A bond takes its own address of hardware from the first: neighbours then find the moved addresses where they were.
  const inOrder = free.toSorted((a, b) => Number(b.addresses.length > 0) - Number(a.addresses.length > 0))
  const carriers = [...(known ? [known] : []), ...free]
  const bond: Bond = {
    ...wanted,
    addresses: distinct([
      ...wanted.addresses,
      ...carriers.flatMap(({ addresses }) => addresses.map(({ address }) => address)),
    ]),
    routes: distinctRoutes([...wanted.routes, ...carriers.flatMap(({ routes }) => routes)]),
  }
  return {
    bond,
    findings: findingsOf(wanted, known, ports, members),
    orders: ordersOf(bond, known, inOrder),
    undo: known ? [] : undoOf(bond, inOrder),
    gateways: distinct(bond.routes.flatMap(({ via }) => via ?? [])),
  }
}

function findingsOf(
  { name, ports: wanted, addresses, mode }: Bond,
  known: PlainPort | undefined,
  ports: readonly PlainPort[],
  members: readonly PlainPort[],
): readonly BondFinding[] {
  const refused = (text: string, hint: string): BondFinding => ({ state: 'refused', text, hint })
  const missing = wanted.filter((port) => !ports.some((each) => each.name === port))
  const unfit = members.filter(({ kind }) => kind !== 'card').map((port) => port.name)
  const taken = members.filter(({ master }) => master !== undefined && master !== name)
  const sizes = distinct(members.map(({ mtuBytes }) => String(mtuBytes)))
  const speeds = distinct(members.flatMap(({ speedMbits }) => (speedMbits === undefined ? [] : [String(speedMbits)])))
  const dark = members.filter(({ hasLink }) => !hasLink).map((port) => port.name)
  const leased = members.filter((port) => port.addresses.some((each) => each.leased)).map((port) => port.name)
  const others = new Set(
    ports
      .filter((port) => !wanted.includes(port.name))
      .flatMap((port) => port.addresses.map(({ address }) => hostPart(address))),
  )
  const doubled = addresses.map(hostPart).filter((address) => known === undefined && others.has(address))
  return [
    ...(missing.length > 0 ? [refused(`this host has no port ${missing.join(', ')}`, 'See: ip link')] : []),
    ...(known && known.kind !== 'bond'
      ? [refused(`${name} is a port of another kind already`, 'Give the bond another name')]
      : []),
    ...(unfit.length > 0
      ? [
          refused(
            `${unfit.join(', ')} cannot be part of a bond`,
            'Bonds are made of cards; put VLANs and bridges on top of them',
          ),
        ]
      : []),
    ...taken.map((port) => refused(`${port.name} is part of ${port.master} already`, 'Take it out of that first')),
    ...(sizes.length > 1
      ? [
          refused(
            `its ports have different MTUs: ${sizes.join(', ')}`,
            'Set the same on all of them: ip link set PORT mtu N',
          ),
        ]
      : []),
    ...(doubled.length > 0
      ? [
          refused(
            `another port has ${doubled.join(', ')} already`,
            'Name the port that has it as part of the bond, or leave the address out',
          ),
        ]
      : []),
    ...(speeds.length > 1
      ? [
          {
            state: mode === 'active-backup' ? ('warning' as const) : ('failed' as const),
            text: `its ports have different speeds: ${speeds.join(', ')} Mbit/s`,
            hint:
              mode === 'active-backup'
                ? 'After a loss it may be slower'
                : 'Only active-backup can use ports of different speed',
          },
        ]
      : []),
    ...(dark.length === members.length && members.length > 0
      ? [
          {
            state: 'failed' as const,
            text: 'none of its ports has a link',
            hint: 'Plug in the cables, and look at the switch',
          },
        ]
      : dark.map((port) => ({
          state: 'warning' as const,
          text: `${port} has no link`,
          hint: 'The bond stands on the others until it has one',
        }))),
    ...(leased.length > 0
      ? [
          {
            state: 'warning' as const,
            text: `the address of ${leased.join(', ')} is a lease of DHCP, and becomes a fixed one of ${name}`,
            hint: 'Have the DHCP server keep it for this host, and the client no longer ask on that port',
          },
        ]
      : []),
  ]
}

function ordersOf(bond: Bond, known: PlainPort | undefined, free: readonly PlainPort[]): readonly string[] {
  const { name, mode, miimonMs, lacpRate, hashPolicy } = bond
  const [first] = free
  const isThere = new Set(known?.addresses.map(({ address }) => address))
  const hasRoute = new Set(known?.routes.map(routeText))
  const make = [
    `link add ${name} type bond mode ${mode} miimon ${miimonMs}`,
    ...(mode === '802.3ad' ? [`lacp_rate ${lacpRate}`] : []),
    ...(mode === 'active-backup' ? [] : [`xmit_hash_policy ${hashPolicy}`]),
  ].join(' ')
  return [
    ...(known ? [] : [make, ...(first ? [`link set ${name} mtu ${first.mtuBytes}`] : [])]),
    // IPv6's go by themselves when a port goes down.
    ...free.flatMap((port) => [
      ...port.addresses
        .filter(({ address }) => !isV6(address))
        .map(({ address }) => `address del ${address} dev ${port.name}`),
      `link set ${port.name} down`,
      `link set ${port.name} master ${name}`,
    ]),
    ...(known && free.length === 0 && bond.addresses.every((each) => isThere.has(each)) ? [] : [`link set ${name} up`]),
    ...bond.addresses.filter((each) => !isThere.has(each)).map((each) => addressOrder(each, name)),
    ...bond.routes
      .filter((each) => !hasRoute.has(routeText(each)))
      .map((each) => `route replace ${routeText(each)} dev ${name}`),
  ]
}

function undoOf({ name }: Bond, free: readonly PlainPort[]): readonly string[] {
  return [
    `link del ${name}`,
    ...free.map((port) => `link set ${port.name} up`),
    ...free.flatMap((port) => port.addresses.map(({ address }) => addressOrder(address, port.name))),
    ...free.flatMap((port) => port.routes.map((route) => `route replace ${routeText(route)} dev ${port.name}`)),
  ]
}

function addressOrder(address: string, port: string): string {
  return `address add ${address} dev ${port}${isV6(address) ? ' nodad' : ' broadcast +'}`
}

function routeText({ to, via, metric }: BondRoute): string {
  return [to, ...(via === undefined ? [] : [`via ${via}`]), ...(metric === undefined ? [] : [`metric ${metric}`])].join(
    ' ',
  )
}

function isV6(address: string): boolean {
  return address.includes(':')
}

function hostPart(address: string): string {
  return address.split('/')[0] ?? ''
}

function distinct(texts: readonly string[]): string[] {
  return [...new Set(texts)]
}

function distinctRoutes(routes: readonly BondRoute[]): readonly BondRoute[] {
  return [...new Map(routes.map((route) => [routeText(route), route])).values()]
}

/** Of the ports of a bond: which carry, as somebody watches them. */
export interface BondState {
  readonly name: string
  readonly ports: readonly { readonly name: string; readonly isUp: boolean }[]
}

export interface BondChange {
  readonly kind: 'bond.degraded' | 'bond.restored'
  readonly bond: string
  readonly message: string
}

/** What is to be told; a bond that was not seen before is told of only where a port of it is down. */
export function bondChanges(
  host: string,
  before: readonly BondState[],
  now: readonly BondState[],
): readonly BondChange[] {
  return now.flatMap(({ name, ports }): BondChange[] => {
    const down = ports.filter(({ isUp }) => !isUp).map((port) => port.name)
    const known = before.find((each) => each.name === name)
    const wasDown = (known?.ports ?? []).filter(({ isUp }) => !isUp).map((port) => port.name)
    if (down.join() === wasDown.join()) return []
    const left = ports.length - down.length
    if (down.length === 0)
      return [{ kind: 'bond.restored', bond: name, message: `all ports of ${name} of ${host} carry again` }]
    const rest = left === 0 ? 'no port of it carries' : `${left} of ${ports.length} ports carry`
    return [
      { kind: 'bond.degraded', bond: name, message: `${down.join(', ')} of ${name} of ${host} has no link: ${rest}` },
    ]
  })
}

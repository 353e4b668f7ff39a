/** What speaks against a network between hosts, from what each host says of its own side. Pure. */
import type { HostNetworkView, NetworkWayView } from '@stead/api/endpoints/networks.ts'
import { LATENCY_MS_MAX } from '@stead/core/model/network-limits.ts'
import type { NetworkRole } from '@stead/core/model/host.ts'

export type Finding =
  | { readonly kind: 'no-port' | 'down'; readonly host: string; readonly name: string }
  /** `host` is up and hears nothing of `name`, which is up as well. */
  | { readonly kind: 'silent' | 'faulty'; readonly host: string; readonly name: string }
  /** Packets from `host` to `name` get lost, or take longer than disks like to wait. */
  | { readonly kind: 'lossy'; readonly host: string; readonly name: string; readonly lostShare: number }
  | { readonly kind: 'late'; readonly host: string; readonly name: string; readonly latencyMs: number }
  | { readonly kind: 'slow'; readonly host: string; readonly speedBitsPerSecond: number }
  | { readonly kind: 'member-down'; readonly host: string; readonly name: string }
  /** The sizes of packets differ: the largest are lost on the way. */
  | { readonly kind: 'mtu'; readonly sizes: readonly (readonly [mtuBytes: number, hosts: readonly string[]])[] }

/** Mirrored writes wait for the slower of both ways. */
const SPEED_MIN: Readonly<Record<NetworkRole, number>> = { lan: 100e6, san: 1e9, ran: 1e9 }

const SEVERE: ReadonlySet<Finding['kind']> = new Set(['no-port', 'down', 'silent'])

export function isSevere({ kind }: Finding): boolean {
  return SEVERE.has(kind)
}

/** The severe ones first. `sides`: of one network. */
export function findingsOf(network: NetworkRole, sides: readonly HostNetworkView[]): readonly Finding[] {
  // Who has no link hears nobody and is heard by nobody: that it is down says it all.
  const cut = new Set(sides.filter(({ port }) => !port || port.state === 'down').map(({ host }) => host))
  const findings = [...sides.flatMap((side) => findingsOfSide(network, side, cut)), ...mtuFinding(sides)]
  return findings.toSorted((a, b) => Number(isSevere(b)) - Number(isSevere(a)))
}

function findingsOfSide(
  network: NetworkRole,
  { host, address, port, peers }: HostNetworkView,
  cut: ReadonlySet<string>,
): readonly Finding[] {
  if (!port) return [{ kind: 'no-port', host, name: address }]
  if (port.state === 'down') return [{ kind: 'down', host, name: port.name }]
  const speed = port.speedBitsPerSecond
  return [
    ...peers.flatMap((peer): Finding[] =>
      peer.state === 'silent' && !cut.has(peer.host) ? [{ kind: 'silent', host, name: peer.host }] : [],
    ),
    ...port.members.flatMap(({ name, state }): Finding[] =>
      state === 'down' ? [{ kind: 'member-down', host, name }] : [],
    ),
    ...(speed !== null && speed < SPEED_MIN[network]
      ? [{ kind: 'slow', host, speedBitsPerSecond: speed } as const]
      : []),
    ...(port.faultyPackets > 0 ? [{ kind: 'faulty', host, name: port.name } as const] : []),
  ]
}

function mtuFinding(sides: readonly HostNetworkView[]): readonly Finding[] {
  const hostsBySize = Map.groupBy(
    sides.filter(({ port }) => port),
    ({ port }) => port!.mtuBytes,
  )
  if (hostsBySize.size < 2) return []
  const sizes = [...hostsBySize].map(([mtuBytes, of]) => [mtuBytes, of.map(({ host }) => host)] as const)
  return [{ kind: 'mtu', sizes: sizes.toSorted(([a], [b]) => a - b) }]
}

/** What was measured, if somebody has asked for that. `ways`: of one network. */
export function wayFindings(network: NetworkRole, ways: readonly NetworkWayView[]): readonly Finding[] {
  return ways.flatMap(({ from: host, to: name, lostShare, latencyMs }): Finding[] => {
    if (lostShare > 0) return [{ kind: 'lossy', host, name, lostShare }]
    if (latencyMs !== null && latencyMs > LATENCY_MS_MAX[network]) return [{ kind: 'late', host, name, latencyMs }]
    return []
  })
}

/** The worst of them: what mirrored writes wait for. */
export function slowestWay(ways: readonly NetworkWayView[]): NetworkWayView | undefined {
  const wait = ({ latencyMs }: NetworkWayView) => latencyMs ?? Infinity
  return ways.toSorted((a, b) => wait(b) - wait(a))[0]
}

/** What a network carries besides, when there is none of its own: in the order in which the others stand in. */
const STAND_IN: Readonly<Record<NetworkRole, readonly NetworkRole[]>> = {
  lan: [],
  san: ['ran', 'lan'],
  ran: ['san', 'lan'],
}

export function standInFor(missing: NetworkRole, present: readonly NetworkRole[]): NetworkRole | undefined {
  return STAND_IN[missing].find((network) => present.includes(network))
}

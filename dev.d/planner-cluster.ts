/**
 * Random clusters for `./dev bench planner`, the same that the other planners got: sizes of guests from small to 64 GiB,
 * every fifth host half as big again, and constraints in proportion to the guests. The seed gives the cluster.
 */
import { MersenneTwister } from './mersenne-twister.ts'

interface Flavor {
  readonly cpu: number
  readonly memMiB: number
  readonly diskGiB: number
  readonly weight: number
}

const FLAVORS: readonly Flavor[] = [
  { cpu: 1, memMiB: 1_024, diskGiB: 20, weight: 30 },
  { cpu: 1, memMiB: 2_048, diskGiB: 40, weight: 30 },
  { cpu: 2, memMiB: 4_096, diskGiB: 80, weight: 20 },
  { cpu: 4, memMiB: 8_192, diskGiB: 160, weight: 12 },
  { cpu: 8, memMiB: 16_384, diskGiB: 320, weight: 6 },
  { cpu: 16, memMiB: 65_536, diskGiB: 640, weight: 2 },
]
const PRIORITIES = [0, 0, 0, 0, 10, 50]
/** Of all memory and processors. */
const FILL = 0.7

export interface PlannerNode {
  readonly id: string
  readonly cpu: number
  readonly memMiB: number
  readonly rack: string
}

export interface PlannerGuest {
  readonly id: string
  readonly cpu: number
  readonly memMiB: number
  readonly priority: number
  readonly node: string
}

export type PlannerConstraint =
  | { readonly kind: 'apart' | 'together'; readonly guests: readonly [string, string]; readonly strict: true }
  | { readonly kind: 'order'; readonly first: string; readonly then: string }
  | { readonly kind: 'prefer' | 'ban'; readonly guest: string; readonly node: string }

export interface PlannerCluster {
  readonly format: 'spike-cluster/1'
  readonly nodes: readonly PlannerNode[]
  readonly guests: readonly PlannerGuest[]
  readonly constraints: readonly PlannerConstraint[]
}

export interface ClusterShape {
  readonly hosts: number
  /** More than 21. */
  readonly guests: number
  /** `spread`: each guest on the emptiest host; `packed`: on the first that has room. */
  readonly place: 'spread' | 'packed'
  readonly hostsPerRack?: number
  readonly seed?: number
}

type Unplaced = Omit<PlannerGuest, 'node'>

export function plannerCluster({ hosts, guests: count, place, hostsPerRack, seed = 1 }: ClusterShape): PlannerCluster {
  const random = new MersenneTwister(seed)
  const guests = Array.from({ length: count }, (_, index) => {
    const flavor = random.pickWeighted(
      FLAVORS,
      FLAVORS.map(({ weight }) => weight),
    )
    const id = `vm${String(index + 1).padStart(5, '0')}`
    return { id, cpu: flavor.cpu, memMiB: flavor.memMiB, priority: random.pick(PRIORITIES) }
  })
  const nodes = nodesFor(guests, hosts, hostsPerRack)
  const constraints = constraintsFor(guests, nodes, random)
  const places = place === 'spread' ? spread(guests, nodes, constraints) : packed(guests, nodes, constraints)
  return {
    format: 'spike-cluster/1',
    nodes,
    guests: guests.map((guest) => ({ ...guest, node: places.get(guest.id)! })),
    constraints,
  }
}

function nodesFor(guests: readonly Unplaced[], hosts: number, hostsPerRack: number | undefined): PlannerNode[] {
  const sizes = Array.from({ length: hosts }, (_, index) => (index % 5 === 0 ? 1.5 : 1))
  const units = sizes.reduce((sum, size) => sum + size, 0)
  const upTo = (value: number, step: number) => Math.ceil(value / step) * step
  const sum = (of: (guest: Unplaced) => number) => guests.reduce((total, guest) => total + of(guest), 0)
  const memMiB = Math.max(upTo(sum((guest) => guest.memMiB) / FILL / units, 1_024), 65_536 + 4_096)
  const cpu = Math.max(upTo(sum((guest) => guest.cpu) / FILL / units, 4), 32)
  const racks = Math.max(2, Math.floor(hosts / 8))
  return sizes.map((size, index) => ({
    id: `n${index + 1}`,
    cpu: Math.floor(cpu * size),
    memMiB: Math.floor(memMiB * size),
    rack: `r${hostsPerRack === undefined ? index % racks : Math.floor(index / hostsPerRack)}`,
  }))
}

function constraintsFor(
  guests: readonly Unplaced[],
  nodes: readonly PlannerNode[],
  random: MersenneTwister,
): PlannerConstraint[] {
  const ids = guests.map(({ id }) => id)
  const used = new Set<string>()
  const unused = (): string => {
    for (;;) {
      const id = random.pick(ids)
      if (used.has(id)) continue
      used.add(id)
      return id
    }
  }
  const times = (share: number) => Array.from({ length: Math.floor(guests.length / share) })
  const apart = times(20).map(() => ({ kind: 'apart', guests: [unused(), unused()], strict: true }) as const)
  const together = times(25).map(() => ({ kind: 'together', guests: [unused(), unused()], strict: true }) as const)
  const order = times(25).map(() => {
    const [first, then] = random.pickTwo(ids).toSorted() as [string, string]
    // oxlint-disable-next-line unicorn/no-thenable -- the format calls it so
    return { kind: 'order', first, then } as const
  })
  const onNode = <Kind extends 'prefer' | 'ban'>(kind: Kind) => {
    const guest = random.pick(ids)
    return { kind, guest, node: random.pick(nodes).id } as const
  }
  const prefer = times(10).map(() => onNode('prefer'))
  const ban = times(20).map(() => onNode('ban'))
  const banned = new Set(ban.map(({ guest, node }) => `${guest} ${node}`))
  const wanted = prefer.filter(({ guest, node }) => !banned.has(`${guest} ${node}`))
  return [...apart, ...together, ...order, ...wanted, ...ban]
}

function spread(
  guests: readonly Unplaced[],
  nodes: readonly PlannerNode[],
  constraints: readonly PlannerConstraint[],
): Map<string, string> {
  const order = guests.toSorted((a, b) => b.memMiB - a.memMiB)
  return fill(guests, order, nodes, constraints, (allowed, takenShare) => {
    let best = allowed[0]!
    for (const node of allowed) if (takenShare(node) < takenShare(best)) best = node
    return best
  })
}

function packed(
  guests: readonly Unplaced[],
  nodes: readonly PlannerNode[],
  constraints: readonly PlannerConstraint[],
): Map<string, string> {
  return fill(guests, guests, nodes, constraints, (allowed) => allowed[0]!)
}

/** Puts the guests in that order where constraints and room allow it; those that belong together at once. */
function fill(
  guests: readonly Unplaced[],
  order: readonly Unplaced[],
  nodes: readonly PlannerNode[],
  constraints: readonly PlannerConstraint[],
  choose: (allowed: readonly PlannerNode[], takenShare: (node: PlannerNode) => number) => PlannerNode,
): Map<string, string> {
  const byId = new Map(guests.map((guest) => [guest.id, guest]))
  const partner = new Map<string, string>()
  const enemies = new Map<string, string[]>()
  const bans = new Set<string>()
  for (const constraint of constraints) {
    if (constraint.kind === 'ban') bans.add(`${constraint.guest} ${constraint.node}`)
    if (constraint.kind !== 'together' && constraint.kind !== 'apart') continue
    const [one, other] = constraint.guests
    for (const [from, to] of [
      [one, other],
      [other, one],
    ] as const)
      if (constraint.kind === 'together') partner.set(from, to)
      else enemies.set(from, [...(enemies.get(from) ?? []), to])
  }
  const memory = new Map(nodes.map(({ id }) => [id, 0]))
  const cpus = new Map(nodes.map(({ id }) => [id, 0]))
  const places = new Map<string, string>()
  for (const { id } of order) {
    if (places.has(id)) continue
    const group = [id, ...(partner.has(id) ? [partner.get(id)!] : [])].map((one) => byId.get(one)!)
    const memMiB = group.reduce((sum, guest) => sum + guest.memMiB, 0)
    const cpu = group.reduce((sum, guest) => sum + guest.cpu, 0)
    const allowed = nodes.filter(
      (node) =>
        memory.get(node.id)! + memMiB <= node.memMiB &&
        cpus.get(node.id)! + cpu <= node.cpu &&
        group.every(
          (guest) =>
            !bans.has(`${guest.id} ${node.id}`) &&
            (enemies.get(guest.id) ?? []).every((enemy) => places.get(enemy) !== node.id),
        ),
    )
    if (allowed.length === 0) throw new Error(`the random cluster has no room for ${id}`)
    const node = choose(allowed, ({ id: host, memMiB: all }) => memory.get(host)! / all)
    for (const guest of group) places.set(guest.id, node.id)
    memory.set(node.id, memory.get(node.id)! + memMiB)
    cpus.set(node.id, cpus.get(node.id)! + cpu)
  }
  return places
}

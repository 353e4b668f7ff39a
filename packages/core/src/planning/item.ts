/**
 * What is placed as one: a guest, or all those of a unit that need a place together. Holds what the rules and the
 * guests' own state say of each host, so that judging a host is a few additions.
 */
import type { HostsRule } from '../model/rule.ts'
import { NOWHERE, type CompiledProblem, type Unit } from './compiled.ts'

/**
 * What a host costs beyond an uneven spread, which is at most 1 (the sum of two standard deviations of shares between
 * 0 and 1). Each is above all that come after it: a lower one only decides between hosts that are equal so far.
 */
export const COST = {
  /** It failed there lately. */
  failed: 1e6,
  /** Not the host that it is meant for next. */
  astray: 1e5,
  /** A whole wish not fulfilled: the best host of a `hosts` rule, all partners of a `together` or `apart` rule. */
  wish: 1e3,
  /** The disks of all its guests are elsewhere. */
  far: 1.5,
} as const

export interface Item {
  /** Indices of guests, highest priority first. */
  readonly members: readonly number[]
  readonly memoryBytes: number
  readonly cpus: number
  readonly devices: readonly { readonly device: number; readonly shares: number }[]
  readonly priority: number
  readonly unit: Unit | undefined
  /** By host: 1 where its own state and strict rules let it run; undefined when that is everywhere. */
  readonly allowed: Uint8Array | undefined
  /** By host: what does not depend on other guests' places; undefined when all are equal. Lower is better. */
  readonly cost: Float64Array | undefined
  readonly strictSets: readonly number[]
  readonly wishedSets: readonly number[]
  /** How many of the members are in each of `wishedSets`. */
  readonly wishedMembers: readonly number[]
  /** Two of its members must be both together and apart. */
  readonly contradictory: boolean
  /** Index of the host that it is on; NOWHERE while it has none. */
  place: number
}

export function makeItem(problem: CompiledProblem, members: readonly number[]): Item {
  let memoryBytes = 0
  let cpus = 0
  let priority = -Infinity
  const devices = new Map<number, number>()
  for (const member of members) {
    const guest = problem.guests[member]!
    memoryBytes += guest.memoryBytes
    cpus += guest.cpus
    priority = Math.max(priority, guest.priority)
    for (const kind in guest.devices) {
      const device = problem.deviceIndex.get(kind)!
      const shares = guest.devices[kind]!
      if (shares > 0) devices.set(device, (devices.get(device) ?? 0) + shares)
    }
  }
  const first = members[0]!
  return {
    members,
    memoryBytes,
    cpus,
    devices: devices.size === 0 ? NONE : [...devices].map(([device, shares]) => ({ device, shares })),
    priority,
    unit: problem.unitOf[first],
    allowed: allowedHosts(problem, members),
    cost: costByHost(problem, members),
    ...setsOfMembers(problem, members),
    place: NOWHERE,
  }
}

const NONE: readonly never[] = []

function allowedHosts(problem: CompiledProblem, members: readonly number[]): Uint8Array | undefined {
  let allowed: Uint8Array | undefined
  const all = () => (allowed ??= new Uint8Array(problem.hosts.length).fill(1))
  for (const member of members) {
    for (const host in problem.guests[member]!.impossible) forbid(all(), problem.hostIndex.get(host as never))
    for (const rule of problem.hostRulesOf[member] ?? NONE) {
      if (rule.kind === 'ban') for (const host of rule.hosts) forbid(all(), problem.hostIndex.get(host))
      else if (rule.strict) {
        const listed = new Set(rule.hosts.map(({ host }) => problem.hostIndex.get(host)))
        for (const host of problem.hosts.keys()) if (!listed.has(host)) forbid(all(), host)
      }
    }
  }
  return allowed
}

function forbid(allowed: Uint8Array, host: number | undefined): void {
  if (host !== undefined) allowed[host] = 0
}

function costByHost(problem: CompiledProblem, members: readonly number[]): Float64Array | undefined {
  let cost: Float64Array | undefined
  const all = () => (cost ??= new Float64Array(problem.hosts.length))
  for (const member of members) {
    const guest = problem.guests[member]!
    for (const host of guest.failedOn) add(all(), problem.hostIndex.get(host), COST.failed)
    if (guest.meantFor !== undefined) add(all(), problem.hostIndex.get(guest.meantFor.host), -COST.astray)
    for (const host of guest.near) add(all(), problem.hostIndex.get(host), -COST.far / members.length)
    for (const rule of problem.hostRulesOf[member] ?? NONE) {
      if (rule.kind === 'ban') continue
      for (const { host, share } of sharesOfWish(rule)) add(all(), problem.hostIndex.get(host), -COST.wish * share)
    }
  }
  return cost
}

function add(cost: Float64Array, host: number | undefined, amount: number): void {
  if (host !== undefined) cost[host]! += amount
}

/** 1 for the highest priority of a rule, evenly less for each lower one, 0 for hosts that it does not name. */
export function sharesOfWish(rule: HostsRule): { host: HostsRule['hosts'][number]['host']; share: number }[] {
  const [only, second] = rule.hosts
  if (only !== undefined && second === undefined) return [{ host: only.host, share: 1 }]
  const priorities = [...new Set(rule.hosts.map(({ priority }) => priority))].toSorted((a, b) => a - b)
  return rule.hosts.map(({ host, priority }) => ({
    host,
    share: (priorities.indexOf(priority) + 1) / priorities.length,
  }))
}

function setsOfMembers(
  problem: CompiledProblem,
  members: readonly number[],
): Pick<Item, 'strictSets' | 'wishedSets' | 'wishedMembers' | 'contradictory'> {
  const counts = new Map<number, number>()
  for (const member of members)
    for (const set of problem.setsOf[member] ?? NONE) counts.set(set, (counts.get(set) ?? 0) + 1)
  if (counts.size === 0) return { strictSets: NONE, wishedSets: NONE, wishedMembers: NONE, contradictory: false }
  const sets = [...counts.keys()]
  const strictSets = sets.filter((set) => problem.sets[set]!.strict)
  const wishedSets = sets.filter((set) => !problem.sets[set]!.strict)
  return {
    strictSets,
    wishedSets,
    wishedMembers: wishedSets.map((set) => counts.get(set)!),
    contradictory: strictSets.some((set) => counts.get(set)! > 1),
  }
}

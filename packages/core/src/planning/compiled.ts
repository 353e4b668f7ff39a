/**
 * A planning problem with numbers in place of names: hosts and guests are indices, capacities are typed arrays, and
 * rules hang on the guests that they name. Made once a plan, in time linear in what the problem says.
 */
import { assert } from '../assert.ts'
import type { GuestId, HostId } from '../model/ids.ts'
import type { ApartRule, BanRule, HostsRule, RuleId, TogetherRule } from '../model/rule.ts'
import type { PlanningGuest, PlanningHost, PlanningProblem } from './problem.ts'

export const NOWHERE = -1

/** Stands for the wish of a single guest where rules have their names; no rule has an empty one. */
export const ASKED_FOR = '' as RuleId

/** Guests that a rule counts by domain: strict or wished `apart`, and wished `together`. */
export interface CountedSet {
  readonly rule: RuleId
  readonly kind: 'apart' | 'together'
  readonly strict: boolean
  readonly domains: Domains
  readonly size: number
}

/** Hosts grouped by one kind of fault domain; a host without such a domain is one of its own. */
export interface Domains {
  /** `host`, `rack`. */
  readonly across: string
  readonly domainOf: Int32Array
  readonly hostsOf: readonly (readonly number[])[]
}

/** Guests joined by strict `together` rules, directly or through others. */
export interface Unit {
  readonly members: readonly number[]
  readonly rules: readonly RuleId[]
}

export interface CompiledProblem {
  readonly hosts: readonly PlanningHost[]
  readonly guests: readonly PlanningGuest[]
  readonly hostIndex: ReadonlyMap<HostId, number>
  readonly guestIndex: ReadonlyMap<GuestId, number>
  /** Hosts on which guests may be placed. */
  readonly usable: Int32Array
  readonly isUsable: Uint8Array
  readonly memoryBytes: Float64Array
  readonly cpus: Float64Array
  readonly devices: readonly { readonly kind: string; readonly capacity: Float64Array }[]
  readonly deviceIndex: ReadonlyMap<string, number>
  /** Where each guest takes resources at first; NOWHERE too for those that need a place. */
  readonly placeOf: Int32Array
  readonly sets: readonly CountedSet[]
  /** Indices into `sets`; undefined for a guest that is in none. */
  readonly setsOf: readonly (readonly number[] | undefined)[]
  /** `hosts` and `ban` rules; undefined for a guest without one. */
  readonly hostRulesOf: readonly (readonly (HostsRule | BanRule)[] | undefined)[]
  /** Undefined for a guest that no strict rule keeps with another. */
  readonly unitOf: readonly (Unit | undefined)[]
}

export function compileProblem({ hosts, guests, rules }: PlanningProblem): CompiledProblem {
  const hostIndex = new Map<HostId, number>()
  for (const [index, host] of hosts.entries()) hostIndex.set(host.id, index)
  assert(hostIndex.size === hosts.length, 'two hosts of a planning problem have one id')
  const guestIndex = new Map<GuestId, number>()
  const placeOf = new Int32Array(guests.length)
  for (let index = 0; index < guests.length; index++) {
    const guest = guests[index]!
    // Also refuses NaN.
    assert(guest.memoryBytes >= 0 && guest.cpus >= 0, `guest ${guest.id} needs no valid amount of memory or processors`)
    guestIndex.set(guest.id, index)
    placeOf[index] = guest.needsPlace || guest.at === undefined ? NOWHERE : (hostIndex.get(guest.at) ?? NOWHERE)
  }
  assert(guestIndex.size === guests.length, 'two guests of a planning problem have one id')

  const domainsByKind = new Map<string, Domains>()
  const sets: CountedSet[] = []
  const setsOf = guests.map((): number[] | undefined => undefined)
  const hostRulesOf = guests.map((): (HostsRule | BanRule)[] | undefined => undefined)
  const strictTogether: TogetherRule[] = []
  for (const rule of rules) {
    switch (rule.kind) {
      case 'together':
      case 'apart': {
        if (rule.kind === 'together' && rule.strict) strictTogether.push(rule)
        else addCountedSet(rule)
        break
      }
      case 'hosts':
      case 'ban': {
        for (const index of indicesOf(rule.guests, guestIndex)) (hostRulesOf[index] ??= []).push(rule)
        break
      }
      // It says when guests start, not where.
      case 'order':
    }
  }

  for (let index = 0; index < guests.length; index++) {
    const { id, preferred } = guests[index]!
    if (preferred === undefined) continue
    const asked: HostsRule = {
      id: ASKED_FOR,
      kind: 'hosts',
      guests: [id],
      hosts: [{ host: preferred, priority: 0 }],
      strict: false,
    }
    ;(hostRulesOf[index] ??= []).unshift(asked)
  }

  function addCountedSet(rule: ApartRule | TogetherRule): void {
    const members = indicesOf(rule.guests, guestIndex)
    if (members.length < 2) return
    const across = rule.kind === 'apart' ? rule.across : 'host'
    const domains = domainsByKind.get(across) ?? domainsAcross(hosts, across)
    domainsByKind.set(across, domains)
    for (const index of members) (setsOf[index] ??= []).push(sets.length)
    sets.push({ rule: rule.id, kind: rule.kind, strict: rule.strict, domains, size: members.length })
  }

  const usable = Int32Array.from(hosts.keys()).filter((index) => hosts[index]?.unusableBecause === '')
  const isUsable = new Uint8Array(hosts.length)
  for (const host of usable) isUsable[host] = 1
  return {
    hosts,
    guests,
    hostIndex,
    guestIndex,
    usable,
    isUsable,
    memoryBytes: Float64Array.from(hosts, (host) => host.memoryBytes),
    cpus: Float64Array.from(hosts, (host) => host.cpus),
    ...compileDevices(hosts, guests),
    placeOf,
    sets,
    setsOf,
    hostRulesOf,
    unitOf: unitsOf(strictTogether, guestIndex, guests),
  }
}

/** Each one once, and only those that the problem knows: a rule may name guests that are not to run. */
function indicesOf(ids: readonly GuestId[], guestIndex: ReadonlyMap<GuestId, number>): number[] {
  const found = new Set<number>()
  for (const id of ids) {
    const index = guestIndex.get(id)
    if (index !== undefined) found.add(index)
  }
  return [...found]
}

function domainsAcross(hosts: readonly PlanningHost[], across: string): Domains {
  const domainOf = new Int32Array(hosts.length)
  const hostsOf: number[][] = []
  const byName = new Map<string, number>()
  for (const [index, host] of hosts.entries()) {
    const name = across === 'host' ? undefined : host.faultDomains[across]
    const known = name === undefined ? undefined : byName.get(name)
    const domain = known ?? hostsOf.length
    if (known === undefined) hostsOf.push([])
    if (name !== undefined) byName.set(name, domain)
    domainOf[index] = domain
    hostsOf[domain]?.push(index)
  }
  return { across, domainOf, hostsOf }
}

function compileDevices(
  hosts: readonly PlanningHost[],
  guests: readonly PlanningGuest[],
): Pick<CompiledProblem, 'devices' | 'deviceIndex'> {
  const deviceIndex = new Map<string, number>()
  const devices: { kind: string; capacity: Float64Array }[] = []
  const know = (kind: string) => {
    const index = deviceIndex.get(kind)
    if (index !== undefined) return index
    deviceIndex.set(kind, devices.length)
    return devices.push({ kind, capacity: new Float64Array(hosts.length) }) - 1
  }
  for (const [index, host] of hosts.entries())
    for (const [kind, shares] of Object.entries(host.devices)) devices[know(kind)]!.capacity[index] = shares
  for (const guest of guests) for (const kind in guest.devices) know(kind)
  return { devices, deviceIndex }
}

function unitsOf(
  rules: readonly TogetherRule[],
  guestIndex: ReadonlyMap<GuestId, number>,
  guests: readonly PlanningGuest[],
): (Unit | undefined)[] {
  const unitOf = guests.map((): Unit | undefined => undefined)
  for (const rule of rules) {
    const named = indicesOf(rule.guests, guestIndex)
    if (named.length < 2) continue
    const joined = { members: new Set<number>(), rules: new Set<RuleId>([rule.id]) }
    for (const index of named) {
      joined.members.add(index)
      for (const member of unitOf[index]?.members ?? []) joined.members.add(member)
      for (const id of unitOf[index]?.rules ?? []) joined.rules.add(id)
    }
    const unit = { members: [...joined.members].toSorted((a, b) => a - b), rules: [...joined.rules] }
    for (const member of unit.members) unitOf[member] = unit
  }
  return unitOf
}

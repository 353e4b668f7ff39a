/** Why a guest can't be on a host, as data and in words. Names are the administrator's: a guest's name, a host's id. */
import type { HostId } from '../model/ids.ts'
import type { RuleId } from '../model/rule.ts'
import { NOWHERE, type CompiledProblem } from './compiled.ts'
import type { Item } from './item.ts'
import type { Occupancy } from './occupancy.ts'

export type Objection =
  | { readonly kind: 'unusable' | 'impossible'; readonly because: string }
  | { readonly kind: 'memory'; readonly freeBytes: number; readonly neededBytes: number }
  | { readonly kind: 'cpus'; readonly free: number; readonly needed: number }
  | { readonly kind: 'device'; readonly device: string; readonly free: number; readonly needed: number }
  | { readonly kind: 'ban'; readonly rule: RuleId; readonly guest: string }
  | { readonly kind: 'hosts'; readonly rule: RuleId; readonly guest: string; readonly hosts: readonly HostId[] }
  | {
      readonly kind: 'apart'
      readonly rule: RuleId
      readonly across: string
      readonly guest: string
      readonly from: string
      readonly at: HostId
      /** That host or its rack. */
      readonly domain: string
    }
  | {
      readonly kind: 'together'
      readonly rules: readonly RuleId[]
      readonly guest: string
      readonly with: string
      readonly at: HostId
    }
  /** It must be together with a guest that it must be apart from. */
  | { readonly kind: 'contradiction'; readonly rules: readonly RuleId[] }

/** The first thing that stands against the item on that host; undefined when nothing does. The item must be lifted. */
export function objectionTo(occupancy: Occupancy, item: Item, host: number): Objection | undefined {
  const { problem } = occupancy
  const { unusableBecause } = problem.hosts[host]!
  if (unusableBecause !== '') return { kind: 'unusable', because: unusableBecause }
  return (
    hostRuleObjection(problem, item, host) ??
    guestRuleObjection(occupancy, item, host) ??
    roomObjection(occupancy, item, host)
  )
}

function hostRuleObjection(problem: CompiledProblem, item: Item, host: number): Objection | undefined {
  if (item.allowed === undefined || item.allowed[host] === 1) return undefined
  const { id } = problem.hosts[host]!
  for (const member of item.members) {
    const guest = problem.guests[member]!
    const because = guest.impossible[id]
    if (because !== undefined) return { kind: 'impossible', because }
    for (const rule of problem.hostRulesOf[member] ?? []) {
      if (rule.kind === 'ban' && rule.hosts.includes(id)) return { kind: 'ban', rule: rule.id, guest: guest.name }
      if (rule.kind === 'hosts' && rule.strict && rule.hosts.every((ranked) => ranked.host !== id))
        return { kind: 'hosts', rule: rule.id, guest: guest.name, hosts: rule.hosts.map((ranked) => ranked.host) }
    }
  }
  return undefined
}

function guestRuleObjection(occupancy: Occupancy, item: Item, host: number): Objection | undefined {
  const { problem, placeOf } = occupancy
  if (item.contradictory) {
    const apart = item.strictSets.map((set) => problem.sets[set]!.rule)
    return { kind: 'contradiction', rules: [...(item.unit?.rules ?? []), ...apart] }
  }
  const guest = problem.guests[item.members[0]!]!.name
  for (const member of item.unit?.members ?? []) {
    const place = placeOf[member]!
    if (place === NOWHERE || place === host || item.members.includes(member)) continue
    const partner = problem.guests[member]!.name
    return { kind: 'together', rules: item.unit!.rules, guest, with: partner, at: problem.hosts[place]!.id }
  }
  occupancy.prepare(item)
  if (item.strictSets.length === 0 || !occupancy.isBlocked(host)) return undefined
  for (const set of item.strictSets) {
    const { domains, rule } = problem.sets[set]!
    const other = problem.guests.findIndex(
      (_, index) =>
        problem.setsOf[index]?.includes(set) === true &&
        placeOf[index] !== NOWHERE &&
        domains.domainOf[placeOf[index]!] === domains.domainOf[host],
    )
    if (other === -1) continue
    const member = item.members.find((index) => problem.setsOf[index]?.includes(set))!
    const at = problem.hosts[placeOf[other]!]!
    return {
      kind: 'apart',
      rule,
      across: domains.across,
      guest: problem.guests[member]!.name,
      from: problem.guests[other]!.name,
      at: at.id,
      domain: at.faultDomains[domains.across] ?? at.id,
    }
  }
  return undefined
}

function roomObjection(occupancy: Occupancy, item: Item, host: number): Objection | undefined {
  const { problem } = occupancy
  const freeBytes = problem.memoryBytes[host]! - occupancy.usedMemory[host]!
  if (item.memoryBytes > freeBytes) return { kind: 'memory', freeBytes, neededBytes: item.memoryBytes }
  if (occupancy.hasRoom(item, host)) return undefined
  for (const { device, shares } of item.devices) {
    const { kind, capacity } = problem.devices[device]!
    const free = capacity[host]! - occupancy.usedDevices[device]![host]!
    if (shares > free) return { kind: 'device', device: kind, free, needed: shares }
  }
  return { kind: 'cpus', free: problem.cpus[host]! - occupancy.usedCpus[host]!, needed: item.cpus }
}

/** After the name of the host: "it has 3000 MiB of memory free, 4096 MiB are needed". */
export function sentenceOf(objection: Objection): string {
  switch (objection.kind) {
    case 'unusable':
    case 'impossible':
      return objection.because
    case 'memory':
      return `it has ${mib(objection.freeBytes)} MiB of memory free, ${mib(objection.neededBytes)} MiB are needed`
    case 'cpus':
      return `it has ${amount(objection.free)} processors free, ${amount(objection.needed)} are needed`
    case 'device':
      return objection.free === 0 && objection.needed === 1
        ? `it has no ${objection.device} free`
        : `it has ${amount(objection.free)} of ${objection.device} free, ${amount(objection.needed)} are needed`
    case 'ban':
      return `rule ${objection.rule} keeps ${objection.guest} off it`
    case 'hosts':
      return `rule ${objection.rule} allows ${objection.guest} only on ${objection.hosts.join(', ') || 'no host'}`
    case 'apart':
      return objection.across === 'host'
        ? `rule ${objection.rule} keeps ${objection.guest} apart from ${objection.from}, which is there`
        : `rule ${objection.rule} keeps ${objection.guest} apart from ${objection.from}, which is on ${objection.at} in the same ${objection.across} ${objection.domain}`
    case 'together':
      return `${rulesNamed(objection.rules)} ${objection.guest} together with ${objection.with}, which is on ${objection.at}`
    case 'contradiction':
      return `the rules ${objection.rules.join(' and ')} contradict each other`
  }
}

function rulesNamed(rules: readonly RuleId[]): string {
  return rules.length === 1 ? `rule ${rules[0]} keeps` : `the rules ${rules.join(', ')} keep`
}

export function mib(bytes: number): number {
  return Math.max(0, Math.floor(bytes / (1 << 20)))
}

function amount(value: number): string {
  return String(Math.max(0, Math.round(value * 100) / 100))
}

/** Judges places by the words of the rules, and tries everything; shares no code with the planner on purpose. */
import type { GuestId, HostId } from '../model/ids.ts'
import type { PlanningGuest, PlanningProblem } from './problem.ts'

type Places = ReadonlyMap<GuestId, HostId>

export function brokenRulesIn({ hosts, guests, rules }: PlanningProblem, places: Places): string[] {
  const broken: string[] = []
  const domainOf = (across: string, id: HostId) =>
    hosts.find((host) => host.id === id)?.faultDomains[across] ?? `host ${id}`
  for (const rule of rules) {
    const named = rule.guests.flatMap((guest) => places.get(guest) ?? [])
    if (rule.kind === 'ban' && named.some((host) => rule.hosts.includes(host))) broken.push(rule.id)
    if (rule.kind === 'order' || rule.kind === 'ban' || !rule.strict) continue
    if (rule.kind === 'together' && new Set(named).size > 1) broken.push(rule.id)
    if (rule.kind === 'hosts' && named.some((id) => rule.hosts.every(({ host }) => host !== id))) broken.push(rule.id)
    if (rule.kind === 'apart' && new Set(named.map((id) => domainOf(rule.across, id))).size < named.length)
      broken.push(rule.id)
  }
  for (const guest of guests) {
    const host = hosts.find(({ id }) => id === places.get(guest.id))
    if (host === undefined) continue
    if (guest.needsPlace && host.unusableBecause !== '') broken.push(`${guest.id} is on ${host.id}`)
    if (guest.impossible[host.id] !== undefined) broken.push(`${guest.id} can't run on ${host.id}`)
  }
  return broken
}

export function overfullHostsIn({ hosts, guests }: PlanningProblem, places: Places): HostId[] {
  return hosts
    .filter((host) => {
      const there = guests.filter(({ id }) => places.get(id) === host.id)
      const sum = (of: (guest: PlanningGuest) => number) => there.reduce((total, guest) => total + of(guest), 0)
      return (
        sum(({ memoryBytes }) => memoryBytes) > host.memoryBytes ||
        sum(({ cpus }) => cpus) > host.cpus ||
        Object.entries(host.devices).some(([kind, shares]) => sum(({ devices }) => devices[kind] ?? 0) > shares)
      )
    })
    .map(({ id }) => id)
}

export function canPlaceAll(problem: PlanningProblem, places: Map<GuestId, HostId> = new Map()): boolean {
  const next = problem.guests.find(({ id }) => !places.has(id))
  if (next === undefined) return true
  return problem.hosts.some(({ id, unusableBecause }) => {
    if (unusableBecause !== '') return false
    places.set(next.id, id)
    const fits = brokenRulesIn(problem, places).length === 0 && overfullHostsIn(problem, places).length === 0
    if (fits && canPlaceAll(problem, places)) return true
    places.delete(next.id)
    return false
  })
}

/**
 * The cheapest moves after which the guest has a place somewhere: how many guests, the highest of their priorities, their
 * bytes. Each step takes any guests from one host to another, and no step breaks a rule or overfills a host.
 */
export function cheapestRoom(
  problem: PlanningProblem,
  places: ReadonlyMap<GuestId, HostId>,
  wanted: GuestId,
  movesMax: number,
): readonly number[] | undefined {
  const isSound = (at: Places) => brokenRulesIn(problem, at).length === 0 && overfullHostsIn(problem, at).length === 0
  const usable = problem.hosts.filter(({ unusableBecause }) => unusableBecause === '').map(({ id }) => id)
  const movable = problem.guests.filter(({ id, movable: may }) => may && usable.includes(places.get(id)!))
  let best: readonly number[] | undefined
  const attempt = (at: Places, moved: readonly PlanningGuest[]) => {
    if (moved.length > 0 && usable.some((host) => isSound(new Map([...at, [wanted, host]])))) {
      const bytes = moved.reduce((sum, { memoryBytes }) => sum + memoryBytes, 0)
      const cost = [moved.length, Math.max(...moved.map(({ priority }) => priority)), bytes]
      if (best === undefined || isBelow(cost, best)) best = cost
    }
    const left = movesMax - moved.length
    for (const from of usable) {
      const there = movable.filter((guest) => at.get(guest.id) === from && !moved.includes(guest))
      for (const step of subsetsOf(there, left))
        for (const to of usable) {
          if (to === from) continue
          const next = new Map([...at, ...step.map(({ id }) => [id, to] as const)])
          if (isSound(next)) attempt(next, [...moved, ...step])
        }
    }
  }
  attempt(places, [])
  return best
}

function isBelow(a: readonly number[], b: readonly number[]): boolean {
  const index = a.findIndex((value, place) => value !== b[place])
  return index !== -1 && a[index]! < b[index]!
}

/** Those that are not empty. */
function subsetsOf<T>(from: readonly T[], max: number): T[][] {
  if (max <= 0 || from.length === 0) return []
  const [first, ...rest] = from
  const without = subsetsOf(rest, max)
  return [[first!], ...subsetsOf(rest, max - 1).map((subset) => [first!, ...subset]), ...without]
}

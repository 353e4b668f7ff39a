/**
 * Few moves of running guests that even out the hosts: first those that a strict rule demands, then the ones that gain
 * most for each guest moved. Destinations are bettered afterwards, moves that no longer gain are dropped, and the rest
 * is put in an order in which every step has room. No step breaks a rule, overfills a host or spoils a wish.
 */
import type { GuestId, HostId } from '../model/ids.ts'
import { BalanceSearch } from './balance-search.ts'
import { compileProblem, NOWHERE } from './compiled.ts'
import { makeItem, type Item } from './item.ts'
import { objectionTo, sentenceOf } from './objection.ts'
import { Occupancy } from './occupancy.ts'
import type { PlanningGuest, PlanningProblem } from './problem.ts'
import { bestHost } from './room.ts'
import { runningItems } from './running-items.ts'

export interface BalanceOptions {
  /** Guests moved at most. */
  readonly movesMax?: number
  /** What a move must take off the score to be worth it; 0.0001 when not given. */
  readonly gainMin?: number
  /** How fast a migration copies memory; 1 GiB/s when not given. */
  readonly bytesPerSecond?: number
  /** Only what strict rules demand. */
  readonly rulesOnly?: boolean
}

export interface BalanceMove {
  readonly guest: GuestId
  /** All that must move in this step, the guest included: they must stay together. */
  readonly together: readonly GuestId[]
  readonly from: HostId
  readonly to: HostId
  /** What this step takes off the score; below 0 for one that makes room for a better one. */
  readonly gain: number
  /** How long the migration copies memory, and how much. */
  readonly cost: { readonly seconds: number; readonly bytes: number }
  /** In words. */
  readonly why: string
}

export interface Balance {
  /** In the order in which each has room; guests that must stay together follow one another. */
  readonly moves: readonly BalanceMove[]
  /** Standard deviation of the shares of memory taken, plus that of processors; 0 is perfectly even. */
  readonly scoreBefore: number
  readonly scoreAfter: number
}

const GAIN_MIN = 1e-4
const BYTES_PER_SECOND = 2 ** 30
/** Above this share of the migration's speed, memory is rewritten nearly as fast as it is copied. */
const DIRTY_SHARE_MAX = 0.8

export function balance(problem: PlanningProblem, options: BalanceOptions = {}): Balance {
  const { movesMax = Infinity, gainMin = GAIN_MIN, bytesPerSecond = BYTES_PER_SECOND, rulesOnly = false } = options
  const compiled = compileProblem(problem)
  const occupancy = new Occupancy(compiled)
  const scoreBefore = occupancy.spread()
  const demanded = obeyRules(occupancy, movesMax)
  const moves = describe(occupancy, demanded, bytesPerSecond)
  if (!rulesOnly) {
    const items = runningItems(occupancy, (index) => {
      const { movable, dirtyBytesPerSecond } = compiled.guests[index]!
      return movable && dirtyBytesPerSecond <= DIRTY_SHARE_MAX * bytesPerSecond
    })
    const secondsOf = (item: Item) =>
      item.members.reduce((sum, member) => sum + costOf(compiled.guests[member]!, bytesPerSecond).seconds, 0)
    const search = new BalanceSearch(occupancy, items, secondsOf)
    const steps = search.run({ movesMax: movesMax - moves.length, gainMin })
    moves.push(...describe(occupancy, steps, bytesPerSecond))
  }
  return { moves, scoreBefore, scoreAfter: occupancy.spread() }
}

/** A step as it was taken: the occupancy has it already. */
export interface BalanceStep {
  readonly item: Item
  readonly from: number
  readonly to: number
  readonly gain: number
  /** Shares of memory taken on the two hosts before the step; of no interest where a rule demands it. */
  readonly fills: readonly [from: number, to: number]
  /** What a rule says against the old host; empty when the step is for evenness only. */
  readonly demandedBecause: string
}

/** Guests that run where a strict rule, set later, does not allow it go first. */
function obeyRules(occupancy: Occupancy, movesMax: number): BalanceStep[] {
  const steps: BalanceStep[] = []
  let moves = 0
  for (const part of partsOfUnits(occupancy)) {
    if (part.members.some((member) => !occupancy.problem.guests[member]!.movable)) continue
    const spreadBefore = occupancy.spread()
    const from = occupancy.lift(part)
    occupancy.prepare(part)
    const stands = occupancy.allows(part, from)
    const to = stands || moves + part.members.length > movesMax ? NOWHERE : bestHost(occupancy, part)
    const objection = to === NOWHERE ? undefined : objectionTo(occupancy, part, from)
    occupancy.put(part, to === NOWHERE ? from : to)
    if (to === NOWHERE || objection === undefined) continue
    moves += part.members.length
    const gain = spreadBefore - occupancy.spread()
    steps.push({ item: part, from, to, gain, fills: [0, 0], demandedBecause: sentenceOf(objection) })
  }
  return steps
}

/** What runs with rules on it, as items: a unit that is spread over hosts is one item on each of them. */
function partsOfUnits({ problem, placeOf }: Occupancy): Item[] {
  const parts: Item[] = []
  for (const [index, place] of placeOf.entries()) {
    if (place === NOWHERE || problem.isUsable[place] === 0) continue
    const unit = problem.unitOf[index]
    const ruled = unit !== undefined || problem.setsOf[index] !== undefined || problem.hostRulesOf[index] !== undefined
    if (!ruled) continue
    const members = unit === undefined ? [index] : unit.members.filter((member) => placeOf[member] === place)
    if (members[0] === index) parts.push(Object.assign(makeItem(problem, members), { place }))
  }
  // The smaller part of a unit joins the bigger.
  return parts.toSorted((a, b) => a.members.length - b.members.length)
}

/** Pre-copy sends what was rewritten meanwhile again, and so on: a geometric series. */
function costOf(guest: PlanningGuest, bytesPerSecond: number): { seconds: number; bytes: number } {
  const dirtyShare = Math.min(guest.dirtyBytesPerSecond / bytesPerSecond, DIRTY_SHARE_MAX)
  const bytes = guest.memoryBytes / (1 - dirtyShare)
  return { seconds: bytes / bytesPerSecond, bytes }
}

function describe(occupancy: Occupancy, steps: readonly BalanceStep[], bytesPerSecond: number): BalanceMove[] {
  const { guests, hosts } = occupancy.problem
  return steps.flatMap(({ item, from, to, gain, fills, demandedBecause }) =>
    item.members.map((member) => {
      const guest = guests[member]!
      const [source, target] = [hosts[from]!.id, hosts[to]!.id]
      const together =
        item.members.length > 1 ? `, with ${item.members.length - 1} that must stay together with it` : ''
      const evenness =
        gain >= 0
          ? `${source} has ${percent(fills[0])} of its memory taken, ${target} ${percent(fills[1])}${together}`
          : `it makes room on ${source} for a move that gains more${together}`
      return {
        guest: guest.id,
        together: item.members.map((each) => guests[each]!.id),
        from: source,
        to: target,
        gain: gain / item.members.length,
        cost: costOf(guest, bytesPerSecond),
        why: demandedBecause === '' ? evenness : `it may not stay on ${source}: ${demandedBecause}`,
      }
    }),
  )
}

function percent(value: number): string {
  return `${Math.round(value * 100)} %`
}

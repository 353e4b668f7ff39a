/**
 * Betters a set of placed items step by step: each goes where it costs least, then pairs exchange their hosts, until
 * nothing gains or the effort is spent. Steps that break a rule or a capacity are never taken.
 */
import type { Effort } from './effort.ts'
import type { Item } from './item.ts'
import type { Occupancy } from './occupancy.ts'
import { bestHost } from './room.ts'

/** Gains below this are rounding. */
const GAIN_MIN = 1e-9

export function refine(occupancy: Occupancy, items: readonly Item[], effort: Effort): void {
  while (!effort.spent) {
    if (moveEach(occupancy, items, effort)) continue
    if (!exchangePairs(occupancy, items, effort)) return
  }
}

function moveEach(occupancy: Occupancy, items: readonly Item[], effort: Effort): boolean {
  let improved = false
  for (const item of items) {
    effort.spend(occupancy.problem.usable.length)
    const from = occupancy.lift(item)
    const to = bestHost(occupancy, item)
    const gains = to !== from && occupancy.costAt(item, to) < occupancy.costAt(item, from) - GAIN_MIN
    occupancy.put(item, gains ? to : from)
    improved ||= gains
    if (effort.spent) break
  }
  return improved
}

function exchangePairs(occupancy: Occupancy, items: readonly Item[], effort: Effort): boolean {
  let improved = false
  for (let first = 0; first < items.length; first++) {
    const one = items[first]!
    effort.spend(first)
    if (effort.spent) break
    for (let second = 0; second < first; second++) {
      const other = items[second]!
      if (one.place === other.place) continue
      if (exchangeGains(occupancy, one, other) && exchange(occupancy, one, other)) improved = true
    }
  }
  return improved
}

/** A quick look, so that few pairs are tried in earnest. */
function exchangeGains(occupancy: Occupancy, one: Item, other: Item): boolean {
  if (hasWishes(one) || hasWishes(other)) return true
  const bytes = one.memoryBytes - other.memoryBytes
  const cpus = one.cpus - other.cpus
  if (bytes === 0 && cpus === 0) return false
  return occupancy.spreadAfterShift(one.place, other.place, bytes, cpus) < occupancy.spread() - GAIN_MIN
}

function hasWishes(item: Item): boolean {
  return item.cost !== undefined || item.wishedSets.length > 0
}

function exchange(occupancy: Occupancy, one: Item, other: Item): boolean {
  const spreadBefore = occupancy.spread()
  const otherHost = occupancy.lift(other)
  const otherBefore = wishCost(occupancy, other, otherHost)
  const oneHost = occupancy.lift(one)
  const oneBefore = wishCost(occupancy, one, oneHost)
  let oneAfter = Infinity
  let otherAfter = Infinity
  if (occupancy.admits(one, otherHost)) {
    oneAfter = occupancy.wishCostAt(one, otherHost)
    occupancy.put(one, otherHost)
    occupancy.prepare(other)
    if (occupancy.admits(other, oneHost)) {
      otherAfter = occupancy.wishCostAt(other, oneHost)
      occupancy.put(other, oneHost)
    }
  }
  const gain = oneBefore + otherBefore + spreadBefore - oneAfter - otherAfter - occupancy.spread()
  if (gain > GAIN_MIN && !robsTheMoreImportant(one, oneAfter - oneBefore, other, otherAfter - otherBefore)) return true
  if (one.place !== -1) occupancy.lift(one)
  if (other.place !== -1) occupancy.lift(other)
  occupancy.put(one, oneHost)
  occupancy.put(other, otherHost)
  return false
}

/** A guest of higher priority does not give up what it wishes for one of lower priority. */
function robsTheMoreImportant(one: Item, oneLoss: number, other: Item, otherLoss: number): boolean {
  if (one.priority === other.priority) return false
  return (one.priority > other.priority ? oneLoss : otherLoss) > 0
}

function wishCost(occupancy: Occupancy, item: Item, host: number): number {
  occupancy.prepare(item)
  return occupancy.wishCostAt(item, host)
}

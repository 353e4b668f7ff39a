/**
 * Finds a host for an item that fits nowhere as things stand, by giving others another host. Three steps, each bounded:
 * ejection chains (one or two others make way, and find a host in the same manner), then, while the plan is small, a
 * complete search over all items of the plan. Nothing is changed when it fails.
 */
import { NOWHERE } from './compiled.ts'
import { Effort } from './effort.ts'
import type { Item } from './item.ts'
import type { Occupancy } from './occupancy.ts'

/** How many items may make way for one another in a row. */
const CHAIN_MAX = 3
/** Of the pairs on one host that may make way together. */
const PAIRS_MAX = 64
/** Items times hosts up to which the complete search is tried: above, its budget would not see it through. */
const COMPLETE_SEARCH_MAX = 4_000

/** The host with the least cost of those that admit the item, or NOWHERE. The item must be lifted. */
export function bestHost(occupancy: Occupancy, item: Item): number {
  occupancy.prepare(item)
  const { usable } = occupancy.problem
  let best = NOWHERE
  let bestCost = Infinity
  for (let index = 0; index < usable.length; index++) {
    const host = usable[index]!
    if (!occupancy.admits(item, host)) continue
    const cost = occupancy.costAt(item, host)
    if (cost < bestCost) {
      bestCost = cost
      best = host
    }
  }
  return best
}

export class RoomSearch {
  readonly #occupancy: Occupancy
  #effort = new Effort(0)
  /** Items that may make way, by the host that they are on now. */
  readonly #itemsAt: readonly Set<Item>[]
  /** How many items of this plan have a place. */
  #planned = 0
  /** Items with a host that the present chain has given them. */
  readonly #settled = new Set<Item>()
  /** What was done, so that it can be undone: each item with the place that it had before. */
  readonly #journal: { readonly item: Item; readonly before: number }[] = []

  constructor(occupancy: Occupancy) {
    this.#occupancy = occupancy
    this.#itemsAt = occupancy.problem.hosts.map(() => new Set<Item>())
  }

  /** An item of this plan that was placed without this search: it may make way from now on. */
  add(item: Item): void {
    this.#planned++
    this.#itemsAt[item.place]!.add(item)
  }

  /** Puts the item somewhere; false when no way was found. */
  find(item: Item, effort: Effort): boolean {
    this.#effort = effort
    this.#journal.length = 0
    const found = this.#settle(item, CHAIN_MAX) || (this.#isSmall() && this.#searchCompletely(item))
    if (found) this.#planned++
    return found
  }

  #isSmall(): boolean {
    return (this.#planned + 1) * this.#occupancy.problem.usable.length <= COMPLETE_SEARCH_MAX
  }

  #settle(item: Item, chain: number): boolean {
    const { usable } = this.#occupancy.problem
    this.#effort.spend(usable.length)
    const host = bestHost(this.#occupancy, item)
    if (host !== NOWHERE) {
      this.#move(item, host)
      return true
    }
    if (chain === 0) return false
    for (const candidate of usable) {
      if (this.#effort.spent) return false
      if (item.allowed?.[candidate] === 0) continue
      for (const leaving of this.#whoCouldLeave(item, candidate)) {
        this.#effort.spend(leaving.length + 1)
        if (this.#effort.spent) return false
        if (this.#replace(leaving, item, candidate, chain)) return true
      }
    }
    return false
  }

  /** Sets of items whose leaving might let the item onto the host, the smallest first. */
  *#whoCouldLeave(item: Item, host: number): Generator<readonly Item[]> {
    const inTheWay = this.#whoIsInTheWay(item, host)
    if (inTheWay.length > 0) yield inTheWay
    const there = [...this.#itemsAt[host]!]
      .filter((other) => this.#mayLeave(other) && !inTheWay.includes(other))
      .toSorted((a, b) => a.memoryBytes - b.memoryBytes)
    for (const one of there) yield [...inTheWay, one]
    let pairs = 0
    for (const [index, one] of there.entries())
      for (const other of there.slice(0, index)) {
        if (pairs++ === PAIRS_MAX) return
        yield [...inTheWay, one, other]
      }
  }

  /** Those in the same domain that a strict rule keeps apart from the item. */
  #whoIsInTheWay(item: Item, host: number): Item[] {
    const found = new Set<Item>()
    for (const set of item.strictSets) {
      const { domainOf, hostsOf } = this.#occupancy.problem.sets[set]!.domains
      for (const near of hostsOf[domainOf[host]!]!)
        for (const other of this.#itemsAt[near]!)
          if (other.strictSets.includes(set) && this.#mayLeave(other)) found.add(other)
    }
    return [...found]
  }

  #mayLeave(item: Item): boolean {
    return !this.#settled.has(item)
  }

  #replace(leaving: readonly Item[], item: Item, host: number, chain: number): boolean {
    const mark = this.#journal.length
    for (const other of leaving) this.#move(other, NOWHERE)
    this.#occupancy.prepare(item)
    if (this.#occupancy.admits(item, host)) {
      this.#move(item, host)
      this.#settled.add(item)
      // The big ones first: they have the fewest hosts to go to.
      const bySize = leaving.toSorted((a, b) => b.memoryBytes - a.memoryBytes)
      const found = bySize.every((other) => this.#settle(other, chain - 1))
      this.#settled.delete(item)
      if (found) return true
    }
    this.#undo(mark)
    return false
  }

  /** Depth first, always the item with the fewest hosts left to go to. */
  #searchCompletely(wanted: Item): boolean {
    const mark = this.#journal.length
    const planned = this.#itemsAt.flatMap((items) => [...items])
    for (const item of planned) this.#move(item, NOWHERE)
    const found = this.#assign(new Set([...planned, wanted]))
    if (!found) this.#undo(mark)
    return found
  }

  #assign(open: Set<Item>): boolean {
    if (open.size === 0) return true
    const tightest = this.#tightest(open)
    if (tightest === undefined) return false
    open.delete(tightest.item)
    for (const host of tightest.hosts) {
      this.#move(tightest.item, host)
      if (this.#assign(open)) return true
      this.#move(tightest.item, NOWHERE)
      if (this.#effort.spent) break
    }
    open.add(tightest.item)
    return false
  }

  #tightest(open: ReadonlySet<Item>): { item: Item; hosts: number[] } | undefined {
    const occupancy = this.#occupancy
    const { usable } = occupancy.problem
    let tightest: { item: Item; hosts: number[] } | undefined
    for (const item of open) {
      this.#effort.spend(usable.length)
      if (this.#effort.spent) return undefined
      occupancy.prepare(item)
      const hosts: number[] = []
      for (const host of usable) if (occupancy.admits(item, host)) hosts.push(host)
      if (hosts.length === 0) return undefined
      const isTighter =
        tightest === undefined ||
        hosts.length < tightest.hosts.length ||
        (hosts.length === tightest.hosts.length && item.memoryBytes > tightest.item.memoryBytes)
      if (isTighter) tightest = { item, hosts }
    }
    if (tightest === undefined) return undefined
    // The fullest host first, so that the big gaps stay.
    tightest.hosts.sort((a, b) => occupancy.fill(b) - occupancy.fill(a))
    return tightest
  }

  #move(item: Item, host: number): void {
    this.#journal.push({ item, before: item.place })
    this.#take(item, host)
  }

  #undo(mark: number): void {
    while (this.#journal.length > mark) {
      const { item, before } = this.#journal.pop()!
      this.#take(item, before)
    }
  }

  #take(item: Item, host: number): void {
    if (item.place !== NOWHERE) this.#itemsAt[this.#occupancy.lift(item)]!.delete(item)
    if (host === NOWHERE) return
    this.#occupancy.put(item, host)
    this.#itemsAt[host]!.add(item)
  }
}

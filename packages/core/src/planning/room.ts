/**
 * Finds a host for an item that fits nowhere as things stand, by giving others another host. Three steps, each bounded:
 * ejection chains (one or two others make way, and find a host in the same manner), then, while the plan is small, a
 * complete search over all items of the plan. Nothing is changed when it fails.
 */
import { NOWHERE } from './compiled.ts'
import type { Effort } from './effort.ts'
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
  readonly #effort: Effort
  /** Items that may make way, on whichever host they are now. */
  readonly #yielding: readonly Item[]
  /** Items with a host that the present chain has given them. */
  readonly #settled = new Set<Item>()
  /** What was done, so that it can be undone: each item with the place that it had before. */
  readonly #journal: { readonly item: Item; readonly before: number }[] = []

  constructor(occupancy: Occupancy, yielding: readonly Item[], effort: Effort) {
    this.#occupancy = occupancy
    this.#yielding = yielding
    this.#effort = effort
  }

  /** Puts the item somewhere; false when no way was found. */
  find(item: Item): boolean {
    if (this.#settle(item, CHAIN_MAX)) return true
    const items = [...this.#yielding.filter(({ place }) => place !== NOWHERE), item]
    if (items.length * this.#occupancy.problem.usable.length > COMPLETE_SEARCH_MAX) return false
    return this.#searchCompletely(items)
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
    const { sets } = this.#occupancy.problem
    const free = this.#yielding.filter((other) => other.place !== NOWHERE && !this.#settled.has(other))
    const inTheWay = free.filter((other) =>
      item.strictSets.some((set) => {
        const { domainOf } = sets[set]!.domains
        return other.strictSets.includes(set) && domainOf[other.place] === domainOf[host]
      }),
    )
    if (inTheWay.length > 0) yield inTheWay
    const there = free
      .filter((other) => other.place === host && !inTheWay.includes(other))
      .toSorted((a, b) => a.memoryBytes - b.memoryBytes)
    for (const one of there) yield [...inTheWay, one]
    let pairs = 0
    for (const [index, one] of there.entries())
      for (const other of there.slice(0, index)) {
        if (pairs++ === PAIRS_MAX) return
        yield [...inTheWay, one, other]
      }
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
  #searchCompletely(items: readonly Item[]): boolean {
    const mark = this.#journal.length
    for (const item of items) if (item.place !== NOWHERE) this.#move(item, NOWHERE)
    const found = this.#assign(new Set(items))
    if (!found) this.#undo(mark)
    return found
  }

  #assign(open: Set<Item>): boolean {
    if (open.size === 0) return true
    const tightest = this.#tightest(open)
    if (tightest === undefined) return false
    open.delete(tightest.item)
    const tried = new Set<string>()
    for (const host of tightest.hosts) {
      // Two hosts that nobody has a preference between are one and the same to the search.
      const likeness = this.#likeness(host)
      if (likeness !== undefined && tried.has(likeness)) continue
      if (likeness !== undefined) tried.add(likeness)
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

  /** Undefined while a rule or a guest tells hosts apart. */
  #likeness(host: number): string | undefined {
    const { problem, usedMemory, usedCpus } = this.#occupancy
    if (problem.sets.length > 0 || problem.devices.length > 0) return undefined
    if (this.#yielding.some(({ allowed, unit }) => allowed !== undefined || unit !== undefined)) return undefined
    return `${problem.memoryBytes[host]! - usedMemory[host]!} ${problem.cpus[host]! - usedCpus[host]!}`
  }

  #move(item: Item, host: number): void {
    this.#journal.push({ item, before: item.place })
    if (item.place !== NOWHERE) this.#occupancy.lift(item)
    if (host !== NOWHERE) this.#occupancy.put(item, host)
  }

  #undo(mark: number): void {
    while (this.#journal.length > mark) {
      const { item, before } = this.#journal.pop()!
      if (item.place !== NOWHERE) this.#occupancy.lift(item)
      if (before !== NOWHERE) this.#occupancy.put(item, before)
    }
  }
}

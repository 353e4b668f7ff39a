/**
 * Room for a guest that fits nowhere, by moving others that run: as few as possible, then the least important, then the
 * smallest. Every move is one that can be made at that moment: its host has room for the guest while the one that it
 * leaves still has it, and no strict rule is broken by any step.
 */
import type { GuestId, HostId } from '../model/ids.ts'
import { compileProblem, NOWHERE } from './compiled.ts'
import { Effort } from './effort.ts'
import { makeItem, type Item } from './item.ts'
import { Occupancy } from './occupancy.ts'
import { placeInto } from './place.ts'
import type { PlanningProblem } from './problem.ts'
import { runningItems } from './running-items.ts'

export interface MakeRoomOptions {
  /** How many guests may be moved for one that needs a place; 0: it is to wait. */
  readonly movesMaxFor: (guest: GuestId) => number
  /** Hosts judged at most, for all guests together; each takes about 300 ns, with all that belongs to it. */
  readonly effortMax?: number
}

/** Guests that must stay together move in one step. */
export interface RoomStep {
  readonly guests: readonly GuestId[]
  readonly from: HostId
  readonly to: HostId
}

export interface RoomMade {
  /** Who gets the room. */
  readonly guest: GuestId
  /** Where. */
  readonly host: HostId
  /** In the order in which each has room, one after the other. */
  readonly steps: readonly RoomStep[]
}

/** A guest that can't be helped is looked at whenever something changes: some 30 ms, in the biggest and fullest clusters. */
const EFFORT = 100_000

/** For the most important guest that has no place and can be helped; undefined when there is none. */
export function makeRoom(problem: PlanningProblem, options: MakeRoomOptions): RoomMade | undefined {
  const compiled = compileProblem(problem)
  const { guests, hosts, guestIndex, unitOf } = compiled
  const occupancy = new Occupancy(compiled)
  const needing = [...guests.keys()].filter((index) => guests[index]!.needsPlace)
  const { unplaced } = placeInto(occupancy, needing, { refineEffortMax: 0 })
  const running = runningItems(occupancy, (index) => guests[index]!.movable && !guests[index]!.needsPlace)
  const effort = new Effort(options.effortMax ?? EFFORT)
  for (const id of unplaced) {
    const index = guestIndex.get(id)!
    const movesMax = options.movesMaxFor(id)
    if (movesMax === 0) continue
    const members = unitOf[index]?.members.filter((member) => needing.includes(member)) ?? [index]
    const item = makeItem(compiled, [index, ...members.filter((member) => member !== index)])
    if (members.some((member) => occupancy.placeOf[member] !== NOWHERE)) continue
    const search = new MoveSearch(occupancy, running, effort)
    const found = search.find(item, movesMax)
    if (found)
      return {
        guest: id,
        host: hosts[found.host]!.id,
        steps: found.moves.map(({ item: moved, from, to }) => ({
          guests: moved.members.map((member) => guests[member]!.id),
          from: hosts[from]!.id,
          to: hosts[to]!.id,
        })),
      }
  }
  return undefined
}

interface Move {
  readonly item: Item
  readonly from: number
  readonly to: number
}

interface Found {
  readonly host: number
  readonly moves: readonly Move[]
  readonly cost: Cost
}

/** Of the guests that move. */
interface Cost {
  readonly priority: number
  readonly memoryBytes: number
}

const NO_COST: Cost = { priority: -Infinity, memoryBytes: 0 }

function isLess(a: Cost, b: Cost): boolean {
  return a.priority !== b.priority ? a.priority < b.priority : a.memoryBytes < b.memoryBytes
}

/**
 * Depth first: a guest takes a host, those that are in its way leave, each takes a host in the same manner. All of it
 * while the effort lasts, first with one move, then with two, and so on.
 */
class MoveSearch {
  readonly #occupancy: Occupancy
  readonly #effort: Effort
  readonly #itemsAt: readonly Item[][]
  /** Running items that the present attempt moves, and where they run. */
  readonly #moved = new Map<Item, number>()
  #goal: Item | undefined
  #best: Found | undefined

  constructor(occupancy: Occupancy, running: readonly Item[], effort: Effort) {
    this.#occupancy = occupancy
    this.#effort = effort
    this.#itemsAt = occupancy.problem.hosts.map((): Item[] => [])
    for (const item of running) this.#itemsAt[item.place]!.push(item)
    for (const items of this.#itemsAt) items.sort((a, b) => a.priority - b.priority || a.memoryBytes - b.memoryBytes)
  }

  find(goal: Item, movesMax: number): Found | undefined {
    this.#goal = goal
    if (!this.#isRoomInAll(goal)) return undefined
    for (let moves = 1; moves <= movesMax && this.#best === undefined; moves++) this.#settle([goal], moves, NO_COST)
    return this.#best
  }

  /** Moves change where the free room is, not how much there is. */
  #isRoomInAll({ memoryBytes, cpus }: Item): boolean {
    const { problem, usedMemory, usedCpus } = this.#occupancy
    let freeBytes = 0
    let freeCpus = 0
    for (const host of problem.usable) {
      freeBytes += Math.max(0, problem.memoryBytes[host]! - usedMemory[host]!)
      freeCpus += Math.max(0, problem.cpus[host]! - usedCpus[host]!)
    }
    // Sums of fractions of processors are not exact.
    return memoryBytes <= freeBytes && cpus <= freeCpus + 1
  }

  /** Gives each of those that wait a host; so many more guests may leave theirs, and it has cost so much already. */
  #settle(waiting: readonly Item[], movesLeft: number, cost: Cost): void {
    if (this.#effort.spent || (this.#best && !isLess(cost, this.#best.cost))) return
    const [item, ...others] = waiting
    if (item === undefined) return this.#take(cost)
    const occupancy = this.#occupancy
    const { usable } = occupancy.problem
    this.#effort.spend(usable.length)
    occupancy.prepare(item)
    const home = this.#moved.get(item)
    const open: number[] = []
    const closed: number[] = []
    for (const host of usable) {
      if (host === home || item.allowed?.[host] === 0) continue
      if (occupancy.admits(item, host)) open.push(host)
      else if (movesLeft > 0) closed.push(host)
    }
    const costs = new Map(open.map((host) => [host, occupancy.costAt(item, host)]))
    for (const host of open.toSorted((a, b) => costs.get(a)! - costs.get(b)!)) {
      if (this.#effort.spent) return
      occupancy.put(item, host)
      this.#settle(others, movesLeft, cost)
      occupancy.lift(item)
    }
    const { memoryBytes } = occupancy.problem
    const freeBytes = (host: number) => memoryBytes[host]! - occupancy.usedMemory[host]!
    // Where least is missing the fewest have to leave.
    for (const host of closed.toSorted((a, b) => freeBytes(b) - freeBytes(a)))
      this.#clear(item, host, others, movesLeft, cost)
  }

  /** Lets those leave the host that keep the item off it, in every way that takes no more than is needed. */
  #clear(item: Item, host: number, open: readonly Item[], movesLeft: number, cost: Cost): void {
    const inTheWay = this.#inTheWay(item, host)
    if (inTheWay === undefined) return
    const there = this.#itemsAt[host]!.filter((other) => !this.#moved.has(other) && !inTheWay.includes(other))
    const biggest = there.reduce((bytes, other) => Math.max(bytes, other.memoryBytes / other.members.length), 0)
    this.#leave(inTheWay, [], 0, { item, host, open, there, biggest }, movesLeft, cost)
  }

  #leave(
    leaving: readonly Item[],
    left: readonly Item[],
    from: number,
    wanted: {
      readonly item: Item
      readonly host: number
      readonly open: readonly Item[]
      readonly there: readonly Item[]
      /** Bytes of the biggest guest that may leave. */
      readonly biggest: number
    },
    movesLeft: number,
    cost: Cost,
  ): void {
    const [next, ...rest] = leaving
    if (next !== undefined) {
      const less = movesLeft - next.members.length
      const more = {
        priority: Math.max(cost.priority, next.priority),
        memoryBytes: cost.memoryBytes + next.memoryBytes,
      }
      if (less < 0 || (this.#best && !isLess(more, this.#best.cost))) return
      if (less === 0 && !this.#isRoomElsewhere(next)) return
      const home = this.#occupancy.lift(next)
      this.#moved.set(next, home)
      this.#leave(rest, [...left, next], from, wanted, less, more)
      this.#moved.delete(next)
      this.#occupancy.put(next, home)
      return
    }
    const { item, host, open, there, biggest } = wanted
    this.#effort.spend(1)
    if (this.#effort.spent) return
    const { problem, usedMemory } = this.#occupancy
    const missingBytes = usedMemory[host]! + item.memoryBytes - problem.memoryBytes[host]!
    if (missingBytes > movesLeft * biggest) return
    this.#occupancy.prepare(item)
    if (this.#occupancy.admits(item, host)) {
      this.#occupancy.put(item, host)
      // The big ones have the fewest hosts to go to.
      const bySize = [...open, ...left].toSorted((a, b) => b.memoryBytes - a.memoryBytes)
      this.#settle(bySize, movesLeft, cost)
      this.#occupancy.lift(item)
      return
    }
    for (let index = from; index < there.length && movesLeft > 0; index++)
      this.#leave([there[index]!], left, index + 1, wanted, movesLeft, cost)
  }

  /** Without a further move: a quick no for most of those in a packed cluster. */
  #isRoomElsewhere({ place, memoryBytes }: Item): boolean {
    const { problem, usedMemory } = this.#occupancy
    for (const host of problem.usable)
      if (host !== place && usedMemory[host]! + memoryBytes <= problem.memoryBytes[host]!) return true
    return false
  }

  /** Those that strict rules keep off the host while they are where they are; undefined when one of them must stay. */
  #inTheWay(item: Item, host: number): readonly Item[] | undefined {
    const { problem, placeOf } = this.#occupancy
    const found = new Set<Item>()
    const add = (guest: number) => {
      const other = this.#itemsAt[placeOf[guest]!]!.find(({ members }) => members.includes(guest))
      if (other === undefined || this.#moved.has(other)) return false
      found.add(other)
      return true
    }
    for (const set of item.strictSets) {
      const { domainOf } = problem.sets[set]!.domains
      for (const [guest, place] of placeOf.entries()) {
        if (place === NOWHERE || domainOf[place] !== domainOf[host] || !problem.setsOf[guest]?.includes(set)) continue
        if (!add(guest)) return undefined
      }
    }
    for (const member of item.unit?.members ?? []) {
      const place = placeOf[member]!
      if (place !== NOWHERE && place !== host && !add(member)) return undefined
    }
    return [...found]
  }

  /** All have a host now: kept when the moves can be made one after the other. */
  #take(cost: Cost): void {
    const goal = this.#goal!
    const moves = [...this.#moved].map(([item, from]) => ({ item, from, to: item.place }))
    const host = this.#occupancy.lift(goal)
    for (const { item } of moves) this.#occupancy.lift(item)
    for (const { item, from } of moves) this.#occupancy.put(item, from)
    const order = this.#orderOf(moves)
    for (const { item } of moves) this.#occupancy.lift(item)
    for (const { item, to } of moves) this.#occupancy.put(item, to)
    this.#occupancy.put(goal, host)
    if (order) this.#best = { host, moves: order, cost }
  }

  #orderOf(open: readonly Move[]): readonly Move[] | undefined {
    if (open.length === 0) return []
    for (const move of open) {
      const { item, from, to } = move
      this.#occupancy.lift(item)
      this.#occupancy.prepare(item)
      const goes = this.#occupancy.admits(item, to)
      this.#occupancy.put(item, goes ? to : from)
      if (!goes) continue
      const rest = this.#orderOf(open.filter((other) => other !== move))
      this.#occupancy.lift(item)
      this.#occupancy.put(item, from)
      if (rest) return [move, ...rest]
    }
    return undefined
  }
}

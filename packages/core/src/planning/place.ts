/**
 * Gives every guest that needs one a place: for recovery, for draining a host, for a new guest, for "what if". Most
 * important first, then the biggest; what fits nowhere is fitted in by moving others of the same plan. Strict rules and
 * capacities are never broken; of the rest see docs/internals/planner.md.
 */
import type { Candidate } from '../model/decision.ts'
import type { GuestId, HostId } from '../model/ids.ts'
import { compileProblem, NOWHERE, type CompiledProblem, type Unit } from './compiled.ts'
import { Effort } from './effort.ts'
import { makeItem, type Item } from './item.ts'
import { candidatesOf, judgeHosts, type HostJudgement } from './judge.ts'
import { Occupancy } from './occupancy.ts'
import type { PlanningProblem } from './problem.ts'
import { refine } from './refine.ts'
import { bestHost, RoomSearch } from './room.ts'

export interface PlaceOptions {
  /** Hosts judged at most while a place is sought for guests that fit nowhere; each takes about 50 ns. */
  readonly roomEffortMax?: number
  /** The same for evening out the hosts; 0 places each guest once and leaves it there. */
  readonly refineEffortMax?: number
}

export interface Placement {
  /** Of the guests that needed a place, most important first. */
  readonly places: ReadonlyMap<GuestId, HostId>
  /** Those without a place, most important first. */
  readonly unplaced: readonly GuestId[]
  /** Each host judged for a guest that needed a place, the chosen one first. Worked out when asked for. */
  readonly judge: (guest: GuestId) => readonly HostJudgement[]
  /** The same in words, as decisions keep it. */
  readonly explain: (guest: GuestId) => readonly Candidate[]
}

const ROOM_EFFORT = 2_000_000
/** For one guest, so that the first that can't be helped does not take the others' share. */
const ROOM_EFFORT_EACH = 500_000
const REFINE_EFFORT = 2_000_000

export function placeGuests(problem: PlanningProblem, options: PlaceOptions = {}): Placement {
  const compiled = compileProblem(problem)
  const needing = [...compiled.guests.keys()].filter((index) => compiled.guests[index]!.needsPlace)
  return placeInto(new Occupancy(compiled), needing, options)
}

/**
 * The same for guests by index, none of whom has a place in the occupancy. Changes it; `judge` and `explain` speak of
 * it as it is when they are called.
 */
export function placeInto(occupancy: Occupancy, needing: readonly number[], options: PlaceOptions = {}): Placement {
  const compiled = occupancy.problem
  const { guests, hosts } = compiled
  const planner = new Planner(occupancy, options)
  for (const item of itemsToPlace(compiled, needing)) planner.place(item)
  const { placed, unplaced } = planner
  refine(occupancy, placed, new Effort(options.refineEffortMax ?? REFINE_EFFORT))

  const itemOf = new Map<GuestId, Item>()
  const places = new Map<GuestId, HostId>()
  const byPriority = (a: Item, b: Item) => b.priority - a.priority
  for (const item of placed.toSorted(byPriority))
    for (const member of item.members) {
      itemOf.set(guests[member]!.id, item)
      places.set(guests[member]!.id, hosts[item.place]!.id)
    }
  for (const item of unplaced) itemOf.set(guests[item.members[0]!]!.id, item)
  const judge = (guest: GuestId) => {
    const item = itemOf.get(guest)
    return item === undefined ? [] : judgeHosts(occupancy, item)
  }
  return {
    places,
    unplaced: unplaced.toSorted(byPriority).map((item) => guests[item.members[0]!]!.id),
    judge,
    explain: (guest) => candidatesOf(judge(guest)),
  }
}

/** Places one item after the other, and lets others make way where that is needed. */
class Planner {
  readonly placed: Item[] = []
  readonly unplaced: Item[] = []
  readonly #occupancy: Occupancy
  readonly #effort: Effort
  readonly #room: RoomSearch

  constructor(occupancy: Occupancy, { roomEffortMax = ROOM_EFFORT }: PlaceOptions) {
    this.#occupancy = occupancy
    this.#effort = new Effort(roomEffortMax)
    this.#room = new RoomSearch(occupancy)
  }

  place(item: Item): void {
    const host = bestHost(this.#occupancy, item)
    if (host !== NOWHERE) {
      this.#occupancy.put(item, host)
      this.#room.add(item)
    } else if (!this.#search(item)) {
      this.#giveUp(item)
      return
    }
    this.placed.push(item)
  }

  /** Of guests that fit nowhere together, the most important get a place, and then the others where they are allowed. */
  #giveUp(item: Item): void {
    if (item.members.length === 1) {
      this.unplaced.push(item)
      return
    }
    this.place(makeItem(this.#occupancy.problem, item.members.slice(0, -1)))
    this.place(makeItem(this.#occupancy.problem, item.members.slice(-1)))
  }

  #search(item: Item): boolean {
    if (this.#effort.spent) return false
    const { effort, giveBack } = this.#effort.portion(ROOM_EFFORT_EACH)
    const found = this.#room.find(item, effort)
    giveBack()
    return found
  }
}

/** One for each guest that needs a place, or for all of a unit that do; most important first, then the biggest. */
function itemsToPlace(problem: CompiledProblem, needing: readonly number[]): Item[] {
  const { unitOf } = problem
  const items: Item[] = []
  const ofUnit = new Map<Unit, number[]>()
  for (const index of needing) {
    const unit = unitOf[index]
    if (unit === undefined) items.push(makeItem(problem, [index]))
    else ofUnit.set(unit, [...(ofUnit.get(unit) ?? []), index])
  }
  for (const members of ofUnit.values()) items.push(makeItem(problem, byImportance(problem, members)))
  const size = sizeBy(problem)
  return items
    .map((item) => ({ item, size: size(item) }))
    .toSorted((a, b) => b.item.priority - a.item.priority || b.size - a.size)
    .map(({ item }) => item)
}

function byImportance({ guests }: CompiledProblem, members: readonly number[]): number[] {
  return members.toSorted(
    (a, b) => guests[b]!.priority - guests[a]!.priority || guests[b]!.memoryBytes - guests[a]!.memoryBytes,
  )
}

/** The greater of the shares of all memory and of all processors. */
function sizeBy({ usable, memoryBytes, cpus }: CompiledProblem): (item: Item) => number {
  let allMemory = 1
  let allCpus = 1
  for (const host of usable) {
    allMemory += memoryBytes[host]!
    allCpus += cpus[host]!
  }
  return (item) => Math.max(item.memoryBytes / allMemory, item.cpus / allCpus)
}

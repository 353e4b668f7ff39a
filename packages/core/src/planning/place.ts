/**
 * Gives every guest that needs one a place: for recovery, for draining a host, for a new guest, for "what if". Most
 * important first, then the biggest; what fits nowhere is fitted in by moving others of the same plan. Strict rules and
 * capacities are never broken; of the rest see docs/internals/planner.md.
 */
import type { Candidate } from '../model/decision.ts'
import type { GuestId, HostId } from '../model/ids.ts'
import { compileProblem, NOWHERE, type CompiledProblem } from './compiled.ts'
import { Effort } from './effort.ts'
import { makeItem, type Item } from './item.ts'
import { candidatesOf, judgeHosts, type HostJudgement } from './judge.ts'
import { Occupancy } from './occupancy.ts'
import type { PlanningProblem } from './problem.ts'
import { refine } from './refine.ts'
import { bestHost, RoomSearch } from './room.ts'

export interface PlaceOptions {
  /** How many guests that run well where they are may be moved to make room for others; 0 when not given. */
  readonly makeRoomMovesMax?: number
  /** Hosts judged at most while a place is sought for guests that fit nowhere; each takes about 50 ns. */
  readonly roomEffortMax?: number
  /** The same for evening out the hosts; 0 places each guest once and leaves it there. */
  readonly refineEffortMax?: number
}

export interface Placement {
  /** Of the guests that needed a place, most important first. */
  readonly places: ReadonlyMap<GuestId, HostId>
  /** Of others, made to give them room; none unless `makeRoomMovesMax` allows it. To be done before the places. */
  readonly moves: readonly { readonly guest: GuestId; readonly from: HostId; readonly to: HostId }[]
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
  return placeCompiled(compiled, new Occupancy(compiled), options)
}

/** Changes the occupancy; `judge` and `explain` speak of it as it is when they are called. */
export function placeCompiled(compiled: CompiledProblem, occupancy: Occupancy, options: PlaceOptions = {}): Placement {
  const { guests, hosts } = compiled
  const roomEffort = new Effort(options.roomEffortMax ?? ROOM_EFFORT)
  const queue = itemsToPlace(compiled)
  const placed: Item[] = []
  const unplaced: Item[] = []
  for (const item of queue) {
    const host = bestHost(occupancy, item)
    if (host !== NOWHERE) occupancy.put(item, host)
    else if (!makeRoom(item)) {
      giveUp(item)
      continue
    }
    placed.push(item)
  }
  refine(occupancy, placed, new Effort(options.refineEffortMax ?? REFINE_EFFORT))

  function makeRoom(item: Item): boolean {
    const { effort, giveBack } = roomEffort.portion(ROOM_EFFORT_EACH)
    const found = new RoomSearch(occupancy, placed, effort).find(item)
    giveBack()
    return found
  }

  /** Of guests that fit nowhere together, the most important still get a place; the last waits for room beside them. */
  function giveUp(item: Item): void {
    const last = item.members.at(-1)!
    unplaced.push(item.members.length === 1 ? item : makeItem(compiled, [last]))
    if (item.members.length === 1) return
    const rest = makeItem(compiled, item.members.slice(0, -1))
    const host = bestHost(occupancy, rest)
    if (host !== NOWHERE) occupancy.put(rest, host)
    else if (!makeRoom(rest)) return giveUp(rest)
    placed.push(rest)
  }

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
    moves: [],
    unplaced: unplaced.toSorted(byPriority).map((item) => guests[item.members[0]!]!.id),
    judge,
    explain: (guest) => candidatesOf(judge(guest)),
  }
}

/** One for each guest that needs a place, or for all of a unit that do; most important first, then the biggest. */
function itemsToPlace(problem: CompiledProblem): Item[] {
  const { guests, unitOf } = problem
  const items: Item[] = []
  for (let index = 0; index < guests.length; index++) {
    if (!guests[index]!.needsPlace) continue
    const unit = unitOf[index]
    if (unit === undefined) items.push(makeItem(problem, [index]))
    else {
      const members = unit.members.filter((member) => guests[member]!.needsPlace)
      if (members[0] === index) items.push(makeItem(problem, byImportance(problem, members)))
    }
  }
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

/**
 * How many guests may be moved to make room for one that waits, and what is told of it. The record of its waiting keeps
 * the moves: the coordinator itself remembers nothing.
 */
import type { Decision, MovedForRoom } from '../model/decision.ts'
import type { ClusterState } from '../model/cluster.ts'
import type { GuestId } from '../model/ids.ts'
import { isActive } from '../model/records.ts'

/** For one guest, within `WINDOW_MS`. */
const MOVES_MAX = 3
/** Kept in the record of a guest that waits for long. */
export const MOVES_TOLD = 10
/** After moves that did not help (one failed, something else took the room) it is tried again, but not for ever at once. */
const WINDOW_MS = 600_000

export interface RoomBudget {
  readonly moves: number
  /** Until there may be more, ms; undefined while none was spent. */
  readonly moreInMs?: number
}

export function roomBudget(known: Decision | undefined, wallMs: number): RoomBudget {
  const recent = movedFor(known).filter(({ at }) => agoMs(at, wallMs) < WINDOW_MS)
  const [first] = recent
  if (!first) return { moves: MOVES_MAX }
  return { moves: Math.max(0, MOVES_MAX - recent.length), moreInMs: WINDOW_MS - agoMs(first.at, wallMs) }
}

/** One of those that make room is on its way. */
export function isRoomComing(known: Decision | undefined, state: ClusterState): boolean {
  return movedFor(known).some(({ guest, to }) => {
    const grant = state.grants.get(guest)?.value
    return isActive(grant) && grant.handover?.to === to
  })
}

/** While it waited for room, in this wait. */
export function movedFor(known: Decision | undefined): readonly MovedForRoom[] {
  return known?.action === 'wait' ? (known.moved ?? []) : []
}

/** Of those that have arrived. */
export function roomFacts(known: Decision | undefined, state: ClusterState): string[] {
  const hostOf = (guest: GuestId) => state.grants.get(guest)?.value.host
  return movedFor(known)
    .filter(({ guest, to }) => hostOf(guest) === to)
    .map(({ name, from, to }) => `${name} was moved from ${from} to ${to} to make room for it`)
}

export function roomOutcome(moved: readonly MovedForRoom[]): string {
  const [first] = moved
  const names = moved.map(({ name }) => name).join(' and ')
  return `${names} ${moved.length === 1 ? 'moves' : 'move'} from ${first?.from} to ${first?.to} to make room for it`
}

/** A wall clock that was set back must not make it wait for longer. */
function agoMs(at: number, wallMs: number): number {
  return Math.max(0, wallMs - at)
}

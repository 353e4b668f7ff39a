/**
 * Snapshots that a schedule of the calendar asks for, and those of its own that it no longer keeps. They count as a
 * user's (`scheduled` is false), so that the schedule of `vm snapshot` leaves them alone.
 */
import type { ClusterState, Versioned } from '../model/cluster.ts'
import type { Guest } from '../model/guest.ts'
import { SNAPSHOTS_KEPT, type Schedule } from '../model/schedule.ts'
import { SNAPSHOTS_MAX, type Snapshot, type SnapshotId } from '../model/snapshot.ts'
import { isFull } from './snapshot-quota.ts'
import { whyNoMemory } from './snapshot-schedule.ts'
import { hasMovingReplica } from './storage-move.ts'

export interface CalendarSnapshots {
  readonly wanted: Snapshot
  readonly surplus: readonly Snapshot[]
}

/** Or why there is to be none now. */
export function calendarSnapshots(
  state: ClusterState,
  guest: Guest,
  schedule: Schedule,
  wallMs: number,
): CalendarSnapshots | string {
  const present = [...state.snapshots.values()].map(({ value }: Versioned<Snapshot>) => value)
  const mine = present.filter((snapshot) => snapshot.guest === guest.id)
  if (guest.volumes.length === 0) return 'it has no disk'
  if (hasMovingReplica(state, guest)) return 'a replica of its disk is being moved'
  if (mine.some((snapshot) => snapshot.state !== 'ready')) return 'another snapshot of it is under way'
  const own = mine.filter((snapshot) => isOf(snapshot, schedule)).toSorted((a, b) => a.createdAt - b.createdAt)
  const surplus = own.slice(0, Math.max(0, own.length + 1 - (schedule.keep ?? SNAPSHOTS_KEPT)))
  if (mine.length - surplus.length >= SNAPSHOTS_MAX) return `it has ${mine.length} snapshots already`
  if (isFull(state, guest, surplus.length)) return `its project has all the snapshots that it may have`
  const wanted: Snapshot = {
    id: `${idStart(wallMs)}${idEnd(guest)}` as SnapshotId,
    guest: guest.id,
    name: `${schedule.id}-${stamp(wallMs)}`,
    createdAt: wallMs,
    state: 'wanted',
    wanted: 'filesystem',
    consistent: 'crash',
    volumes: [],
    scheduled: false,
    ...(schedule.memory === true && whyNoMemory(state, guest) === '' ? { withMemory: true } : {}),
  }
  return { wanted, surplus }
}

/** By its id, which is made of the time and the guest's: a user's snapshot of a like name has one drawn by chance. */
function isOf(snapshot: Snapshot, { id }: Schedule): boolean {
  return snapshot.name.startsWith(`${id}-`) && snapshot.id.endsWith(idEnd({ id: snapshot.guest }))
}

/** 12 of 32 hexadecimal digits. The time comes first, since hosts name their layers by the beginning of the id. */
function idStart(wallMs: number): string {
  return Math.floor(wallMs).toString(16).padStart(12, '0').slice(-12)
}

function idEnd({ id }: Pick<Guest, 'id'>): string {
  return id.replaceAll('-', '').slice(0, 20).padEnd(20, '0')
}

/** `20261122-130500`, UTC. */
function stamp(wallMs: number): string {
  return new Date(wallMs).toISOString().slice(0, 19).replaceAll(/[-:]/g, '').replace('T', '-')
}

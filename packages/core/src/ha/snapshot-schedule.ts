/**
 * Which snapshots a schedule asks for now, and which of its own it no longer keeps. Pure: the same records at the same
 * time give the same answer on every host.
 */
import type { ClusterState, Versioned } from '../model/cluster.ts'
import type { Guest } from '../model/guest.ts'
import { whyMemoryNotKept } from '../model/platform.ts'
import { isActive } from '../model/records.ts'
import type { Snapshot } from '../model/snapshot.ts'
import { isFull } from './snapshot-quota.ts'
import { hasMovingReplica } from './storage-move.ts'

export type ScheduledStep =
  | {
      readonly kind: 'take'
      readonly guest: Versioned<Guest>
      readonly name: string
      readonly nowMs: number
      readonly withMemory: boolean
    }
  | { readonly kind: 'remove'; readonly snapshot: Versioned<Snapshot> }

export function scheduledSteps(state: ClusterState, nowMs: number): readonly ScheduledStep[] {
  return [...state.guests.values()].flatMap((guest) => {
    const { snapshotSchedule: schedule, deleting } = guest.value
    if (!schedule || deleting) return []
    const mine = [...state.snapshots.values()].filter(({ value }) => value.guest === guest.value.id)
    const steps: ScheduledStep[] = surplus(mine, schedule.keep).map((snapshot) => ({ kind: 'remove', snapshot }))
    const isOpen = mine.some(({ value }) => value.state !== 'ready') || hasMovingReplica(state, guest.value)
    // A guest that does not run changes nothing: its last snapshot shows all that there is.
    const isRunning = isActive(state.grants.get(guest.value.id)?.value)
    // A clock that was set back must not silence the schedule until it has caught up.
    const sinceMs = nowMs - (schedule.lastAt ?? -Infinity)
    const isDue = sinceMs >= schedule.everyMs || sinceMs < 0
    if (isDue && isRunning && !isOpen && !isFull(state, guest.value, steps.length)) {
      const withMemory = schedule.memory === true && whyNoMemory(state, guest.value) === ''
      steps.push({ kind: 'take', guest, name: scheduledName(nowMs), nowMs, withMemory })
    }
    return steps
  })
}

/** Why a snapshot of the guest cannot have its memory now; empty when it can. */
export function whyNoMemory(state: ClusterState, guest: Guest): string {
  if (!isActive(state.grants.get(guest.id)?.value)) return 'it does not run, and has nothing in its memory'
  return guest.kind === 'ct' ? 'it is a container' : whyMemoryNotKept(guest.platform ?? {})
}

/** The oldest of those that the schedule has taken, beyond what it keeps. What a user took is never among them. */
function surplus(snapshots: readonly Versioned<Snapshot>[], keep: number): readonly Versioned<Snapshot>[] {
  const taken = snapshots
    .filter(({ value }) => value.scheduled && value.state === 'ready')
    .toSorted((a, b) => a.value.createdAt - b.value.createdAt)
  return taken.slice(0, Math.max(0, taken.length - keep))
}

/** `auto-20261122-130500`, UTC. */
export function scheduledName(nowMs: number): string {
  const [day = '', time = ''] = new Date(nowMs).toISOString().split('T')
  return `auto-${day.replaceAll('-', '')}-${time.slice(0, 8).replaceAll(':', '')}`
}

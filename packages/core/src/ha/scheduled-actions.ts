/**
 * What the calendar asks for at this moment. Pure: the time is given. The next moment stands in the guest's record and
 * moves on in the same transaction that acts, so that no moment is acted on twice, whoever coordinates.
 */
import { parseCron } from '../calendar/cron.ts'
import { nextMoment } from '../calendar/next-moment.ts'
import type { ClusterState } from '../model/cluster.ts'
import type { Guest } from '../model/guest.ts'
import { isActive } from '../model/records.ts'
import type { Schedule } from '../model/schedule.ts'
import { calendarSnapshots } from './calendar-snapshots.ts'
import type { Action, EventDraft, PlannedAction } from './plan.ts'

/** A moment that is older was missed: nobody could act. A change of coordinators takes seconds. */
export const MISSED_AFTER_MS = 300_000

type ScheduleAction = Extract<Action, { kind: 'schedule' }>
type Effect = Pick<ScheduleAction, 'guestAfter' | 'grantAfter' | 'forgetFailures' | 'snapshots'>

export function scheduledActions(state: ClusterState, wallMs: number): PlannedAction[] {
  return [...state.guests.values()].flatMap(({ value: guest }) => {
    if (guest.deleting) return []
    // One at a time: the next is decided on the record that this one has changed.
    const due = guest.lifecycle?.schedules?.find((schedule) => isDue(schedule, wallMs))
    return due ? [carriedOut(state, guest, due, wallMs)] : []
  })
}

/** The schedule with the moment that comes next. */
export function rescheduled(schedule: Schedule, wallMs: number): Schedule {
  const { nextAt: _old, ...rest } = schedule
  const cron = parseCron(schedule.cron)
  const next = cron.ok ? nextMoment(cron.value, schedule.timeZone, wallMs) : undefined
  return next === undefined ? rest : { ...rest, nextAt: next }
}

function isDue({ nextAt, lastAt }: Schedule, wallMs: number): boolean {
  if (nextAt === undefined) return false
  // The clock was ahead when it was last dealt with, and was set right: the next moment was chosen by the wrong one.
  return wallMs >= nextAt || (lastAt !== undefined && lastAt > wallMs + MISSED_AFTER_MS)
}

function carriedOut(state: ClusterState, guest: Guest, schedule: Schedule, wallMs: number): PlannedAction {
  const effect = effectOf(state, guest, schedule, wallMs)
  const outcome = typeof effect === 'string' ? effect : 'done'
  const next = { ...rescheduled(schedule, wallMs), lastAt: wallMs, lastOutcome: outcome }
  const { guestAfter, ...more }: Effect = typeof effect === 'string' ? { guestAfter: guest } : effect
  const schedules = (guest.lifecycle?.schedules ?? []).map((each) => (each.id === schedule.id ? next : each))
  const action: ScheduleAction = {
    kind: 'schedule',
    guest,
    guestAfter: { ...guestAfter, lifecycle: { ...guest.lifecycle, schedules } },
    ...more,
  }
  const removed = (action.snapshots?.surplus ?? []).map(({ name }) => ({
    kind: 'snapshot.deleted' as const,
    subject: `guest/${guest.name}`,
    message: `the snapshot ${name} of ${guest.name} is older than schedule ${schedule.id} keeps, and is deleted`,
    details: { snapshot: name },
  }))
  return { action, events: outcome === CLOCK_WAS_WRONG ? [] : [told(guest, schedule, outcome), ...removed] }
}

const CLOCK_WAS_WRONG = 'the clock was set right'

/** What is done, or why nothing is. */
function effectOf(state: ClusterState, guest: Guest, schedule: Schedule, wallMs: number): Effect | string {
  const { nextAt = wallMs, action, missed } = schedule
  if (wallMs < nextAt) return CLOCK_WAS_WRONG
  if (missed === 'skip' && wallMs - nextAt > MISSED_AFTER_MS)
    return `nobody could act at ${new Date(nextAt).toISOString()}`
  const ha = guest.ha === 'ignored' ? 'ignored' : action === 'stop' ? 'stopped' : 'started'
  const grant = state.grants.get(guest.id)?.value
  switch (action) {
    case 'start': {
      if (guest.desired === 'running') return 'it is to run already'
      const forgetFailures = !isActive(grant)
      return { guestAfter: { ...guest, desired: 'running', forceStop: false, ha }, forgetFailures }
    }
    case 'stop':
      if (guest.desired === 'stopped') return 'it is stopped already'
      if (guest.lifecycle?.protectedFrom?.includes('stop')) return 'it is protected from being stopped'
      return { guestAfter: { ...guest, desired: 'stopped', forceStop: false, ha } }
    case 'snapshot': {
      const snapshots = calendarSnapshots(state, guest, schedule, wallMs)
      return typeof snapshots === 'string' ? snapshots : { guestAfter: guest, snapshots }
    }
    case 'restart': {
      if (guest.lifecycle?.protectedFrom?.includes('stop')) return 'it is protected from being stopped'
      if (guest.desired === 'stopped' || grant?.state !== 'held') return 'it does not run'
      const reason = `schedule ${schedule.id} restarts it`
      return { guestAfter: guest, grantAfter: { ...grant, state: 'recalled', reason, movesTo: grant.host } }
    }
  }
}

function told(guest: Guest, { id, action }: Schedule, outcome: string): EventDraft {
  const subject = `guest/${guest.name}`
  if (outcome === 'done')
    return { kind: 'schedule.run', subject, message: `${guest.name}: schedule ${id} asks for a ${action}` }
  const message = `${guest.name}: the ${action} that schedule ${id} asks for is left out: ${outcome}`
  return { kind: 'schedule.skipped', subject, message }
}

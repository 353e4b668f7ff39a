/** A guest's probe, schedules, tags and protections as the API shows them. */
import type { GuestView, ScheduleView } from '@stead/api/views.ts'
import type { ClusterState } from '@stead/core/model/cluster.ts'
import type { Guest } from '@stead/core/model/guest.ts'
import { isActive } from '@stead/core/model/records.ts'
import { SNAPSHOTS_KEPT, type Schedule } from '@stead/core/model/schedule.ts'

type LifecycleView = Pick<
  GuestView,
  'tags' | 'notes' | 'autostart' | 'protectedFrom' | 'probe' | 'readiness' | 'schedules'
>

export function lifecycleView(state: ClusterState, guest: Guest): LifecycleView {
  const { tags = [], notes = '', autostart = false, protectedFrom = [], probe, schedules = [] } = guest.lifecycle ?? {}
  return {
    tags: [...tags],
    notes,
    autostart,
    protectedFrom: [...protectedFrom],
    probe: probe === undefined ? null : { ...probe, check: { ...probe.check } },
    readiness: readinessOf(state, guest),
    schedules: schedules.map(scheduleOf),
  }
}

export function scheduleView(guest: Guest, schedule: Schedule): ScheduleView {
  return { guest: guest.name, ...scheduleOf(schedule) }
}

function scheduleOf({
  id,
  action,
  cron,
  timeZone,
  missed,
  keep,
  memory = false,
  nextAt,
  lastAt,
  lastOutcome = '',
}: Schedule) {
  const times = { nextAt: moment(nextAt), lastAt: moment(lastAt), lastOutcome }
  const kept = action === 'snapshot' ? (keep ?? SNAPSHOTS_KEPT) : null
  return { name: id, action, cron, timeZone, missed, keep: kept, memory, ...times }
}

function readinessOf(state: ClusterState, guest: Guest): GuestView['readiness'] {
  const grant = state.grants.get(guest.id)?.value
  const seen = state.observations.get(guest.id)?.value
  if (!guest.lifecycle?.probe || !seen?.readiness || !isActive(grant) || grant.epoch !== seen.epoch) return null
  if (state.statuses.get(grant.host)?.value.state === 'lost') return null
  return { ...seen.readiness, since: new Date(seen.readiness.since).toISOString() }
}

function moment(ms: number | undefined): string | null {
  return ms === undefined ? null : new Date(ms).toISOString()
}

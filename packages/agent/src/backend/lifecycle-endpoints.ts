/** Probes and schedules of guests. */
import { failure } from '@stead/core/errors.ts'
import { rescheduled } from '@stead/core/ha/scheduled-actions.ts'
import type { Versioned } from '@stead/core/model/cluster.ts'
import type { Guest } from '@stead/core/model/guest.ts'
import { LIFECYCLE_LIMITS, type GuestLifecycle } from '@stead/core/model/lifecycle.ts'
import { SNAPSHOT_SCHEDULE_NAME_MAX, type Schedule, type ScheduleId } from '@stead/core/model/schedule.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import type { ApiBackend } from '../http/backend.ts'
import type { Change } from './change.ts'
import type { Desk } from './desk.ts'
import { change, put } from './guest-changes.ts'
import { objectionTo } from './lifecycle-settings.ts'
import { scheduleView } from './lifecycle-views.ts'
import { objectionToMemorySchedule } from './snapshot-changes.ts'
import { guestView } from './views.ts'

type Answers = Pick<ApiBackend, 'probe.set' | 'probe.remove' | 'schedule.list' | 'schedule.add' | 'schedule.remove'>

export function lifecycleEndpoints(desk: Desk): Answers {
  return {
    'probe.set': async ({ params, body }, request) => {
      const operation = await desk.changeGuest(params.guest, request, (guest) => withLifecycle(guest, { probe: body }))
      if (!operation.ok) return operation
      await desk.started(operation.value)
      const guest = desk.findGuest(params.guest)
      return guest.ok ? ok(guestView(desk.view(), guest.value)) : guest
    },
    'probe.remove': async ({ params }, request) => {
      const operation = await desk.changeGuest(params.guest, request, (guest) => {
        const { name, lifecycle } = guest.value
        if (!lifecycle?.probe) return fail(failure('not_found', `${name} has no probe`))
        const { probe: _gone, ...left } = lifecycle
        return ok(change('vm.set', guest, [put({ ...guest.value, lifecycle: left })]))
      })
      if (!operation.ok) return operation
      await desk.started(operation.value)
      return ok()
    },
    'schedule.list': async ({ query }) => {
      const only = query.guest === undefined ? undefined : desk.findGuest(query.guest)
      if (only && !only.ok) return only
      return desk.loaded((state) => {
        const guests = only ? [only.value] : [...state.guests.values()]
        return ok({
          items: guests
            .flatMap(({ value }) => (value.lifecycle?.schedules ?? []).map((each) => scheduleView(value, each)))
            .toSorted((a, b) => a.guest.localeCompare(b.guest) || a.name.localeCompare(b.name)),
        })
      })
    },
    'schedule.add': async ({ params, body }, request) => {
      const { name, keep, memory, ...rest } = body
      const wish = { ...rest, ...(keep === undefined ? {} : { keep }), ...(memory ? { memory } : {}) }
      const id = name as ScheduleId
      const operation = await desk.changeGuest(params.guest, request, (guest) =>
        withSchedule(guest, rescheduled({ ...wish, id }, desk.context.clock.wallMs())),
      )
      if (!operation.ok) return operation
      await desk.started(operation.value)
      const guest = desk.findGuest(params.guest)
      if (!guest.ok) return guest
      const schedule = guest.value.value.lifecycle?.schedules?.find((each) => each.id === id)
      return schedule
        ? ok(scheduleView(guest.value.value, schedule))
        : fail(failure('conflict', `Schedule ${name} was removed meanwhile`))
    },
    'schedule.remove': async ({ params }, request) => {
      const operation = await desk.changeGuest(params.guest, request, (guest) => {
        const schedules = guest.value.lifecycle?.schedules ?? []
        const left = schedules.filter(({ id }) => id !== params.schedule)
        if (left.length < schedules.length) return withLifecycle(guest, { schedules: left })
        return fail(
          failure('not_found', `${guest.value.name} has no schedule ${params.schedule}`, {
            hint: `See \`stead vm schedule list ${guest.value.name}\``,
          }),
        )
      })
      if (!operation.ok) return operation
      await desk.started(operation.value)
      return ok()
    },
  }
}

function withLifecycle(known: Versioned<Guest>, more: GuestLifecycle): Result<Change> {
  const { value: guest } = known
  if (guest.deleting) return fail(failure('conflict', `${guest.name} is being deleted`))
  return ok(change('vm.set', known, [put({ ...guest, lifecycle: { ...guest.lifecycle, ...more } })]))
}

function withSchedule(known: Versioned<Guest>, schedule: Schedule): Result<Change> {
  const { value: guest } = known
  const schedules = guest.lifecycle?.schedules ?? []
  const stops = schedule.action === 'stop' || schedule.action === 'restart'
  const refused = stops ? objectionTo(guest, 'stop') : undefined
  if (refused) return fail(refused)
  if (schedule.action !== 'snapshot' && schedule.keep !== undefined)
    return fail(failure('bad_request', 'Only a schedule of snapshots keeps some'))
  if (schedule.action !== 'snapshot' && schedule.memory)
    return fail(failure('bad_request', 'Only a schedule of snapshots has to do with the memory'))
  const unfit = schedule.memory ? objectionToMemorySchedule(guest) : undefined
  if (unfit) return unfit
  if (schedule.action === 'snapshot' && schedule.id.length > SNAPSHOT_SCHEDULE_NAME_MAX)
    return fail(
      failure('bad_request', `A schedule of snapshots has a name of ${SNAPSHOT_SCHEDULE_NAME_MAX} characters at most`),
    )
  if (schedules.some(({ id }) => id === schedule.id))
    return fail(failure('name_taken', `${guest.name} has a schedule named ${schedule.id}`))
  if (schedules.length >= LIFECYCLE_LIMITS.schedules)
    return fail(
      failure('conflict', `${guest.name} has ${schedules.length} schedules, which is as many as there may be`),
    )
  if (schedule.nextAt === undefined)
    return fail(failure('bad_request', `\`${schedule.cron}\` names days that never come`))
  return withLifecycle(known, { schedules: [...schedules, schedule] })
}

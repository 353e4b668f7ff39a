import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Guest } from '../model/guest.ts'
import type { VolumeId } from '../model/ids.ts'
import type { Schedule, ScheduleId } from '../model/schedule.ts'
import { ClusterFixture } from './cluster-fixture.ts'
import type { Snapshot } from '../model/snapshot.ts'
import type { Action } from './plan.ts'
import { scheduledActions } from './scheduled-actions.ts'

const NOON = Date.parse('2026-05-01T12:00:00Z')
const DAY_MS = 86_400_000
const BASE: Schedule = {
  id: 'daily' as ScheduleId,
  action: 'stop',
  cron: '0 12 * * *',
  timeZone: 'UTC',
  missed: 'skip',
  nextAt: NOON,
}

/** What is done to a guest that runs on h1 (or does not) at this moment. */
function carriedOut(schedule: Partial<Schedule>, wallMs: number, change: Partial<Guest> = {}) {
  const cluster = new ClusterFixture(2)
  const guest = cluster.guest('web', {
    ...change,
    lifecycle: { ...change.lifecycle, schedules: [{ ...BASE, ...schedule }] },
  })
  if (guest.desired === 'running') cluster.grant(guest, 'h1')
  const actions = scheduledActions(cluster.state, wallMs)
  assert(actions.length <= 1)
  const action = actions[0]?.action as Extract<Action, { kind: 'schedule' }> | undefined
  return { action, events: actions[0]?.events ?? [], after: action?.guestAfter.lifecycle?.schedules?.[0] }
}

test('nothing before the moment, the wish and the next moment together at it', () => {
  assert.equal(carriedOut({}, NOON - 1).action, undefined)
  const { action, after, events } = carriedOut({}, NOON)
  assert.deepEqual([action?.guestAfter.desired, action?.guestAfter.ha], ['stopped', 'stopped'])
  assert.deepEqual([after?.nextAt, after?.lastAt, after?.lastOutcome], [NOON + DAY_MS, NOON, 'done'])
  assert.deepEqual(
    events.map(({ kind }) => kind),
    ['schedule.run'],
  )
})

test('a stopped guest is started, and its earlier failures are forgotten', () => {
  const { action } = carriedOut({ action: 'start' }, NOON, { desired: 'stopped', ha: 'stopped' })
  assert.deepEqual([action?.guestAfter.desired, action?.guestAfter.ha], ['running', 'started'])
  assert.equal(action?.forgetFailures, true)
})

test('a restart recalls the grant and means the same host', () => {
  const { action } = carriedOut({ action: 'restart' }, NOON)
  assert.deepEqual([action?.grantAfter?.state, action?.grantAfter?.movesTo], ['recalled', 'h1'])
  assert.equal(action?.guestAfter.desired, 'running')
})

for (const [what, schedule, change, why] of [
  ['a stop of a stopped guest', {}, { desired: 'stopped' }, /stopped already/],
  ['a start of a running one', { action: 'start' }, {}, /to run already/],
  ['a restart of a stopped one', { action: 'restart' }, { desired: 'stopped' }, /does not run/],
  ['a stop of a protected one', {}, { lifecycle: { protectedFrom: ['stop'] } }, /protected/],
  ['a restart of a protected one', { action: 'restart' }, { lifecycle: { protectedFrom: ['stop'] } }, /protected/],
] as const)
  test(`${what} is left out, and the next moment comes all the same`, () => {
    const { action, after, events } = carriedOut(schedule, NOON, change as Partial<Guest>)
    assert.equal(action?.grantAfter, undefined)
    assert.equal(action?.guestAfter.desired, (change as Partial<Guest>).desired ?? 'running')
    assert.equal(after?.nextAt, NOON + DAY_MS)
    assert.match(after?.lastOutcome ?? '', why)
    assert.deepEqual(
      events.map(({ kind }) => kind),
      ['schedule.skipped'],
    )
  })

test('moments that were missed are left out, or made up for once', () => {
  const late = NOON + 3 * DAY_MS + 3_600_000
  const skipped = carriedOut({}, late)
  assert.equal(skipped.action?.guestAfter.desired, 'running')
  assert.match(skipped.after?.lastOutcome ?? '', /nobody could act at 2026-05-01T12:00/)
  const made = carriedOut({ missed: 'run' }, late)
  assert.equal(made.action?.guestAfter.desired, 'stopped')
  assert.deepEqual([skipped.after?.nextAt, made.after?.nextAt], [NOON + 4 * DAY_MS, NOON + 4 * DAY_MS])
})

test('a few seconds late is not missed', () => {
  assert.equal(carriedOut({}, NOON + 10_000).action?.guestAfter.desired, 'stopped')
})

test('a clock that was ahead and is set right: the next moment is chosen anew, silently', () => {
  const { action, after, events } = carriedOut({ lastAt: NOON + 300 * DAY_MS, nextAt: NOON + 301 * DAY_MS }, NOON + 1)
  assert.equal(action?.guestAfter.desired, 'running')
  assert.equal(after?.nextAt, NOON + DAY_MS)
  assert.deepEqual(events, [])
})

test('a guest that HA ignores stays ignored', () => {
  assert.equal(carriedOut({}, NOON, { ha: 'ignored' }).action?.guestAfter.ha, 'ignored')
})

test("a snapshot is asked for, and the oldest of the schedule beyond what it keeps goes; a user's of a like name stays", () => {
  const cluster = new ClusterFixture(2)
  const schedule: Schedule = { ...BASE, action: 'snapshot', keep: 2 }
  const volumes = ['v1' as VolumeId]
  cluster.guest('web', { volumes, lifecycle: { schedules: [schedule] } })
  const asked = (wallMs: number) => {
    const [planned] = scheduledActions(cluster.state, wallMs)
    assert(planned?.action.kind === 'schedule')
    return planned.action
  }
  const keep = (snapshot: Snapshot) => {
    const ready: Snapshot = { ...snapshot, state: 'ready' }
    cluster.state.snapshots.set(`${snapshot.guest}/${snapshot.name}`, { value: ready, revision: 1n })
    return ready
  }
  const first = asked(NOON).snapshots?.wanted
  assert(first)
  assert.equal(first.name, 'daily-20260501-120000')
  assert.match(first.id, /^[0-9a-z-]{32}$/)
  keep({ ...first, id: 'f'.repeat(32) as Snapshot['id'], name: 'daily-20200101-000000', createdAt: 0 })
  const oldest = keep(first)
  for (const day of [1, 2]) {
    const { wanted, surplus } = asked(NOON + day * 60_000).snapshots!
    assert.notEqual(wanted.id.slice(0, 12), first.id.slice(0, 12), 'hosts name their layers by it')
    assert.deepEqual(surplus, day === 1 ? [] : [oldest])
    keep(wanted)
  }
  keep({ ...first, name: 'other' })
  cluster.state.snapshots.set('x', { value: { ...first, state: 'cutting' }, revision: 1n })
  assert.equal(asked(NOON + 240_000).snapshots, undefined)
  assert.match(asked(NOON + 240_000).guestAfter.lifecycle?.schedules?.[0]?.lastOutcome ?? '', /under way/)
})

test('a snapshot has the memory too where that is asked for and the guest runs', () => {
  const wanted = (memory: boolean, runs: boolean) => {
    const cluster = new ClusterFixture(2)
    const schedule: Schedule = { ...BASE, action: 'snapshot', memory }
    const guest = cluster.guest('web', { volumes: ['v1' as VolumeId], lifecycle: { schedules: [schedule] } })
    if (runs) cluster.grant(guest, 'h1')
    const [planned] = scheduledActions(cluster.state, NOON)
    return planned?.action.kind === 'schedule' && planned.action.snapshots?.wanted.withMemory === true
  }
  assert.deepEqual([wanted(true, true), wanted(true, false), wanted(false, true)], [true, false, false])
})

import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ClusterState } from '../model/cluster.ts'
import type { Guest } from '../model/guest.ts'
import type { Snapshot, SnapshotId } from '../model/snapshot.ts'
import { ClusterFixture } from './cluster-fixture.ts'
import { scheduledSteps } from './snapshot-schedule.ts'

const HOUR_MS = 3_600_000
const NOW_MS = Date.UTC(2026, 10, 22, 13, 5, 9)

function cluster(change: Partial<Guest>, runs = true) {
  const fixture = new ClusterFixture(2)
  const guest = fixture.guest('web', change)
  if (runs) fixture.grant(guest, 'h1')
  const snapshots = new Map<string, { value: Snapshot; revision: bigint }>()
  const state: ClusterState = { ...fixture.state, snapshots }
  const add = (name: string, createdAt: number, fields: Partial<Snapshot> = {}) =>
    snapshots.set(`${guest.id}/${name}`, {
      revision: 1n,
      value: {
        id: name as SnapshotId,
        guest: guest.id,
        name,
        createdAt,
        state: 'ready',
        wanted: 'filesystem',
        consistent: 'crash',
        volumes: [],
        scheduled: true,
        ...fields,
      },
    })
  const steps = (nowMs = NOW_MS) =>
    scheduledSteps(state, nowMs).map((step) =>
      step.kind === 'take' ? `take ${step.name}` : `remove ${step.snapshot.value.name}`,
    )
  const taken = () => scheduledSteps(state, NOW_MS).flatMap((step) => (step.kind === 'take' ? step.withMemory : []))
  return { add, steps, taken }
}

const schedule = { everyMs: HOUR_MS, keep: 2 }

test('one is taken at once, then each time when the last one is old enough', () => {
  assert.deepEqual(cluster({ snapshotSchedule: schedule }).steps(), ['take auto-20261122-130509'])
  const lately = { ...schedule, lastAt: NOW_MS - HOUR_MS + 1 }
  assert.deepEqual(cluster({ snapshotSchedule: lately }).steps(), [])
  assert.deepEqual(cluster({ snapshotSchedule: lately }).steps(NOW_MS + 1), ['take auto-20261122-130509'])
})

test('it is taken with the memory where that is asked for and can be kept', () => {
  const asked = { ...schedule, memory: true }
  const withMemory = (change: Partial<Guest>) => cluster(change).taken()
  assert.deepEqual(withMemory({ snapshotSchedule: schedule }), [false])
  assert.deepEqual(withMemory({ snapshotSchedule: asked }), [true])
  assert.deepEqual(withMemory({ snapshotSchedule: asked, platform: { tpm: true } }), [false], 'better than none')
})

test('a clock that was set back does not silence the schedule', () => {
  assert.equal(cluster({ snapshotSchedule: { ...schedule, lastAt: NOW_MS + 10 * HOUR_MS } }).steps().length, 1)
})

test('nothing is taken of a guest that does not run, is being deleted or has one in the making', () => {
  assert.deepEqual(cluster({ snapshotSchedule: schedule }, false).steps(), [])
  assert.deepEqual(cluster({ snapshotSchedule: schedule, deleting: true }).steps(), [])
  const { add, steps } = cluster({ snapshotSchedule: schedule })
  add('mine', NOW_MS, { state: 'cutting', scheduled: false })
  assert.deepEqual(steps(), [])
})

test("only the schedule's own are removed, the oldest first, and none that is not ready", () => {
  const { add, steps } = cluster({ snapshotSchedule: { ...schedule, lastAt: NOW_MS } })
  add('by-hand', 1, { scheduled: false })
  for (const [name, createdAt] of [
    ['third', 30],
    ['first', 10],
    ['second', 20],
    ['fourth', 40],
  ] as const)
    add(name, createdAt)
  add('open', 5, { state: 'rolling-back' })
  assert.deepEqual(steps(), ['remove first', 'remove second'])
})

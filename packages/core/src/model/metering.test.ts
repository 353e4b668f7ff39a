import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { ClusterFixture } from '../ha/cluster-fixture.ts'
import { counted, hourOf, ratesOf, UNSEEN_MS_MAX, type OpenHour, type ProjectRate, type UsageHour } from './metering.ts'

const GIB = 2 ** 30
const MINUTE = 60_000
const HOUR = 60 * MINUTE
const START = Date.parse('2026-11-22T22:00:00.000Z')
const rates = (cpus: number): ReadonlyMap<string, ProjectRate> =>
  new Map([['shop', { cpus, memoryBytes: 2 * GIB, diskBytes: 10 * GIB }]])

test('what runs is counted for the time that it runs, disks for the time that they are there', () => {
  const cluster = new ClusterFixture(2)
  cluster.grant(cluster.guestWithDisk('web', ['h1', 'h2'], { cpus: 3, memoryBytes: GIB }).guest, 'h1')
  cluster.guest('db', { cpus: 8, desired: 'stopped' })
  const rate = ratesOf(cluster.state).get('default')
  const [volume] = [...cluster.state.volumes.values()]
  assert.deepEqual(rate, { cpus: 3, memoryBytes: GIB, diskBytes: 2 * volume!.value.sizeBytes })
  const begun = counted(undefined, rates(4), START)!.open
  const { open, closed } = counted(begun, rates(4), START + 6 * MINUTE)!
  assert.deepEqual(closed, [])
  assert.deepEqual(open.projects['shop'], { cpuHours: 0.4, memoryGibHours: 0.2, diskGibHours: 1 })
})

test('an hour is closed at its end, and what lies beyond belongs to the next one', () => {
  const before: OpenHour = { hour: hourOf(START), throughMs: START + 55 * MINUTE, projects: {} }
  const { open, closed } = counted(before, rates(12), START + 63 * MINUTE)!
  assert.deepEqual(
    closed.map(({ hour, projects }) => [hour, projects['shop']?.cpuHours]),
    [['2026-11-22T22:00:00.000Z', 1]],
  )
  assert.equal(open.hour, '2026-11-22T23:00:00.000Z')
  assert.ok(Math.abs((open.projects['shop']?.cpuHours ?? 0) - 0.6) < 1e-9)
})

test('a coordinator whose clock is behind counts nothing until it has caught up', () => {
  const before: OpenHour = { hour: hourOf(START), throughMs: START + 10 * MINUTE, projects: {} }
  assert.equal(counted(before, rates(1), START + 9 * MINUTE), undefined)
  assert.equal(counted(before, rates(1), START + 10 * MINUTE), undefined)
})

test('of a time that nobody saw disks are counted, and not what may have run', () => {
  const before: OpenHour = { hour: hourOf(START), throughMs: START, projects: {} }
  const { closed, open } = counted(before, rates(1), START + 3 * HOUR)!
  assert.equal(closed.length, 3)
  for (const { projects } of closed)
    assert.deepEqual(projects['shop'], { cpuHours: 0, memoryGibHours: 0, diskGibHours: 10 })
  assert.deepEqual(open, { hour: hourOf(START + 3 * HOUR), throughMs: START + 3 * HOUR, projects: {} })
})

test('however often and by whomever it is counted, the sum is the time times what was used', () => {
  fc.assert(
    fc.property(
      fc.array(
        fc.record({ ms: fc.integer({ min: -5_000, max: UNSEEN_MS_MAX }), cpus: fc.integer({ min: 0, max: 9 }) }),
      ),
      (steps) => {
        let [now, open, expected] = [START, undefined as OpenHour | undefined, 0]
        const closed: UsageHour[] = []
        for (const { ms, cpus } of steps) {
          now += ms
          const through = open?.throughMs
          const count = counted(open, rates(cpus), now)
          if (!count) continue
          if (through !== undefined) expected += (cpus * (now - through)) / HOUR
          open = count.open
          closed.push(...count.closed)
          assert.equal(open.throughMs, now)
        }
        const sum = [...closed, ...(open ? [open] : [])].reduce(
          (total, { projects }) => total + (projects['shop']?.cpuHours ?? 0),
          0,
        )
        assert.ok(Math.abs(sum - expected) < 1e-6, `${sum} for ${expected}`)
        assert.equal(new Set(closed.map(({ hour }) => hour)).size, closed.length)
      },
    ),
  )
})

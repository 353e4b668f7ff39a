import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ClusterFixture } from '../ha/cluster-fixture.ts'
import type { GuestId, HostId } from '../model/ids.ts'
import type { DiskDemand } from './figures.ts'
import { LOAD_MEAN_MS, loadCauses, loadEvent, StorageLoadWatch, type HostDemands } from './storage-load.ts'

const SAMPLES = LOAD_MEAN_MS / 10_000
const [h1, h2] = ['h1', 'h2'] as HostId[]

const times = <T>(count: number, run: () => T) => Array.from({ length: count }, run)

function demand(parts: Partial<DiskDemand>): DiskDemand {
  return { readsPerSecond: 0, writesPerSecond: 0, readBytesPerSecond: 0, writtenBytesPerSecond: 0, ...parts }
}

test('a pool is busy when its mean of a quarter of an hour is above the line, and told once', () => {
  const watch = new StorageLoadWatch()
  assert.deepEqual(new Set(times(SAMPLES - 1, () => watch.add('p', 0.3))), new Set([undefined]))
  assert.equal(watch.add('p', 0.3), 'busy')
  assert.deepEqual(new Set(times(50, () => watch.add('p', 0.3))), new Set([undefined]))
})

test('a short storm is no load', () => {
  const watch = new StorageLoadWatch()
  times(SAMPLES, () => watch.add('p', 0.01))
  assert.deepEqual(new Set(times(6, () => watch.add('p', 1))), new Set([undefined]))
})

test('around the line nothing is told again and again; well below it is over', () => {
  const watch = new StorageLoadWatch()
  times(SAMPLES, () => watch.add('p', 0.12))
  assert.deepEqual(new Set(times(SAMPLES, () => watch.add('p', 0.09))), new Set([undefined]))
  assert.deepEqual(new Set(times(SAMPLES, () => watch.add('p', 0.12))), new Set([undefined]))
  assert.deepEqual(
    times(SAMPLES, () => watch.add('p', 0.01)).filter((change) => change !== undefined),
    ['calm'],
  )
})

/** `a` and `b` run on h1; both have replicas on h1 and h2. */
function cluster() {
  const fixture = new ClusterFixture(3)
  for (const name of ['a', 'b']) fixture.grant(fixture.guestWithDisk(name, ['h1', 'h2']).guest, 'h1')
  const on = (entries: readonly (readonly [string, DiskDemand])[]): ReadonlyMap<HostId, HostDemands> => {
    const guests = entries.map(([name, each]) => {
      const volume = [...fixture.state.volumes.values()].find(({ value }) => value.guest === `guest-${name}`)!.value.id
      return [`guest-${name}` as GuestId, [{ ...each, volume }]] as const
    })
    return new Map([[h1!, new Map(guests)]])
  }
  return { fixture, on }
}

test('writes count on every replica, reads on the one at hand', () => {
  const { fixture, on } = cluster()
  const demands = on([
    ['a', demand({ readsPerSecond: 100 })],
    ['b', demand({ writesPerSecond: 50 })],
  ])
  const at = (host: HostId) => loadCauses(fixture.state, demands, { host, name: 'default', work: undefined })
  assert.deepEqual(
    at(h1!).guests.map(({ guest, share }) => [guest, Math.round(share * 100)]),
    [
      ['guest-a', 67],
      ['guest-b', 33],
    ],
  )
  assert.deepEqual(
    at(h2!).guests.map(({ guest, share }) => [guest, share]),
    [['guest-b', 1]],
  )
})

test('what no guest asked for is left for the others', () => {
  const { fixture, on } = cluster()
  const demands = on([['a', demand({ writesPerSecond: 10 })]])
  const work = demand({ writesPerSecond: 40 })
  const { guests, others } = loadCauses(fixture.state, demands, { host: h1!, name: 'default', work })
  assert.deepEqual([guests[0]?.share, others], [0.25, 0.75])
})

test('many bytes cost as much as many requests', () => {
  const { fixture, on } = cluster()
  const demands = on([
    ['a', demand({ writesPerSecond: 10, writtenBytesPerSecond: 100 * 2 ** 20 })],
    ['b', demand({ writesPerSecond: 100, writtenBytesPerSecond: 100 * 4096 })],
  ])
  const { guests } = loadCauses(fixture.state, demands, { host: h1!, name: 'default', work: undefined })
  assert.equal(guests[0]?.guest, 'guest-a')
})

test('a pool where nothing happens has no causes, and another pool none of this one', () => {
  const { fixture, on } = cluster()
  const demands = on([['a', demand({ writesPerSecond: 10 })]])
  for (const name of ['idle', 'default'])
    assert.deepEqual(
      loadCauses(fixture.state, name === 'idle' ? demands : new Map(), { host: h1!, name, work: undefined }),
      { guests: [], others: 0 },
    )
})

test('the event names the pool, its load and the guests that cause most of it', () => {
  const { fixture } = cluster()
  const causes = { guests: [{ guest: 'guest-a' as GuestId, share: 0.7 }], others: 0.3 }
  const event = loadEvent('busy', { host: h1!, pool: 'default', mean: 0.234 }, causes, fixture.state.guests)
  assert.equal(
    event.message,
    'Pool default on h1 was busy for 23 % of the last quarter of an hour, more than 10 %; most of it: a 70 %',
  )
  assert.deepEqual(
    [event.kind, event.subject, event.details],
    ['storage.busy', 'host/h1', { pool: 'default', loadRatio: 0.234 }],
  )
})

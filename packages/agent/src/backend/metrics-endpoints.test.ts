import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { ClusterFixture } from '@stead/core/ha/cluster-fixture.ts'
import type { MetricSubject } from '@stead/core/metrics/metric.ts'
import type { GuestId, HostId } from '@stead/core/model/ids.ts'
import type { Principal } from '@stead/core/model/access.ts'
import type { LatestFigures } from '../metrics/host-metrics.ts'
import { realClock } from '../real-clock.ts'
import { TestBackend } from './backend-fixture.ts'

const QUERY = { from: '2026-11-23T12:00:00Z', to: '2026-11-23T12:00:40Z', stepMs: 10_000 }
const [h1, h2] = ['h1', 'h2'] as HostId[]

async function start(context: TestContext) {
  const cluster = new ClusterFixture(3)
  const { guest, volume } = cluster.guestWithDisk('web', ['h1', 'h2'])
  cluster.grant(guest, 'h1')
  const backend = await TestBackend.start(context, cluster, { ...realClock, wallMs: () => Date.parse(QUERY.to) })
  const asked: { hosts: readonly HostId[]; subject: MetricSubject }[] = []
  const busy = { readsPerSecond: 0, writesPerSecond: 100, readBytesPerSecond: 0, writtenBytesPerSecond: 0 }
  const latest = (guests: LatestFigures['guests'], loadMeanRatio: number): LatestFigures => ({
    ...{ host: {}, guests },
    pools: [{ name: 'default', figures: { ...busy, storageBusyRatio: 0.5 }, loadMeanRatio }],
  })
  const disks = [{ ...busy, writesPerSecond: 60, volume: volume.id }]
  backend.metrics = {
    ...backend.metrics,
    series: async (hosts, subject) => {
      asked.push({ hosts, subject })
      return {
        answered: [
          [h1!, { cpuCores: [1, 2, null, null] }],
          [h2!, { cpuCores: [null, 0.5, 3, null] }],
        ],
        silent: ['h3' as HostId],
      }
    },
    latest: async () => ({
      answered: [
        [h1!, latest([{ guest: 'guest-web' as GuestId, figures: {}, disks }], 0.2)],
        [h2!, latest([], 0.02)],
      ],
      silent: ['h3' as HostId],
    }),
  }
  return { backend, asked }
}

test('the course of a guest is put together from all hosts on which it ran', async (context) => {
  const { backend, asked } = await start(context)
  const view = await backend.must('guest.metrics', { params: { guest: 'web' }, query: QUERY })
  assert.deepEqual(view.series['cpuCores'], [1, 2, 3, null])
  assert.deepEqual([view.subject, view.hosts, view.silent], ['web', ['h1', 'h2'], ['h3']])
  assert.deepEqual([view.from, view.to, view.stepMs], ['2026-11-23T12:00:00.000Z', '2026-11-23T12:00:40.000Z', 10_000])
  assert.deepEqual(asked, [{ hosts: ['h1', 'h2', 'h3'], subject: 'guest/guest-web' }])
  assert.deepEqual(
    Object.keys(view.series),
    view.metrics.map(({ name }) => name),
  )
})

test('a host is asked for itself and for its pools, and for no others', async (context) => {
  const { backend, asked } = await start(context)
  await backend.must('host.metrics', { params: { host: 'h2' }, query: QUERY })
  await backend.must('pool.metrics', { params: { host: 'h2', pool: 'default' }, query: QUERY })
  assert.deepEqual(asked, [
    { hosts: ['h2'], subject: 'host' },
    { hosts: ['h2'], subject: 'pool/default' },
  ])
  const missing = await backend.refused('pool.metrics', { params: { host: 'h2', pool: 'tape' }, query: QUERY })
  assert.deepEqual([missing.code, missing.hint], ['not_found', 'The pools of h2 are default'])
})

test('a time that ends before it begins is refused', async (context) => {
  const { backend } = await start(context)
  const query = { from: QUERY.to, to: QUERY.from }
  assert.equal((await backend.refused('guest.metrics', { params: { guest: 'web' }, query })).code, 'bad_request')
})

test('each pool has its load, and the guests that write to it from wherever they run', async (context) => {
  const { backend } = await start(context)
  const { items, silent, lineRatio } = await backend.must('storage.load')
  assert.deepEqual([lineRatio, silent], [0.1, ['h3']])
  assert.deepEqual(
    items.map(({ host, level, causes, othersShare }) => [host, level, causes[0]?.guest, causes[0]?.share, othersShare]),
    [
      ['h1', 'busy', 'web', 0.6, 0.4],
      ['h2', 'calm', 'web', 0.6, 0.4],
    ],
  )
})

test('who may see hosts but not all guests does not learn who causes the load', async (context) => {
  const { backend } = await start(context)
  const role = { name: 'HostViewer', privileges: ['host.view'] }
  await backend.must('role.create', { body: role })
  await backend.must('user.create', { body: { name: 'eve' } })
  await backend.must('permission.grant', {
    body: { subject: { kind: 'user', name: 'eve' }, role: role.name, path: '/' },
  })
  const principal: Principal = { kind: 'user', name: 'eve' }
  const refused = await backend.call('storage.load', {}, { principal })
  assert.equal(!refused.ok && refused.error.code, 'forbidden')
  assert.ok((await backend.call('host.metrics', { params: { host: 'h1' }, query: QUERY }, { principal })).ok)
})

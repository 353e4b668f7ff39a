/** A host that measures itself on a clock of the test: what is kept, what is told, what is left out. */
import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { ClusterFixture } from '@stead/core/ha/cluster-fixture.ts'
import type { EventDraft } from '@stead/core/ha/plan.ts'
import { spanOf } from '@stead/core/metrics/resolution.ts'
import type { GuestId, HostId } from '@stead/core/model/ids.ts'
import type { Clock } from '@stead/core/ports/clock.ts'
import type { GuestReading, MeterReadings } from '@stead/core/ports/host-meters.ts'
import type { Log } from '@stead/core/ports/log.ts'
import { failure } from '@stead/core/errors.ts'
import { fail, type Result } from '@stead/core/result.ts'
import { ClusterMetrics, metricCalls } from './cluster-metrics.ts'
import { HostMetrics } from './host-metrics.ts'
import { MetricsDatabase } from './metrics-database.ts'

const NOON = Date.parse('2026-11-23T12:00:00Z')
const silent: Log = { debug() {}, info() {}, warn() {}, error() {}, with: () => silent }
const GUEST = 'guest-web' as GuestId

/** A guest that uses half a processor, on a pool whose disk is busy for a part of the time. */
class OneHost {
  readonly told: EventDraft[] = []
  readonly database = new MetricsDatabase(':memory:')
  readonly metrics: HostMetrics
  nowMs = 0
  busyRatio = 0
  runs = true
  #busyMs = 0

  constructor(context: TestContext, cluster: ClusterFixture, self = 'h1') {
    context.after(() => this.database.close())
    this.metrics = new HostMetrics({
      self: self as HostId,
      meters: { read: async () => this.#readings() },
      database: this.database,
      mirror: { state: cluster.state, loaded: true },
      causes: async () => ({ guests: [{ guest: GUEST, share: 0.9 }], others: 0.1 }),
      tell: (...drafts) => this.told.push(...drafts),
      clock: { wallMs: () => NOON + this.nowMs, monotonicMs: () => this.nowMs } as Clock,
      log: silent,
    })
  }

  async pass(ms: number, stepMs = 10_000): Promise<void> {
    for (const end = this.nowMs + ms; this.nowMs < end;) {
      this.nowMs += stepMs
      this.#busyMs += this.busyRatio * stepMs
      await this.metrics.look()
    }
  }

  cpu(): readonly (number | null)[] {
    const span = spanOf({ fromMs: NOON, toMs: NOON + this.nowMs, stepMs: 10_000 }, NOON + this.nowMs)
    return this.metrics.series(`guest/${GUEST}`, span)['cpuCores']!
  }

  #readings(): MeterReadings {
    const counters = { cpuMs: this.nowMs / 2, memoryBytes: 64, receivedBytes: 0, sentBytes: 0 }
    const storage = { reads: 0, writes: this.nowMs / 100, readBytes: 0, writtenBytes: this.nowMs }
    const guest: GuestReading = { ...counters, run: 'r', disks: [] }
    return {
      ...{ atMs: this.nowMs, host: counters, guests: new Map(this.runs ? [[GUEST, guest]] : []) },
      pools: new Map([['default', { device: 'vda', storage, busyMs: this.#busyMs, usedBytes: 1 }]]),
    }
  }
}

function start(context: TestContext) {
  const cluster = new ClusterFixture(2)
  cluster.grant(cluster.guest('web', {}), 'h1')
  return { cluster, host: new OneHost(context, cluster) }
}

test('two looks make a figure, and each of them is kept', async (context) => {
  const { host } = start(context)
  await host.metrics.look()
  await host.pass(30_000)
  assert.deepEqual(host.cpu(), [0.5, 0.5, 0.5])
  assert.equal(host.metrics.latest().guests[0]?.figures.cpuCores, 0.5)
})

test('after a sleep of the machine nothing is made up for the time of it', async (context) => {
  const { host } = start(context)
  await host.metrics.look()
  await host.pass(10_000)
  await host.pass(120_000, 120_000)
  await host.pass(10_000)
  assert.deepEqual(host.cpu(), [0.5, ...Array.from({ length: 12 }, () => null), 0.5])
})

test('a guest that has gone has no figures any more, and keeps those it had', async (context) => {
  const { host } = start(context)
  await host.metrics.look()
  await host.pass(20_000)
  host.runs = false
  await host.pass(10_000)
  assert.deepEqual(host.cpu(), [0.5, 0.5, null])
  assert.deepEqual(host.metrics.latest().guests, [])
})

test('a pool that is busy for a quarter of an hour is told with who causes it, and when it is over', async (context) => {
  const { host } = start(context)
  await host.metrics.look()
  host.busyRatio = 0.2
  await host.pass(14 * 60_000)
  assert.deepEqual(host.told, [])
  await host.pass(2 * 60_000)
  host.busyRatio = 0
  await host.pass(20 * 60_000)
  const messages = host.told.map(({ message }) => message)
  assert.deepEqual(
    host.told.map(({ kind }) => kind),
    ['storage.busy', 'storage.calm'],
  )
  assert.match(messages[0] ?? '', /^Pool default on h1 was busy for 20 % of .*; most of it: web 90 %$/)
})

test('all hosts are asked at once, and one that is down or silent is named', async (context) => {
  const { cluster, host } = start(context)
  cluster.addHost('h3', 3, 'compute')
  cluster.addHost('h4', 4, 'compute')
  cluster.lose('h3')
  const other = new OneHost(context, cluster, 'h2')
  await host.metrics.look()
  await other.metrics.look()
  await host.pass(20_000)
  await other.pass(20_000)
  const asked: HostId[] = []
  const metrics = new ClusterMetrics({
    ...{ self: 'h1' as HostId, own: host.metrics, state: () => cluster.state },
    call: (to, name, input): Promise<Result<unknown>> => {
      asked.push(to)
      if (to === 'h4') return Promise.resolve(fail(failure('host_unreachable', 'h4 did not answer')))
      return metricCalls(other.metrics)[name]!(JSON.parse(JSON.stringify(input)))
    },
  })
  const hosts = ['h1', 'h2', 'h3', 'h4'] as HostId[]
  const { answered, silent: missing } = await metrics.latest(hosts)
  assert.deepEqual(
    [answered.map(([name]) => name), missing],
    [
      ['h1', 'h2'],
      ['h3', 'h4'],
    ],
  )
  assert.deepEqual(asked, ['h2', 'h4'])
  const span = spanOf({ fromMs: NOON, toMs: NOON + 20_000, stepMs: 10_000 }, NOON + 20_000)
  const series = await metrics.series(hosts, `guest/${GUEST}`, span)
  assert.deepEqual(
    series.answered.map(([, each]) => each['cpuCores']),
    [
      [0.5, 0.5],
      [0.5, 0.5],
    ],
  )
})

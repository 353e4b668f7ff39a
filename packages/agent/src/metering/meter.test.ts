/** What is counted goes on where it stopped, whoever coordinates. */
import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { ClusterFixture } from '@stead/core/ha/cluster-fixture.ts'
import type { HostId } from '@stead/core/model/ids.ts'
import { KEYS } from '@stead/core/model/keys.ts'
import type { OpenHour } from '@stead/core/model/metering.ts'
import type { Clock } from '@stead/core/ports/clock.ts'
import { TestBackend } from '../backend/backend-fixture.ts'
import { realClock } from '../real-clock.ts'
import { countNow, type MeterContext } from './meter.ts'

const MINUTE = 60_000
const START = Date.parse('2026-11-22T22:00:00.000Z')

async function start(context: TestContext) {
  const cluster = new ClusterFixture(3)
  cluster.grant(cluster.guest('web', { cpus: 6 }), 'h1')
  const backend = await TestBackend.start(context, cluster)
  await coordinate(backend, 'h1', 1)
  const now = { ms: START }
  const clock: Clock = { ...realClock, wallMs: () => now.ms }
  const on = (of: TestBackend, self: string): MeterContext => ({
    ...{ self: self as HostId, store: of.store, mirror: of.mirror, clock, log: { error() {} } as never },
  })
  const open = async () => {
    const found = await backend.store.get(KEYS.metering)
    return found.ok && found.value ? (JSON.parse(found.value.value) as OpenHour) : undefined
  }
  return { backend, first: on(backend, 'h1'), on, now, open }
}

async function coordinate({ store, mirror }: TestBackend, host: string, term: number): Promise<void> {
  const value = JSON.stringify({ host, term })
  await store.transact({ compares: [], writes: [{ kind: 'put', key: KEYS.coordinator, value }] })
  await mirror.until((state) => state.coordinator?.value.term === term, new Promise(() => {}))
}

test('two hosts that both take themselves for the coordinator count each time once', async (context) => {
  const { backend, first, on, now, open } = await start(context)
  const second = on(await backend.onHost(context, 'h2'), 'h2')
  await countNow(first)
  for (let minute = 0; minute < 10; minute++) {
    now.ms += MINUTE
    await Promise.all([countNow(first), countNow(second)])
  }
  assert.ok(Math.abs(((await open())?.projects['default']?.cpuHours ?? 0) - 1) < 1e-9)
})

test('who coordinates no more counts nothing, and the next one leaves no time out', async (context) => {
  const { backend, first, on, now, open } = await start(context)
  await countNow(first)
  const stale = { ...first, mirror: { state: first.mirror.state } as never }
  await coordinate(backend, 'h2', 2)
  now.ms += 5 * MINUTE
  const second = on(await backend.onHost(context, 'h2'), 'h2')
  await countNow(stale)
  await countNow(second)
  const counted = await open()
  assert.deepEqual([counted?.throughMs, counted?.projects['default']?.cpuHours], [START + 5 * MINUTE, 0.5])
})

test('hours that are over are on every host, and are listed with the one that is not', async (context) => {
  const { backend, first, now } = await start(context)
  await countNow(first)
  for (let minutes = 0; minutes < 70; minutes += 5) {
    now.ms += 5 * MINUTE
    await countNow(first)
  }
  const other = await backend.onHost(context, 'h2')
  const query = { from: '2026-11-22T00:00:00Z', to: '2026-11-24T00:00:00Z' }
  for (const host of [backend, other]) {
    const { items } = await host.must('usage.list', { query })
    assert.deepEqual(
      items.map(({ project, hour, complete, cpuHours }) => [project, hour, complete, Math.round(cpuHours * 1e6) / 1e6]),
      [
        ['default', '2026-11-22T22:00:00.000Z', true, 6],
        ['default', '2026-11-22T23:00:00.000Z', false, 1],
      ],
    )
  }
})

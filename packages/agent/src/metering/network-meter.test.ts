import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { ClusterFixture } from '@stead/core/ha/cluster-fixture.ts'
import type { GuestMeasure, HostMeasure } from '@stead/core/metrics/figures.ts'
import { failure } from '@stead/core/errors.ts'
import { KEYS } from '@stead/core/model/keys.ts'
import type { GuestId, HostId } from '@stead/core/model/ids.ts'
import type { NetworkHour } from '@stead/core/model/metering.ts'
import type { Store } from '@stead/core/ports/store.ts'
import { fail } from '@stead/core/result.ts'
import { TestBackend } from '../backend/backend-fixture.ts'
import { NetworkMeter } from './network-meter.ts'

const MINUTE = 60_000
const START = Date.parse('2026-11-22T22:00:00.000Z')

async function start(context: TestContext) {
  const cluster = new ClusterFixture(3)
  cluster.guest('web', { project: 'shop' })
  cluster.guest('mail')
  const backend = await TestBackend.start(context, cluster)
  const now = { ms: START }
  const meter = (self = 'h1', store: Store = backend.store) =>
    new NetworkMeter({ self: self as HostId, store, mirror: backend.mirror, clock: { wallMs: () => now.ms } })
  const pass = async (of: NetworkMeter, minutes: number, sentBytes = 10) => {
    for (let minute = 0; minute < minutes; minute++) {
      now.ms += MINUTE
      await of.add(measured({ web: sentBytes, mail: 1, gone: 99 }))
    }
  }
  const stored = async (hour: string, host = 'h1') => {
    const found = await backend.store.get(KEYS.networkHour(`2026-11-22T${hour}:00:00.000Z`, host as HostId))
    return found.ok && found.value ? (JSON.parse(found.value.value) as NetworkHour).projects : undefined
  }
  return { backend, meter, pass, stored, now }
}

function measured(sent: Readonly<Record<string, number>>): HostMeasure {
  const guests = Object.entries(sent).map(([name, sentBytes]): [GuestId, GuestMeasure] => [
    `guest-${name}` as GuestId,
    { figures: {}, disks: [], receivedBytes: 2, sentBytes },
  ])
  return { seconds: 60, host: {}, pools: new Map(), guests: new Map(guests) }
}

test('each host counts the bytes of its own guests, by project, and writes an hour that is over at once', async (context) => {
  const { meter, pass, stored } = await start(context)
  const own = meter()
  await pass(own, 59)
  assert.equal((await stored('22'))?.['shop']?.sentBytes, 550)
  await pass(own, 1)
  assert.deepEqual(await stored('22'), {
    shop: { receivedBytes: 118, sentBytes: 590 },
    default: { receivedBytes: 118, sentBytes: 59 },
  })
})

test('an agent that comes back goes on where it has written, and counts nothing twice', async (context) => {
  const { meter, pass, stored } = await start(context)
  // The last minute is not written yet, and lost with the agent.
  await pass(meter(), 6)
  assert.equal((await stored('22'))?.['shop']?.sentBytes, 50)
  await pass(meter(), 5)
  assert.equal((await stored('22'))?.['shop']?.sentBytes, 100)
  const leaving = meter()
  await pass(leaving, 1)
  await leaving.write()
  assert.equal((await stored('22'))?.['shop']?.sentBytes, 110)
})

test('while the store cannot be reached nothing is lost and no hour is left out', async (context) => {
  const { backend, meter, pass, stored, now } = await start(context)
  let down = false
  const refused = async () => fail(failure('no_quorum', 'down'))
  const store = new Proxy(backend.store, {
    get: (target, name: keyof Store) => {
      const method = target[name] as (...all: unknown[]) => unknown
      return down && (name === 'get' || name === 'transact') ? refused : method.bind(target)
    },
  })
  const own = meter('h1', store)
  now.ms += 50 * MINUTE
  await pass(own, 5)
  down = true
  await pass(own, 10)
  down = false
  await pass(own, 6)
  assert.equal((await stored('22'))?.['shop']?.sentBytes, 90)
  assert.equal((await stored('23'))?.['shop']?.sentBytes, 120)
})

test('what all hosts counted is listed with what else was used', async (context) => {
  const { backend, meter, pass } = await start(context)
  await pass(meter('h1'), 5)
  await pass(meter('h2'), 5)
  const query = { from: '2026-11-22T00:00:00Z', to: '2026-11-24T00:00:00Z', project: 'shop' }
  for (let tries = 0; tries < 500 && (await backend.must('usage.list', { query })).items[0]?.sentBytes !== 100; tries++)
    await new Promise((resolve) => setTimeout(resolve, 10))
  const [row] = (await backend.must('usage.list', { query })).items
  assert.deepEqual(
    [row?.project, row?.hour, row?.cpuHours, row?.receivedBytes, row?.sentBytes],
    ['shop', '2026-11-22T22:00:00.000Z', 0, 20, 100],
  )
})

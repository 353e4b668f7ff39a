import assert from 'node:assert/strict'
import { createHmac } from 'node:crypto'
import { createServer, type IncomingHttpHeaders } from 'node:http'
import type { AddressInfo } from 'node:net'
import { test, type TestContext } from 'node:test'
import { ClusterFixture } from '@stead/core/ha/cluster-fixture.ts'
import type { ClusterEvent } from '@stead/core/model/event.ts'
import type { HostId } from '@stead/core/model/ids.ts'
import { KEYS } from '@stead/core/model/keys.ts'
import { giveUpAfterMs, pauseAfter } from '@stead/core/model/webhook.ts'
import type { Clock } from '@stead/core/ports/clock.ts'
import { TestBackend } from '../backend/backend-fixture.ts'
import { History } from '../history.ts'
import { UsageLog } from '../metering/usage-log.ts'
import { realClock } from '../real-clock.ts'
import type { ToldUsage } from './next-told.ts'
import { tellNow, type CourierContext } from './webhook-courier.ts'

interface Received {
  readonly headers: IncomingHttpHeaders
  readonly body: string
  readonly events: readonly ClusterEvent[]
  readonly usage: readonly ToldUsage[]
}

/** A cluster whose first host coordinates, with one webhook to a server of the test. */
async function start(context: TestContext, body: object = {}) {
  const received: Received[] = []
  const answering = { status: 200 }
  const server = createServer((request, response) => {
    let text = ''
    request.on('data', (part: Buffer) => (text += part.toString()))
    request.on('end', () => {
      const { events = [], usage = [] } = JSON.parse(text) as Partial<Received>
      received.push({ headers: request.headers, body: text, events, usage })
      response.writeHead(answering.status).end()
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  context.after(() => new Promise((resolve) => server.close(resolve)))
  const now = { ms: Date.parse('2026-11-23T00:00:00Z') }
  const clock: Clock = { ...realClock, wallMs: () => now.ms }
  const backend = await TestBackend.start(context, new ClusterFixture(3), clock)
  await backend.must('policy.set', { body: { outboundAllow: ['127.0.0.0/8'] } })
  await backend.must('project.create', { body: { name: 'shop' } })
  await coordinate(backend, 'h1', 1)
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/hook`
  const { secret } = await backend.must('webhook.create', { body: { name: 'chat', url, ...body } })
  const couriers = new Map<string, CourierContext>()
  const courier = (of: TestBackend, self: string): CourierContext => {
    const known = couriers.get(self)
    if (known) return known
    const silent = { error() {} } as never
    const history = new History(':memory:', silent)
    of.mirror.onBatch((batch) => history.take(batch))
    const usage = new UsageLog(':memory:')
    of.mirror.onBatch((batch) => usage.take(batch))
    context.after(() => (history.close(), usage.close()))
    const made = { ...{ self: self as HostId, store: of.store, mirror: of.mirror, history, usage, clock }, log: silent }
    couriers.set(self, made)
    return made
  }
  let number = 0
  const happens = async (event: Partial<ClusterEvent> = {}) => {
    number += 1
    now.ms += 10
    const whole: ClusterEvent = {
      ...{ id: `${now.ms}-h1-${number}`, time: new Date(now.ms).toISOString(), monotonicMs: 0, kind: 'host.lost' },
      ...{ subject: 'host/h2', message: `event ${number}`, host: 'h1' as HostId },
      ...event,
    } as ClusterEvent
    const write = { kind: 'put', key: KEYS.event(whole.id), value: JSON.stringify(whole) } as const
    await backend.store.transact({ compares: [], writes: [write] })
    await settled(backend)
  }
  const names = () => received.map(({ events }) => events.map(({ message }) => message).join())
  return { backend, received, answering, now, secret, happens, courier, names, first: courier(backend, 'h1') }
}

/** Until this host has seen all that the store holds. */
async function settled({ store, mirror }: TestBackend): Promise<void> {
  const all = await store.range('/')
  assert.ok(all.ok)
  await mirror.until(() => mirror.revision >= all.value.revision, realClock.sleep(5_000))
}

async function coordinate(backend: TestBackend, host: string, term: number): Promise<void> {
  const value = JSON.stringify({ host, term })
  await backend.store.transact({ compares: [], writes: [{ kind: 'put', key: KEYS.coordinator, value }] })
  await settled(backend)
}

test('what happens is told in its order, once, and signed', async (context) => {
  const { first, happens, received, names, secret } = await start(context)
  await happens()
  await happens()
  await tellNow(first)
  await tellNow(first)
  await happens()
  await tellNow(first)
  assert.deepEqual(names(), ['event 1,event 2', 'event 3'])
  const { headers, body } = received[0]!
  const [, seconds, signature] = /^t=(\d+),v1=([0-9a-f]{64})$/.exec(String(headers['stead-signature'])) ?? []
  assert.equal(signature, createHmac('sha256', secret).update(`${seconds}.${body}`).digest('hex'))
  assert.ok(!body.includes(secret))
  assert.equal(headers['stead-attempt'], '1')
})

test('only the events that are wanted are told', async (context) => {
  const { first, happens, names } = await start(context, { kinds: ['guest.failed'], project: 'default' })
  await happens()
  await happens({ kind: 'guest.failed', project: 'default' })
  await happens({ kind: 'guest.failed', project: 'other' })
  await happens({ kind: 'guest.failed' })
  await tellNow(first)
  assert.deepEqual(names(), ['event 2'])
})

test('what was not taken is told again, later each time, and nothing is left out', async (context) => {
  const { backend, first, happens, received, answering, now } = await start(context)
  answering.status = 500
  await happens()
  await tellNow(first)
  await tellNow(first)
  assert.equal(received.length, 1, 'not before its time')
  const { failing } = await backend.must('webhook.show', { params: { webhook: 'chat' } })
  assert.deepEqual([failing?.attempts, failing?.error], [1, 'It answered with HTTP status 500'])
  await happens()
  now.ms += pauseAfter(1)
  await tellNow(first)
  now.ms += pauseAfter(1)
  await tellNow(first)
  assert.equal(received.length, 2, 'the second pause is longer')
  answering.status = 200
  now.ms += pauseAfter(2)
  await tellNow(first)
  assert.deepEqual(
    received.map(({ headers, events }) => [headers['stead-attempt'], events.length]),
    [
      ['1', 1],
      ['2', 2],
      ['3', 2],
    ],
  )
  const after = await backend.must('webhook.show', { params: { webhook: 'chat' } })
  assert.deepEqual([after.failing, after.lost], [null, 0])
})

test('what nobody takes for a day is given up, and that is counted', async (context) => {
  const { backend, first, happens, answering, now, names } = await start(context)
  answering.status = 503
  await happens()
  await tellNow(first)
  now.ms += giveUpAfterMs({})
  await tellNow(first)
  answering.status = 200
  await happens()
  await tellNow(first)
  assert.equal(names().at(-1), 'event 2')
  assert.equal((await backend.must('webhook.show', { params: { webhook: 'chat' } })).lost, 1)
})

test('whoever coordinates next goes on where the last one stopped, and the last one tells no more', async (context) => {
  const { backend, first, happens, courier, names } = await start(context)
  const other = await backend.onHost(context, 'h2')
  const second = courier(other, 'h2')
  await happens()
  await tellNow(first)
  await coordinate(backend, 'h2', 2)
  await happens()
  await settled(other)
  await tellNow(first)
  await tellNow(second)
  assert.deepEqual(names(), ['event 1', 'event 2'])
})

test('one that is disabled is told nothing, and what happened meanwhile once it is enabled', async (context) => {
  const { backend, first, happens, names } = await start(context)
  const params = { webhook: 'chat' }
  await backend.must('webhook.set', { params, body: { disabled: true } })
  await happens()
  await tellNow(first)
  assert.deepEqual(names(), [])
  await backend.must('webhook.set', { params, body: { disabled: false } })
  await tellNow(first)
  assert.deepEqual(names(), ['event 1'])
})

test('a mended one is tried at once', async (context) => {
  const { backend, first, happens, answering, received } = await start(context)
  answering.status = 404
  await happens()
  await tellNow(first)
  answering.status = 200
  await backend.must('webhook.set', { params: { webhook: 'chat' }, body: { notes: 'mended' } })
  await tellNow(first)
  assert.equal(received.length, 2)
})

test('a webhook into the cluster is refused when it is used, whatever its name says', async (context) => {
  const { backend, received } = await start(context)
  await backend.must('policy.set', { body: { outboundAllow: [] } })
  const refused = await backend.refused('webhook.test', { params: { webhook: 'chat' } })
  assert.equal(refused.code, 'forbidden')
  assert.deepEqual(received, [])
})

test('the secret is shown once, to who made it, and is in no audit and no other answer', async (context) => {
  const { backend, secret } = await start(context)
  const answers = [
    await backend.must('webhook.show', { params: { webhook: 'chat' } }),
    await backend.must('webhook.list'),
    await backend.must('audit.list', { query: { limit: 100 } }),
  ]
  assert.ok(!JSON.stringify(answers).includes(secret))
  assert.match(JSON.stringify(answers), /\(secret\)/)
})

const HOUR_MS = 3_600_000
const at = (hour: number) => new Date(Date.parse('2026-11-23T00:00:00Z') + hour * HOUR_MS).toISOString()

/** As the coordinator writes it when it is over. */
async function hourIsOver(backend: TestBackend, hour: number, ...projects: readonly string[]): Promise<void> {
  const used = { cpuHours: hour + 1, memoryGibHours: 2, diskGibHours: 3 }
  const record = { hour: at(hour), projects: Object.fromEntries(projects.map((name) => [name, used])) }
  await backend.put(KEYS.usageHour(at(hour)), record)
  await settled(backend)
}

/** What was told, each as `HOUR/PROJECT: processor hours`. */
const hours = (received: readonly Received[]) =>
  received.map(({ usage }) => usage.map(({ id, cpuHours }) => `${id}: ${cpuHours}`))

test('what each project used is told once its hour is over and settled, once, and signed', async (context) => {
  const { backend, first, received, now, secret } = await start(context, { tells: 'usage' })
  await hourIsOver(backend, 0, 'default', 'shop')
  const traffic = { hour: at(0), host: 'h2', projects: { shop: { receivedBytes: 7, sentBytes: 8 } } }
  await backend.put(KEYS.networkHour(at(0), 'h2' as HostId), traffic)
  await settled(backend)
  now.ms = Date.parse(at(1)) + 599_000
  await tellNow(first)
  assert.equal(received.length, 0, 'hosts may still tell what was sent in it')
  now.ms += 1_000
  await tellNow(first)
  await tellNow(first)
  assert.deepEqual(hours(received), [[`${at(0)}/default: 1`, `${at(0)}/shop: 1`]])
  const [message] = received
  assert.deepEqual(message?.usage[1], {
    ...{ id: `${at(0)}/shop`, project: 'shop', hour: at(0), complete: true },
    ...{ cpuHours: 1, memoryGibHours: 2, diskGibHours: 3, receivedBytes: 7, sentBytes: 8 },
  })
  assert.equal(message?.headers['stead-delivery'], `${at(0)}/shop`)
  const [, seconds, signature] = /^t=(\d+),v1=([0-9a-f]{64})$/.exec(String(message?.headers['stead-signature'])) ?? []
  assert.equal(signature, createHmac('sha256', secret).update(`${seconds}.${message?.body}`).digest('hex'))
})

test('hours that nobody took are told again in their order, also by whoever coordinates next, with the same ids', async (context) => {
  const { backend, first, received, answering, now, courier } = await start(context, {
    tells: 'usage',
    project: 'shop',
  })
  const second = courier(await backend.onHost(context, 'h2'), 'h2')
  answering.status = 500
  await hourIsOver(backend, 0, 'default', 'shop')
  await hourIsOver(backend, 1, 'default')
  await hourIsOver(backend, 2, 'default', 'shop')
  now.ms = Date.parse(at(4))
  await tellNow(first)
  answering.status = 200
  await coordinate(backend, 'h2', 2)
  now.ms += pauseAfter(1)
  for (let look = 0; look < 4; look++) {
    await second.mirror.until((state) => state.coordinator?.value.host === 'h2', realClock.sleep(5_000))
    await tellNow(second)
  }
  await tellNow(first)
  assert.deepEqual(hours(received), [[`${at(0)}/shop: 1`], [`${at(0)}/shop: 1`], [`${at(2)}/shop: 3`]])
  assert.deepEqual(
    received.map(({ headers }) => headers['stead-attempt']),
    ['1', '2', '1'],
  )
})

test('an hour of many projects comes in several messages, each of them once', async (context) => {
  const { backend, first, received, answering, now } = await start(context, { tells: 'usage' })
  const projects = Array.from({ length: 120 }, (_, index) => `p${String(index).padStart(3, '0')}`)
  await hourIsOver(backend, 0, ...projects)
  now.ms = Date.parse(at(2))
  await tellNow(first)
  answering.status = 503
  await tellNow(first)
  answering.status = 200
  now.ms += pauseAfter(1)
  for (let look = 0; look < 4; look++) await tellNow(first)
  const taken = received.filter((_, index) => index !== 1)
  assert.deepEqual(
    taken.map(({ usage }) => usage.length),
    [50, 50, 20],
  )
  assert.deepEqual(
    taken.flatMap(({ usage }) => usage.map(({ project }) => project)),
    projects,
  )
  assert.deepEqual(received[1]?.usage, received[2]?.usage)
})

test('hours are bills: they are given up after two weeks only', async (context) => {
  const { backend, first, answering, received, now } = await start(context, { tells: 'usage' })
  answering.status = 500
  await hourIsOver(backend, 0, 'default')
  now.ms = Date.parse(at(2))
  await tellNow(first)
  now.ms += 13 * 24 * HOUR_MS
  await tellNow(first)
  assert.equal((await backend.must('webhook.show', { params: { webhook: 'chat' } })).lost, 0)
  now.ms += 2 * 24 * HOUR_MS
  await tellNow(first)
  assert.equal((await backend.must('webhook.show', { params: { webhook: 'chat' } })).lost, 1)
  assert.equal(received.length, 3)
})

test('one of usage is told of no events, and its greeting has the form of what comes', async (context) => {
  const { backend, first, happens, received } = await start(context, { tells: 'usage' })
  await happens()
  await tellNow(first)
  assert.equal(received.length, 0)
  await backend.must('webhook.test', { params: { webhook: 'chat' } })
  assert.match(received[0]?.body ?? '', /"usage":\[\]/)
  const body = { kinds: ['host.lost'] }
  assert.equal((await backend.refused('webhook.set', { params: { webhook: 'chat' }, body })).code, 'bad_request')
})

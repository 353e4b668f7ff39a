import assert from 'node:assert/strict'
import { createHmac } from 'node:crypto'
import { createServer, type IncomingHttpHeaders } from 'node:http'
import type { AddressInfo } from 'node:net'
import { test, type TestContext } from 'node:test'
import { ClusterFixture } from '@stead/core/ha/cluster-fixture.ts'
import type { ClusterEvent } from '@stead/core/model/event.ts'
import type { HostId } from '@stead/core/model/ids.ts'
import { KEYS } from '@stead/core/model/keys.ts'
import { GIVE_UP_MS, pauseAfter } from '@stead/core/model/webhook.ts'
import type { Clock } from '@stead/core/ports/clock.ts'
import { TestBackend } from '../backend/backend-fixture.ts'
import { History } from '../history.ts'
import { realClock } from '../real-clock.ts'
import { tellNow, type CourierContext } from './webhook-courier.ts'

interface Received {
  readonly headers: IncomingHttpHeaders
  readonly body: string
  readonly events: readonly ClusterEvent[]
}

/** A cluster whose first host coordinates, with one webhook to a server of the test. */
async function start(context: TestContext, body: object = {}) {
  const received: Received[] = []
  const answering = { status: 200 }
  const server = createServer((request, response) => {
    let text = ''
    request.on('data', (part: Buffer) => (text += part.toString()))
    request.on('end', () => {
      const { events } = JSON.parse(text) as { events: ClusterEvent[] }
      received.push({ headers: request.headers, body: text, events })
      response.writeHead(answering.status).end()
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  context.after(() => new Promise((resolve) => server.close(resolve)))
  const now = { ms: Date.parse('2026-11-23T00:00:00Z') }
  const clock: Clock = { ...realClock, wallMs: () => now.ms }
  const backend = await TestBackend.start(context, new ClusterFixture(3), clock)
  await backend.must('policy.set', { body: { outboundAllow: ['127.0.0.0/8'] } })
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
    context.after(() => history.close())
    const made = { ...{ self: self as HostId, store: of.store, mirror: of.mirror, history, clock }, log: silent }
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
  now.ms += GIVE_UP_MS
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

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { failure, type FailureCode } from '@stead/core/errors.ts'
import { createClient, withoutSilence } from './client.ts'
import { ENDPOINTS } from './endpoints.ts'
import { problemFromFailure } from './errors.ts'
import { formatServerSentEvent } from './server-sent-events.ts'
import type { ApiTarget, Transport, TransportRequest, TransportResponse } from './transport.ts'

type Answer = (request: TransportRequest) => TransportResponse
interface Seen {
  readonly host: string
  readonly request: TransportRequest
}

const json = (status: number, value: unknown): TransportResponse => ({
  status,
  headers: {},
  body: text(JSON.stringify(value)),
})
const problem = (code: FailureCode) =>
  json(problemFromFailure(failure(code, code)).status, problemFromFailure(failure(code, code)))

async function* text(...parts: string[]): AsyncGenerator<Uint8Array> {
  for (const part of parts) yield new TextEncoder().encode(part)
}

/** Hosts by name; each answers with its function, and one without does not answer. */
function cluster(hosts: Record<string, Answer | undefined>) {
  const seen: Seen[] = []
  const transport: Transport = {
    async send(target, request) {
      const host = target.host as string
      seen.push({ host, request })
      const answer = hosts[host]
      if (!answer) throw new Error('connection refused')
      return answer(request)
    },
  }
  const targets: ApiTarget[] = Object.keys(hosts).map((host) => ({ host, unix: `/${host}` }))
  return { seen, client: createClient({ targets, transport, token: 'secret', patienceMs: 600 }) }
}

const guests = () => json(200, { items: [] })

test('a host that does not answer is passed over, and the one that did is asked first from then on', async () => {
  const { client, seen } = cluster({ h1: undefined, h2: guests, h3: guests })
  assert.deepEqual(await client.call(ENDPOINTS['guest.list']), { ok: true, value: { items: [] } })
  await client.call(ENDPOINTS['guest.list'])
  assert.deepEqual(
    seen.map((call) => call.host),
    ['h1', 'h2', 'h2'],
  )
})

test('a change keeps its idempotency key at the next host', async () => {
  const { client, seen } = cluster({ h1: () => problem('no_quorum'), h2: () => json(202, { operation: {} }) })
  const answer = await client.call(ENDPOINTS['guest.start'], { params: { guest: 'a b' }, body: {} })
  assert.ok(answer.ok)
  const keys = seen.map((call) => call.request.headers['idempotency-key'])
  assert.equal(keys.length, 2)
  assert.match(keys[0] ?? '', /^[0-9a-f-]{36}$/)
  assert.equal(keys[0], keys[1])
  assert.equal(seen[1]?.request.path, '/v1/guests/a%20b/start')
  assert.equal(seen[1]?.request.headers['authorization'], 'Bearer secret')
})

test('a reading request carries no idempotency key', async () => {
  const { client, seen } = cluster({ h1: guests })
  await client.call(ENDPOINTS['guest.list'])
  assert.equal(seen[0]?.request.headers['idempotency-key'], undefined)
})

test("a refusal is the cluster's answer: no other host is asked", async () => {
  const { client, seen } = cluster({ h1: () => problem('name_taken'), h2: guests })
  const answer = await client.call(ENDPOINTS['guest.list'])
  assert.equal(!answer.ok && answer.error.code, 'name_taken')
  assert.equal(seen.length, 1)
})

test('a cluster that cannot decide is asked again until it can', async () => {
  let calls = 0
  const { client } = cluster({ h1: () => (++calls < 3 ? problem('no_quorum') : guests()) })
  assert.ok((await client.call(ENDPOINTS['guest.list'])).ok)
  assert.equal(calls, 3)
})

test('a cluster that can never decide says so in the end', async () => {
  const { client } = cluster({ h1: () => problem('no_quorum'), h2: undefined })
  const answer = await client.call(ENDPOINTS['guest.list'])
  assert.equal(!answer.ok && answer.error.code, 'no_quorum')
})

test('when no host answers, the failure names each of them', async () => {
  const { client } = cluster({ h1: undefined, h2: undefined })
  const answer = await client.call(ENDPOINTS['guest.list'])
  assert.ok(!answer.ok)
  assert.equal(answer.error.code, 'host_unreachable')
  assert.match(answer.error.message, /h1: .*h2: /)
})

test('hosts with certificates of another authority are told apart from hosts that are down', async () => {
  const transport: Transport = {
    async send() {
      throw new Error('unable to verify the first certificate')
    },
  }
  const client = createClient({ targets: [{ host: 'h1', unix: '/h1' }], transport, patienceMs: 600 })
  const answer = await client.call(ENDPOINTS['guest.list'])
  assert.ok(!answer.ok)
  assert.match(answer.error.hint ?? '', /stead login/)
})

test('an upload is opened anew for the next host', async () => {
  let opened = 0
  const upload = { sizeBytes: 3, open: () => (opened++, text('abc')) }
  const { client } = cluster({ h1: undefined, h2: () => ({ status: 204, headers: {}, body: text() }) })
  const params = { digest: `sha256:${'a'.repeat(64)}` }
  assert.deepEqual(await client.call(ENDPOINTS['blob.put'], { params, upload }), { ok: true, value: undefined })
  assert.equal(opened, 2)
})

test('HEAD of what is absent is `not_found` though it has no body', async () => {
  const { client } = cluster({ h1: () => ({ status: 404, headers: {}, body: text() }) })
  const answer = await client.call(ENDPOINTS['blob.stat'], { params: { digest: `sha256:${'a'.repeat(64)}` } })
  assert.equal(!answer.ok && answer.error.code, 'not_found')
})

test('a long poll may take its own time and the usual one on top', async () => {
  const { client, seen } = cluster({ h1: () => json(200, {}) })
  await client.call(ENDPOINTS['operation.show'], { params: { operation: 'o' }, query: { waitMs: 2000 } })
  assert.equal(seen[0]?.request.headersTimeoutMs, 4500)
  assert.match(seen[0]?.request.path ?? '', /waitMs=2000/)
})

test('followed events go on at the next host without gap or repetition', async () => {
  const event = (id: string) => formatServerSentEvent({ id, data: JSON.stringify({ id, message: 'two\nlines' }) })
  const first = event('1') + event('2')
  const { client, seen } = cluster({
    // The connection breaks in the middle of an event.
    h1: () => ({ status: 200, headers: {}, body: text(first.slice(0, 20), first.slice(20), event('3').slice(0, 9)) }),
    h2: () => ({ status: 200, headers: {}, body: text(': alive\n\n', event('2'), event('3')) }),
  })
  const ended = new AbortController()
  const ids: string[] = []
  for await (const item of client.follow(ENDPOINTS['event.list'], {}, ended.signal)) {
    assert.ok(item.ok)
    ids.push(item.value.id)
    if (ids.length === 3) ended.abort()
  }
  assert.deepEqual(ids, ['1', '2', '3'])
  assert.match(seen[1]?.request.path ?? '', /since=2/)
  assert.deepEqual(
    seen.map((call) => call.host),
    ['h1', 'h2'],
  )
})

test('silence of a stream is an error', async () => {
  async function* silent(): AsyncGenerator<Uint8Array> {
    yield Uint8Array.of(1)
    await new Promise(() => undefined)
  }
  await assert.rejects(async () => {
    for await (const _ of withoutSilence(silent(), 20));
  }, /nothing came for 20 ms/)
})

test('a browser sends the token against forged requests with every change, and with nothing else', async () => {
  const sent: Readonly<Record<string, string>>[] = []
  const transport: Transport = {
    send: async (_target, { headers }) => {
      sent.push(headers)
      return json(200, { items: [] })
    },
  }
  const client = createClient({
    targets: [{ url: 'https://stead.example' }],
    transport,
    forgeryToken: 'of-the-session',
  })
  await client.call(ENDPOINTS['guest.list'])
  await client.call(ENDPOINTS['guest.start'], { params: { guest: 'web' }, body: {} })
  await client.call(ENDPOINTS['auth.sign-out'])
  assert.deepEqual(
    sent.map((headers) => headers['x-stead-forgery-token']),
    [undefined, 'of-the-session', 'of-the-session'],
  )
})

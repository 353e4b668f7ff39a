import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { mkdtemp, rm, stat } from 'node:fs/promises'
import { request as httpRequest } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { failure } from '@stead/core/errors.ts'
import type { ClusterEvent } from '@stead/core/model/event.ts'
import type { Log } from '@stead/core/ports/log.ts'
import { fail, ok } from '@stead/core/result.ts'
import { parseServerSentEvents } from '@stead/api/server-sent-events.ts'
import { startApiServer } from './api-server.ts'
import type { ApiBackend, RequestContext } from './backend.ts'

interface Call {
  readonly id: string
  readonly input: Record<string, any>
  readonly context: RequestContext
}

const event = (id: string) => ({ id, kind: 'host.lost', message: 'gone' }) as unknown as ClusterEvent

/** Answers what the test gives, and keeps what it was asked. */
async function start(context: TestContext, answers: Partial<ApiBackend> = {}) {
  const folder = await mkdtemp(join(tmpdir(), 'stead-api-'))
  const unix = join(folder, 'agent.sock')
  const calls: Call[] = []
  const errors: string[] = []
  const log: Log = { debug() {}, info() {}, warn() {}, error: (message) => errors.push(message), with: () => log }
  const all: Record<string, unknown> = {}
  for (const id of BACKEND_IDS) {
    all[id] = async (input: Record<string, any>, requestContext: RequestContext) => {
      calls.push({ id, input, context: requestContext })
      const answer = (answers as Record<string, ((...args: unknown[]) => unknown) | undefined>)[id]
      return answer ? answer(input, requestContext) : fail(failure('not_found', `nothing behind ${id}`))
    }
  }
  const server = await startApiServer({
    listen: [{ unix }, { host: '127.0.0.1', port: 0 }],
    backend: all as unknown as ApiBackend,
    log,
    host: 'h1',
    token: 'secret',
    ownerOfToken: async (token) =>
      token === 'stead-right'
        ? ok({ kind: 'token', user: 'alice', name: 'ci' })
        : fail(failure('unauthorized', 'who?')),
    uploadBytesMax: 1000,
  })
  context.after(async () => {
    await server.close()
    await rm(folder, { recursive: true, force: true })
  })
  const tcp = server.addresses[1] as { port: number }
  return { unix, port: tcp.port, calls, errors, server }
}

const BACKEND_IDS = [
  'guest.list',
  'guest.show',
  'guest.create',
  'guest.stop',
  'guest.log',
  'event.list',
  'blob.put',
  'blob.stat',
  'image.delete',
]

interface Reply {
  readonly status: number
  readonly headers: Record<string, unknown>
  readonly text: string
  readonly json: any
}

function send(
  place: { socketPath: string } | { port: number },
  method: string,
  path: string,
  options: { body?: string | Buffer; headers?: Record<string, string> } = {},
): Promise<Reply> {
  return new Promise((resolve, reject) => {
    const request = httpRequest(
      { host: '127.0.0.1', ...place, method, path, agent: false, headers: options.headers ?? {} },
      async (response) => {
        const text = Buffer.concat(await response.toArray()).toString()
        const json =
          text !== '' && String(response.headers['content-type']).includes('json') ? JSON.parse(text) : undefined
        resolve({ status: response.statusCode ?? 0, headers: response.headers, text, json })
      },
    )
    request.once('error', reject)
    request.end(options.body)
  })
}

const JSON_TYPE = { 'content-type': 'application/json' }

test('a view goes out as JSON with its revision as ETag', async (context) => {
  const { unix, calls } = await start(context, {
    'guest.show': async () => ok({ name: 'web1', revision: '17' } as never),
  })
  const reply = await send({ socketPath: unix }, 'GET', '/v1/guests/web1')
  assert.equal(reply.status, 200)
  assert.equal(reply.headers['etag'], '"17"')
  assert.equal(reply.json.name, 'web1')
  assert.equal(calls[0]?.input['params'].guest, 'web1')
  assert.deepEqual(calls[0]?.context.principal, { kind: 'root', host: 'h1' })
})

test('the back end gets a parsed body with defaults, and the headers that matter', async (context) => {
  const { unix, calls } = await start(context)
  const headers = { ...JSON_TYPE, 'idempotency-key': 'k1', 'if-match': '"12"' }
  const reply = await send({ socketPath: unix }, 'POST', '/v1/guests/web1/stop', { body: '{}', headers })
  assert.equal(reply.status, 404)
  assert.deepEqual(calls[0]?.input['body'], { force: false })
  assert.equal(calls[0]?.context.idempotencyKey, 'k1')
  assert.deepEqual(calls[0]?.context.ifMatch, ['12'])
})

for (const [what, method, path, body, status, detail, hint] of [
  [
    'an unknown field',
    'POST',
    '/v1/guests/a/stop',
    '{"forced":true}',
    400,
    /body is not valid: forced: unknown field/,
    /`force`/,
  ],
  ['a wrong type', 'POST', '/v1/guests/a/stop', '{"force":"yes"}', 400, /force: /, /openapi/],
  ['malformed JSON', 'POST', '/v1/guests/a/stop', '{', 400, /not JSON/, undefined],
  ['an unknown query', 'GET', '/v1/events?colour=red', '', 400, /colour: unknown field/, /Known fields/],
  ['a query where none is taken', 'GET', '/v1/hosts?x=1', '', 400, /takes no query/, undefined],
  ['an unknown route', 'GET', '/v1/nothing', '', 404, /no GET \/v1\/nothing/, /openapi/],
  ['another method', 'PUT', '/v1/guests', '', 404, /no PUT \/v1\/guests/, /openapi/],
  ['a body that is too large', 'POST', '/v1/guests', `"${'x'.repeat(1_100_000)}"`, 400, /too large/, /blobs/],
  ['no digest', 'HEAD', '/v1/blobs/abc', '', 400, undefined, undefined],
] as const) {
  test(`${what} is refused with a problem document`, async (context) => {
    const { unix, calls } = await start(context)
    const reply = await send({ socketPath: unix }, method, path, {
      ...(body === '' ? {} : { body, headers: JSON_TYPE }),
    })
    assert.equal(reply.status, status)
    assert.equal(calls.length, 0)
    if (detail === undefined) return
    assert.match(String(reply.headers['content-type']), /^application\/problem\+json/)
    assert.match(reply.json.detail, detail)
    assert.equal(reply.json.status, status)
    assert.equal(reply.json.type, `urn:stead:problem:${reply.json.code}`)
    if (hint !== undefined) assert.match(reply.json.hint, hint)
  })
}

test('another content type is refused', async (context) => {
  const { unix } = await start(context)
  const reply = await send({ socketPath: unix }, 'POST', '/v1/guests/a/stop', {
    body: 'force=1',
    headers: { 'content-type': 'text/plain' },
  })
  assert.equal(reply.status, 400)
  assert.match(reply.json.detail, /content type/)
})

test('a crash of the back end is `internal`, logged, and the server lives on', async (context) => {
  const { unix, errors } = await start(context, {
    'guest.list': async () => {
      throw new Error('a bug')
    },
  })
  const reply = await send({ socketPath: unix }, 'GET', '/v1/guests')
  assert.equal(reply.json.code, 'internal')
  assert.equal(reply.json.causes, undefined, 'what failed is for the log')
  assert.equal(errors.length, 1)
  assert.equal((await send({ socketPath: unix }, 'GET', '/v1/openapi.json')).json.openapi, '3.1.0')
})

test("over TCP an API token says who asks, and the cluster's own counts as root", async (context) => {
  const { port, calls } = await start(context)
  const ask = (token: string) =>
    send({ port }, 'GET', '/v1/guests/a', { headers: { authorization: `Bearer ${token}` } })
  for (const token of ['stead-right', 'secret']) await ask(token)
  assert.deepEqual(
    calls.map(({ context: { principal } }) => principal),
    [
      { kind: 'token', user: 'alice', name: 'ci' },
      { kind: 'root', host: 'h1' },
    ],
  )
  for (const token of ['stead-wrong', 'stead-', 'right', '']) assert.equal((await ask(token)).status, 401)
  assert.equal(calls.length, 2)
})

test('the socket is for its owner only; over TCP the token is wanted', async (context) => {
  const { unix, port } = await start(context, { 'guest.list': async () => ok({ items: [] }) })
  assert.equal((await stat(unix)).mode & 0o777, 0o600)
  assert.equal((await send({ port }, 'GET', '/v1/guests')).status, 401)
  const wrong = await send({ port }, 'GET', '/v1/guests', { headers: { authorization: 'Bearer wrong' } })
  assert.deepEqual([wrong.status, wrong.json.code, wrong.headers['www-authenticate']], [401, 'unauthorized', 'Bearer'])
  assert.equal((await send({ port }, 'GET', '/v1/guests', { headers: { authorization: 'Bearer secret' } })).status, 200)
  assert.equal((await send({ port }, 'GET', '/nothing')).status, 401)
})

const OCTETS = { 'content-type': 'application/octet-stream' }
const digestOf = (content: string) => `sha256:${createHash('sha256').update(content).digest('hex')}`

test('an upload reaches the back end whole; a wrong digest and a large file end its stream with an error', async (context) => {
  const read: string[] = []
  const { unix } = await start(context, {
    'blob.put': async (input) => {
      read.push(Buffer.concat(await input.upload.stream.toArray()).toString())
      return ok()
    },
  })
  const put = (digest: string, body: string) =>
    send({ socketPath: unix }, 'PUT', `/v1/blobs/${digest}`, { body, headers: OCTETS })
  assert.equal((await put(digestOf('kernel'), 'kernel')).status, 204)
  const damaged = await put(digestOf('kernel'), 'colonel')
  assert.equal(damaged.status, 400)
  assert.match(damaged.json.detail, /digest/)
  assert.equal((await put(digestOf('x'), 'x'.repeat(1001))).status, 400)
  assert.equal((await put(digestOf(''), '')).status, 204)
  assert.deepEqual(read, ['kernel', ''])
})

test('an upload that the back end refuses unread is answered', async (context) => {
  const { unix } = await start(context, { 'blob.put': async () => fail(failure('no_capacity', 'full')) })
  const reply = await send({ socketPath: unix }, 'PUT', `/v1/blobs/${digestOf('a')}`, { body: 'b', headers: OCTETS })
  assert.equal(reply.json.code, 'no_capacity')
})

test('the console goes out byte for byte', async (context) => {
  const bytes = Buffer.from([0x1b, 0x5b, 0x33, 0x31, 0x6d, 0xff, 0x00, 0x0d, 0x0a])
  const { unix, calls } = await start(context, {
    'guest.log': async () =>
      ok(
        (async function* () {
          yield bytes.subarray(0, 3)
          yield bytes.subarray(3)
        })(),
      ),
  })
  const received = await new Promise<Buffer>((resolve, reject) => {
    httpRequest({ socketPath: unix, path: '/v1/guests/web1/console-log?follow=true&offset=2' }, async (response) =>
      resolve(Buffer.concat(await response.toArray())),
    )
      .once('error', reject)
      .end()
  })
  assert.deepEqual(received, bytes)
  assert.deepEqual(calls[0]?.input['query'], { follow: true, offset: 2 })
})

test(
  'followed events arrive as they happen, and the client leaving ends the source',
  { timeout: 20_000 },
  async (context) => {
    const ended = Promise.withResolvers<void>()
    const { unix } = await start(context, {
      'event.list': async (_input, { signal }) =>
        ok(
          (async function* () {
            yield event('1')
            yield event('2')
            await new Promise((resolve) => signal.addEventListener('abort', resolve))
            ended.resolve()
          })(),
        ),
    })
    const ids = await new Promise<string[]>((resolve, reject) => {
      const request = httpRequest({ socketPath: unix, path: '/v1/events?follow=true' }, async (response) => {
        const found: string[] = []
        for await (const item of parseServerSentEvents(response)) {
          found.push(item.id)
          if (found.length === 2) break
        }
        resolve(found)
        request.destroy()
      })
      request.once('error', reject)
      request.end()
    })
    assert.deepEqual(ids, ['1', '2'])
    await ended.promise
  },
)

test('closing the server ends its open streams', { timeout: 20_000 }, async (context) => {
  const { unix, server } = await start(context, {
    'event.list': async (_input, { signal }) =>
      ok(
        (async function* () {
          yield event('1')
          await new Promise((resolve) => signal.addEventListener('abort', resolve))
        })(),
      ),
  })
  await new Promise<void>((resolve, reject) => {
    const request = httpRequest({ socketPath: unix, path: '/v1/events?follow=true' }, (response) => {
      response.once('data', () => void server.close())
      response.on('error', () => undefined)
      response.once('close', resolve)
    })
    request.once('error', reject)
    request.end()
  })
})

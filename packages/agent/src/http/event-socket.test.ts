/** Events over a WebSocket, by the server itself: what the same request tells as server-sent events. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { test, type TestContext } from 'node:test'
import { EVENT_CLOSE_CODES } from '@stead/api/event-socket-protocol.ts'
import type { Log } from '@stead/core/ports/log.ts'
import { failure } from '@stead/core/errors.ts'
import type { Principal } from '@stead/core/model/access.ts'
import { fail, ok } from '@stead/core/result.ts'
import { WebSocket } from 'ws'
import { startApiServer } from './api-server.ts'
import type { RequestContext } from './backend.ts'

const silent: Log = { debug() {}, info() {}, warn() {}, error() {}, with: () => silent }
const COOKIE = '__Host-stead-session=stead-session-good'

/** An agent that has told `e1` and tells what `tell` is given, to each who listens. */
async function agent(context: TestContext) {
  const asked: { query: { since?: string; follow?: boolean }; principal: Principal; signal: AbortSignal }[] = []
  const listeners = new Set<(item: { id: string; text?: string }) => void>()
  const follow = async ({ query }: { query: object }, { principal, signal }: RequestContext) => {
    asked.push({ query, principal, signal })
    return ok(
      (async function* () {
        const queue: { id: string }[] = [{ id: 'e1' }]
        let wake = () => {}
        const listener = (item: { id: string }) => (queue.push(item), wake())
        listeners.add(listener)
        signal.addEventListener('abort', () => wake())
        try {
          while (!signal.aborted) {
            yield* queue.splice(0)
            if (queue.length === 0 && !signal.aborted) await new Promise<void>((resolve) => (wake = resolve))
          }
        } finally {
          listeners.delete(listener)
        }
      })(),
    )
  }
  const server = await startApiServer({
    listen: [{ host: '127.0.0.1', port: 0 }],
    backend: { 'event.list': follow, 'view.list': follow } as never,
    ...{ log: silent, host: 'h1', token: 'secret' },
    ownerOfSession: async () => ok({ kind: 'user', name: 'alice' }),
    connectConsole: async () => fail(failure('not_found', 'no console')),
  })
  context.after(() => server.close())
  const { port } = server.addresses[0] as { port: number }
  const connect = (path: string, headers: Record<string, string> = { authorization: 'Bearer secret' }) =>
    new WebSocket(`ws://127.0.0.1:${port}${path}`, { headers })
  return {
    server,
    port,
    asked,
    listeners,
    connect,
    tell: (item: { id: string; text?: string }) => listeners.forEach((one) => one(item)),
  }
}

/** The messages up to so many items; what only says that the host lives is counted. */
async function items(
  socket: WebSocket,
  count: number,
): Promise<{ readonly told: { id: string }[]; readonly alive: number }> {
  const told: { id: string }[] = []
  let alive = 0
  const over = new AbortController()
  socket.on('message', (data: Buffer) => {
    if (data.length === 0) alive += 1
    else told.push(JSON.parse(data.toString()))
    if (told.length === count) over.abort()
  })
  await once(over.signal, 'abort')
  return { told, alive }
}

async function refusalOf(socket: WebSocket): Promise<{ status: number; body: { code: string } }> {
  socket.on('error', () => undefined)
  const [, response] = (await once(socket, 'unexpected-response')) as [unknown, import('node:http').IncomingMessage]
  const parts: Buffer[] = []
  for await (const part of response) parts.push(part as Buffer)
  return { status: response.statusCode ?? 0, body: JSON.parse(Buffer.concat(parts).toString()) }
}

test('each item is a message, from where the client says, for who he is', { timeout: 20_000 }, async (context) => {
  const { asked, connect, tell } = await agent(context)
  const socket = connect('/v1/events?since=e0')
  const first = await items(socket, 1)
  assert.deepEqual(first.told, [{ id: 'e1' }])
  const { query, principal } = asked[0] ?? assert.fail()
  assert.deepEqual([query.since, query.follow, principal.kind], ['e0', true, 'root'])
  const next = items(socket, 2)
  tell({ id: 'e2', text: 'two\nlines' })
  tell({ id: 'e3' })
  assert.deepEqual((await next).told, [{ id: 'e2', text: 'two\nlines' }, { id: 'e3' }])
  const quiet = items(socket, 1)
  setTimeout(tell, 1_200, { id: 'e4' })
  assert.ok((await quiet).alive >= 1, 'in between it says that it lives')
  const views = connect('/v1/views', { cookie: COOKIE, origin: `http://127.0.0.1:${new URL(socket.url).port}` })
  await items(views, 1)
  assert.deepEqual(asked.at(-1)?.principal, { kind: 'user', name: 'alice' })
  for (const each of [socket, views]) each.close()
})

test('nobody listens any more when the client has gone', { timeout: 20_000 }, async (context) => {
  const { asked, listeners, connect } = await agent(context)
  for (const end of ['close', 'terminate'] as const) {
    const socket = connect('/v1/events')
    await items(socket, 1)
    const signal = asked.at(-1)!.signal
    const aborted = signal.aborted ? undefined : once(signal, 'abort')
    socket[end]()
    await aborted
    while (listeners.size > 0) await new Promise((resolve) => setTimeout(resolve, 5))
  }
})

test('an agent that stops says so, and it goes on elsewhere', { timeout: 20_000 }, async (context) => {
  const { server, connect } = await agent(context)
  const socket = connect('/v1/events')
  await items(socket, 1)
  const closed = once(socket, 'close')
  await server.close()
  assert.equal((await closed)[0], EVENT_CLOSE_CODES.agentStops)
})

test('what is refused is refused as the request would be', { timeout: 20_000 }, async (context) => {
  const { asked, connect } = await agent(context)
  const own = { authorization: 'Bearer secret' }
  for (const [path, headers, status, code] of [
    ['/v1/events', {}, 401, 'unauthorized'],
    ['/v1/events', { authorization: 'Bearer wrong' }, 401, 'unauthorized'],
    ['/v1/events', { cookie: COOKIE, origin: 'https://evil.example' }, 403, 'forbidden'],
    ['/v1/events?kinds=nothing', own, 400, 'bad_request'],
    ['/v1/hosts', own, 404, 'not_found'],
    ['/v1/events/x', own, 404, 'not_found'],
  ] as const) {
    const refused = await refusalOf(connect(path, headers))
    assert.deepEqual([refused.status, refused.body.code], [status, code], path)
  }
  assert.deepEqual(asked, [])
})

test('a client that takes nothing is let go, and costs no more than so much', { timeout: 30_000 }, async (context) => {
  const { connect, tell, listeners } = await agent(context)
  const socket = connect('/v1/events')
  await items(socket, 1)
  socket.pause()
  const text = 'x'.repeat(1 << 20)
  for (let number = 2; listeners.size > 0; number++) {
    tell({ id: `e${number}`, text })
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
  socket.resume()
  const [code] = (await once(socket, 'close')) as [number]
  assert.ok(code === EVENT_CLOSE_CODES.tooSlow || code === 1006, String(code))
})

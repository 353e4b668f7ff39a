import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Duplex, PassThrough } from 'node:stream'
import { test, type TestContext } from 'node:test'
import { CONSOLE_CLOSE_CODES } from '@stead/api/console-protocol.ts'
import { failure } from '@stead/core/errors.ts'
import type { Log } from '@stead/core/ports/log.ts'
import { fail, ok } from '@stead/core/result.ts'
import { WebSocket } from 'ws'
import type { ConsoleRequest } from '../console/console-router.ts'
import { TooSlow } from '../console/serial-console.ts'
import { encodeShellFrame, shellFrameReader, type ShellFrame } from '../console/shell-frames.ts'
import { startApiServer } from './api-server.ts'

const silent: Log = { debug() {}, info() {}, warn() {}, error() {}, with: () => silent }

/** An agent whose guest `web1` has a console for the ticket `good`; over TCP, where a token is needed for all else. */
async function agent(context: TestContext) {
  const folder = await mkdtemp(join(tmpdir(), 'stead-ws-'))
  const asked: ConsoleRequest[] = []
  const typed = new PassThrough()
  const says = new PassThrough()
  const taken = new AbortController()
  const stream = Duplex.from({ readable: says, writable: typed })
  stream.on('error', () => undefined)
  let moved: (reason: string) => void = () => undefined
  const server = await startApiServer({
    listen: [{ host: '127.0.0.1', port: 0 }, { unix: join(folder, 'agent.sock') }],
    backend: {} as never,
    log: silent,
    host: 'h1',
    token: 'secret',
    connectConsole: async (wanted) => {
      asked.push(wanted)
      if (wanted.ticket !== 'good') return fail(failure('unauthorized', 'The ticket has expired'))
      return ok({
        ...{ stream, taken: taken.signal },
        onMoved: (listener) => {
          moved = listener
          return () => undefined
        },
      })
    },
  })
  context.after(async () => {
    await server.close()
    await rm(folder, { recursive: true })
  })
  const { port } = server.addresses[0] as { port: number }
  const connect = (path: string, headers = {}) => new WebSocket(`ws://127.0.0.1:${port}${path}`, 'binary', { headers })
  const open = async (query = '', kind = 'serial') => {
    const socket = connect(`/v1/guests/web1/console/${kind}?ticket=good${query}`)
    await once(socket, 'open')
    return socket
  }
  return {
    server,
    port,
    connect,
    open,
    asked,
    typed,
    says,
    stream,
    move: (reason: string) => moved(reason),
    take: () => taken.abort(),
  }
}

async function closeOf(socket: WebSocket): Promise<[number, string]> {
  const [code, reason] = (await once(socket, 'close')) as [number, Buffer]
  return [code, reason.toString()]
}

test('a ticket stands for the token, and bytes go both ways unchanged', async (context) => {
  const { open, asked, typed, says } = await agent(context)
  const socket = await open('&scrollBack=false')
  assert.equal(socket.protocol, 'binary')
  assert.deepEqual(asked, [{ guest: 'web1', kind: 'serial', ticket: 'good', scrollBack: false }])
  const bytes = Buffer.from(Array.from({ length: 256 }, (_, index) => index))
  const heard = once(socket, 'message')
  says.write(bytes)
  const [data, binary] = (await heard) as [Buffer, boolean]
  assert.ok(binary && data.equals(bytes))
  socket.send(bytes)
  const [got] = (await once(typed, 'data')) as [Buffer]
  assert.ok(got.equals(bytes))
  socket.close()
})

test('the client hears that the host lives only when it asked for it', async (context) => {
  const { open } = await agent(context)
  const socket = await open('&alive=true')
  const [data, binary] = (await once(socket, 'message')) as [Buffer, boolean]
  assert.deepEqual([data.toString(), binary], ['alive', false])
  socket.close()
})

test('each end has its code, so that the client connects again', async (context) => {
  const run = await agent(context)
  const first = closeOf(await run.open())
  run.says.end()
  assert.deepEqual(await first, [CONSOLE_CLOSE_CODES.runEnded, "the guest's console has ended here"])

  const broken = await agent(context)
  const second = closeOf(await broken.open())
  broken.stream.destroy(new Error('ECONNRESET'))
  assert.deepEqual(await second, [CONSOLE_CLOSE_CODES.hostLost, "the way to the guest's host broke: ECONNRESET"])

  const slow = await agent(context)
  const third = closeOf(await slow.open())
  slow.stream.destroy(new TooSlow('the reader is too slow'))
  assert.equal((await third)[0], CONSOLE_CLOSE_CODES.tooSlow)

  const moving = await agent(context)
  const fourth = closeOf(await moving.open())
  moving.move(`web1 runs on ${'x'.repeat(200)} now`)
  const [code, reason] = await fourth
  assert.equal(code, CONSOLE_CLOSE_CODES.runEnded)
  assert.ok(reason.startsWith('web1 runs on x') && reason.endsWith('...'))

  const stopping = await agent(context)
  const fifth = closeOf(await stopping.open())
  await stopping.server.close()
  assert.equal((await fifth)[0], CONSOLE_CLOSE_CODES.agentStops)
})

test('a shell is told the size of its terminal, and its end is told', async (context) => {
  const { open, asked, typed, says } = await agent(context)
  const socket = await open('&columns=120&rows=40', 'shell')
  assert.deepEqual(asked, [{ guest: 'web1', kind: 'shell', ticket: 'good', columns: 120, rows: 40 }])
  const read = shellFrameReader()
  const arrived: ShellFrame[] = []
  typed.on('data', (bytes: Buffer) => arrived.push(...read(bytes)))
  for (const text of ['size 90x30', 'size 0x30', 'size 90x5000', 'other']) socket.send(text)
  socket.send(Buffer.from('exit\r'))
  while (arrived.length < 2) await once(typed, 'data')
  assert.deepEqual(arrived, [
    { kind: 'size', size: { columns: 90, rows: 30 } },
    { kind: 'bytes', bytes: Buffer.from('exit\r') },
  ])
  const heard: [string, boolean][] = []
  socket.on('message', (data: Buffer, binary) => heard.push([data.toString(), binary]))
  const closed = closeOf(socket)
  const said = [
    { kind: 'bytes', bytes: Buffer.from('logout') },
    { kind: 'exit', code: 3 },
  ] as const
  says.write(Buffer.concat(said.map(encodeShellFrame)))
  assert.equal((await closed)[0], CONSOLE_CLOSE_CODES.shellEnded)
  assert.deepEqual(heard, [
    ['logout', true],
    ['exit 3', false],
  ])
})

test('a shell whose container ends has no exit code', async (context) => {
  const { open, says } = await agent(context)
  const closed = closeOf(await open('', 'shell'))
  says.end()
  assert.deepEqual(await closed, [CONSOLE_CLOSE_CODES.runEnded, 'the container has ended'])
})

test('a client that leaves ends the stream behind', async (context) => {
  const { open, stream } = await agent(context)
  const socket = await open()
  const over = once(stream, 'close').catch(() => undefined)
  socket.terminate()
  await over
})

test('what is refused is refused before the upgrade, as a problem', async (context) => {
  const { connect, port, asked } = await agent(context)
  const refusalOf = async (path: string) => {
    const socket = connect(path)
    socket.on('error', () => undefined)
    const [, response] = (await once(socket, 'unexpected-response')) as [unknown, AsyncIterable<Buffer>]
    let text = ''
    for await (const part of response) text += part.toString()
    return JSON.parse(text) as { code: string; status: number; detail: string }
  }
  assert.equal((await refusalOf('/v1/guests/web1/console/vnc?ticket=stale')).code, 'unauthorized')
  assert.equal(asked.length, 1)
  assert.equal((await refusalOf('/v1/guests/web1/console/vnc')).code, 'bad_request')
  assert.equal((await refusalOf('/v1/guests/web1/console/audio?ticket=good')).code, 'bad_request')
  assert.equal((await refusalOf('/v1/guests')).code, 'not_found')
  assert.equal(asked.length, 1, 'the others never reached the guest')
  const plain = await new Promise<number | undefined>((resolve) => {
    const path = '/v1/guests/web1/console/vnc?ticket=good'
    const headers = { authorization: 'Bearer secret' }
    request({ host: '127.0.0.1', port, path, headers }, (response) => resolve(response.resume().statusCode)).end()
  })
  assert.equal(plain, 400, 'a request that is no upgrade')
})

test("a page of another site opens no console, also with a good ticket; the cluster's own page does", async (context) => {
  const { port, connect, asked } = await agent(context)
  const path = '/v1/guests/web1/console/serial?ticket=good'
  for (const origin of ['https://evil.example', 'null', `http://127.0.0.1:${port + 1}`, 'http://127.0.0.1']) {
    const refused = connect(path, { origin })
    const [, response] = (await once(refused, 'unexpected-response')) as [unknown, { statusCode: number }]
    assert.equal(response.statusCode, 403, origin)
  }
  assert.deepEqual(asked, [])
  const own = connect(path, { origin: `http://127.0.0.1:${port}` })
  await once(own, 'open')
  own.close()
})

test('a console is closed when who opened it may use it no more', async (context) => {
  const { open, take } = await agent(context)
  const socket = await open()
  take()
  assert.deepEqual(await closeOf(socket), [4005, 'who opened it may use it no more'])
})

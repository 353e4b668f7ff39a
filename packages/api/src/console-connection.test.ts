import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import { failure, type Failure } from '@stead/core/errors.ts'
import { problemFromFailure } from './errors.ts'
import { createClient } from './client.ts'
import { ConsoleConnection, type ConsoleSocket } from './console-connection.ts'

class FakeSocket implements ConsoleSocket {
  binaryType = ''
  onopen: ConsoleSocket['onopen'] = null
  onmessage: ConsoleSocket['onmessage'] = null
  onclose: ConsoleSocket['onclose'] = null
  onerror: ConsoleSocket['onerror'] = null
  readonly sent: string[] = []
  closed = false
  readonly path: string
  constructor(path: string) {
    this.path = path
  }
  send(bytes: Uint8Array | string): void {
    this.sent.push(typeof bytes === 'string' ? bytes : new TextDecoder().decode(bytes))
  }
  close(): void {
    this.closed = true
  }
  open(): void {
    this.onopen?.(undefined as never)
  }
  says(data: string | Uint8Array): void {
    this.onmessage?.({ data: typeof data === 'string' ? data : new Uint8Array(data).buffer } as never)
  }
  ends(code: number, reason: string): void {
    this.onclose?.({ code, reason } as never)
  }
}

/** A console whose tickets are these epochs or refusals, the last one again and again. */
function consoleWith(context: TestContext, ...tickets: readonly (number | Failure)[]) {
  context.mock.timers.enable({ apis: ['setTimeout'] })
  const left = new AbortController()
  const sockets: FakeSocket[] = []
  const told: string[] = []
  let asked = 0
  const connection = new ConsoleConnection({
    client: createClient({
      targets: [{ host: 'h1', unix: '/nowhere' }],
      transport: {
        async send() {
          const answer = tickets[Math.min(asked++, tickets.length - 1)] ?? 0
          const refused = typeof answer === 'number' ? undefined : problemFromFailure(answer)
          const given = { host: `h${String(answer)}`, epoch: answer, url: `/c?ticket=t${asked}` }
          const body = new TextEncoder().encode(JSON.stringify(refused ?? given))
          return { status: refused?.status ?? 201, headers: {}, body: once(body) }
        },
      },
      patienceMs: 0,
    }),
    guest: 'web1',
    kind: 'serial',
    openSocket: (_target, path) => {
      const socket = new FakeSocket(path)
      sockets.push(socket)
      return socket
    },
    onConnected: ({ host }) => told.push(`on ${host}`),
    onBytes: (bytes) => told.push(`> ${new TextDecoder().decode(bytes)}`),
    onWaiting: (reason) => told.push(`waits: ${reason}`),
  })
  const running = connection.run(left.signal)
  context.after(async () => {
    left.abort()
    await running
  })
  /** The socket of the nth connection, from 0. */
  const socket = async (number: number) => {
    for (let look = 0; look < 1_000 && !sockets[number]; look++) {
      await turn()
      context.mock.timers.tick(10)
    }
    const found = sockets[number]
    assert.ok(found, `there is no connection ${number}`)
    return found
  }
  return { connection, running, left, sockets, told, socket }
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes
}

test('it connects again with a fresh ticket whenever the connection ends', async (context) => {
  const { connection, socket, told } = consoleWith(context, 1, 2)
  assert.equal(connection.send(new Uint8Array([65])), false, 'not connected yet')
  const first = await socket(0)
  assert.equal(first.path, '/c?ticket=t1&alive=true')
  first.open()
  first.says(new TextEncoder().encode('hello'))
  first.says('alive')
  assert.ok(connection.send(new TextEncoder().encode('ls')))
  assert.deepEqual(first.sent, ['ls'])
  first.ends(4001, 'web1 runs on h2 now')
  assert.equal(connection.send(new Uint8Array([65])), false)
  const second = await socket(1)
  assert.equal(second.path, '/c?ticket=t2&alive=true', 'another run: its scroll-back is wanted')
  second.open()
  assert.deepEqual(told, ['on h1', '> hello', 'waits: web1 runs on h2 now', 'on h2'])
})

test('what a run has shown already is not asked for again', async (context) => {
  const { socket } = consoleWith(context, 1)
  const first = await socket(0)
  first.open()
  first.ends(1006, '')
  assert.equal((await socket(1)).path, '/c?ticket=t2&alive=true&scrollBack=false')
})

test('a host that says nothing for five seconds is left', async (context) => {
  const { socket, told } = consoleWith(context, 1)
  const first = await socket(0)
  first.open()
  context.mock.timers.tick(4_000)
  first.says('alive')
  context.mock.timers.tick(4_000)
  assert.ok(!first.closed)
  context.mock.timers.tick(1_000)
  assert.ok(first.closed)
  await socket(1)
  assert.match(told.at(-1) ?? '', /does not answer/)
})

test('a guest that does not run is a failure at first, and is waited for later', async (context) => {
  const stopped = failure('conflict', 'web1 does not run')
  const never = consoleWith(context, stopped)
  const ended = await never.running
  assert.ok(!ended.ok)
  assert.equal(ended.error.message, 'web1 does not run')
})

const OVER = failure('unauthorized', 'Your session is over')

test('a host that does not know of the session yet is asked again', async (context) => {
  const { socket } = consoleWith(context, 1, OVER, OVER, 2)
  const first = await socket(0)
  first.open()
  first.ends(1006, '')
  assert.equal((await socket(1)).path, '/c?ticket=t4&alive=true')
})

test('a session that is over ends it, though the guest has been seen', async (context) => {
  const { running, socket } = consoleWith(context, 1, OVER)
  const first = await socket(0)
  first.open()
  first.ends(1006, '')
  let ended: Awaited<typeof running> | undefined
  void running.then((result) => (ended = result))
  for (let look = 0; look < 2_000 && !ended; look++) {
    await turn()
    context.mock.timers.tick(10)
  }
  assert.ok(ended && !ended.ok)
  assert.deepEqual([ended.error.code, ended.error.message], [OVER.code, OVER.message])
})

test('once seen, a guest that stops is waited for, and said so once', async (context) => {
  const stopped = failure('conflict', 'web1 does not run')
  const { socket, told } = consoleWith(context, 1, stopped, stopped, stopped, 2)
  const first = await socket(0)
  first.open()
  first.ends(4001, 'web1 does not run any more')
  const second = await socket(1)
  second.open()
  assert.deepEqual(told, ['on h1', 'waits: web1 does not run any more', 'waits: web1 does not run', 'on h2'])
})

test('what waiting does not mend ends it', async (context) => {
  const { socket, running } = consoleWith(context, 1, failure('not_found', 'There is no guest web1'))
  const first = await socket(0)
  first.open()
  first.ends(4001, 'web1 does not run any more')
  const ended = await running
  assert.ok(!ended.ok)
  assert.equal(ended.error.code, 'not_found')
})

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { Duplex, PassThrough } from 'node:stream'
import { test, type TestContext } from 'node:test'
import { failure } from '@stead/core/errors.ts'
import type { Log } from '@stead/core/ports/log.ts'
import { fail, ok } from '@stead/core/result.ts'
import { credentialsOf } from '../trust/credentials-fixture.ts'
import { HostClient } from './host-client.ts'
import { startInternalServer } from './internal-server.ts'

const trust = await credentialsOf('h1', 'h2')
const silent: Log = { debug() {}, info() {}, warn() {}, error() {}, with: () => silent }

/** Two hosts: one that serves `echo`, `fail` and `halves`, and a client for it. */
async function hosts(context: TestContext) {
  const inputs: unknown[] = []
  const served: Duplex[] = []
  const slow: { bytes: number; isWhole: boolean }[] = []
  const ends: { toGuest: PassThrough; fromGuest: PassThrough }[] = []
  const server = await startInternalServer({
    hosts: ['127.0.0.1'],
    port: 0,
    credentials: trust.h2,
    volumesFor: () => ({}) as never,
    blobs: { open: async () => undefined },
    guestCalls: {},
    pipes: {
      echo: async (input) => {
        inputs.push(input)
        const stream = new PassThrough()
        served.push(stream)
        return ok(stream)
      },
      slow: async () => {
        const taken = { bytes: 0, isWhole: false }
        slow.push(taken)
        const stream = new Duplex({
          read: () => undefined,
          write: (chunk: Buffer, _encoding, done) => {
            taken.bytes += chunk.length
            done()
          },
          // As a file that is written out before it counts.
          final: (done) =>
            void setTimeout(() => {
              taken.isWhole = true
              stream.push(null)
              done()
            }, 100),
        })
        return ok(stream)
      },
      fail: async () => fail(failure('conflict', 'not now', { hint: 'later' })),
      halves: async () => {
        const end = { toGuest: new PassThrough(), fromGuest: new PassThrough() }
        ends.push(end)
        const stream = Duplex.from({ readable: end.fromGuest, writable: end.toGuest })
        served.push(stream)
        return ok(stream)
      },
    },
    log: silent,
  })
  context.after(() => server.close())
  const client = (credentials = trust.h1, addresses = ['127.0.0.1']) =>
    new HostClient({ host: 'h2', addresses, port: server.port, credentials })
  return { client, inputs, served, ends, slow, server }
}

async function open(client: HostClient, name: string, input: unknown = {}) {
  const opened = await client.pipe(name, input)
  assert.ok(opened.ok, opened.ok ? '' : opened.error.message)
  opened.value.on('error', () => undefined)
  return opened.value
}

test('bytes go both ways, with the input that was given', async (context) => {
  const { client, inputs } = await hosts(context)
  const stream = await open(client(), 'echo', { guest: 'zażółć', kind: 'vnc' })
  assert.deepEqual(inputs, [{ guest: 'zażółć', kind: 'vnc' }])
  const bytes = Buffer.from(Array.from({ length: 300_000 }, (_, index) => index % 256))
  stream.write(bytes)
  const seen: Buffer[] = []
  for await (const part of stream as AsyncIterable<Buffer>) {
    seen.push(part)
    if (Buffer.concat(seen).length === bytes.length) break
  }
  assert.ok(Buffer.concat(seen).equals(bytes))
})

test('an end in order is an end, a break is an error or a close without one', async (context) => {
  const { client, ends, served, server } = await hosts(context)
  const first = await open(client(), 'halves')
  let ended = false
  first.resume().on('end', () => (ended = true))
  ends[0]?.fromGuest.end()
  await once(first, 'end')
  assert.ok(ended)

  const second = await open(client(), 'halves')
  let secondEnded = false
  second.resume().on('end', () => (secondEnded = true))
  const closed = new Promise((resolve) => second.once('close', resolve))
  served[1]?.destroy(new Error('broken'))
  await closed
  assert.ok(!secondEnded)

  const third = await open(client(), 'halves')
  const thirdClosed = new Promise((resolve) => third.resume().once('close', resolve))
  await server.close()
  await thirdClosed
})

test('who has sent all is heard to the end: what takes it may need a while', async (context) => {
  const { client, slow } = await hosts(context)
  const stream = await open(client(), 'slow')
  stream.resume().end(Buffer.alloc(1_000_000))
  await once(stream, 'end')
  assert.deepEqual(slow, [{ bytes: 1_000_000, isWhole: true }])
})

test('a client that leaves ends what was served to it', async (context) => {
  const { client, served } = await hosts(context)
  const stream = await open(client(), 'halves')
  const over = once(served[0] as Duplex, 'close').catch(() => undefined)
  stream.destroy()
  await over
})

test('a refusal comes as the failure it is', async (context) => {
  const { client } = await hosts(context)
  const refusalOf = async (name: string, credentials = trust.h1) => {
    const opened = await client(credentials).pipe(name, {})
    assert.ok(!opened.ok)
    return opened.error
  }
  const failed = await refusalOf('fail')
  assert.deepEqual([failed.code, failed.message, failed.hint], ['conflict', 'not now', 'later'])
  assert.equal((await refusalOf('nothing')).code, 'not_found')
  const { h1: stranger } = await credentialsOf('h1')
  assert.equal((await refusalOf('echo', stranger)).code, 'host_unreachable')
  assert.equal((await refusalOf('toString')).code, 'not_found')
})

test('another address is tried when the first does not answer', async (context) => {
  const { client } = await hosts(context)
  const stream = await open(client(trust.h1, ['127.0.0.2', '127.0.0.1']), 'echo')
  stream.destroy()
  const nowhere = await client(trust.h1, ['127.0.0.2']).pipe('echo', {})
  assert.ok(!nowhere.ok)
  assert.equal(nowhere.error.code, 'host_unreachable')
})

import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer, type RequestListener } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { unixTransport } from './node-transport.ts'

async function serve(context: TestContext, listener: RequestListener): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'stead-transport-'))
  const unix = join(folder, 's.sock')
  const server = createServer(listener)
  await new Promise<void>((resolve) => server.listen(unix, resolve))
  context.after(async () => {
    server.closeAllConnections()
    server.close()
    await rm(folder, { recursive: true, force: true })
  })
  return unix
}

const request = { method: 'PUT', path: '/x?y=1', headers: { a: 'b' }, headersTimeoutMs: 2000 }

async function textOf(body: AsyncIterable<Uint8Array>): Promise<string> {
  let text = ''
  for await (const part of body) text += Buffer.from(part).toString()
  return text
}

test('a request with a streamed body gets its answer over a unix socket', async (context) => {
  const unix = await serve(context, async (incoming, response) => {
    const body = Buffer.concat(await incoming.toArray()).toString()
    response.writeHead(201, { 'X-Seen': String(incoming.headers['a']) }).end(`${incoming.url} ${body}`)
  })
  async function* body() {
    yield Buffer.from('one ')
    yield Buffer.from('two')
  }
  const response = await unixTransport.send({ unix }, { ...request, body: body() })
  assert.deepEqual([response.status, response.headers['x-seen']], [201, 'b'])
  assert.equal(await textOf(response.body), '/x?y=1 one two')
})

test('a server that takes the connection and says nothing is given up', async (context) => {
  const unix = await serve(context, () => undefined)
  await assert.rejects(unixTransport.send({ unix }, { ...request, headersTimeoutMs: 50 }), /no answer within 50 ms/)
})

test('no server, an aborted request and a body that fails are errors', async (context) => {
  await assert.rejects(unixTransport.send({ unix: '/nonexistent/s.sock' }, request), /ENOENT/)
  const unix = await serve(context, () => undefined)
  await assert.rejects(unixTransport.send({ unix }, { ...request, signal: AbortSignal.abort() }), /abort/)
  async function* broken(): AsyncGenerator<Uint8Array> {
    yield Buffer.from('one')
    throw new Error('the disk is broken')
  }
  await assert.rejects(unixTransport.send({ unix }, { ...request, body: broken() }), /disk is broken/)
})

/** The API's public port against clients that do not mean well. */
import assert from 'node:assert/strict'
import { X509Certificate } from 'node:crypto'
import { mkdtemp, rm, stat, writeFile } from 'node:fs/promises'
import { request as httpsRequest } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { connect, type TLSSocket } from 'node:tls'
import type { Log } from '@stead/core/ports/log.ts'
import { failure } from '@stead/core/errors.ts'
import { fail, ok } from '@stead/core/result.ts'
import { startApiServer, type ApiServer } from './api-server.ts'
import type { ApiBackend } from './backend.ts'
import { CLIENT_LIMITS, TokenBuckets, type ClientLimits } from './client-limits.ts'
import { trustEachOther } from '../trust/host-trust.ts'
import { webAuthority, webCertificate } from './web-certificate.ts'

const silent: Log = { debug() {}, info() {}, warn() {}, error() {}, with: () => silent }
const NOW = Date.now()

async function folderOf(context: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'stead-web-'))
  context.after(() => rm(folder, { recursive: true, force: true }))
  return folder
}

const configIn = (stateDir: string, extra: object = {}) => ({
  ...{ hostId: 'h1', clusterName: 'lab', addresses: { lan: '127.0.0.1' }, stateDir, ...extra },
})

let pair: Awaited<ReturnType<typeof webCertificate>> | undefined

interface Started {
  readonly port: number
  readonly ca: string
  readonly server: ApiServer
  readonly bodies: unknown[]
}

async function start(context: TestContext, limits: Partial<ClientLimits> = {}): Promise<Started> {
  pair ??= await webCertificate(configIn(await folderOf(context)), NOW)
  assert.ok(pair.ok)
  const tls = pair.value
  const bodies: unknown[] = []
  const answered = async (input: { body?: unknown }) => {
    bodies.push(input.body)
    return ok({ items: [] })
  }
  const server = await startApiServer({
    listen: [{ host: '127.0.0.1', port: 0, tls }],
    backend: { 'guest.list': answered, 'guest.stop': answered, 'user.create': answered } as unknown as ApiBackend,
    log: silent,
    host: 'h1',
    token: 'secret',
    ownerOfToken: async (token) =>
      token === 'stead-right'
        ? ok({ kind: 'token', user: 'alice', name: 'ci' })
        : fail(failure('unauthorized', 'The token is not known')),
    limits: { ...CLIENT_LIMITS, ...limits },
  })
  context.after(() => server.close())
  const { port } = server.addresses[0] as { port: number }
  return { port, ca: tls.certificate, server, bodies }
}

interface Answer {
  readonly status: number
  readonly headers: Record<string, unknown>
  readonly json: any
}

function ask({ port, ca }: Started, method: string, path: string, headers = {}, body?: string): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const request = httpsRequest(
      { host: '127.0.0.1', port, ca, method, path, agent: false, headers },
      async (response) => {
        const text = Buffer.concat(await response.toArray()).toString()
        resolve({
          status: response.statusCode ?? 0,
          headers: response.headers,
          json: text === '' ? undefined : JSON.parse(text),
        })
      },
    )
    request.once('error', reject)
    request.end(body)
  })
}

const AS_ALICE = { authorization: 'Bearer stead-right' }
const JSON_OF_ALICE = { ...AS_ALICE, 'content-type': 'application/json' }

/** Writes to a connection of its own; resolves with all that came until the server closed it. */
function raw({ port, ca }: Started, write: (socket: TLSSocket) => void): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect({ host: '127.0.0.1', port, ca })
    let text = ''
    socket.on('data', (data: Buffer) => (text += data.toString()))
    socket.on('error', () => undefined)
    socket.once('secureConnect', () => write(socket))
    socket.once('close', () => resolve(text))
  })
}

test('over TLS everybody must show who he is, and plain HTTP gets nothing', async (context) => {
  const started = await start(context)
  assert.equal((await ask(started, 'GET', '/v1/guests')).status, 401)
  assert.equal((await ask(started, 'GET', '/v1/guests', AS_ALICE)).status, 200)
  const plain = fetch(`http://127.0.0.1:${started.port}/v1/guests`, { headers: AS_ALICE })
  await assert.rejects(plain)
})

test('a certificate is made once, for the host and its addresses, and its key is for its owner only', async (context) => {
  const folder = await folderOf(context)
  const first = await webCertificate(configIn(folder), NOW)
  const again = await webCertificate(configIn(folder), NOW + 1)
  assert.deepEqual(again, first)
  assert.equal((await stat(join(folder, 'web', 'web.key'))).mode & 0o777, 0o600)
  const further = await webCertificate(configIn(folder, { api: { names: ['cluster.example'] } }), NOW)
  assert.ok(first.ok && further.ok && further.value.certificate !== first.value.certificate)
  const old = await webCertificate(
    configIn(folder, { api: { names: ['cluster.example'] } }),
    NOW + 5 * 365 * 86_400_000,
  )
  assert.ok(old.ok && old.value.certificate !== further.value.certificate)
})

test('hosts of one cluster show certificates of its authority, and a witness, which has no key of it, its own', async (context) => {
  const hosts = (['compute', 'compute', 'witness'] as const).map((role, at) => ({
    id: `h${at + 1}`,
    role,
    addresses: {},
  }))
  const folders = await Promise.all(hosts.map(() => folderOf(context)))
  await trustEachOther(
    'lab',
    hosts.map((host, at) => ({ ...host, stateDir: folders[at] ?? '' })),
    NOW,
  )
  const shown = await Promise.all(
    hosts.map(async ({ id }, at) => {
      const config = { ...configIn(folders[at] ?? ''), hostId: id }
      const [pair, authority] = [await webCertificate(config, NOW), await webAuthority(config, NOW)]
      assert.ok(pair.ok && authority.ok)
      assert.deepEqual(await webCertificate(config, NOW), pair)
      assert.ok(new X509Certificate(pair.value.certificate).checkHost(id))
      return authority.value.fingerprint
    }),
  )
  assert.equal(new Set(shown).size, 1)
})

test("the administrator's own certificate is served, and a new one from the next connection on", async (context) => {
  const started = await start(context)
  const folder = await folderOf(context)
  const own = await webCertificate(configIn(folder), NOW)
  assert.ok(own.ok)
  const api = { certificateFile: join(folder, 'own.pem'), keyFile: join(folder, 'own.key') }
  assert.ok(!(await webCertificate(configIn(folder, { api }), NOW)).ok)
  await writeFile(api.certificateFile, own.value.certificate)
  await writeFile(api.keyFile, own.value.key)
  assert.deepEqual(await webCertificate(configIn(folder, { api }), NOW), own)
  started.server.useCertificate(own.value)
  await assert.rejects(ask(started, 'GET', '/v1/guests', AS_ALICE), /certificate/)
  assert.equal((await ask({ ...started, ca: own.value.certificate }, 'GET', '/v1/guests', AS_ALICE)).status, 200)
})

test('a client that does not end its head, or its body, is sent away', { timeout: 30_000 }, async (context) => {
  const started = await start(context, { headTimeoutMs: 300, bodyTimeoutMs: 300 })
  const head = await raw(started, (socket) => socket.write('GET /v1/guests HTTP/1.1\r\nHost: a\r\n'))
  assert.match(head, /^(HTTP\/1.1 408|$)/)
  await raw(started, () => undefined)
  await raw(started, (socket) =>
    socket.write(
      'POST /v1/guests/a/stop HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer stead-right\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{',
    ),
  )
  assert.deepEqual(started.bodies, [])
})

test('a head that is too large is refused', async (context) => {
  const started = await start(context)
  const answer = await ask(started, 'GET', '/v1/guests', { ...AS_ALICE, 'x-long': 'x'.repeat(20_000) }).catch(
    () => undefined,
  )
  if (answer) assert.equal(answer.status, 431)
})

for (const [what, head] of [
  ['two lengths', 'Content-Length: 2\r\nContent-Length: 30\r\n'],
  ['a length and chunks', 'Content-Length: 2\r\nTransfer-Encoding: chunked\r\n'],
  ['an unknown coding', 'Transfer-Encoding: chunked, x\r\n'],
  ['a blank before the colon', 'Content-Length : 2\r\n'],
] as const) {
  test(
    `a request with ${what}, by which another could be smuggled in, is refused`,
    { timeout: 20_000 },
    async (context) => {
      const started = await start(context)
      const text = await raw(started, (socket) =>
        socket.write(
          `POST /v1/guests/a/stop HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer stead-right\r\nContent-Type: application/json\r\n${head}\r\n{}GET /v1/guests HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer stead-right\r\n\r\n`,
        ),
      )
      assert.match(text, /^HTTP\/1.1 400/)
      assert.deepEqual(started.bodies, [])
    },
  )
}

test('connections beyond those of one address are closed, and there is room again when others end', async (context) => {
  const started = await start(context, { connectionsPerAddressMax: 2 })
  const hold = () =>
    new Promise<TLSSocket>((resolve, reject) => {
      const socket = connect({ host: '127.0.0.1', port: started.port, ca: started.ca }, () => resolve(socket))
      socket.once('error', reject)
    })
  const held = [await hold(), await hold()]
  await assert.rejects(hold())
  const closed = new Promise((resolve) => held[0]?.once('close', resolve))
  held[0]?.destroy()
  await closed
  for (let tries = 0; ; tries++) {
    const socket = await hold().catch(() => undefined)
    if (socket) {
      socket.destroy()
      break
    }
    assert.ok(tries < 100, 'no room was made')
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
  held[1]?.destroy()
})

test('who asks too much is told when to ask again', async (context) => {
  const started = await start(context, { requestsPerSecond: 0.01, requestsBurst: 2 })
  for (let count = 0; count < 2; count++) assert.equal((await ask(started, 'GET', '/v1/guests', AS_ALICE)).status, 200)
  const refused = await ask(started, 'GET', '/v1/guests', AS_ALICE)
  assert.deepEqual([refused.status, refused.json.code], [429, 'too_many_requests'])
  assert.ok(Number(refused.headers['retry-after']) > 10)
  // Another one from the same address is somebody else.
  assert.equal((await ask(started, 'GET', '/v1/guests', { authorization: 'Bearer secret' })).status, 200)
})

test('who tries tokens out is stopped, and does not stop those who are known', async (context) => {
  const started = await start(context, { strangerRequestsPerSecond: 0.01, strangerRequestsBurst: 2 })
  const guess = () => ask(started, 'GET', '/v1/guests', { authorization: 'Bearer stead-wrong' })
  assert.deepEqual([(await guess()).status, (await guess()).status, (await guess()).status], [401, 401, 429])
  assert.equal((await ask(started, 'GET', '/v1/guests', { authorization: 'Bearer secret' })).status, 200)
})

test('a bucket fills again with time, and never above its size', () => {
  const buckets = new TokenBuckets(2, 3)
  for (let count = 0; count < 3; count++) assert.equal(buckets.take('a', 0), 0)
  assert.equal(buckets.take('a', 0), 500)
  assert.equal(buckets.take('b', 0), 0)
  assert.equal(buckets.take('a', 500), 0)
  for (let count = 0; count < 3; count++) assert.equal(buckets.take('a', 100_000), 0)
  assert.ok(buckets.take('a', 100_000) > 0)
})

test('JSON that is nested without end, or full of unknown fields, costs little and is refused', async (context) => {
  const started = await start(context)
  const stop = (body: string) => ask(started, 'POST', '/v1/guests/a/stop', JSON_OF_ALICE, body)
  const deep = await stop('['.repeat(500_000))
  assert.deepEqual([deep.status, /nested/.test(deep.json.detail)], [400, true])
  const wide = await stop(`{${Array.from({ length: 80_000 }, (_, at) => `"f${at}":0`).join()}}`)
  assert.equal(wide.status, 400)
  assert.ok(wide.json.detail.length < 2_000)
  const long = await stop(`{"${'x'.repeat(900_000)}":0}`)
  assert.equal(long.status, 400)
  assert.ok(long.json.detail.length < 2_000)
  assert.deepEqual(started.bodies, [])
})

for (const body of [
  '{"__proto__":{"polluted":true},"name":"alice"}',
  '{"\\u005f_proto__":{"polluted":true},"name":"alice"}',
  '{"constructor":{"prototype":{"polluted":true}},"name":"alice"}',
]) {
  test(`${body} changes no prototype`, async (context) => {
    const started = await start(context)
    const answer = await ask(started, 'POST', '/v1/users', JSON_OF_ALICE, body)
    assert.equal(answer.status, 400)
    assert.equal(({} as { polluted?: boolean }).polluted, undefined)
    assert.deepEqual(started.bodies, [])
  })
}

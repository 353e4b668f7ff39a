/** Requests that are made to be read in two ways, or to reach what they do not name. */
import assert from 'node:assert/strict'
import { connect } from 'node:net'
import { test, type TestContext } from 'node:test'
import { ClusterFixture } from '@stead/core/ha/cluster-fixture.ts'
import type { Log } from '@stead/core/ports/log.ts'
import { ok } from '@stead/core/result.ts'
import { TokenOwners } from '../access/token-owners.ts'
import { TestBackend } from '../backend/backend-fixture.ts'
import { realClock } from '../real-clock.ts'
import { startApiServer } from './api-server.ts'
import type { ApiBackend } from './backend.ts'

const silent: Log = { debug() {}, info() {}, warn() {}, error() {}, with: () => silent }

/** A server that keeps whom it was asked for; all that reaches it is permitted. */
async function start(context: TestContext) {
  const asked: string[] = []
  const unexpected: unknown[] = []
  const answer = (id: string) => async (input: { params?: Record<string, string> }) => {
    asked.push(`${id} ${Object.values(input.params ?? {}).join()}`.trim())
    return ok({ items: [] })
  }
  const ids = ['guest.list', 'guest.show', 'guest.stop', 'blob.stat', 'blob.get', 'volume.list', 'volume.show']
  const server = await startApiServer({
    listen: [{ host: '127.0.0.1', port: 0 }],
    backend: Object.fromEntries(ids.map((id) => [id, answer(id)])) as unknown as ApiBackend,
    log: { ...silent, error: (...all) => void unexpected.push(all) },
    host: 'h1',
    token: 'secret',
    ownerOfToken: async () => ok({ kind: 'token', user: 'alice', name: 'ci' }),
  })
  context.after(() => server.close())
  return { asked, unexpected, port: (server.addresses[0] as { port: number }).port }
}

/** What the server answers until it ends the connection, or has nothing more to say. */
function sendRaw(port: number, text: string): Promise<string> {
  return new Promise((resolve, reject) => {
    let answer = ''
    const socket = connect(port, '127.0.0.1', () => socket.write(text, 'latin1'))
    socket.setTimeout(1_500, () => socket.destroy())
    socket.on('data', (part) => (answer += part.toString('latin1')))
    socket.on('close', () => resolve(answer))
    socket.on('error', (error: NodeJS.ErrnoException) =>
      error.code === 'ECONNRESET' || error.code === 'EPIPE' ? undefined : reject(error),
    )
  })
}

const WHO = 'Authorization: Bearer secret'
const HIDDEN = `POST /v1/guests/hidden/stop HTTP/1.1\r\nHost: h\r\n${WHO}\r\nContent-Length: 0\r\n\r\n`
const stop = (headers: readonly string[], body: string) =>
  ['POST /v1/guests/web/stop HTTP/1.1', 'Host: h', WHO, 'Content-Type: application/json', ...headers, '', body].join(
    '\r\n',
  )

for (const [what, request] of [
  ['a length and chunks', stop(['Content-Length: 4', 'Transfer-Encoding: chunked'], `0\r\n\r\n${HIDDEN}`)],
  ['two lengths', stop(['Content-Length: 2', `Content-Length: ${2 + HIDDEN.length}`], `{}${HIDDEN}`)],
  ['a list of lengths', stop(['Content-Length: 2, 2'], `{}${HIDDEN}`)],
  ['a length with a sign', stop(['Content-Length: +2'], `{}${HIDDEN}`)],
  ['a length that is no number', stop(['Content-Length: 0x2'], `{}${HIDDEN}`)],
  ['an unknown coding', stop(['Transfer-Encoding: xchunked'], `0\r\n\r\n${HIDDEN}`)],
  ['a coding that is not the last', stop(['Transfer-Encoding: chunked, identity'], `0\r\n\r\n${HIDDEN}`)],
  ['two codings', stop(['Transfer-Encoding: chunked', 'Transfer-Encoding: x'], `0\r\n\r\n${HIDDEN}`)],
  ['a blank before the colon', stop(['Transfer-Encoding : chunked'], `0\r\n\r\n${HIDDEN}`)],
  ['a folded header', stop(['X-A: b', ' Transfer-Encoding: chunked', 'Content-Length: 2'], `{}${HIDDEN}`)],
  ['a NUL in a header', stop(['X-A: b\0c', 'Content-Length: 2'], `{}${HIDDEN}`)],
  ['a bare CR in a header', stop([`X-A: b\r${HIDDEN}`, 'Content-Length: 2'], '{}')],
  ['a chunk of an odd length', stop(['Transfer-Encoding: chunked'], `0x2\r\n{}\r\n0\r\n\r\n${HIDDEN}`)],
  ['lines without CR', stop(['Content-Length: 2'], '{}').replaceAll('\r\n', '\n')],
  ['a request line with more', `POST /v1/guests/web/stop HTTP/1.1 x\r\n${WHO}\r\n\r\n${HIDDEN}`],
  ['no version', `POST /v1/guests/web/stop\r\n${WHO}\r\n\r\n${HIDDEN}`],
] as const) {
  test(`a request with ${what} is refused as a whole, and what it hides is not done`, async (context) => {
    const { port, asked, unexpected } = await start(context)
    const answer = await sendRaw(port, request)
    assert.match(answer, /^HTTP\/1\.1 400 /)
    assert.deepEqual(asked, [])
    assert.deepEqual(unexpected, [])
    assert.equal(answer.split('HTTP/1.1 ').length, 2, 'one answer')
  })
}

for (const [what, token, status] of [
  ['of a stranger', 'Bearer wrong', 401],
  ['that is no JSON', 'Bearer secret', 400],
] as const) {
  test(`the body of a request ${what} is no request of its own`, async (context) => {
    const { port, asked } = await start(context)
    const request = stop([`Content-Length: ${HIDDEN.length}`], HIDDEN).replace('Bearer secret', token)
    const answer = await sendRaw(port, request)
    assert.match(answer, new RegExp(`^HTTP/1\\.1 ${status} `))
    assert.deepEqual(asked, [])
  })
}

for (const path of [
  ...['/v1/../../etc/passwd', '/v1/%2e%2e/%2e%2e/etc/passwd', '/../etc/passwd', '/v1/blobs/../../etc/passwd'],
  ...[
    '/v1/blobs/sha256:..%2f..%2f..%2fetc%2fpasswd',
    '/v1/blobs/%2fetc%2fpasswd',
    `/v1/blobs/sha256:${'a'.repeat(63)}%2f`,
  ],
  ...['/v1/guests/..%2f..%2fvolumes', '//v1/volumes', '/v1//volumes', '/v1/guests/%00', '/v1/guests/a%2fstop'],
  ...['/v1/guests/%c0%ae%c0%ae', '/v1/guests/%', '/v1/guests/%zz', '/V1/volumes', '/v1/volumes/', '/v1/volumes;x'],
  ...['\\v1\\volumes', '/v1/guests/..;/volumes', 'http://other/v1/volumes'],
]) {
  test(`GET ${path} reaches nothing but what it names`, async (context) => {
    const { port, asked, unexpected } = await start(context)
    const answer = await sendRaw(port, `GET ${path} HTTP/1.1\r\nHost: h\r\n${WHO}\r\nConnection: close\r\n\r\n`)
    const status = Number(/^HTTP\/1\.1 (\d+)/.exec(answer)?.[1])
    assert.ok(status === 200 || (status >= 400 && status < 500), answer.slice(0, 200))
    assert.doesNotMatch(answer, /root:|\/bin\//)
    // A name is what it is, dots and all; it is looked up, never opened.
    assert.ok(
      asked.every((one) => /^(guest|volume)\.show/.test(one) || path.startsWith('http://')),
      asked.join(),
    )
    assert.deepEqual(unexpected, [])
  })
}

for (const query of [
  ...['limit=1&limit=2', 'filter=name%3Da&filter=name%3Db', 'limit[]=1', 'limit[a]=1', '__proto__=1', '__proto__[a]=1'],
  ...['constructor=1', 'constructor[prototype][a]=1', 'limit=1e3', 'limit=0', 'limit=-1', 'limit=99999999999999999999'],
  ...['cursor=..%2f..', 'fields=__proto__', 'filter=__proto__.a%3D1', 'limit=1%00', 'a=1;limit=2'],
]) {
  test(`?${query} is refused, and changes nothing of the server`, async (context) => {
    const { port, unexpected } = await start(context)
    const request = `GET /v1/volumes?${query} HTTP/1.1\r\nHost: h\r\n${WHO}\r\nConnection: close\r\n\r\n`
    assert.match(await sendRaw(port, request), /^HTTP\/1\.1 400 /)
    assert.deepEqual(unexpected, [])
    assert.equal(({} as Record<string, unknown>)['a'], undefined)
  })
}

for (const header of [
  'If-Match: x',
  'If-Match: "1',
  'If-Match: "a"',
  'If-Match: "1";"2"',
  `If-Match: "${'1'.repeat(40)}"`,
])
  test(`\`${header.slice(0, 24)}\` is refused, not ignored`, async (context) => {
    const { port, asked } = await start(context)
    assert.match(
      await sendRaw(port, stop([header, 'Content-Length: 2', 'Connection: close'], '{}')),
      /^HTTP\/1\.1 400 /,
    )
    assert.deepEqual(asked, [])
  })

test('a token that was revoked is good at no host, nor is what was sent with it before sent again', async (context) => {
  const backend = await TestBackend.start(context, new ClusterFixture(2))
  const other = await backend.onHost(context, 'h2')
  await backend.must('user.create', { body: { name: 'alice' } })
  const subject = { kind: 'user', name: 'alice' }
  await backend.must('permission.grant', { body: { subject, role: 'Administrator', path: '/' } })
  const { token } = await backend.must('token.create', { params: { user: 'alice' }, body: { name: 'ci' } })
  const ports = await Promise.all(
    [backend, other].map(async (host, index) => {
      const owners = new TokenOwners({ store: host.store, mirror: host.mirror, clock: realClock })
      const server = await startApiServer({
        ...{ listen: [{ host: '127.0.0.1', port: 0 }], backend: host.guarded, log: silent, host: `h${index + 1}` },
        ownerOfToken: (shown) => owners.ownerOf(shown),
      })
      context.after(() => server.close())
      return (server.addresses[0] as { port: number }).port
    }),
  )
  const body = '{"name":"g"}'
  const request = [
    ...['POST /v1/groups HTTP/1.1', 'Host: h', `Authorization: Bearer ${token}`, 'Idempotency-Key: k'],
    ...['Content-Type: application/json', `Content-Length: ${body.length}`, 'Connection: close', '', body],
  ].join('\r\n')
  // Each host has looked the token up, and keeps what it has found.
  for (const port of ports) assert.match(await sendRaw(port, request), /^HTTP\/1\.1 201 /)
  await backend.must('token.revoke', { params: { user: 'alice', token: 'ci' } })
  await other.mirror.until(({ tokens }) => tokens.size === 0, realClock.sleep(5_000))
  for (const port of ports) assert.match(await sendRaw(port, request), /^HTTP\/1\.1 401 /)
})

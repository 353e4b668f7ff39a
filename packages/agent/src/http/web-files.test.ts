import assert from 'node:assert/strict'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { gzipSync } from 'node:zlib'
import type { Log } from '@stead/core/ports/log.ts'
import { startApiServer } from './api-server.ts'
import { NONCE_PLACEHOLDER, webFiles } from './web-files.ts'

const log: Log = { debug() {}, info() {}, warn() {}, error() {}, with: () => log }
const SCRIPT = 'export const answer = 42\n'.repeat(20)

async function start(context: TestContext) {
  const folder = await mkdtemp(join(tmpdir(), 'stead-web-'))
  await mkdir(join(folder, 'dist', 'assets'), { recursive: true })
  await writeFile(join(folder, 'secret.js'), 'secret')
  await writeFile(join(folder, 'dist', 'index.html'), `<script nonce="${NONCE_PLACEHOLDER}"></script>`)
  await writeFile(join(folder, 'dist', 'stead.svg'), '<svg/>')
  await writeFile(join(folder, 'dist', 'assets', 'main-a1b2.js'), SCRIPT)
  await writeFile(join(folder, 'dist', 'assets', 'main-a1b2.js.gz'), gzipSync(SCRIPT))
  const server = await startApiServer({
    listen: [{ host: '127.0.0.1', port: 0 }],
    backend: {} as never,
    log,
    host: 'h1',
    token: 'secret',
    web: webFiles(join(folder, 'dist')),
  })
  context.after(async () => {
    await server.close()
    await rm(folder, { recursive: true, force: true })
  })
  const { port } = server.addresses[0] as { port: number }
  return (path: string, headers: Record<string, string> = {}, method = 'GET') =>
    fetch(`http://127.0.0.1:${port}${path}`, { headers, method })
}

test('every address that is no file is the interface, with a nonce of its own each time', async (context) => {
  const get = await start(context)
  const seen = new Set<string>()
  for (const path of ['/', '/guests/web-1', '/guests/a.b.c']) {
    const answer = await get(path)
    if (path === '/guests/a.b.c') {
      // A name with a dot, below a folder that holds no files.
      assert.equal(answer.status, 200)
      continue
    }
    const nonce = /nonce="([^"]+)"/.exec(await answer.text())?.[1] ?? ''
    const policy = answer.headers.get('content-security-policy') ?? ''
    assert.equal(answer.status, 200)
    assert.equal(answer.headers.get('cache-control'), 'no-store')
    assert.ok(policy.includes(`'nonce-${nonce}'`))
    assert.doesNotMatch(policy, /unsafe/)
    seen.add(nonce)
  }
  assert.equal(seen.size, 2)
})

test('files come packed to whoever takes that, and again only when they have changed', async (context) => {
  const get = await start(context)
  const first = await get('/assets/main-a1b2.js')
  assert.equal(await first.text(), SCRIPT)
  assert.equal(first.headers.get('content-encoding'), 'gzip')
  assert.match(first.headers.get('cache-control') ?? '', /immutable/)
  assert.match(first.headers.get('content-type') ?? '', /^text\/javascript/)
  const etag = first.headers.get('etag') ?? ''
  assert.equal((await get('/assets/main-a1b2.js', { 'if-none-match': etag })).status, 304)
  const plain = await get('/assets/main-a1b2.js', { 'accept-encoding': 'identity' })
  assert.equal(plain.headers.get('content-encoding'), null)
  assert.equal(await plain.text(), SCRIPT)
  assert.equal((await get('/stead.svg')).headers.get('cache-control'), 'no-cache')
})

test('nothing else is given away, and the API asks as before', async (context) => {
  const get = await start(context)
  for (const path of ['/assets/none.js', '/..%2fsecret.js', '/assets/..%2f..%2fsecret.js', '/.hidden.js']) {
    const answer = await get(path)
    assert.notEqual(await answer.text(), 'secret', path)
  }
  assert.equal((await get('/assets/none.js')).status, 404)
  assert.equal((await get('/v1/cluster')).status, 401)
  assert.equal((await get('/v1')).status, 401)
  assert.equal((await get('/', {}, 'POST')).status, 401)
})

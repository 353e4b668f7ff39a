/** The command line against the public port: whom it believes, what it keeps, and that every command works over it. */
import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { PASSWORD, SignInCluster } from '@stead/agent/identity/sign-in-fixture.ts'
import { webAuthority, webCertificate } from '@stead/agent/http/web-certificate.ts'
import { buildProgram, runProgram } from '@stead/cli/program.ts'
import type { Terminal } from '@stead/cli/session.ts'
import { unixTransport } from '@stead/client/node-transport.ts'

/** What is typed, also in answer to what was shown. */
type Line = string | ((seen: { readonly stderr: string }) => string)

async function start(context: TestContext) {
  const folder = await mkdtemp(join(tmpdir(), 'stead-login-'))
  context.after(() => rm(folder, { recursive: true, force: true }))
  const config = { hostId: 'h1', clusterName: 'lab', addresses: { lan: '127.0.0.1' }, stateDir: folder }
  const pair = await webCertificate(config, Date.now())
  const shown = await webAuthority(config, Date.now())
  assert.ok(pair.ok && shown.ok)
  const cluster = await SignInCluster.start(context, pair.value)
  await cluster.user('alice', 'Administrator')
  const path = join(folder, 'deeper', 'context.json')
  /** Runs `stead`, with these lines typed, or piped. */
  const stead = async (argv: readonly string[], lines: readonly Line[] = [], isTTY = false) => {
    const seen = { stdout: '', stderr: '', exitCode: 0 }
    const hidden: boolean[] = []
    async function* typed() {
      for (const line of lines) {
        const text = typeof line === 'string' ? line : line(seen)
        yield Buffer.from(isTTY ? `${text}\r` : `${text}\n`)
      }
    }
    const stdin = Object.assign(typed(), {
      isTTY,
      setRawMode: (raw: boolean) => hidden.push(raw),
      destroy: () => undefined,
    })
    const terminal: Terminal = {
      env: { STEAD_CONTEXT: path },
      stdout: { write: (content) => (seen.stdout += String(content)) },
      stderr: { write: (content) => (seen.stderr += content) },
      stdin,
      transport: unixTransport,
      onInterrupt: () => () => undefined,
      setExitCode: (code) => (seen.exitCode = code),
    }
    await runProgram(buildProgram(terminal), argv, terminal)
    return { ...seen, hidden }
  }
  const { url } = cluster
  return { cluster, url, stead, path, fingerprint: shown.value.fingerprint }
}

const IN = ['--user', 'alice']

test('who confirms the fingerprint signs in, and is not asked again', async (context) => {
  const { stead, url, fingerprint, path } = await start(context)
  const first = await stead(['login', url, ...IN], ['yes', PASSWORD], true)
  assert.equal(first.exitCode, 0, first.stderr)
  assert.ok(first.stderr.includes(`SHA256:${fingerprint}`))
  assert.match(first.stdout, /^signed in as alice until /)
  assert.deepEqual(first.hidden, [true, false], 'the password is not shown, and the terminal is as before')
  assert.equal((await stat(path)).mode & 0o777, 0o600)
  assert.equal((await stat(join(path, '..'))).mode & 0o777, 0o700)
  assert.match((await stead(['auth', 'whoami'])).stdout, /name: +alice/)
  assert.match((await stead(['user', 'list'])).stdout, /alice/)
  const again = await stead(['login', url, ...IN], [PASSWORD])
  assert.equal(again.exitCode, 0, again.stderr)
})

test('what was not confirmed gets no password', async (context) => {
  const { stead, url, path } = await start(context)
  const refused = await stead(['login', url, ...IN], ['no', PASSWORD], true)
  assert.deepEqual([refused.exitCode, /was not confirmed/.test(refused.stderr)], [3, true])
  const piped = await stead(['login', url, ...IN], [PASSWORD])
  assert.match(piped.stderr, /--fingerprint/)
  const wrong = await stead(['login', url, ...IN, '--fingerprint', 'AB'.repeat(32)], [PASSWORD])
  assert.match(wrong.stderr, /not that one/)
  await assert.rejects(readFile(path))
})

test('scripts give the fingerprint, however it is written, and pipe the password', async (context) => {
  const { stead, url, fingerprint } = await start(context)
  for (const written of [fingerprint, `SHA256:${fingerprint}`, fingerprint.replaceAll(':', '').toLowerCase()])
    assert.equal((await stead(['login', url, ...IN, '--fingerprint', written], [PASSWORD])).exitCode, 0)
})

test('another authority under the same address is not believed later', async (context) => {
  const { stead, url, fingerprint, path } = await start(context)
  await stead(['login', url, ...IN, '--fingerprint', fingerprint], [PASSWORD])
  const other = await start(context)
  const kept = JSON.parse(await readFile(path, 'utf8'))
  await writeFile(path, JSON.stringify({ ...kept, endpoints: [{ url: other.url }] }))
  const refused = await stead(['user', 'list'])
  assert.deepEqual([refused.exitCode, /certificate|self-signed/.test(refused.stderr)], [8, true])
})

test('whoever signs in with a one-time password chooses his own at once', async (context) => {
  const { cluster, stead, url, fingerprint } = await start(context)
  await cluster.backend.must('user.create', { body: { name: 'bob' } })
  const { password } = await cluster.backend.must('user.reset-password', { params: { user: 'bob' } })
  const login = ['login', url, '--user', 'bob', '--fingerprint', fingerprint]
  const refused = ['password1234', 'password1234', 'my own long one', 'another']
  const typed = [password, ...refused, 'my own long one', 'my own long one']
  const seen = await stead(login, typed, true)
  assert.equal(seen.exitCode, 0, seen.stderr)
  assert.match(seen.stderr, /like one of those that are used often .*four words/)
  assert.match(seen.stderr, /The two are not the same/)
  assert.equal((await stead(login, ['my own long one'])).exitCode, 0)
  assert.equal((await stead(login, [password])).exitCode, 3)
})

test('stead logout ends the session and forgets it; the device stays known', async (context) => {
  const { cluster, stead, url, fingerprint, path } = await start(context)
  await stead(['login', url, ...IN, '--fingerprint', fingerprint], [PASSWORD])
  const before = JSON.parse(await readFile(path, 'utf8'))
  assert.equal((await stead(['logout'])).exitCode, 0)
  assert.equal((await cluster.h2('GET', '/v1/auth/whoami', { token: before.token })).status, 401)
  const after = JSON.parse(await readFile(path, 'utf8'))
  assert.deepEqual([after.token, after.devices], [undefined, before.devices])
  assert.equal((await stead(['user', 'list'])).exitCode, 3)
  for (let count = 0; count < 5; count++) await cluster.signIn('alice', 'a wrong password')
  assert.equal((await stead(['login', url, ...IN], [PASSWORD])).exitCode, 0)
})

test('a second factor is added from the command line, and asked for at the next sign-in', async (context) => {
  const { cluster, stead, url, fingerprint } = await start(context)
  await stead(['login', url, ...IN, '--fingerprint', fingerprint], [PASSWORD])
  let secret = ''
  const wrong = await stead(['auth', 'second-factor', 'add'], ['000000'])
  assert.equal(wrong.exitCode, 2)
  const added = await stead(
    ['auth', 'second-factor', 'add'],
    [
      ({ stderr }) => {
        secret = /^ {2}([A-Z2-7]{32})$/m.exec(stderr)?.[1] ?? ''
        return cluster.codeOf(secret)
      },
    ],
  )
  assert.equal(added.exitCode, 0, added.stderr)
  const [recoveryCode = ''] = added.stdout.split('\n')
  assert.match((await stead(['auth', 'second-factor', 'show'])).stdout, /app: +yes/)
  cluster.pass(30_000)
  const first = await stead(['login', url, ...IN], [PASSWORD, '12345x', cluster.codeOf(secret)], true)
  assert.equal(first.exitCode, 0, first.stderr)
  const recovery = await stead(['login', url, ...IN], [PASSWORD, recoveryCode])
  assert.equal(recovery.exitCode, 0, recovery.stderr)
})

test('an API token signs in as well, and a password is changed from the command line', async (context) => {
  const { cluster, stead, url, fingerprint } = await start(context)
  const { token } = await cluster.backend.must('token.create', { params: { user: 'alice' }, body: { name: 'ci' } })
  const asToken = await stead(['login', url, '--token', '--fingerprint', fingerprint], [token])
  assert.match(asToken.stdout, /signed in as alice!ci/)
  await stead(['login', url, ...IN], [PASSWORD])
  const changed = await stead(['auth', 'password'], [PASSWORD, 'my own long one'])
  assert.equal(changed.exitCode, 0, changed.stderr)
  assert.equal((await stead(['user', 'list'])).exitCode, 0)
  assert.equal((await stead(['login', url, ...IN], [PASSWORD])).exitCode, 3)
})

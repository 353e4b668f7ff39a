import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { Secret } from 'otpauth'
import { afterCode, afterRecoveryCode, newRecoveryCodes } from './second-factors.ts'
import { PASSWORD, SignInCluster, type Answer } from './sign-in-fixture.ts'

const codeOf = ({ status, json }: Answer) => json?.code ?? status
const PERIOD_MS = 30_000

/** RFC 6238, appendix B, for SHA-1; of its eight digits the last six. */
test('codes are those of the standard', () => {
  const secret = Secret.fromUTF8('12345678901234567890').base32
  for (const [seconds, code] of [
    [59, '287082'],
    [1111111109, '081804'],
    [1234567890, '005924'],
    [20000000000, '353130'],
  ] as const) {
    const factors = { totp: { secret, usedStep: 0 }, recovery: [] }
    assert.equal(afterCode(factors, code, seconds * 1_000)?.totp?.usedStep, Math.floor(seconds / 30))
    assert.equal(afterCode(factors, code, seconds * 1_000 + 3 * PERIOD_MS), undefined)
  }
})

test('a recovery code is good once, however it is written', () => {
  const { codes, digests } = newRecoveryCodes()
  const factors = { recovery: digests }
  const after = afterRecoveryCode(factors, ` ${codes[3]?.toUpperCase()} `)
  assert.equal(after?.recovery.length, 9)
  assert.equal(afterRecoveryCode(after ?? factors, codes[3] ?? ''), undefined)
  assert.equal(afterRecoveryCode(factors, ''), undefined)
})

async function start(context: TestContext) {
  const cluster = await SignInCluster.start(context)
  await cluster.user('alice', 'Administrator')
  const now = (secret: string, later = 0) => cluster.codeOf(secret, later)
  const add = async (user = 'alice') => {
    const { token } = (await cluster.signIn(user)).json
    const { secret, uri } = (await cluster.h1('POST', '/v1/auth/second-factors/totp', { token })).json
    const added = await cluster.h2('PUT', '/v1/auth/second-factors/totp', { token, body: { code: now(secret) } })
    assert.equal(added.status, 200, JSON.stringify(added.json))
    return { secret, uri, old: token as string, codes: added.json.recoveryCodes as string[], ...added.json.session }
  }
  const second = (pending: string, body: object) =>
    cluster.h2('POST', '/v1/auth/second-factor', { body: { pending, ...body } })
  return { cluster, now, add, second }
}

test('once an app is added, a password opens nothing by itself', async (context) => {
  const { cluster, now, add, second } = await start(context)
  const { secret, uri, old, token, codes } = await add()
  assert.match(uri, /^otpauth:\/\/totp\//)
  assert.equal(codes.length, 10)
  assert.equal(codeOf(await cluster.h1('GET', '/v1/auth/whoami', { token: old })), 'unauthorized')
  assert.equal((await cluster.h1('GET', '/v1/auth/whoami', { token })).status, 200)
  const { json } = await cluster.signIn('alice')
  assert.deepEqual([json.state, json.token, json.methods], ['second-factor', null, ['totp', 'recovery-code']])
  assert.equal(codeOf(await cluster.h1('GET', '/v1/auth/whoami', { token: json.pending })), 'unauthorized')
  const done = await second(json.pending, { code: now(secret, 1) })
  assert.equal((await cluster.h1('GET', '/v1/users', { token: done.json.token })).status, 200)
  assert.equal(codeOf(await second(json.pending, { code: now(secret, 1) })), 'unauthorized')
})

test('a code that was used, also in another sign-in, is good no more', async (context) => {
  const { cluster, now, add, second } = await start(context)
  const { secret } = await add()
  const begin = async () => (await cluster.signIn('alice')).json.pending as string
  assert.equal(codeOf(await second(await begin(), { code: now(secret) })), 'unauthorized')
  cluster.pass(PERIOD_MS)
  const [one, two] = [await begin(), await begin()]
  const answers = await Promise.all([second(one, { code: now(secret) }), second(two, { code: now(secret) })])
  assert.equal(answers.filter(({ status }) => status === 200).length, 1)
})

test('wrong codes end the sign-in, and are slowed down as wrong passwords are', async (context) => {
  const { cluster, now, add, second } = await start(context)
  const { secret } = await add()
  cluster.pass(PERIOD_MS)
  const { pending } = (await cluster.signIn('alice')).json
  const right = now(secret)
  const wrong = String((Number(right) + 1) % 1_000_000).padStart(6, '0')
  for (let count = 0; count < 5; count++) assert.equal(codeOf(await second(pending, { code: wrong })), 'unauthorized')
  assert.equal(codeOf(await second(pending, { code: right })), 'unauthorized')
  const body = { user: 'alice', password: PASSWORD }
  assert.equal((await cluster.h2('POST', '/v1/auth/sign-in', { body })).status, 429)
})

test('a sign-in that waits ends with the password, and after five minutes', async (context) => {
  const { cluster, now, add, second } = await start(context)
  const { secret } = await add()
  cluster.pass(PERIOD_MS)
  const first = (await cluster.signIn('alice')).json.pending
  const { password } = await cluster.backend.must('user.reset-password', { params: { user: 'alice' } })
  assert.notEqual((await second(first, { code: now(secret) })).status, 200)
  cluster.pass(PERIOD_MS)
  const again = (await cluster.signIn('alice', password)).json
  assert.equal(again.state, 'second-factor')
  assert.equal(codeOf(await cluster.signIn('alice', password)), 'unauthorized')
  cluster.pass(6 * 60_000)
  assert.equal(codeOf(await second(again.pending, { code: now(secret) })), 'unauthorized')
})

test('recovery codes stand in for the app, and an administrator for both', async (context) => {
  const { cluster, add, second } = await start(context)
  const { codes, token } = await add()
  const { pending } = (await cluster.signIn('alice')).json
  const done = await second(pending, { recoveryCode: codes[0] })
  assert.equal(done.status, 200)
  const left = await cluster.h1('GET', '/v1/auth/second-factors', { token: done.json.token })
  assert.deepEqual(left.json, { totp: true, keys: [], recoveryCodes: 9, demanded: false })
  const again = (await cluster.signIn('alice')).json.pending
  assert.equal(codeOf(await second(again, { recoveryCode: codes[0] })), 'unauthorized')
  await cluster.backend.must('user.remove-second-factors', { params: { user: 'alice' } })
  assert.equal(codeOf(await cluster.h1('GET', '/v1/auth/whoami', { token })), 'unauthorized')
  assert.equal((await cluster.signIn('alice')).json.state, 'signed-in')
})

test('whose group demands a second factor adds one before anything else, and cannot remove it', async (context) => {
  const { cluster, add } = await start(context)
  const before = (await cluster.signIn('alice')).json.token as string
  await cluster.backend.must('group.create', {
    body: { name: 'staff', members: ['alice'], demandsSecondFactor: true },
  })
  const { json } = await cluster.signIn('alice')
  assert.equal(json.must, 'add-second-factor')
  const refused = await cluster.h1('GET', '/v1/users', { token: json.token })
  assert.deepEqual([codeOf(refused), /second factor/.test(refused.json.detail)], ['forbidden', true])
  const { token } = await add()
  assert.equal((await cluster.h1('GET', '/v1/users', { token })).status, 200)
  assert.equal(codeOf(await cluster.h1('DELETE', '/v1/auth/second-factors', { token })), 'forbidden')
  await cluster.backend.must('group.set', { params: { group: 'staff' }, body: { demandsSecondFactor: false } })
  assert.equal((await cluster.h1('DELETE', '/v1/auth/second-factors', { token })).status, 204)
  assert.equal((await cluster.h1('GET', '/v1/users', { token: before })).status, 200)
})

test('who finds an old session can neither add nor remove a second factor', async (context) => {
  const { cluster, add } = await start(context)
  const { token } = (await cluster.signIn('alice')).json
  const { token: withApp } = await add()
  cluster.pass(16 * 60_000)
  assert.equal(codeOf(await cluster.h1('POST', '/v1/auth/second-factors/totp', { token })), 'forbidden')
  assert.equal(codeOf(await cluster.h1('DELETE', '/v1/auth/second-factors', { token: withApp })), 'forbidden')
})

test('no endpoint shows the secret again, and a user who is deleted leaves none', async (context) => {
  const { cluster, add } = await start(context)
  await cluster.user('bob')
  const { secret, token } = await add('bob')
  assert.ok(!JSON.stringify((await cluster.h1('GET', '/v1/auth/second-factors', { token })).json).includes(secret))
  await cluster.backend.must('user.delete', { params: { user: 'bob' } })
  const all = await cluster.backend.store.range('/stead-secrets/')
  assert.ok(all.ok && !JSON.stringify(all.value.entries.map(({ key, value }) => [key, value])).includes('bob'))
})

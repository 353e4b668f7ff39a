import assert from 'node:assert/strict'
import { once } from 'node:events'
import { get, type IncomingMessage } from 'node:http'
import { test, type TestContext } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { PASSWORD, SignInCluster, type Answer, type Ask } from './sign-in-fixture.ts'

const HOUR_MS = 3_600_000
const SESSION = '__Host-stead-session'

const whoami = (ask: Ask, token: string) => ask('GET', '/v1/auth/whoami', { token })
const codeOf = ({ status, json }: Answer) => json?.code ?? status

/** Signed in as a browser. */
async function browser(cluster: SignInCluster, user = 'alice') {
  const { json, cookies } = await cluster.signIn(user, PASSWORD, { form: 'cookie' })
  return { cookies, headers: { 'x-stead-forgery-token': json.forgeryToken as string } }
}

async function start(context: TestContext, role = 'Administrator') {
  const cluster = await SignInCluster.start(context)
  await cluster.user('alice', role)
  return cluster
}

test('who signs in is known on every host, and nobody when he has signed out', async (context) => {
  const cluster = await start(context)
  const { h1, h2 } = cluster
  const { token } = (await cluster.signIn('alice')).json
  assert.deepEqual([(await whoami(h1, token)).json.name, (await whoami(h2, token)).json.name], ['alice', 'alice'])
  assert.equal((await h2('GET', '/v1/users', { token })).status, 200)
  assert.equal((await h1('POST', '/v1/auth/sign-out', { token })).status, 204)
  for (const ask of [h1, h2]) assert.equal(codeOf(await whoami(ask, token)), 'unauthorized')
})

test('a one-time password works once, opens nothing but the change of the password, and ends after a day', async (context) => {
  const cluster = await SignInCluster.start(context)
  const { backend, h1 } = cluster
  await backend.must('user.create', { body: { name: 'bob' } })
  await backend.must('permission.grant', {
    body: { subject: { kind: 'user', name: 'bob' }, role: 'Administrator', path: '/' },
  })
  const reset = () => backend.must('user.reset-password', { params: { user: 'bob' } })
  const { password } = await reset()
  const { json } = await cluster.signIn('bob', password)
  assert.equal(json.must, 'change-password')
  assert.equal(codeOf(await cluster.signIn('bob', password)), 'unauthorized')
  assert.equal(codeOf(await h1('GET', '/v1/users', { token: json.token })), 'forbidden')
  assert.equal((await whoami(h1, json.token)).json.must, 'change-password')
  const change = (next: string) => h1('PUT', '/v1/auth/password', { token: json.token, body: { next } })
  assert.equal(codeOf(await change('short')), 'bad_request')
  const changed = await change('my own long one')
  assert.equal(changed.json.must, null)
  assert.equal((await h1('GET', '/v1/users', { token: changed.json.token })).status, 200)
  assert.equal(codeOf(await whoami(h1, json.token)), 'unauthorized')
  assert.equal((await cluster.signIn('bob', 'my own long one')).status, 200)
  const late = await reset()
  assert.equal(codeOf(await cluster.signIn('bob', 'my own long one')), 'unauthorized')
  cluster.pass(25 * HOUR_MS)
  assert.equal(codeOf(await cluster.signIn('bob', late.password)), 'unauthorized')
})

test('the policy says how long a password is, and whether those that are tried first are refused', async (context) => {
  const cluster = await start(context)
  const { backend, h1 } = cluster
  await backend.must('user.set', { params: { user: 'alice' }, body: { fullName: 'Alice Wunderlich' } })
  const { token } = (await cluster.signIn('alice')).json
  const why = async (next: string) => {
    const { status, json } = await h1('PUT', '/v1/auth/password', { token, body: { current: PASSWORD, next } })
    return status === 200 ? 'taken' : json.detail
  }
  assert.match(await why('password1234'), /like one of those that are used often/)
  assert.match(await why('Wunderlich-1'), /tried first|names that anybody would try/)
  assert.match(await why('dear Alice dear'), /contains the name alice/)
  for (const lengthMin of [7, 65])
    assert.equal((await h1('PATCH', '/v1/policy', { token, body: { passwords: { lengthMin } } })).status, 400)
  await backend.must('policy.set', { body: { passwords: { lengthMin: 20 } } })
  assert.match(await why('another long one'), /fewer than 20 characters/)
  assert.deepEqual((await backend.must('policy.show')).passwords, { lengthMin: 20, refuseGuessable: true })
  await backend.must('policy.set', { body: { passwords: { lengthMin: 8, refuseGuessable: false } } })
  assert.match(await why('passwor'), /fewer than 8 characters/)
  assert.equal(await why('password'), 'taken')
})

test('a password is changed by who knows it, and ends all other sessions', async (context) => {
  const cluster = await start(context)
  const { h1, h2 } = cluster
  const [one, other] = [(await cluster.signIn('alice')).json.token, (await cluster.signIn('alice')).json.token]
  const change = (body: object) => h1('PUT', '/v1/auth/password', { token: one, body })
  assert.equal(codeOf(await change({ current: 'wrong', next: 'another long one' })), 'forbidden')
  assert.equal(codeOf(await change({ next: 'another long one' })), 'forbidden')
  const changed = await change({ current: PASSWORD, next: 'another long one' })
  assert.equal(changed.status, 200)
  for (const token of [one, other]) assert.equal(codeOf(await whoami(h2, token)), 'unauthorized')
  assert.equal((await whoami(h2, changed.json.token)).status, 200)
  assert.equal(codeOf(await cluster.signIn('alice')), 'unauthorized')
})

test('no password, session or one-time password is in the store, and no endpoint shows a hash', async (context) => {
  const cluster = await start(context)
  const { json, cookies } = await cluster.signIn('alice', PASSWORD, { form: 'cookie' })
  const { token } = (await cluster.signIn('alice')).json
  const all = await cluster.backend.store.range('/')
  assert.ok(all.ok)
  const text = JSON.stringify(all.value.entries.map(({ key, value }) => [key, value]))
  for (const secret of [PASSWORD, token, cookies[SESSION], json.forgeryToken]) assert.ok(!text.includes(secret), secret)
  assert.match(text, /\$argon2id\$v=19\$m=32768,t=3,p=1\$/)
  const shown = JSON.stringify([
    (await cluster.h1('GET', '/v1/users/alice', { token })).json,
    (await cluster.h1('GET', '/v1/auth/sessions', { token })).json,
  ])
  assert.ok(!shown.includes('argon2') && !shown.includes(token))
})

test('unknown users, users without a password, disabled ones and wrong passwords are refused in the same words, after the same work', async (context) => {
  const cluster = await start(context)
  const { backend } = cluster
  await backend.must('user.create', { body: { name: 'nopass' } })
  await cluster.user('gone')
  await backend.must('user.set', { params: { user: 'gone' }, body: { disabled: true } })
  const answers: string[] = []
  for (const [user, password] of [
    ['alice', 'a wrong password'],
    ['stranger', 'a wrong password'],
    ['nopass', 'a wrong password'],
    ['gone', PASSWORD],
    ['../alice', 'a wrong password'],
  ] as const)
    answers.push(JSON.stringify((await cluster.signIn(user, password)).json))
  assert.deepEqual(new Set(answers).size, 1)
  assert.match(answers[0] ?? '', /"code":"unauthorized"/)
})

test('who fails again and again must wait; a device that he has used, and the same user elsewhere, need not', async (context) => {
  const cluster = await start(context)
  const { device } = (await cluster.signIn('alice')).json
  for (let count = 0; count < 5; count++) await cluster.signIn('alice', 'a wrong password')
  const refused = await cluster.signIn('alice')
  assert.deepEqual([refused.status, Number(refused.headers['retry-after'])], [429, 1])
  assert.equal((await cluster.signIn('alice', PASSWORD, { device })).status, 200)
  const forged = `${(device as string).slice(0, -2)}xx`
  assert.equal((await cluster.signIn('alice', PASSWORD, { device: forged })).status, 429)
  const { password } = await cluster.backend.must('user.reset-password', { params: { user: 'alice' } })
  assert.equal((await cluster.signIn('alice', password)).status, 200)
  cluster.pass(2_000)
  assert.equal(codeOf(await cluster.signIn('alice', 'a wrong password')), 'unauthorized')
})

test("another's device key is none", async (context) => {
  const cluster = await start(context)
  await cluster.user('bob')
  const { device } = (await cluster.signIn('bob')).json
  for (let count = 0; count < 5; count++) await cluster.signIn('alice', 'a wrong password', { device })
  assert.equal((await cluster.signIn('alice', PASSWORD, { device })).status, 429)
})

test('a session ends when it is not used for an hour, and after half a day however it is used', async (context) => {
  const cluster = await start(context)
  const { token: idle } = (await cluster.signIn('alice')).json
  const { token: busy } = (await cluster.signIn('alice')).json
  for (let passed = 0; passed < 11; passed++) {
    cluster.pass(HOUR_MS - 60_000)
    assert.equal((await whoami(cluster.h1, busy)).status, 200, `after ${passed} hours`)
    // That it is used is noted behind the answer.
    const { sessions } = cluster.backend.mirror.state
    for (let tries = 0; [...sessions.values()].every(({ value }) => value.usedAt < Date.now() + 60_000); tries++) {
      if (tries > 100) break
      await pause(5)
    }
    await pause(20)
  }
  assert.equal(codeOf(await whoami(cluster.h1, idle)), 'unauthorized')
  cluster.pass(HOUR_MS)
  cluster.pass(HOUR_MS)
  assert.equal(codeOf(await whoami(cluster.h1, busy)), 'unauthorized')
})

test('sessions are shown to their owner, who ends any of them; nobody ends those of others', async (context) => {
  const cluster = await start(context, 'GuestUser')
  await cluster.user('bob')
  const { h1, h2 } = cluster
  const [one, two] = [(await cluster.signIn('alice')).json.token, (await cluster.signIn('alice')).json.token]
  const ofBob = (await cluster.signIn('bob')).json.token
  const { items } = (await h1('GET', '/v1/auth/sessions', { token: one })).json
  assert.equal(items.length, 2)
  const other = items.find(({ current }: { current: boolean }) => !current)
  assert.equal((await h1('DELETE', `/v1/auth/sessions/${other.id}`, { token: ofBob })).status, 404)
  assert.equal((await whoami(h2, two)).status, 200)
  assert.equal((await h1('DELETE', `/v1/auth/sessions/${other.id}`, { token: one })).status, 204)
  assert.equal(codeOf(await whoami(h2, two)), 'unauthorized')
})

test('a user who is disabled, deleted, reset or sent away by an administrator is out at once on every host', async (context) => {
  const cluster = await start(context)
  const { backend, h2 } = cluster
  const user = 'bob'
  await cluster.user(user)
  const token = async () => (await cluster.signIn(user)).json.token as string
  const first = await token()
  await backend.must('user.end-sessions', { params: { user } })
  assert.equal(codeOf(await whoami(h2, first)), 'unauthorized')
  const second = await token()
  await backend.must('user.set', { params: { user }, body: { disabled: true } })
  assert.equal(codeOf(await whoami(h2, second)), 'unauthorized')
  await backend.must('user.set', { params: { user }, body: { disabled: false } })
  const third = await token()
  await backend.must('user.delete', { params: { user } })
  await backend.must('user.create', { body: { name: user } })
  assert.equal(codeOf(await whoami(h2, third)), 'unauthorized')
  assert.equal(codeOf(await cluster.signIn(user)), 'unauthorized')
})

test('an API token and root of a host have no session, and change nobody else’s password as their own', async (context) => {
  const cluster = await start(context)
  const made = await cluster.backend.must('token.create', { params: { user: 'alice' }, body: { name: 'ci' } })
  const body = { current: PASSWORD, next: 'another long one' }
  assert.equal(codeOf(await cluster.h1('PUT', '/v1/auth/password', { token: made.token, body })), 'forbidden')
  assert.equal(codeOf(await cluster.h1('GET', '/v1/auth/sessions', { token: made.token })), 'conflict')
})

test('a cookie is kept from scripts, from other sites and from other hosts', async (context) => {
  const cluster = await start(context)
  const { headers } = await cluster.signIn('alice', PASSWORD, { form: 'cookie' })
  for (const line of headers['set-cookie'] as string[])
    assert.match(line, /^__Host-stead-\w+=[\w.-]+; Max-Age=\d+; Path=\/; Secure; HttpOnly; SameSite=Strict$/)
})

test('with a cookie, changes need the token against forged requests; another session’s is none', async (context) => {
  const cluster = await start(context)
  const { cookies, headers } = await browser(cluster)
  const other = await browser(cluster)
  const create = (more: object) => cluster.h1('POST', '/v1/groups', { cookies, body: { name: 'staff' }, ...more })
  assert.equal((await cluster.h1('GET', '/v1/users', { cookies })).status, 200)
  assert.equal(codeOf(await create({})), 'forbidden')
  assert.equal(codeOf(await create({ headers: other.headers })), 'forbidden')
  assert.equal(codeOf(await create({ headers: { ...headers, origin: 'https://evil.example' } })), 'forbidden')
  assert.equal(codeOf(await create({ headers: { ...headers, origin: 'null' } })), 'forbidden')
  assert.equal((await create({ headers })).status, 201)
  const who = await cluster.h1('GET', '/v1/auth/whoami', { cookies })
  assert.equal(who.json.forgeryToken, headers['x-stead-forgery-token'])
})

test('the token against forged requests is told to pages of this cluster only', async (context) => {
  const cluster = await start(context)
  const { cookies, headers } = await browser(cluster)
  const told = async (more: Record<string, string>) => {
    const { status, json } = await cluster.h1('GET', '/v1/auth/whoami', { cookies, headers: more })
    return status === 200 ? json.forgeryToken : status
  }
  const own = `127.0.0.1:${cluster.ports[0]}`
  assert.equal(await told({ 'sec-fetch-site': 'same-origin' }), headers['x-stead-forgery-token'])
  assert.equal(await told({ host: own, origin: `https://${own}` }), headers['x-stead-forgery-token'])
  assert.equal(await told({ 'sec-fetch-site': 'cross-site' }), null)
  assert.equal(await told({ 'sec-fetch-site': 'same-site' }), null)
  assert.equal(await told({ origin: 'https://evil.example' }), null)
})

test('a page of another site signs nobody in', async (context) => {
  const cluster = await start(context)
  const answer = await cluster.signIn(
    'alice',
    PASSWORD,
    { form: 'cookie' },
    { headers: { origin: 'https://evil.example' } },
  )
  assert.deepEqual([codeOf(answer), answer.cookies], ['forbidden', {}])
})

test('a session that a browser had before signing in is none afterwards, and a cookie is no bearer token', async (context) => {
  const cluster = await start(context)
  await cluster.user('mallory')
  const planted = (await browser(cluster, 'mallory')).cookies
  const signed = await cluster.signIn('alice', PASSWORD, { form: 'cookie' }, { cookies: planted })
  assert.notEqual(signed.cookies[SESSION], planted[SESSION])
  assert.equal(codeOf(await cluster.h1('GET', '/v1/auth/whoami', { cookies: planted })), 'unauthorized')
  const made = { [SESSION]: `stead-session-${'A'.repeat(43)}` }
  const again = await cluster.signIn('alice', PASSWORD, { form: 'cookie' }, { cookies: made })
  assert.notEqual(again.cookies[SESSION], made[SESSION])
  assert.equal(codeOf(await whoami(cluster.h1, signed.cookies[SESSION] ?? '')), 'unauthorized')
  const { token } = (await cluster.signIn('alice')).json
  assert.equal(codeOf(await cluster.h1('GET', '/v1/auth/whoami', { cookies: { [SESSION]: token } })), 'unauthorized')
})

test('a stream that is open ends with the session, also on another host', { timeout: 20_000 }, async (context) => {
  const cluster = await start(context)
  const { token } = (await cluster.signIn('alice')).json
  const request = get({
    ...{ host: '127.0.0.1', port: cluster.ports[1], path: '/v1/events?follow=true', agent: false },
    headers: { authorization: `Bearer ${token}` },
  })
  const [response] = (await once(request, 'response')) as [IncomingMessage]
  assert.equal(response.statusCode, 200)
  response.resume()
  const ended = once(response, 'end')
  await cluster.h1('POST', '/v1/auth/sign-out', { token })
  await ended
})

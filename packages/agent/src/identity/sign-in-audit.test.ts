import assert from 'node:assert/strict'
import { test } from 'node:test'
import { PASSWORD, SignInCluster } from './sign-in-fixture.ts'

/** What the audit tells of signing in, the oldest first. */
async function told(cluster: SignInCluster) {
  // It is written after the answer.
  for (let tries = 0; tries < 50; tries++) await new Promise((resolve) => setImmediate(resolve))
  const found = await cluster.backend.store.range('/stead/audit/')
  assert.ok(found.ok)
  return found.value.entries
    .map(({ value }) => JSON.parse(value))
    .filter(({ what }) => what === 'auth.sign-in')
    .map(({ kind, who, from, subject, message }) => ({ kind, who, from, subject, message }))
}

test('who comes in is told with how he has, who is refused with why, though he himself is not', async (context) => {
  const cluster = await SignInCluster.start(context)
  await cluster.user('alice')
  const before = (await told(cluster)).length
  await cluster.signIn('alice')
  const wrong = await cluster.signIn('alice', 'not the right one')
  await cluster.signIn('stranger', 'whatever it is')
  await cluster.backend.must('user.set', { params: { user: 'alice' }, body: { disabled: true } })
  const disabled = await cluster.signIn('alice')
  assert.deepEqual(disabled.json, wrong.json)
  const alice = { from: '127.0.0.1', subject: 'user/alice' }
  const denied = { kind: 'denial', who: 'nobody', from: '127.0.0.1' }
  assert.deepEqual((await told(cluster)).slice(before), [
    { kind: 'action', who: 'alice', ...alice, message: 'by the password' },
    { ...denied, ...alice, message: 'the password is wrong' },
    { ...denied, subject: 'user/stranger', message: 'there is no user stranger' },
    { ...denied, ...alice, message: 'alice is disabled' },
  ])
})

test('one-time passwords, codes, and being slowed down are told, and no secret is', async (context) => {
  const cluster = await SignInCluster.start(context)
  await cluster.user('alice')
  assert.match((await told(cluster))[0]?.message, /one-time password/)
  const { token } = (await cluster.signIn('alice')).json
  const { secret } = (await cluster.h1('POST', '/v1/auth/second-factors/totp', { token })).json
  await cluster.h1('PUT', '/v1/auth/second-factors/totp', { token, body: { code: cluster.codeOf(secret) } })
  const before = (await told(cluster)).length
  const { pending } = (await cluster.signIn('alice')).json
  const show = (code: string) => cluster.h1('POST', '/v1/auth/second-factor', { body: { pending, code } })
  await show('000000')
  await show(cluster.codeOf(secret, 1))
  for (let count = 0; count < 6; count++) await cluster.signIn('alice', 'not the right one')
  const messages = (await told(cluster)).slice(before).map(({ message }) => message)
  assert.deepEqual(messages.slice(0, 2), ['the code is wrong', 'by a second factor: app'])
  assert.match(messages.at(-1), /too many have failed: \d+ s to wait/)
  const all = JSON.stringify((await cluster.backend.store.range('/stead/audit/')) as object, (_key, value) =>
    typeof value === 'bigint' ? String(value) : value,
  )
  for (const hidden of [PASSWORD, 'not the right one', secret, pending, token]) assert.ok(!all.includes(hidden))
})

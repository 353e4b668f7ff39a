import assert from 'node:assert/strict'
import { test } from 'node:test'
import { terminalWith } from '../terminal-fixture.ts'

const USER = {
  ...{ name: 'alice', realm: 'local', fullName: '', email: '', disabled: true, expiresAt: null },
  ...{ groups: ['staff'], tokens: 1, createdAt: '2026-01-01T00:00:00.000Z', revision: '1' },
}
const GRANTED = {
  id: 'p1',
  subject: { kind: 'user', name: 'alice' },
  role: 'GuestUser',
  path: '/guests/web',
  propagate: true,
}

test('permission grant says to whom, and below only when it is meant', async (context) => {
  const { run } = await terminalWith(context, { 'POST /v1/permissions': GRANTED })
  const seen = await run('permission', 'grant', '/guests/web', 'GuestUser', '--user', 'alice')
  await run('permission', 'grant', '/', 'Auditor', '--token', 'alice!ci', '--no-propagate')
  assert.deepEqual(
    seen.sent.map(({ body }) => JSON.parse(body)),
    [
      { subject: { kind: 'user', name: 'alice' }, role: 'GuestUser', path: '/guests/web', propagate: true },
      { subject: { kind: 'token', name: 'alice!ci' }, role: 'Auditor', path: '/', propagate: false },
    ],
  )
  assert.match(seen.stdout, /^user alice has the role GuestUser on \/guests\/web\n/)
})

for (const argv of [
  ['permission', 'grant', '/', 'Auditor'],
  ['permission', 'grant', '/', 'Auditor', '--user', 'a', '--group', 'b'],
  ['role', 'create', 'Viewer', '--privileges', 'guest.look'],
  ['auth', 'explain', 'alice', '/', 'everything'],
  ['user', 'set', 'alice', '--disable', '--enable'],
]) {
  test(`${argv.join(' ')} is refused before anything is sent`, async (context) => {
    const { run } = await terminalWith(context, {})
    const seen = await run(...argv)
    assert.equal(seen.exitCode, 2)
    assert.equal(seen.sent.length, 0)
  })
}

test('user set sends what was said, and nothing else', async (context) => {
  const { run } = await terminalWith(context, { 'PATCH /v1/users/alice': USER })
  const seen = await run('user', 'set', 'alice', '--disable', '--no-expires')
  await run('user', 'set', 'alice', '--full-name', 'Alice B')
  assert.deepEqual(
    seen.sent.map(({ body }) => JSON.parse(body)),
    [{ expiresAt: null, disabled: true }, { fullName: 'Alice B' }],
  )
  assert.match(seen.stdout, /state: +disabled/)
})

test('a token goes to stdout alone, so that it can be piped', async (context) => {
  const token = { user: 'alice', name: 'ci', separated: true, expiresAt: null, createdAt: '', token: 'stead-x' }
  const { run } = await terminalWith(context, { 'POST /v1/users/alice/tokens': token })
  const seen = await run('token', 'create', 'alice', 'ci', '--separated')
  assert.equal(seen.stdout, 'stead-x\n')
  assert.match(seen.stderr, /shown this once/)
  assert.deepEqual(JSON.parse(seen.sent[0]?.body ?? ''), { name: 'ci', separated: true })
})

test('auth explain says yes or no, and why', async (context) => {
  const because = 'the user alice has the role GuestUser on /guests/web, which does not include guest.delete'
  const answer = { principal: 'alice', privilege: 'guest.delete', path: '/guests/web', allowed: false, because }
  const { run } = await terminalWith(context, {
    'GET /v1/auth/explanation': { ...answer, permission: null, groups: [] },
  })
  const seen = await run('auth', 'explain', 'alice', '/guests/web', 'guest.delete')
  assert.equal(seen.stdout, `no: alice lacks guest.delete on /guests/web, since ${because}\n`)
})

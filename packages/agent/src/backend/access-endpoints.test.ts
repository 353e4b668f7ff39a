import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { ClusterFixture } from '@stead/core/ha/cluster-fixture.ts'
import type { ClusterEvent } from '@stead/core/model/event.ts'
import { KEYS } from '@stead/core/model/keys.ts'
import type { Principal } from '@stead/core/model/access.ts'
import { TokenOwners } from '../access/token-owners.ts'
import { realClock } from '../real-clock.ts'
import { TestBackend } from './backend-fixture.ts'

const alice: Principal = { kind: 'user', name: 'alice' }
const bob: Principal = { kind: 'user', name: 'bob' }

async function start(context: TestContext) {
  const cluster = new ClusterFixture(3)
  cluster.guest('web')
  cluster.guest('db')
  const backend = await TestBackend.start(context, cluster)
  for (const name of ['alice', 'bob']) await backend.must('user.create', { body: { name } })
  return backend
}

function grant(backend: TestBackend, who: string, role: string, path: string, propagate = true) {
  const [kind, name] = who.split(':')
  return backend.must('permission.grant', { body: { subject: { kind, name }, role, path, propagate } })
}

const codeOf = (answer: { ok: boolean; error?: { code: string } }) => (answer.ok ? 'ok' : answer.error?.code)

test('a new user may nothing; a role on a guest opens that guest, by its name', async (context) => {
  const backend = await start(context)
  const show = (guest: string) => backend.call('guest.show', { params: { guest } }, { principal: alice })
  assert.equal(codeOf(await show('web')), 'not_found')
  const permission = await grant(backend, 'user:alice', 'GuestUser', '/guests/web')
  assert.equal(permission.path, '/guests/web')
  assert.equal(backend.mirror.state.permissions.get(permission.id)?.value.path, '/guests/guest-web')
  assert.equal(codeOf(await show('web')), 'ok')
  assert.equal(codeOf(await show('db')), 'not_found')
  const listed = await backend.call('guest.list', {}, { principal: alice })
  assert.deepEqual(listed.ok && listed.value.items.map(({ name }) => name), ['web'])
})

test('who sees a guest but may not change it is told what he lacks, and on what', async (context) => {
  const backend = await start(context)
  await grant(backend, 'user:alice', 'GuestUser', '/guests/web')
  const refused = await backend.call('guest.delete', { params: { guest: 'web' } }, { principal: alice })
  assert.ok(!refused.ok)
  assert.equal(refused.error.code, 'forbidden')
  assert.equal(
    refused.error.message,
    'alice needs guest.delete on /guests/web: the user alice has the role GuestUser on /guests/web, which does not include guest.delete',
  )
  assert.match(refused.error.hint ?? '', /stead permission grant \/guests\/web ROLE --user alice/)
})

test('groups give their members what they have, until they leave', async (context) => {
  const backend = await start(context)
  await backend.must('group.create', { body: { name: 'staff', members: ['alice'] } })
  await grant(backend, 'group:staff', 'Auditor', '/')
  const list = (principal: Principal) => backend.call('host.list', {}, { principal })
  const count = async (principal: Principal) => {
    const answer = await list(principal)
    return answer.ok ? answer.value.items.length : answer.error.code
  }
  assert.deepEqual([await count(alice), await count(bob)], [3, 0])
  await backend.must('group.set', { params: { group: 'staff' }, body: { remove: ['alice'], add: ['bob'] } })
  assert.deepEqual([await count(alice), await count(bob)], [0, 3])
  await backend.must('group.delete', { params: { group: 'staff' } })
  assert.equal(await count(bob), 0)
  assert.equal(backend.mirror.state.permissions.size, 0)
})

test('own roles count; one that is in use stays, and so do those that come with Stead', async (context) => {
  const backend = await start(context)
  await backend.must('role.create', { body: { name: 'Viewer', privileges: ['guest.view', 'guest.view'] } })
  const { id } = await grant(backend, 'user:alice', 'Viewer', '/projects/default')
  assert.equal((await backend.must('guest.list')).items.length, 2)
  const remove = (role: string) => ({ params: { role } })
  assert.equal((await backend.refused('role.delete', remove('Viewer'))).code, 'conflict')
  await backend.must('permission.revoke', { params: { permission: id } })
  await backend.must('role.delete', remove('Viewer'))
  assert.equal((await backend.refused('role.delete', remove('Auditor'))).code, 'conflict')
  const roles = (await backend.must('role.list')).items.filter(({ builtIn }) => !builtIn)
  assert.deepEqual(roles, [])
})

for (const [what, body] of [
  ['an unknown user', { subject: { kind: 'user', name: 'eve' }, role: 'Auditor', path: '/' }],
  ['an unknown group', { subject: { kind: 'group', name: 'alice' }, role: 'Auditor', path: '/' }],
  ['an unknown token', { subject: { kind: 'token', name: 'alice!ci' }, role: 'Auditor', path: '/' }],
  ['an unknown role', { subject: { kind: 'user', name: 'alice' }, role: 'auditor', path: '/' }],
  ['an unknown guest', { subject: { kind: 'user', name: 'alice' }, role: 'Auditor', path: '/guests/none' }],
  ['an unknown host', { subject: { kind: 'user', name: 'alice' }, role: 'Auditor', path: '/hosts/h9' }],
  ['no path', { subject: { kind: 'user', name: 'alice' }, role: 'Auditor', path: 'guests/web' }],
  ['a path of no object', { subject: { kind: 'user', name: 'alice' }, role: 'Auditor', path: '/hosts/h1/x' }],
] as const) {
  test(`a permission for ${what} is refused, and nothing is written`, async (context) => {
    const backend = await start(context)
    assert.equal((await backend.refused('permission.grant', { body })).code, 'not_found')
    assert.equal(backend.mirror.state.permissions.size, 0)
  })
}

test('the same permission is given once', async (context) => {
  const backend = await start(context)
  await grant(backend, 'user:alice', 'Auditor', '/')
  const body = { subject: { kind: 'user', name: 'alice' }, role: 'Auditor', path: '/', propagate: false }
  assert.equal((await backend.refused('permission.grant', { body })).code, 'name_taken')
})

test('the last administrator cannot take the cluster from everybody, by no way', async (context) => {
  const backend = await start(context)
  await backend.must('group.create', { body: { name: 'admins', members: ['alice'] } })
  const { id } = await grant(backend, 'group:admins', 'Administrator', '/')
  const tries = [
    backend.call('permission.revoke', { params: { permission: id } }, { principal: alice }),
    backend.call('user.delete', { params: { user: 'alice' } }, { principal: alice }),
    backend.call('user.set', { params: { user: 'alice' }, body: { disabled: true } }, { principal: alice }),
    backend.call('group.set', { params: { group: 'admins' }, body: { remove: ['alice'] } }, { principal: alice }),
    backend.call('group.delete', { params: { group: 'admins' } }, { principal: alice }),
  ]
  for (const answer of await Promise.all(tries)) assert.equal(codeOf(answer), 'conflict')
  await backend.must('group.set', { params: { group: 'admins' }, body: { add: ['bob'] } })
  assert.equal(codeOf(await backend.call('user.delete', { params: { user: 'alice' } }, { principal: alice })), 'ok')
})

test('two administrators who remove each other at once leave one', async (context) => {
  const backend = await start(context)
  for (const name of ['alice', 'bob']) await grant(backend, `user:${name}`, 'Administrator', '/')
  const answers = await Promise.all([
    backend.call('user.delete', { params: { user: 'bob' } }, { principal: alice }),
    backend.call('user.delete', { params: { user: 'alice' } }, { principal: bob }),
  ])
  assert.equal(answers.filter(({ ok }) => ok).length, 1)
  assert.equal(backend.mirror.state.users.size, 1)
})

test('a token is shown once, is known by its digest alone, and ends with its record', async (context) => {
  const backend = await start(context)
  await grant(backend, 'user:alice', 'Auditor', '/')
  const made = await backend.must('token.create', { params: { user: 'alice' }, body: { name: 'ci' } })
  assert.match(made.token, /^stead-[\w-]{43}$/)
  const everything = await backend.store.range('/')
  assert.ok(everything.ok && !JSON.stringify(everything.value.entries.map(({ value }) => value)).includes(made.token))
  assert.ok(!JSON.stringify(await backend.must('token.list')).includes(made.token))
  const owners = new TokenOwners({ store: backend.store, mirror: backend.mirror, clock: realClock })
  const owner = await owners.ownerOf(made.token)
  assert.deepEqual(owner, { ok: true, value: { kind: 'token', user: 'alice', name: 'ci' } })
  assert.equal(
    codeOf(await owners.ownerOf(`${made.token.slice(0, -1)}${made.token.endsWith('A') ? 'B' : 'A'}`)),
    'unauthorized',
  )
  await backend.must('token.revoke', { params: { user: 'alice', token: 'ci' } })
  assert.equal(codeOf(await owners.ownerOf(made.token)), 'unauthorized')
  const again = await backend.must('token.create', { params: { user: 'alice' }, body: { name: 'ci' } })
  assert.equal(codeOf(await owners.ownerOf(made.token)), 'unauthorized')
  assert.equal(codeOf(await owners.ownerOf(again.token)), 'ok')
})

test('a token whose request is repeated is not shown again', async (context) => {
  const backend = await start(context)
  const ask = () =>
    backend.call('token.create', { params: { user: 'alice' }, body: { name: 'ci' } }, { idempotencyKey: 'k' })
  assert.deepEqual([codeOf(await ask()), codeOf(await ask())], ['ok', 'name_taken'])
})

test('a user who is deleted leaves no token, no permission, no membership and no secret', async (context) => {
  const backend = await start(context)
  await backend.must('group.create', { body: { name: 'staff', members: ['alice', 'bob'] } })
  await backend.must('token.create', { params: { user: 'alice' }, body: { name: 'ci', separated: true } })
  for (const who of ['user:alice', 'token:alice!ci', 'user:bob']) await grant(backend, who, 'Auditor', '/')
  await backend.must('user.delete', { params: { user: 'alice' } })
  const { users, groups, tokens, permissions } = backend.mirror.state
  assert.deepEqual([[...users.keys()], tokens.size], [['bob'], 0])
  assert.deepEqual(groups.get('staff')?.value.members, ['bob'])
  assert.deepEqual(
    [...permissions.values()].map(({ value }) => value.subject.name),
    ['bob'],
  )
  const secrets = await backend.store.range('/stead-secrets/')
  assert.deepEqual(secrets.ok && secrets.value.entries, [])
})

test('who asks is told who he is, and an administrator why somebody may', async (context) => {
  const backend = await start(context)
  await grant(backend, 'user:alice', 'GuestUser', '/guests/web')
  const who = await backend.call('auth.whoami', {}, { principal: alice })
  assert.deepEqual(who.ok && [who.value.kind, who.value.name], ['user', 'alice'])
  const explain = (privilege: string) =>
    backend.must('auth.explain', { query: { principal: 'alice', path: '/guests/web', privilege } })
  assert.equal((await explain('guest.operate')).allowed, true)
  const refused = await explain('guest.delete')
  assert.equal(refused.allowed, false)
  assert.equal(
    refused.because,
    'the user alice has the role GuestUser on /guests/web, which does not include guest.delete',
  )
  assert.equal(
    codeOf(
      await backend.call(
        'auth.explain',
        { query: { principal: 'alice', path: '/', privilege: 'guest.view' } },
        { principal: alice },
      ),
    ),
    'forbidden',
  )
})

test('everybody may ask what he may do himself; what is hidden from him looks as if it were not there', async (context) => {
  const backend = await start(context)
  await grant(backend, 'user:alice', 'GuestUser', '/guests/web')
  const privilegesOf = async (path: string, principal = alice) => {
    const answer = await backend.call('auth.privileges', { query: { path } }, { principal })
    assert.ok(answer.ok)
    return answer.value.privileges
  }
  const { items } = await backend.must('role.list')
  const own = items.find(({ name }) => name === 'GuestUser')?.privileges
  assert.deepEqual(new Set(await privilegesOf('/guests/web')), new Set(own))
  assert.deepEqual(await privilegesOf('/'), [])
  assert.deepEqual(await privilegesOf('/guests/db'), await privilegesOf('/guests/nowhere'))
  assert.deepEqual(await privilegesOf('/guests/web', bob), [])
})

test('a container whose root is the root of its host needs more than the right to create guests', async (context) => {
  const backend = await start(context)
  await grant(backend, 'user:alice', 'ProjectAdmin', '/projects/default')
  const body = (privileged: boolean) => ({
    ...{ name: 'ct', memoryBytes: 2 ** 27, disks: [{ sizeBytes: 2 ** 30 }], boot: { kind: 'container' } },
    container: { template: 'tiny', privileged },
  })
  const refused = await backend.call('guest.create', { body: body(true) }, { principal: alice })
  // The template is asked for first, and he sees none.
  assert.equal(codeOf(refused), 'not_found')
  await backend.must('role.create', { body: { name: 'ImageUser', privileges: ['image.view'] } })
  await grant(backend, 'user:alice', 'ImageUser', '/')
  const still = await backend.call('guest.create', { body: body(true) }, { principal: alice })
  assert.ok(!still.ok && still.error.message.startsWith('alice needs cluster.configure on /'), JSON.stringify(still))
})

test('what a change would do, which tells of other guests, is for those who see the cluster', async (context) => {
  const backend = await start(context)
  await grant(backend, 'user:alice', 'GuestUser', '/guests/web')
  const stop = { params: { guest: 'web' }, body: {} }
  assert.equal(codeOf(await backend.call('guest.stop', stop, { principal: alice, whatIf: true })), 'forbidden')
})

const EVENT = { time: '2026-01-01T00:00:00.000Z', monotonicMs: 0, kind: 'guest.changed', message: 'x', host: 'h1' }

test('events are told to those who see what they are about, also while they are followed', async (context) => {
  const backend = await start(context)
  await grant(backend, 'user:alice', 'ProjectAdmin', '/guests/web')
  const following = await backend.call('event.list', { query: { follow: 'true' } }, { principal: alice })
  assert.ok(following.ok)
  const seen = (following.value as unknown as AsyncIterable<ClusterEvent>)[Symbol.asyncIterator]()
  const first = seen.next()
  const tell = (id: string, subject: string) =>
    backend.store.transact({
      compares: [],
      writes: [{ kind: 'put', key: KEYS.event(id), value: JSON.stringify({ ...EVENT, id, subject }) }],
    })
  for (const [id, subject] of [
    ['1', 'guest/db'],
    ['2', 'cluster'],
    ['3', 'guest/web'],
  ] as const)
    await tell(id, subject)
  const told = await Promise.race([first, realClock.sleep(5_000)])
  assert.equal(told?.value?.subject, 'guest/web')
  const all = backend.events().map(({ subject }) => subject)
  assert.ok(all.includes('guest/db') && all.includes('cluster'), all.join())
  const listed = await backend.call('event.list', {}, { principal: alice })
  assert.deepEqual(listed.ok && listed.value.items.map(({ subject }) => subject), ['guest/web'])
})

/** Who administers a project gives others what he has, there and nowhere else. */
import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { ClusterFixture } from '@stead/core/ha/cluster-fixture.ts'
import type { Principal } from '@stead/core/model/access.ts'
import type { BackendId } from '../http/backend.ts'
import { TestBackend } from './backend-fixture.ts'

const user = (name: string): Principal => ({ kind: 'user', name })
const alice = user('alice')
const shop = { project: 'shop' }

/** `web` and `db` are of shop, `mail` is not; alice administers shop and may name its people: bob and carol. */
async function start(context: TestContext) {
  const cluster = new ClusterFixture(3)
  for (const name of ['web', 'db']) cluster.guest(name, { project: 'shop' })
  cluster.guest('mail')
  const backend = await TestBackend.start(context, cluster)
  for (const name of ['alice', 'bob', 'carol', 'dora']) await backend.must('user.create', { body: { name } })
  await backend.must('group.create', { body: { name: 'shop-people', members: ['bob', 'carol'] } })
  await backend.must('project.create', { body: { name: 'shop', people: ['shop-people'] } })
  await backend.must('permission.grant', {
    body: { subject: { kind: 'user', name: 'alice' }, role: 'ProjectAdmin', path: '/projects/shop' },
  })
  const as = async (principal: Principal, id: BackendId, input: object) => {
    const answer = await backend.call(id, input, { principal })
    return answer.ok ? 'ok' : answer.error.code
  }
  const give = (name: string, role: string, more: object = {}, principal = alice) =>
    backend.call(
      'delegation.grant',
      { params: shop, body: { subject: { kind: 'user', name }, role, ...more } },
      { principal },
    )
  const given = async (...input: Parameters<typeof give>) => {
    const answer = await give(...input)
    assert.ok(answer.ok, JSON.stringify(answer))
    return answer.value
  }
  const refused = async (...input: Parameters<typeof give>) => {
    const answer = await give(...input)
    assert.ok(!answer.ok, 'it was given')
    return answer.error
  }
  const sees = async (name: string) => {
    const answer = await backend.call('guest.list', {}, { principal: user(name) })
    assert.ok(answer.ok)
    return answer.value.items.map((guest) => guest.name).toSorted()
  }
  return { backend, as, give, given, refused, sees }
}

test('what was given on the project opens its guests and no others, until it is taken back', async (context) => {
  const { as, given, sees } = await start(context)
  const { id, path, delegated } = await given('bob', 'GuestUser')
  assert.deepEqual([path, delegated], ['/projects/shop', { project: 'shop', by: 'alice' }])
  assert.deepEqual(await sees('bob'), ['db', 'web'])
  assert.equal(await as(user('bob'), 'guest.delete', { params: { guest: 'web' } }), 'forbidden')
  assert.equal(await as(alice, 'delegation.revoke', { params: { ...shop, permission: id } }), 'ok')
  assert.deepEqual(await sees('bob'), [])
})

test('on one guest, for as long as it is in the project', async (context) => {
  const { backend, given, refused, sees } = await start(context)
  const { path } = await given('bob', 'GuestUser', { guest: 'web' })
  assert.equal(path, '/guests/web')
  assert.deepEqual(await sees('bob'), ['web'])
  await backend.must('guest.assign', { params: { guest: 'web' }, body: { project: 'default' } })
  assert.deepEqual(await sees('bob'), [])
  await backend.must('guest.assign', { params: { guest: 'web' }, body: { project: 'shop' } })
  assert.deepEqual(await sees('bob'), ['web'])
  for (const guest of ['mail', 'none']) assert.equal((await refused('bob', 'GuestUser', { guest })).code, 'not_found')
})

test('explain says who has given it', async (context) => {
  const { backend, given } = await start(context)
  await given('bob', 'GuestUser', { guest: 'web' })
  const query = { principal: 'bob', path: '/guests/web', privilege: 'guest.operate' }
  const { allowed, because, permission } = await backend.must('auth.explain', { query })
  assert.equal(allowed, true)
  assert.equal(because, 'the user bob has the role GuestUser on /guests/web (given by alice)')
  assert.deepEqual(permission?.delegated, { project: 'shop', by: 'alice' })
  const lacking = await backend.must('auth.explain', { query: { ...query, privilege: 'guest.delete' } })
  assert.match(lacking.because, /given by alice\), which does not include guest\.delete/)
})

test('never more than one has: not a wider role, and nothing on a guest where one has less', async (context) => {
  const { backend, given, refused } = await start(context)
  const wide = await refused('bob', 'Administrator')
  assert.deepEqual(
    [wide.code, wide.message],
    ['forbidden', 'The role Administrator includes cluster.view, which alice lacks on /projects/shop'],
  )
  await backend.must('permission.grant', {
    body: { subject: { kind: 'user', name: 'alice' }, role: 'NoAccess', path: '/guests/db' },
  })
  assert.match((await refused('bob', 'GuestUser')).message, /alice lacks on \/guests\/db/)
  await given('bob', 'GuestUser', { guest: 'web' })
})

test('who was given the right to give has the same limits, and cannot touch what an administrator has said', async (context) => {
  const { backend, as, given, refused } = await start(context)
  await backend.must('role.create', {
    body: { name: 'Helper', privileges: ['guest.view', 'project.delegate', 'project.view'] },
  })
  await backend.must('role.create', { body: { name: 'Viewer', privileges: ['guest.view'] } })
  const toBob = await given('bob', 'Helper')
  const toCarol = await given('carol', 'GuestUser')
  const bob = user('bob')
  assert.match((await refused('carol', 'GuestUser', {}, bob)).message, /guest\.operate, which bob lacks/)
  assert.equal((await given('carol', 'Viewer', {}, bob)).delegated?.by, 'bob')
  const revoke = (principal: Principal, permission: string) =>
    as(principal, 'delegation.revoke', { params: { ...shop, permission } })
  assert.equal(await revoke(bob, toCarol.id), 'forbidden')
  const { items } = await backend.must('permission.list')
  const ofAlice = items.find(({ subject }) => subject.name === 'alice')!
  assert.equal(await revoke(bob, ofAlice.id), 'forbidden')
  assert.equal(await revoke(alice, ofAlice.id), 'forbidden')
  assert.equal(await revoke(alice, toBob.id), 'ok')
  assert.equal((await refused('carol', 'Viewer', {}, bob)).code, 'not_found', 'he does not even see the project')
})

test('whom the project does not name cannot be told from who does not exist', async (context) => {
  const { backend, refused } = await start(context)
  const [dora, nobody] = [await refused('dora', 'GuestUser'), await refused('nobody', 'GuestUser')]
  assert.equal(dora.code, 'not_found')
  assert.equal(dora.message.replace('dora', 'nobody'), nobody.message)
  const answer = await backend.call('delegation.grantable', { params: shop }, { principal: alice })
  assert.ok(answer.ok)
  assert.deepEqual(
    answer.value.subjects.map(({ name }) => name),
    ['bob', 'carol', 'shop-people'],
  )
  assert.deepEqual(
    answer.value.roles.map(({ name }) => name),
    ['ProjectAdmin', 'GuestUser'],
  )
  assert.equal((await backend.refused('group.delete', { params: { group: 'shop-people' } })).code, 'conflict')
})

test('a group may be named, and whoever comes into it later has what it was given', async (context) => {
  const { backend, sees } = await start(context)
  const body = { subject: { kind: 'group', name: 'shop-people' }, role: 'GuestUser' }
  const answer = await backend.call('delegation.grant', { params: shop, body }, { principal: alice })
  assert.ok(answer.ok)
  assert.deepEqual(await sees('dora'), [])
  await backend.must('group.set', { params: { group: 'shop-people' }, body: { add: ['dora'] } })
  assert.deepEqual(await sees('dora'), ['db', 'web'])
})

test('the list shows all that is said of the project and its guests to those who see permissions there', async (context) => {
  const { backend, as, given } = await start(context)
  await given('bob', 'GuestUser', { guest: 'web' })
  await backend.must('permission.grant', {
    body: { subject: { kind: 'user', name: 'dora' }, role: 'GuestUser', path: '/guests/mail' },
  })
  const answer = await backend.call('delegation.list', { params: shop }, { principal: alice })
  assert.ok(answer.ok)
  const shown = answer.value.items.map(({ subject, path, delegated }) => `${subject.name} ${path} ${delegated?.by}`)
  assert.deepEqual(shown.toSorted(), ['alice /projects/shop undefined', 'bob /guests/web alice'])
  assert.equal(await as(user('bob'), 'delegation.list', { params: shop }), 'not_found')
  assert.equal(await as(alice, 'delegation.list', { params: { project: 'default' } }), 'not_found')
})

test('giving, taking back and what was refused are in the audit', async (context) => {
  const { backend, as, given, refused } = await start(context)
  const { id } = await given('bob', 'GuestUser')
  await refused('bob', 'Administrator')
  await as(alice, 'delegation.revoke', { params: { ...shop, permission: id } })
  const told = async () => {
    const { items } = await backend.must('audit.list', { query: {} })
    return items.filter(({ who }) => who === 'alice').map(({ kind, what }) => `${kind} ${what}`)
  }
  // A denial is written a moment after its answer.
  for (let tries = 0; tries < 200 && (await told()).length < 3; tries++)
    await new Promise((resolve) => setTimeout(resolve, 10))
  assert.deepEqual((await told()).toSorted(), [
    'change delegation.grant',
    'change delegation.revoke',
    'denial delegation.grant',
  ])
})

test('of a project that is deleted nothing is left that another one of its name would have', async (context) => {
  const { backend, given } = await start(context)
  await given('bob', 'GuestUser', { guest: 'web' })
  for (const guest of ['web', 'db'])
    await backend.must('guest.assign', { params: { guest }, body: { project: 'default' } })
  await backend.must('project.delete', { params: shop })
  assert.deepEqual([...backend.mirror.state.permissions.values()], [])
})

test('a right that is taken away while somebody gives it on is not given: of both one comes first', async (context) => {
  const { backend, give } = await start(context)
  const other = await backend.onHost(context, 'h2')
  const { items } = await backend.must('permission.list')
  const permission = items.find(({ subject }) => subject.name === 'alice')!.id
  const [revoked, gift] = await Promise.all([
    other.call('permission.revoke', { params: { permission } }),
    give('bob', 'ProjectAdmin'),
  ])
  assert.ok(revoked.ok)
  const later = await give('carol', 'GuestUser')
  assert.equal(later.ok, false)
  if (!gift.ok) assert.ok(['forbidden', 'not_found'].includes(gift.error.code), gift.error.message)
})

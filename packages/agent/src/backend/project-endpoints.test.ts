/** Tenants: what belongs to whom, and what that means for those who have roles on a project. */
import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { ClusterFixture } from '@stead/core/ha/cluster-fixture.ts'
import { KEYS } from '@stead/core/model/keys.ts'
import type { Principal } from '@stead/core/model/access.ts'
import { realClock } from '../real-clock.ts'
import { TestBackend } from './backend-fixture.ts'

const alice: Principal = { kind: 'user', name: 'alice' }
const image = { blob: `sha256:${'0'.repeat(64)}`, format: 'raw', virtualSizeBytes: 2 ** 20, createdAt: 0 }

/** `web` and `db` are of the default project, `shop` is empty; alice administers `shop`. */
async function start(context: TestContext) {
  const cluster = new ClusterFixture(3)
  cluster.guestWithDisk('web', ['h1', 'h2'])
  cluster.guest('db')
  const backend = await TestBackend.start(context, cluster)
  await backend.put(KEYS.image('debian'), { name: 'debian', ...image })
  await backend.must('user.create', { body: { name: 'alice' } })
  await backend.must('project.create', { body: { name: 'shop', notes: 'a tenant' } })
  await grant(backend, 'ProjectAdmin', '/projects/shop')
  return backend
}

function grant(backend: TestBackend, role: string, path: string) {
  return backend.must('permission.grant', { body: { subject: { kind: 'user', name: 'alice' }, role, path } })
}

const boot = { kind: 'kernel', kernel: `sha256:${'1'.repeat(64)}` }
const guest = (name: string, project?: string) => ({
  body: { name, memoryBytes: 2 ** 27, boot, nic: false, ...(project ? { project } : {}) },
})

async function asAlice(backend: TestBackend, id: Parameters<TestBackend['call']>[0], input: object = {}) {
  const answer = await backend.call(id, input, { principal: alice })
  return answer.ok ? answer.value : answer.error.code
}

async function listedFor(backend: TestBackend, id: Parameters<TestBackend['call']>[0]): Promise<string[]> {
  const answer = (await asAlice(backend, id)) as { items: readonly { name?: string; id: string; subject: string }[] }
  return answer.items.map(({ name, id: own, subject }) => name ?? subject ?? own)
}

test('the default project is always there, and others come and go', async (context) => {
  const backend = await start(context)
  const names = async () => (await backend.must('project.list')).items.map(({ name, usage }) => [name, usage.guests])
  assert.deepEqual(await names(), [
    ['default', 2],
    ['shop', 0],
  ])
  assert.equal((await backend.refused('project.create', { body: { name: 'shop' } })).code, 'name_taken')
  assert.equal((await backend.refused('project.delete', { params: { project: 'default' } })).code, 'conflict')
  await backend.must('project.delete', { params: { project: 'shop' } })
  assert.deepEqual(await names(), [['default', 2]])
  assert.deepEqual([...backend.mirror.state.permissions.values()], [])
})

test('who administers a project makes guests there, and sees no others', async (context) => {
  const backend = await start(context)
  assert.equal(await asAlice(backend, 'guest.create', guest('mine')), 'forbidden')
  assert.notEqual(typeof (await asAlice(backend, 'guest.create', guest('mine', 'shop'))), 'string')
  assert.deepEqual(await listedFor(backend, 'guest.list'), ['mine'])
  assert.deepEqual(await listedFor(backend, 'project.list'), ['shop'])
  assert.equal((await backend.must('guest.show', { params: { guest: 'mine' } })).project, 'shop')
  const of = await backend.must('guest.list', { query: { project: 'default' } })
  assert.deepEqual(
    of.items.map(({ name }) => name),
    ['db', 'web'],
  )
  assert.equal((await backend.refused('guest.create', guest('x', 'none'))).code, 'not_found')
})

test('a guest that comes to a project is seen there with its volumes, and what was permitted on itself stays', async (context) => {
  const backend = await start(context)
  await backend.must('user.create', { body: { name: 'bob' } })
  await backend.must('permission.grant', {
    body: { subject: { kind: 'user', name: 'bob' }, role: 'GuestUser', path: '/guests/web' },
  })
  assert.deepEqual(await listedFor(backend, 'guest.list'), [])
  await backend.must('guest.assign', { params: { guest: 'web' }, body: { project: 'shop' } })
  assert.deepEqual(await listedFor(backend, 'guest.list'), ['web'])
  assert.deepEqual(await listedFor(backend, 'volume.list'), ['disk0'])
  const bob: Principal = { kind: 'user', name: 'bob' }
  assert.equal((await backend.call('guest.show', { params: { guest: 'web' } }, { principal: bob })).ok, true)
  const explained = await backend.must('auth.explain', {
    query: { principal: 'alice', privilege: 'guest.delete', path: '/projects/shop/guests/web' },
  })
  assert.deepEqual([explained.allowed, explained.path], [true, '/guests/web'])
  assert.equal(
    (await backend.refused('guest.assign', { params: { guest: 'web' }, body: { project: 'x' } })).code,
    'not_found',
  )
})

test('to take a guest to another project one must be permitted to delete it here and to create it there', async (context) => {
  const backend = await start(context)
  const move = (name: string, project: string) =>
    asAlice(backend, 'guest.assign', { params: { guest: name }, body: { project } })
  assert.equal(await move('web', 'shop'), 'not_found')
  await grant(backend, 'GuestUser', '/guests/web')
  assert.equal(await move('web', 'shop'), 'forbidden')
  await grant(backend, 'Operator', '/guests/db')
  assert.deepEqual(await move('db', 'shop'), { guest: 'db', project: 'shop' })
  assert.equal(await move('db', 'default'), 'forbidden')
})

test('what happened to a guest of a project is not for those of the next project that has a guest of that name', async (context) => {
  const backend = await start(context)
  await backend.must('guest.create', guest('secret', 'default'))
  assert.deepEqual(await listedFor(backend, 'event.list'), [])
  const id = backend.mirror.state.guests
  const gone = [...id.values()].find(({ value }) => value.name === 'secret')!.value
  await backend.store.transact({
    compares: [],
    writes: [
      { kind: 'delete', key: KEYS.guest(gone.id) },
      { kind: 'delete', key: KEYS.guestName('secret') },
    ],
  })
  await backend.mirror.until((state) => !state.guests.has(gone.id), new Promise(() => {}))
  await backend.must('guest.create', guest('secret', 'shop'))
  const seen = (await asAlice(backend, 'event.list')) as { items: readonly { project: string; kind: string }[] }
  assert.deepEqual(
    seen.items.map(({ project, kind }) => `${project} ${kind}`),
    ['shop guest.created'],
  )
  const operations = (await asAlice(backend, 'operation.list')) as { items: readonly { project: string }[] }
  assert.deepEqual(
    operations.items.map(({ project }) => project),
    ['shop', 'shop'],
  )
})

test('an image of a project is for its members; those of the cluster for whom the cluster says', async (context) => {
  const backend = await start(context)
  assert.deepEqual(await listedFor(backend, 'image.list'), [])
  await backend.must('image.assign', { params: { image: 'debian' }, body: { project: 'shop' } })
  assert.deepEqual(await listedFor(backend, 'image.list'), ['debian'])
  assert.match((await backend.refused('project.delete', { params: { project: 'shop' } })).message, /the image debian/)
  await backend.must('image.assign', { params: { image: 'debian' }, body: { project: null } })
  assert.deepEqual(await listedFor(backend, 'image.list'), [])
})

test('who administers a project imports images that are its own, and calls that off', async (context) => {
  const backend = await start(context)
  const digest = image.blob
  const body = { name: 'theirs', blob: digest, format: 'raw' }
  assert.equal(await asAlice(backend, 'image.import', { body }), 'forbidden')
  assert.equal(await asAlice(backend, 'image.import', { body: { ...body, project: 'default' } }), 'forbidden')
  assert.equal(await asAlice(backend, 'blob.stat', { params: { digest } }), 'forbidden')
  await asAlice(backend, 'blob.stat', { params: { digest }, query: { project: 'shop' } })
  await asAlice(backend, 'image.import', { body: { ...body, project: 'shop' } })
  assert.equal(backend.mirror.state.imports.get('theirs')?.value.project, 'shop')
  assert.ok((await listedFor(backend, 'operation.list')).includes('image/theirs'))
  assert.match((await backend.refused('project.delete', { params: { project: 'shop' } })).message, /the image theirs/)
  await backend.must('image.import', { body: { ...body, name: 'ours' } })
  assert.equal(await asAlice(backend, 'image.cancel-import', { params: { image: 'ours' } }), 'forbidden')
  await asAlice(backend, 'image.cancel-import', { params: { image: 'theirs' } })
  await backend.mirror.until(({ imports }) => !imports.has('theirs'), realClock.sleep(5_000))
  assert.deepEqual([...backend.mirror.state.imports.keys()], ['ours'])
  const nowhere = { body: { ...body, project: 'nowhere' } }
  assert.equal((await backend.refused('image.import', nowhere)).code, 'not_found')
})

test('a project to which something belongs stays', async (context) => {
  const backend = await start(context)
  await backend.must('guest.create', guest('mine', 'shop'))
  const refused = await backend.refused('project.delete', { params: { project: 'shop' } })
  assert.equal(refused.code, 'conflict')
  assert.match(refused.message, /To shop belongs the guest mine/)
})

/** What the audit tells of requests. */
import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { ClusterFixture } from '@stead/core/ha/cluster-fixture.ts'
import type { Principal } from '@stead/core/model/access.ts'
import { KEYS } from '@stead/core/model/keys.ts'
import { TestBackend } from './backend-fixture.ts'

const visitor = { address: '192.0.2.7', client: 'test' }
const alice: Principal = { kind: 'user', name: 'alice' }

async function start(context: TestContext) {
  const cluster = new ClusterFixture(3)
  cluster.guestWithDisk('web', ['h1', 'h2'])
  const backend = await TestBackend.start(context, cluster)
  await backend.must('user.create', { body: { name: 'alice' } })
  await backend.must('permission.grant', {
    body: { subject: { kind: 'user', name: 'alice' }, role: 'GuestUser', path: '/guests/web' },
  })
  return backend
}

async function entries(backend: TestBackend, query: object = {}) {
  return (await backend.must('audit.list', { query })).items
}

/** Denials and actions are written a moment after the answer. */
async function eventually(backend: TestBackend, query: object) {
  for (let tries = 0; tries < 200; tries++) {
    const found = await entries(backend, query)
    if (found.length > 0) return found
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
  return []
}

test('a change is told with who made it, from where, and the fields before and after', async (context) => {
  const backend = await start(context)
  const body = { priority: 5, notes: 'hello' }
  const answer = await backend.call('guest.set', { params: { guest: 'web' }, body }, { visitor })
  assert.equal(answer.ok, true)
  const [entry] = await entries(backend)
  assert.deepEqual([entry?.who, entry?.from, entry?.kind, entry?.what], ['root@h1', '192.0.2.7', 'change', 'vm.set'])
  assert.equal(entry?.subject, 'guest/guest-web')
  assert.ok(backend.mirror.state.operations.has(entry?.operation as never))
  assert.deepEqual(entry?.changes, [
    { record: 'guests/guest-web', before: {}, after: { priority: 5, lifecycle: { notes: 'hello' } } },
  ])
})

test('what is made is told whole, and so is what is deleted', async (context) => {
  const backend = await start(context)
  await backend.must('group.create', { body: { name: 'staff', members: ['alice'] } })
  await backend.must('group.delete', { params: { group: 'staff' } })
  const [deleted, created] = await entries(backend)
  const group = { name: 'staff', members: ['alice'] }
  assert.deepEqual(created?.changes, [{ record: 'groups/staff', before: undefined, after: group }])
  assert.deepEqual(deleted?.changes, [{ record: 'groups/staff', before: group, after: undefined }])
})

test('what is denied is told, whether its object may be seen or not; what is refused for other reasons is not', async (context) => {
  const backend = await start(context)
  await backend.call('guest.delete', { params: { guest: 'web' } }, { principal: alice, visitor })
  const [denial] = await eventually(backend, { kind: 'denial' })
  assert.deepEqual(
    [denial?.who, denial?.from, denial?.what, denial?.subject],
    ['alice', '192.0.2.7', 'guest.delete', 'guest/web'],
  )
  assert.match(denial?.message ?? '', /alice needs guest.delete on \/guests\/web/)
  await backend.call('host.show', { params: { host: 'h1' } }, { principal: alice })
  const [hidden] = await eventually(backend, { kind: 'denial', what: 'host.show' })
  assert.equal(hidden?.subject, 'host/h1')
  await backend.refused('user.create', { body: { name: 'alice' } })
  assert.deepEqual(await entries(backend, { what: 'user.create', limit: 5 }).then((all) => all.length), 1)
})

test('what changes no record is told once it was done; what only asks is not', async (context) => {
  const backend = await start(context)
  await backend.must('image.import', { body: { name: 'debian', blob: `sha256:${'0'.repeat(64)}`, format: 'raw' } })
  await backend.must('image.cancel-import', { params: { image: 'debian' } })
  const [action] = await eventually(backend, { kind: 'action' })
  assert.deepEqual([action?.what, action?.subject, action?.who], ['image.cancel-import', 'image/debian', 'root@h1'])
  const before = (await entries(backend)).length
  await backend.must('guest.list')
  await backend.call('guest.set', { params: { guest: 'web' }, body: { priority: 1 } }, { whatIf: true })
  assert.equal((await entries(backend)).length, before)
})

test('a request that is repeated with its key is told once', async (context) => {
  const backend = await start(context)
  const request = { idempotencyKey: 'again' }
  for (let tries = 0; tries < 2; tries++)
    await backend.call('guest.set', { params: { guest: 'web' }, body: { priority: 7 } }, request)
  assert.equal((await entries(backend, { what: 'vm.set' })).length, 1)
  assert.equal((await entries(backend, { kind: 'action' })).length, 0)
})

test('nothing secret is told: neither tokens nor what cloud-init is given', async (context) => {
  const backend = await start(context)
  const { token } = await backend.must('token.create', { params: { user: 'alice' }, body: { name: 'ci' } })
  const guest = backend.mirror.state.guests.get('guest-web' as never)!.value
  const settings = { user: 'admin', userData: '#cloud-config\npassword: hunter2' }
  const blob = `sha256:${'2'.repeat(64)}`
  await backend.put(KEYS.guest(guest.id), { ...guest, media: { cloudInit: { settings, blob } } })
  const changed = await backend.call('guest.media', {
    params: { guest: 'web' },
    body: { cloudInit: { user: 'admin', userData: 'hunter3' } },
  })
  assert.equal(changed.ok, true, JSON.stringify(changed))
  const text = JSON.stringify(await entries(backend, { limit: 100 }))
  assert.match(text, /\(secret\)/)
  for (const secret of [token, token.slice(6), 'hunter2', 'hunter3']) assert.equal(text.includes(secret), false)
})

test('the list goes on where it stopped, and the chain is whole', async (context) => {
  const backend = await start(context)
  for (let index = 0; index < 5; index++) await backend.must('group.create', { body: { name: `g${index}` } })
  const seen: number[] = []
  for (let before: number | null | undefined; before !== null;) {
    const page = await backend.must('audit.list', { query: { limit: 3, ...(before ? { before } : {}) } })
    seen.push(...page.items.map(({ sequence }) => sequence))
    before = page.next
  }
  assert.deepEqual(seen, [7, 6, 5, 4, 3, 2, 1])
  const verified = await backend.must('audit.verify')
  assert.deepEqual(verified, { ok: true, hosts: [{ host: 'h1', entries: 7, problem: null }] })
})

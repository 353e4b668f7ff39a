/** Every change of the API: made once however often it is sent, and only on what the client has seen. */
import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { isRecorded, revisedObjectOf, type Endpoint, type RevisedObject } from '@stead/api/endpoint.ts'
import { ALL_ENDPOINTS, ENDPOINTS } from '@stead/api/endpoints.ts'
import { ClusterFixture } from '@stead/core/ha/cluster-fixture.ts'
import type { BlobId, HostId } from '@stead/core/model/ids.ts'
import { KEYS } from '@stead/core/model/keys.ts'
import { ok, type Result } from '@stead/core/result.ts'
import type { BackendId, RequestContext } from '../http/backend.ts'
import { TestBackend } from './backend-fixture.ts'

const BLOB = `sha256:${'0'.repeat(64)}`
const MIB = 2 ** 20

async function start(context: TestContext) {
  const cluster = new ClusterFixture(3)
  for (const name of ['web', 'db', 'live']) {
    const { guest } = cluster.guestWithDisk(name, ['h1', 'h2'])
    cluster.grant(guest, 'h1')
    cluster.observe(guest, {})
  }
  cluster.guestWithDisk('box', ['h1', 'h2'], {
    ...{ kind: 'ct', boot: { kind: 'container' }, desired: 'stopped', ha: 'stopped' },
    container: { template: 'tiny@1', system: { haltSignal: 'SIGPWR' }, idBase: 1_000_000 },
  })
  cluster.guestWithDisk('off', ['h1', 'h2'], { desired: 'stopped', ha: 'stopped' })
  const root = { system: { haltSignal: 'SIGPWR' }, os: '', architecture: '', sourceDigest: '', form: 'root' }
  const image = { blob: BLOB, format: 'raw', virtualSizeBytes: MIB, createdAt: 0 }
  const backend = await TestBackend.start(context, cluster)
  await backend.put(KEYS.image('debian'), { name: 'debian', ...image })
  await backend.put(KEYS.image('tiny@1'), {
    ...{ name: 'tiny@1', kind: 'root', root: { ...root, files: 1, contentBytes: 1 }, ...image },
  })
  const { value: h3 } = cluster.state.hosts.get('h3' as HostId)!
  await backend.put(KEYS.host(h3.id), { ...h3, powerSwitch: true })
  const other = await backend.onHost(context, 'h2')
  backend.dumpContainer = async () => ok({ blob: BLOB as BlobId, sizeBytes: 7, pausedMs: 0 })
  backend.power = { cut: async () => ok(), restore: async () => ok() }
  return { backend, other }
}

interface Step {
  readonly id: BackendId
  readonly params?: Readonly<Record<string, string>>
  readonly body?: object
}

const toAlice = { subject: { kind: 'user', name: 'alice' } }
const web = { guest: 'web' }
const GUEST = { name: 'new', memoryBytes: 128 * MIB, boot: { kind: 'disk' }, disks: [{ sizeBytes: MIB }] }

/** Each is valid after those before it. */
const STEPS: readonly (Step | ((backend: TestBackend) => Step))[] = [
  { id: 'policy.set', body: { cpuOvercommit: 4 } },
  { id: 'webhook.create', body: { name: 'chat', url: 'https://chat.example/x' } },
  { id: 'webhook.set', params: { webhook: 'chat' }, body: { kinds: ['host.lost'] } },
  { id: 'webhook.delete', params: { webhook: 'chat' } },
  { id: 'certificate.order', body: { names: ['web.example.org'], agreesToTerms: true } },
  { id: 'certificate.renew' },
  { id: 'certificate.forget' },
  { id: 'project.create', body: { name: 'p' } },
  { id: 'project.set', params: { project: 'p' }, body: { notes: 'n' } },
  { id: 'guest.create', body: { ...GUEST, project: 'p' } },
  { id: 'guest.assign', params: { guest: 'new' }, body: { project: 'default' } },
  { id: 'user.create', body: { name: 'alice' } },
  { id: 'user.set', params: { user: 'alice' }, body: { fullName: 'Alice' } },
  { id: 'user.reset-password', params: { user: 'alice' } },
  { id: 'user.end-sessions', params: { user: 'alice' } },
  { id: 'user.remove-second-factors', params: { user: 'alice' } },
  { id: 'group.create', body: { name: 'admins' } },
  { id: 'group.set', params: { group: 'admins' }, body: { add: ['alice'] } },
  { id: 'role.create', body: { name: 'Viewer', privileges: ['guest.view'] } },
  { id: 'permission.grant', body: { ...toAlice, role: 'Viewer', path: '/' } },
  ({ mirror }) => ({ id: 'permission.revoke', params: { permission: [...mirror.state.permissions.keys()][0]! } }),
  { id: 'role.delete', params: { role: 'Viewer' } },
  { id: 'delegation.grant', params: { project: 'p' }, body: { ...toAlice, role: 'GuestUser' } },
  ({ mirror }) => ({
    ...{ id: 'delegation.revoke', params: { project: 'p', permission: [...mirror.state.permissions.keys()][0]! } },
  }),
  { id: 'project.delete', params: { project: 'p' } },
  { id: 'token.create', params: { user: 'alice' }, body: { name: 'ci' } },
  { id: 'token.revoke', params: { user: 'alice', token: 'ci' } },
  { id: 'realm.add', body: { name: 'campus', service: { kind: 'ldap', urls: ['ldaps://d'], baseDn: 'dc=d' } } },
  { id: 'realm.set', params: { realm: 'campus' }, body: { title: 'Campus' } },
  { id: 'realm.remove', params: { realm: 'campus' } },
  { id: 'group.delete', params: { group: 'admins' } },
  { id: 'user.delete', params: { user: 'alice' } },
  { id: 'rule.create', body: { kind: 'ban', name: 'r', guests: ['web'], hosts: ['h3'] } },
  { id: 'rule.set', params: { rule: 'r' }, body: { kind: 'ban', guests: ['web'], hosts: ['h2'] } },
  { id: 'rule.delete', params: { rule: 'r' } },
  { id: 'guest.dump', params: { guest: 'box' }, body: { keepHours: 24 } },
  ({ mirror }) => ({ id: 'backup.delete', params: { backup: [...mirror.state.backups.keys()][0]! } }),
  { id: 'image.assign', params: { image: 'debian' }, body: { project: 'default' } },
  { id: 'image.delete', params: { image: 'debian' } },
  { id: 'image.import', body: { name: 'imported', blob: BLOB, format: 'raw' } },
  { id: 'template.delete', params: { template: 'tiny' } },
  { id: 'template.import', body: { name: 'tiny', blob: BLOB } },
  { id: 'guest.set', params: web, body: { notes: 'n' } },
  { id: 'probe.set', params: web, body: { check: { kind: 'tcp', port: 80 } } },
  { id: 'probe.remove', params: web },
  { id: 'schedule.add', params: web, body: { name: 's', action: 'stop', cron: '0 22 * * *' } },
  { id: 'schedule.remove', params: { ...web, schedule: 's' } },
  { id: 'snapshot.schedule', params: web, body: { schedule: { everyMs: 3_600_000, keep: 2 } } },
  { id: 'snapshot.create', params: web, body: { name: 's1' } },
  { id: 'snapshot.delete', params: { ...web, snapshot: 's1' } },
  { id: 'guest.nic-add', params: web, body: {} },
  { id: 'guest.nic-set', params: { ...web, nic: '0' }, body: { limits: { sendBytesPerSecond: 1e6 } } },
  { id: 'guest.nic-remove', params: { ...web, nic: '0' } },
  { id: 'guest.disk-add', params: web, body: { sizeBytes: MIB } },
  { id: 'guest.disk-set', params: { ...web, disk: 'volumeweb' }, body: { limits: { bytesPerSecond: 1e6 } } },
  { id: 'volume.resize', params: { volume: 'volumedb' }, body: { sizeBytes: 2 ** 31 } },
  { id: 'guest.restart', params: { guest: 'db' } },
  { id: 'guest.relocate', params: { guest: 'db' }, body: { to: 'h2' } },
  { id: 'guest.cancel-migration', params: { guest: 'db' } },
  { id: 'guest.stop', params: { guest: 'db' }, body: { force: true } },
  { id: 'guest.start', params: { guest: 'off' }, body: {} },
  { id: 'guest.delete', params: { guest: 'off' } },
  { id: 'host.set', params: { host: 'h3' }, body: { faultDomains: { rack: 'r1' } } },
  { id: 'host.drain', params: { host: 'h3' }, body: {} },
  { id: 'host.undrain', params: { host: 'h3' } },
  { id: 'host.shutdown', params: { host: 'h3' }, body: {} },
  { id: 'host.cancel-shutdown', params: { host: 'h3' } },
  { id: 'cluster.failover', body: { confirmDead: 'h3' } },
  { id: 'host.cut-power', params: { host: 'h3' } },
  { id: 'host.restore-power', params: { host: 'h3' } },
]

/** They need what no fixture of records has: a disk on a host, a snapshot that was made, a move that goes on. */
const NOT_HERE = [
  ...['guest.media', 'guest.migrate', 'guest.template', 'guest.clone', 'guest.disk-remove', 'volume.delete'],
  ...['volume.move', 'volume.cancel-move', 'volume.capture', 'snapshot.rollback'],
]

/** As a client would look it up. */
async function revisionOf(backend: TestBackend, object: RevisedObject, params: Readonly<Record<string, string>>) {
  const endpoint = ENDPOINTS[`${object}.show` as keyof typeof ENDPOINTS] as Endpoint | undefined
  if (endpoint) {
    const shown = (await backend.must(endpoint.id as 'guest.show', { params: { [object]: params[object] } })) as {
      readonly revision: string
    }
    return shown.revision
  }
  const { items } = (await backend.must(`${object}.list` as 'group.list')) as unknown as {
    readonly items: readonly (Record<string, unknown> & { readonly revision: string })[]
  }
  return items.find(({ name, id }) => [name, id].includes(params[object]))!.revision
}

const codeOf = (answer: Result<unknown>) => (answer.ok ? 'done' : answer.error.code)

test('each change is made once: sent again to another host it has the same answer, and its key is good for nothing else', async (context) => {
  const { backend, other } = await start(context)
  for (const each of STEPS) {
    const { id, ...input } = typeof each === 'function' ? each(backend) : each
    const object = revisedObjectOf(ENDPOINTS[id])
    const idempotencyKey = crypto.randomUUID()
    const seen = object ? await revisionOf(backend, object, input.params ?? {}) : undefined
    const request: Partial<RequestContext> = { idempotencyKey, ...(seen === undefined ? {} : { ifMatch: [seen] }) }
    if (object) {
      const stale = await backend.call(id, input, { ifMatch: ['9999999'] })
      assert.equal(codeOf(stale), 'changed_meanwhile', `${id} of another revision`)
    } else {
      const senseless = await backend.call(id, input, { ifMatch: ['1'] })
      assert.equal(codeOf(senseless), 'bad_request', `${id} has no revision`)
    }
    const first = await backend.call(id, input, request)
    assert.ok(first.ok, `${id}: ${JSON.stringify(first)}`)
    const operations = () => [...backend.mirror.state.operations.values()].length
    const count = operations()
    const again = await other.call(id, input, request)
    assert.deepEqual(again, first, `${id}, sent again`)
    assert.equal(operations(), count, id)
    const another = await other.call('group.create', { body: { name: 'x' } }, { idempotencyKey })
    assert.equal(codeOf(another), 'key_reused', id)
  }
})

test('the walk leaves out nothing but what no fixture can have', () => {
  const walked = new Set<string>(['permission.revoke', 'delegation.revoke', 'backup.delete'])
  for (const each of STEPS) if (typeof each !== 'function') walked.add(each.id)
  const left = ALL_ENDPOINTS.filter((endpoint) => isRecorded(endpoint) && !walked.has(endpoint.id)).map(({ id }) => id)
  assert.deepEqual(left.toSorted(), NOT_HERE.toSorted())
})

test("a key is its user's own, and one that asks for something else with it is told so", async (context) => {
  const { backend } = await start(context)
  for (const name of ['alice', 'bob']) await backend.must('user.create', { body: { name } })
  await backend.must('permission.grant', {
    body: { subject: { kind: 'user', name: 'bob' }, role: 'Administrator', path: '/' },
  })
  const bob: Partial<RequestContext> = { principal: { kind: 'user', name: 'bob' }, idempotencyKey: 'same' }
  const mine = await backend.call('group.create', { body: { name: 'a' } }, { idempotencyKey: 'same' })
  const his = await backend.call('group.create', { body: { name: 'b' } }, bob)
  assert.deepEqual([codeOf(mine), codeOf(his)], ['done', 'done'])
  const changed = await backend.call('group.create', { body: { name: 'b', notes: 'n' } }, bob)
  assert.equal(codeOf(changed), 'key_reused')
  // Before anything else about the request is looked at.
  const nonsense = await backend.call('guest.delete', { params: { guest: 'none' } }, { idempotencyKey: 'same' })
  assert.equal(codeOf(nonsense), 'key_reused')
})

test('one whose answer is late is sent again, and does not fail for what its first sending makes meanwhile', async (context) => {
  const { backend, other } = await start(context)
  const input = { body: { name: 'again', version: '1', blob: BLOB } }
  const request = { idempotencyKey: crypto.randomUUID() }
  const get = other.store.get.bind(other.store)
  let first: Result<unknown> | undefined
  other.store.get = async (key) => {
    const found = await get(key)
    if (!key.startsWith(KEYS.idempotency('')) || first) return found
    // The other host has looked the key up, and found nothing: now the first sending is done.
    first = await backend.call('template.import', input, request)
    const isKnown = other.mirror.until(
      ({ imports }) => imports.size > 0,
      new Promise((resolve) => setTimeout(resolve, 5_000)),
    )
    assert.ok(await isKnown)
    return found
  }
  const again = await other.call('template.import', input, request)
  assert.equal(codeOf(again), 'done')
  assert.deepEqual(again, first)
})

test('of two who have seen the same revision, at two hosts, one changes it', async (context) => {
  const { backend, other } = await start(context)
  for (let round = 0; round < 5; round++) {
    const ifMatch = [await revisionOf(backend, 'guest', web)]
    const answers = await Promise.all(
      [backend, other].map((host, index) =>
        host.call('guest.set', { params: web, body: { notes: `${round}.${index}` } }, { ifMatch }),
      ),
    )
    assert.deepEqual(answers.map(codeOf).toSorted(), ['changed_meanwhile', 'done'])
  }
})

test('a revision that this host has not heard of yet is good all the same', async (context) => {
  const { backend, other } = await start(context)
  for (let round = 0; round < 5; round++) {
    const { revision } = await backend.must('guest.set', { params: web, body: { notes: String(round) } })
    const next = await other.call('guest.set', { params: web, body: { notes: `${round}!` } }, { ifMatch: [revision] })
    assert.equal(codeOf(next), 'done')
    await backend.mirror.until(
      ({ guests }) => [...guests.values()].some(({ value }) => value.lifecycle?.notes === `${round}!`),
      new Promise((resolve) => setTimeout(resolve, 5_000)),
    )
  }
})

test('what does not exist has no revision that could be right', async (context) => {
  const { backend } = await start(context)
  const answer = await backend.call('guest.delete', { params: { guest: 'none' } }, { ifMatch: '*' })
  assert.equal(codeOf(answer), 'not_found')
  const any = await backend.call('guest.stop', { params: web, body: {} }, { ifMatch: '*' })
  assert.equal(codeOf(any), 'done')
})

test('what was asked for cannot be found out from what is kept of it', async (context) => {
  const { backend } = await start(context)
  const prefix = KEYS.idempotency('')
  const fingerprints = async () => {
    const kept = await backend.store.range(prefix)
    assert.ok(kept.ok)
    return kept.value.entries.map(({ value }) => (JSON.parse(value) as { fingerprint: string }).fingerprint)
  }
  // The same request by two keys: one that is guessed cannot be compared with what was kept.
  const input = { params: web, body: {} }
  for (let time = 0; time < 2; time++) await backend.call('guest.stop', input, { idempotencyKey: crypto.randomUUID() })
  const kept = await fingerprints()
  assert.deepEqual([kept.length, new Set(kept).size], [2, 2])
})

test('a secret that is shown once is shown again to who sends the request again, and to nobody else', async (context) => {
  const { backend, other } = await start(context)
  await backend.must('user.create', { body: { name: 'alice' } })
  const input = { params: { user: 'alice' }, body: { name: 'ci' } }
  const request = { idempotencyKey: crypto.randomUUID() }
  const first = await backend.call('token.create', input, request)
  assert.ok(first.ok)
  assert.deepEqual(await other.call('token.create', input, request), first)
  // The store alone does not give it, nor does the key once the token is gone.
  const kept = await backend.store.range('/')
  assert.ok(kept.ok)
  const text = JSON.stringify(kept.value.entries.map(({ key, value }) => [key, value]))
  assert.ok(!text.includes(first.value.token) && !text.includes(request.idempotencyKey))
  await backend.must('token.revoke', { params: { user: 'alice', token: 'ci' } })
  const records = kept.value.entries.filter(({ key }) => key.startsWith(KEYS.idempotency('')))
  await backend.store.transact({ compares: [], writes: records.map(({ key }) => ({ kind: 'delete', key })) })
  const later = await backend.call('token.create', input, request)
  assert.ok(later.ok)
  assert.notEqual(later.value.token, first.value.token)
})

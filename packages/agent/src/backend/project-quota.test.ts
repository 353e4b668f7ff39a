/** Hard quotas: what is made at the same time through several hosts never comes to more than the limit. */
import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { ClusterFixture } from '@stead/core/ha/cluster-fixture.ts'
import { KEYS } from '@stead/core/model/keys.ts'
import { usageOf } from '@stead/core/model/project-quota.ts'
import { TestBackend } from './backend-fixture.ts'

const GIB = 2 ** 30
const MIB = 2 ** 20

async function start(context: TestContext, quota: object) {
  const cluster = new ClusterFixture(3)
  cluster.guestWithDisk('web', ['h1', 'h2'])
  const first = await TestBackend.start(context, cluster)
  await first.must('project.create', { body: { name: 'shop', quota } })
  return [first, await first.onHost(context, 'h2'), await first.onHost(context, 'h3')] as const
}

function create(backend: TestBackend, name: string, more: object = {}) {
  const boot = { kind: 'kernel', kernel: `sha256:${'1'.repeat(64)}` }
  const body = { name, project: 'shop', memoryBytes: 128 * MIB, cpus: 2, boot, nic: false, ...more }
  return backend.call('guest.create', { body })
}

const held = (backend: TestBackend) => usageOf(backend.mirror.state, 'shop')

test('of guests that are made at once through three hosts no more come to be than the quota allows', async (context) => {
  const desks = await start(context, { guests: 4 })
  const answers = await Promise.all(Array.from({ length: 15 }, (_, index) => create(desks[index % 3]!, `g${index}`)))
  assert.equal(answers.filter(({ ok }) => ok).length, 4)
  for (const answer of answers) if (!answer.ok) assert.equal(answer.error.code, 'quota', answer.error.message)
  const [first] = desks
  await first.mirror.until((state) => usageOf(state, 'shop').guests === 4, new Promise(() => {}))
  const refused = await create(desks[1], 'more')
  assert.match(
    !refused.ok ? refused.error.message : '',
    /^The quota of shop is exceeded: guests 4, of which 4 are held, and this needs 1 more$/,
  )
})

test('the default project without limits needs no turn, and other projects are not hindered', async (context) => {
  const desks = await start(context, { guests: 0 })
  const made = await Promise.all(
    Array.from({ length: 6 }, (_, index) => create(desks[index % 3]!, `g${index}`, { project: 'default' })),
  )
  assert.deepEqual(
    made.map(({ ok }) => ok),
    [true, true, true, true, true, true],
  )
  const turn = await desks[0].store.get(KEYS.projectTurn('default'))
  assert.equal(turn.ok && turn.value, undefined)
})

for (const [what, quota, more] of [
  ['processors', { cpus: 3 }, {}],
  ['memory', { memoryBytes: 200 * MIB }, {}],
  ['disk', { diskBytes: 3 * MIB }, { disks: [{ sizeBytes: MIB, replicas: 2 }] }],
] as const) {
  test(`${what}: the first guest has room in the quota, the second has not, until the first is gone`, async (context) => {
    const [first] = await start(context, quota)
    assert.equal((await create(first, 'a', more)).ok, true)
    const refused = await create(first, 'b', more)
    assert.equal(!refused.ok && refused.error.code, 'quota')
    assert.match(!refused.ok ? refused.error.message : '', new RegExp(`exceeded: ${what}`))
    const { id, volumes } = [...first.mirror.state.guests.values()].find(({ value }) => value.name === 'a')!.value
    const gone = [KEYS.guest(id), KEYS.guestName('a'), ...volumes.map((volume) => KEYS.volume(volume))]
    await first.store.transact({ compares: [], writes: gone.map((key) => ({ kind: 'delete', key })) })
    await first.mirror.until(
      (state) => usageOf(state, 'shop').diskBytes === 0 && !state.guests.has(id),
      new Promise(() => {}),
    )
    assert.equal((await create(first, 'b', more)).ok, true)
  })
}

test('what grows is judged as what is made: memory, snapshots, and a guest that comes from elsewhere', async (context) => {
  const [first] = await start(context, { memoryBytes: GIB, snapshots: 1, diskBytes: 100 * GIB })
  const move = await first.call('guest.assign', { params: { guest: 'web' }, body: { project: 'shop' } })
  assert.equal(move.ok, true, JSON.stringify(!move.ok && move.error))
  const set = (memoryBytes: number) => first.call('guest.set', { params: { guest: 'web' }, body: { memoryBytes } })
  const larger = await set(4 * GIB)
  assert.equal(!larger.ok && larger.error.code, 'quota')
  const snapshot = (name: string) => first.call('snapshot.create', { params: { guest: 'web' }, body: { name } })
  assert.equal((await snapshot('one')).ok, true)
  const second = await snapshot('two')
  assert.equal(!second.ok && second.error.code, 'quota')
})

test('a limit below what is held is refused, and one that is lifted lets the next in', async (context) => {
  const [first, second] = await start(context, { guests: 1 })
  assert.equal((await create(first, 'a')).ok, true)
  const set = (quota: object) => second.call('project.set', { params: { project: 'shop' }, body: { quota } })
  const lower = await set({ guests: 0 })
  assert.equal(!lower.ok && lower.error.code, 'conflict')
  assert.match(!lower.ok ? lower.error.message : '', /shop holds more: guests 1, the limit would be 0/)
  assert.equal((await create(first, 'b')).ok, false)
  const lifted = await set({ guests: null, snapshots: 3 })
  assert.deepEqual(lifted.ok && lifted.value.quota, { snapshots: 3 })
  assert.equal((await create(first, 'b')).ok, true)
})

test('a limit that is set while guests are made holds for each that comes after it', async (context) => {
  const [first, second, third] = await start(context, {})
  const made = Array.from({ length: 6 }, (_, index) => create([first, third][index % 2]!, `g${index}`))
  const limited = await second.call('project.set', { params: { project: 'shop' }, body: { quota: { guests: 3 } } })
  const guests = (await Promise.all(made)).filter(({ ok }) => ok).length
  await first.mirror.until((state) => usageOf(state, 'shop').guests === guests, new Promise(() => {}))
  if (limited.ok) assert.ok(held(first).guests <= 3, `${held(first).guests} guests`)
  else assert.equal(limited.error.code, 'conflict')
})

test('a project is not deleted under a guest that is being made', async (context) => {
  const [first, second] = await start(context, {})
  const [made, deleted] = await Promise.all([
    create(first, 'a'),
    second.call('project.delete', { params: { project: 'shop' } }),
  ])
  assert.notEqual(made.ok, deleted.ok)
})

test('what would exceed a quota is refused when it is only foreseen, too', async (context) => {
  const [first] = await start(context, { guests: 0 })
  const boot = { kind: 'kernel', kernel: `sha256:${'1'.repeat(64)}` }
  const body = { name: 'x', project: 'shop', memoryBytes: 128 * MIB, boot, nic: false }
  const foreseen = await first.call('guest.create', { body }, { whatIf: true })
  assert.equal(!foreseen.ok && foreseen.error.code, 'quota')
})

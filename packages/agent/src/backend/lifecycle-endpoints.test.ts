import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { ClusterFixture } from '@stead/core/ha/cluster-fixture.ts'
import type { Guest } from '@stead/core/model/guest.ts'
import type { GuestLifecycle } from '@stead/core/model/lifecycle.ts'
import { KEYS } from '@stead/core/model/keys.ts'
import type { GuestId } from '@stead/core/model/ids.ts'
import { TestBackend } from './backend-fixture.ts'

const web = { params: { guest: 'web' } }

async function start(context: TestContext, lifecycle?: GuestLifecycle) {
  const cluster = new ClusterFixture(3)
  const guest = cluster.guest('web', lifecycle === undefined ? {} : { lifecycle })
  cluster.guest('db')
  cluster.grant(guest, 'h1')
  const backend = await TestBackend.start(context, cluster)
  const record = (): Guest => backend.mirror.state.guests.get('guest-web' as GuestId)!.value
  return { backend, record }
}

test('tags, notes and autostart are set, shown and found by', async (context) => {
  const { backend } = await start(context)
  const body = { tags: ['prod', 'a1'], notes: '# Shop\n\n*Ask* Eve.', autostart: true }
  const view = await backend.must('guest.set', { ...web, body })
  assert.deepEqual([view.tags, view.notes, view.autostart], [['a1', 'prod'], body.notes, true])
  const names = async (tag: string) =>
    (await backend.must('guest.list', { query: { tag } })).items.map(({ name }) => name)
  assert.deepEqual(await names('prod'), ['web'])
  assert.deepEqual(await names('prod,a1'), ['web'])
  assert.deepEqual(await names('prod,other'), [])
  const cleared = await backend.must('guest.set', { ...web, body: { tags: [], notes: '' } })
  assert.deepEqual([cleared.tags, cleared.notes, cleared.autostart], [[], '', true])
})

for (const [protectedFrom, id, input, isRefused] of [
  [['delete'], 'guest.delete', web, true],
  [['delete'], 'guest.stop', { ...web, body: {} }, false],
  [['stop'], 'guest.stop', { ...web, body: { force: true } }, true],
  [['stop'], 'guest.delete', web, true],
  [['stop'], 'guest.set', { ...web, body: { ha: 'stopped' } }, true],
  [['stop'], 'guest.set', { ...web, body: { ha: 'ignored' } }, false],
  [['stop'], 'guest.relocate', { ...web, body: { to: 'h2' } }, false],
  [['stop'], 'schedule.add', { ...web, body: { name: 'x', action: 'restart', cron: '@daily' } }, true],
  [['stop'], 'schedule.add', { ...web, body: { name: 'x', action: 'start', cron: '@daily' } }, false],
] as const)
  test(`protected from ${protectedFrom.join()}: ${id} is ${isRefused ? 'refused' : 'taken'}`, async (context) => {
    const { backend, record } = await start(context, { protectedFrom })
    if (!isRefused) return void (await backend.must(id, input))
    const before = record()
    const refused = await backend.refused(id, input)
    assert.equal(refused.code, 'conflict')
    assert.match(refused.message, /web is protected from being (stopped|deleted)/)
    assert.match(refused.hint ?? '', /stead vm set web --protect nothing/)
    assert.equal(record(), before)
    const foreseen = await backend.call(id, input, { whatIf: true })
    assert(!foreseen.ok && foreseen.error.code === 'conflict', 'a look ahead says it too')
  })

test('a protection that is left is named in the hint', async (context) => {
  const { backend } = await start(context, { protectedFrom: ['delete', 'stop'] })
  assert.match((await backend.refused('guest.stop', { ...web, body: {} })).hint ?? '', /--protect delete/)
})

test('a probe is set with defaults, shown with what it has found, and removed', async (context) => {
  const { backend, record } = await start(context)
  const check = { kind: 'tcp', port: 22, address: '10.66.0.9' }
  const view = await backend.must('probe.set', { ...web, body: { check } })
  assert.deepEqual(view.probe, {
    check,
    initialDelayMs: 0,
    periodMs: 10_000,
    timeoutMs: 1_000,
    successThreshold: 1,
    failureThreshold: 3,
    onFailure: 'report',
  })
  const { epoch, host } = backend.mirror.state.grants.get(record().id)!.value
  const seen = { guest: record().id, host, epoch, phase: 'running', reason: '', since: 0, failures: 0 }
  const readiness = { ready: false, since: 0, reason: '10.66.0.9:22 refuses connections' }
  await backend.put(KEYS.observation(record().id), { ...seen, readiness })
  const shown = await backend.must('guest.show', web)
  assert.deepEqual(shown.readiness, { ...readiness, since: '1970-01-01T00:00:00.000Z' })
  await backend.must('probe.remove', web)
  assert.equal(record().lifecycle?.probe, undefined)
  assert.equal((await backend.must('guest.show', web)).readiness, null)
  assert.equal((await backend.refused('probe.remove', web)).code, 'not_found')
})

test('schedules are added with their next moment, listed and removed', async (context) => {
  const { backend } = await start(context)
  const body = { name: 'nightly', action: 'restart', cron: '30 3 * * *', timeZone: 'Europe/Warsaw' }
  const added = await backend.must('schedule.add', { ...web, body })
  assert.equal(added.guest, 'web')
  assert(Date.parse(added.nextAt ?? '') > Date.now())
  assert.deepEqual((await backend.must('schedule.list')).items, [added])
  assert.deepEqual((await backend.must('schedule.list', { query: { guest: 'db' } })).items, [])
  assert.equal((await backend.refused('schedule.add', { ...web, body })).code, 'name_taken')
  const never = { ...body, name: 'never', cron: '0 0 30 2 *' }
  assert.match((await backend.refused('schedule.add', { ...web, body: never })).message, /never come/)
  const memory = { ...body, name: 'whole', memory: true }
  assert.match(
    (await backend.refused('schedule.add', { ...web, body: memory })).message,
    /Only a schedule of snapshots/,
  )
  const whole = await backend.must('schedule.add', { ...web, body: { ...memory, action: 'snapshot' } })
  assert.deepEqual([added.memory, whole.memory], [false, true])
  const gone = { params: { guest: 'web', schedule: 'nightly' } }
  await backend.must('schedule.remove', gone)
  assert.equal((await backend.refused('schedule.remove', gone)).code, 'not_found')
})

test('a guest has so many schedules and no more', async (context) => {
  const { backend } = await start(context)
  const add = (name: string) => ({ ...web, body: { name, action: 'start', cron: '@daily' } })
  for (let count = 0; count < 16; count++) await backend.must('schedule.add', add(`s${count}`))
  assert.match((await backend.refused('schedule.add', add('s16'))).message, /as many as there may be/)
})

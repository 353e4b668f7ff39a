import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { ClusterFixture } from '@stead/core/ha/cluster-fixture.ts'
import type { Guest } from '@stead/core/model/guest.ts'
import type { GuestId, HostId } from '@stead/core/model/ids.ts'
import { apart } from '@stead/core/planning/planning-fixture.ts'
import { TestBackend } from './backend-fixture.ts'

const GIB = 2 ** 30
const h1 = 'h1' as HostId

/** `web` runs on h1, `db` on h2 and may not be with it, `off` is stopped; h3 is free. */
async function start(context: TestContext, change: Partial<Guest> = {}) {
  const cluster = new ClusterFixture(3, { witness: true })
  const web = cluster.guest('web', change)
  const db = cluster.guest('db')
  cluster.guest('off', { desired: 'stopped', ha: 'stopped' })
  cluster.grant(web, 'h1')
  cluster.grant(db, 'h2')
  const rule = apart('spread', [web.id, db.id])
  cluster.state.rules.set(rule.id, { value: rule, revision: 1n })
  const backend = await TestBackend.start(context, cluster)
  const guest = (name: string) => backend.mirror.state.guests.get(`guest-${name}` as GuestId)!.value
  return { backend, guest }
}

test('settings for HA are changed while the guest runs, and shown', async (context) => {
  const { backend } = await start(context)
  const body = { priority: 10, maxRestart: 0, maxRelocate: 5, failback: false }
  const view = await backend.must('guest.set', { params: { guest: 'web' }, body })
  assert.deepEqual([view.priority, view.maxRestart, view.maxRelocate, view.failback], [10, 0, 5, false])
  assert.equal(view.ha, 'started')
})

const MIB = 2 ** 20

test('a guest that runs is promised more memory and processors where there is room, and never less', async (context) => {
  const { backend, guest } = await start(context)
  const set = (name: string, body: { memoryBytes?: number; cpus?: number }) => ({ params: { guest: name }, body })
  const { memoryBytes, cpus } = guest('web')
  const view = await backend.must('guest.set', set('web', { memoryBytes: memoryBytes + MIB, cpus: cpus + 1 }))
  assert.deepEqual([view.memoryBytes, view.cpus], [memoryBytes + MIB, cpus + 1])
  const less = await backend.refused('guest.set', set('web', { memoryBytes: memoryBytes - MIB }))
  assert.equal(less.code, 'conflict')
  assert.match(less.hint ?? '', /vm stop web/)
  const tooMuch = await backend.refused('guest.set', set('web', { memoryBytes: 1024 * GIB }))
  assert.equal(tooMuch.code, 'no_capacity')
  const stopped = await backend.must('guest.set', set('off', { memoryBytes: 2 * GIB, cpus: 2 }))
  assert.deepEqual([stopped.memoryBytes, stopped.cpus], [2 * GIB, 2])
})

test('a guest is asked to move where the planner lets it, and keeps that host as its preference', async (context) => {
  const { backend, guest } = await start(context)
  const { operation } = await backend.must('guest.relocate', { params: { guest: 'web' }, body: { to: 'h3' } })
  assert.deepEqual([operation.kind, operation.message], ['vm.relocate', 'moving to h3'])
  assert.deepEqual([guest('web').moveTo, guest('web').preferredHost], ['h3', 'h3'])
})

for (const [to, code, message] of [
  ['h2', 'conflict', /web cannot move to h2: rule spread keeps web apart from db, which is there/],
  ['h1', 'conflict', /web is on h1 already/],
  ['witness', 'conflict', /it is a witness/],
  ['h9', 'not_found', /no host h9/],
] as const) {
  test(`a move to ${to} is refused at once with the reason`, async (context) => {
    const { backend, guest } = await start(context)
    const refused = await backend.refused('guest.relocate', { params: { guest: 'web' }, body: { to } })
    assert.equal(refused.code, code)
    assert.match(refused.message, message)
    assert.equal(guest('web').moveTo, undefined)
  })
}

test('a move that was asked for can be taken back by naming the present host', async (context) => {
  const { backend, guest } = await start(context, { moveTo: 'h3' as HostId })
  await backend.must('guest.relocate', { params: { guest: 'web' }, body: { to: 'h1' } })
  assert.equal(guest('web').moveTo, h1)
})

test('a stopped guest just starts there next', async (context) => {
  const { backend, guest } = await start(context)
  const { operation } = await backend.must('guest.relocate', { params: { guest: 'off' }, body: { to: 'h3' } })
  assert.equal(operation.state, 'succeeded')
  assert.deepEqual([guest('off').moveTo, guest('off').preferredHost], [undefined, 'h3'])
})

test('where a guest can move to, and why not elsewhere', async (context) => {
  const { backend } = await start(context)
  const { targets } = await backend.must('guest.move-targets', { params: { guest: 'web' } })
  const byName = targets.toSorted((a, b) => a.host.localeCompare(b.host))
  assert.deepEqual(
    byName.map(({ host, possible, current, reason }) => [host, possible, current, reason]),
    [
      ['h1', false, true, 'it is there'],
      ['h2', false, false, 'rule spread keeps web apart from db, which is there'],
      ['h3', true, false, ''],
      ['witness', false, false, 'it is a witness and runs no guests'],
    ],
  )
})

test('a start that leaves guests without a place after a loss is warned of', async (context) => {
  const { backend } = await start(context)
  await backend.must('guest.set', { params: { guest: 'off' }, body: { memoryBytes: 8 * GIB } })
  const { warnings } = await backend.must('guest.start', { params: { guest: 'off' } })
  assert.deepEqual(warnings, [
    'if h3 died now, off (8 GiB) would have no place',
    'if h1 died now, web (1 GiB) would have no place',
    'if h2 died now, db (1 GiB) would have no place',
  ])
})

test('a drain keeps what else was said of the host, and so does its end', async (context) => {
  const { backend } = await start(context)
  await backend.must('host.set', { params: { host: 'h1' }, body: { faultDomains: { rack: 'r1' } } })
  await backend.must('host.drain', { params: { host: 'h1' } })
  await backend.must('host.undrain', { params: { host: 'h1' } })
  assert.deepEqual((await backend.must('host.show', { params: { host: 'h1' } })).faultDomains, { rack: 'r1' })
})

test('a shutdown is recorded, shown and called off', async (context) => {
  const { backend } = await start(context)
  const asked = await backend.must('host.shutdown', { params: { host: 'h1' }, body: { how: 'reboot' } })
  assert.equal(asked.operation.message, '1 guests to stop or to move')
  const shown = await backend.must('host.show', { params: { host: 'h1' } })
  assert.deepEqual([shown.shutdown, shown.reason], ['reboot', 'it is to be rebooted; 1 guests are still there'])
  await backend.must('host.cancel-shutdown', { params: { host: 'h1' } })
  assert.equal((await backend.must('host.show', { params: { host: 'h1' } })).shutdown, null)
  assert.equal((await backend.refused('host.cancel-shutdown', { params: { host: 'h1' } })).code, 'conflict')
  assert.match((await backend.refused('host.shutdown', { params: { host: 'witness' } })).message, /witness/)
})

test('a power-off that would leave others without a spare place is warned of', async (context) => {
  const cluster = new ClusterFixture(2)
  cluster.grant(cluster.guest('a'), 'h1')
  const backend = await TestBackend.start(context, cluster)
  const { warnings } = await backend.must('host.shutdown', { params: { host: 'h1' } })
  assert.deepEqual(warnings, ['if h2 died now, a (1 GiB) would have no place'])
})

test('a guest whose host has booted under it is not called running', async (context) => {
  const cluster = new ClusterFixture(2)
  const guest = cluster.guest('a')
  cluster.grant(guest, 'h1')
  cluster.observe(guest, { bootId: 'boot-h1-0' })
  const backend = await TestBackend.start(context, cluster)
  const { state, reason } = await backend.must('guest.show', { params: { guest: 'a' } })
  assert.deepEqual([state, reason], ['unknown', 'h1 has been booted since; it is about to be recovered'])
})

test('a template is called one', async (context) => {
  const cluster = new ClusterFixture(1)
  cluster.guest('base', { desired: 'stopped', template: { disks: [] } })
  const backend = await TestBackend.start(context, cluster)
  const { state, reason } = await backend.must('guest.show', { params: { guest: 'base' } })
  assert.deepEqual([state, reason], ['stopped', 'a template: clone it'])
})

test('a guest that runs is asked to be restarted, one that does not is not', async (context) => {
  const { backend, guest } = await start(context)
  const { operation } = await backend.must('guest.restart', { params: { guest: 'web' } })
  assert.deepEqual([operation.kind, operation.message], ['vm.restart', 'stopping on h1'])
  assert.equal(guest('web').restartEpoch, 1)
  assert.equal((await backend.refused('guest.restart', { params: { guest: 'off' } })).code, 'conflict')
})

/** The plug of a host, pulled by an administrator where a device does that: docs/internals/power.md. */
import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import type { ForeseenView } from '@stead/api/foresight-view.ts'
import { ClusterFixture } from '@stead/core/ha/cluster-fixture.ts'
import { failure } from '@stead/core/errors.ts'
import type { HostId } from '@stead/core/model/ids.ts'
import { KEYS } from '@stead/core/model/keys.ts'
import { fail, ok } from '@stead/core/result.ts'
import { TestBackend } from './backend-fixture.ts'

async function start(context: TestContext) {
  const cluster = new ClusterFixture(3, { witness: true })
  const { guest: web } = cluster.guestWithDisk('web', ['h2', 'h3'])
  cluster.grant(web, 'h2')
  cluster.observe(web, {})
  const { value: h2 } = cluster.state.hosts.get('h2' as HostId)!
  const backend = await TestBackend.start(context, cluster)
  await backend.put(KEYS.host('h2' as HostId), { ...h2, powerSwitch: true })
  const orders: string[] = []
  backend.power = {
    cut: async (host) => ok(void orders.push(`cut ${host}`)),
    restore: async (host) => ok(void orders.push(`restore ${host}`)),
  }
  const operations = () => [...backend.mirror.state.operations.values()].map(({ value }) => value.kind)
  return { backend, orders, operations }
}

const h2 = { params: { host: 'h2' } }

test('the plug is pulled and put in again, once for each request, and both are told', async (context) => {
  const { backend, orders } = await start(context)
  const idempotencyKey = crypto.randomUUID()
  const first = await backend.call('host.cut-power', h2, { idempotencyKey })
  assert.ok(first.ok)
  assert.deepEqual(await backend.call('host.cut-power', h2, { idempotencyKey }), first, 'the same request')
  await backend.must('host.restore-power', h2)
  assert.deepEqual(orders, ['cut h2', 'restore h2'])
  const { items } = await backend.must('event.list', { query: { kinds: 'host.power-cut,host.power-restored' } })
  assert.deepEqual(
    items.map(({ message }) => message),
    ['an administrator pulled the plug of h2', 'an administrator put the plug of h2 in again'],
  )
})

test('a look shows what the loss of the host would do, and pulls nothing', async (context) => {
  const { backend, orders, operations } = await start(context)
  const foreseen = await backend.call('host.cut-power', h2, { whatIf: true })
  assert.ok(!foreseen.ok && foreseen.error.code === 'foreseen')
  const { supposition, guests } = foreseen.error.cause as ForeseenView
  assert.equal(supposition, 'h2 loses its power')
  assert.deepEqual(
    guests.map(({ name, from, to }) => [name, from, to]),
    [['web', 'h2', 'h3']],
  )
  const harmless = await backend.call('host.restore-power', h2, { whatIf: true })
  assert.ok(!harmless.ok && harmless.error.code === 'foreseen')
  assert.deepEqual([orders, operations()], [[], []])
})

test('where a look is demanded, who has not seen this one pulls nothing', async (context) => {
  const { backend, orders } = await start(context)
  await backend.must('policy.set', { body: { whatIfRequired: true } })
  assert.equal((await backend.refused('host.cut-power', h2)).code, 'what_if_required')
  assert.deepEqual(orders, [])
  const foreseen = await backend.call('host.cut-power', h2, { whatIf: true })
  assert.ok(!foreseen.ok)
  const { token } = foreseen.error.cause as ForeseenView
  assert.ok((await backend.call('host.cut-power', h2, { foreseen: token })).ok)
  assert.deepEqual(orders, ['cut h2'])
})

test('what the device refuses is not recorded', async (context) => {
  const { backend, operations } = await start(context)
  backend.power = { ...backend.power, cut: async () => fail(failure('conflict', 'h2 has no power already')) }
  assert.equal((await backend.refused('host.cut-power', h2)).message, 'h2 has no power already')
  assert.deepEqual(operations(), [])
})

test('a host without such a device has no plug to pull, and a host that is none neither', async (context) => {
  const { backend, orders } = await start(context)
  for (const host of ['h1', 'witness', 'nobody']) {
    for (const id of ['host.cut-power', 'host.restore-power'] as const)
      assert.equal((await backend.refused(id, { params: { host } })).code, 'not_found')
  }
  assert.deepEqual(orders, [])
  const { items } = await backend.must('host.list')
  assert.deepEqual(
    items.filter(({ powerSwitch }) => powerSwitch).map(({ name }) => name),
    ['h2'],
  )
})

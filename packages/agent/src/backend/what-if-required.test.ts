/** The policy by which a change is taken only from somebody who has seen what it will do. */
import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import type { ForeseenView } from '@stead/api/foresight-view.ts'
import { ENDPOINTS } from '@stead/api/endpoints.ts'
import { ClusterFixture } from '@stead/core/ha/cluster-fixture.ts'
import type { BackendId } from '../http/backend.ts'
import { TestBackend } from './backend-fixture.ts'

async function start(context: TestContext) {
  const cluster = new ClusterFixture(3)
  const { guest } = cluster.guestWithDisk('web', ['h1', 'h2'])
  cluster.grant(guest, 'h1')
  cluster.observe(guest, {})
  const backend = await TestBackend.start(context, cluster)
  await backend.must('policy.set', { body: { whatIfRequired: true } })
  return backend
}

test('a change that can be foreseen is refused until it was, and is then taken', async (context) => {
  const backend = await start(context)
  const stop = { params: { guest: 'web' }, body: { force: true } }
  assert.equal((await backend.refused('guest.stop', stop)).code, 'what_if_required')
  const look = await backend.call('guest.stop', stop, { whatIf: true })
  assert.ok(!look.ok && look.error.code === 'foreseen')
  const { token } = look.error.cause as ForeseenView
  assert.ok((await backend.call('guest.stop', stop, { foreseen: token })).ok)
})

test('what nobody can foresee is taken all the same: else it could not be done at all', async (context) => {
  const backend = await start(context)
  const changes: readonly (readonly [BackendId, object])[] = [
    ['cluster.failover', { body: { confirmDead: 'h3' } }],
    ['project.create', { body: { name: 'shop' } }],
    ['user.create', { body: { name: 'alice' } }],
    ['webhook.create', { body: { name: 'chat', url: 'https://chat.example/x' } }],
    ['image.import', { body: { name: 'arch', blob: `sha256:${'a'.repeat(64)}`, format: 'raw' } }],
  ]
  for (const [id, input] of changes) {
    assert.equal((ENDPOINTS[id] as { whatIf?: string }).whatIf, 'none', id)
    const done = await backend.call(id, input)
    assert.ok(done.ok, `${id}: ${done.ok ? '' : done.error.message}`)
  }
})

/** Who may have a host go on alone: docs/internals/recovery.md. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ClusterFixture } from '@stead/core/ha/cluster-fixture.ts'
import { TestBackend } from './backend-fixture.ts'

const lost = { body: { lost: ['h2', 'h3'] } }

test('root of the host itself, and nobody from elsewhere', async (t) => {
  const backend = await TestBackend.start(t, new ClusterFixture())
  const asked = await backend.call('cluster.recover', lost)
  assert.deepEqual(asked.ok && asked.value.lost, ['h2', 'h3'])
  // With the token that only a lab has.
  const far = await backend.call('cluster.recover', lost, { visitor: { address: '192.0.2.9', client: 'test' } })
  assert.equal(!far.ok && far.error.code, 'forbidden')
  const user = await backend.call('cluster.recover', lost, {
    principal: { kind: 'user', user: 'ada' } as never,
    visitor: { address: 'local', client: 'test' },
  })
  assert.equal(user.ok, false)
})

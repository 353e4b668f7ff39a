import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ClusterFixture } from '@stead/core/ha/cluster-fixture.ts'
import type { OperationId } from '@stead/core/model/ids.ts'
import type { Operation } from '@stead/core/model/operation.ts'
import { operationView } from './views.ts'

test('an operation is called by what people call its subject, and tells nobody whose a permission is', () => {
  const { state, verdicts } = new ClusterFixture()
  const cluster = new ClusterFixture()
  const { guest } = cluster.guestWithDisk('web', ['h1', 'h2'])
  const { volume: kept } = cluster.guestWithDisk('gone', ['h1', 'h2'])
  cluster.state.guests.delete(kept.guest)
  const nameOf = (subject: string, of = cluster.state) => {
    const operation = {
      id: 'o' as OperationId,
      kind: 'x',
      subject,
      state: 'succeeded',
      progress: 1,
      message: '',
    } as const
    return operationView({ state: of, verdicts }, { ...operation, startedAt: 0 } satisfies Operation).subjectName
  }
  assert.equal(nameOf(`guest/${guest.id}`), 'web')
  assert.equal(nameOf('volume/volumeweb'), 'web/disk0')
  assert.equal(nameOf('volume/volumegone'), 'disk0', 'its guest was deleted')
  assert.equal(nameOf('volume/volumeweb', state), 'volumeweb', 'it was deleted')
  assert.equal(nameOf('permission/1f6055ac-fc84-471b-9f1e-5a2c1d0b7e11'), '1f6055ac')
  assert.equal(nameOf('host/h1'), 'h1')
  assert.equal(nameOf('cluster'), '')
})

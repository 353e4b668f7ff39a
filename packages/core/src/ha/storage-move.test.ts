import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import type { Grant } from '../model/grant.ts'
import type { HostId } from '../model/ids.ts'
import { filesOf, inSync, promisedPoolBytes, removalsOf, withReplica } from '../model/records.ts'
import type { Replica, Volume } from '../model/volume.ts'
import { mayGoOnWith } from '../host/run-records.ts'
import { ClusterFixture } from './cluster-fixture.ts'
import { objectionToOpening, replicaGrantOf, type Purpose } from './export-gate.ts'
import { planServing } from './serving.ts'
import {
  canChangePool,
  dueStep,
  isStepDue,
  moverAtRest,
  plannedMove,
  toBeMadeOn,
  withFileMade,
  withMoveFinished,
  withPoolChanged,
  withoutLeaving,
  withoutMove,
  type MoveRequest,
} from './storage-move.ts'

const [h1, h2, h3] = ['h1', 'h2', 'h3'] as HostId[] as [HostId, HostId, HostId]
const MOVE: MoveRequest = { from: { host: h1 }, to: { host: h2 } }
const everywhere = () => true
const nowhere = () => false

function single(): { readonly cluster: ClusterFixture; readonly volume: Volume } {
  const cluster = new ClusterFixture(3, { witness: true })
  return { cluster, volume: cluster.guestWithDisk('web', [h1]).volume }
}

function planned(
  cluster: ClusterFixture,
  volume: Volume,
  request: MoveRequest,
  isUp: (host: HostId) => boolean = everywhere,
) {
  return plannedMove(cluster.state, volume, request, isUp, 1_000)
}

/** The volume after the user's word, with the new replica in this state. */
function moving(state: Replica['state'] | 'to-be-made' = 'to-be-made', request = MOVE): Volume {
  const { cluster, volume } = single()
  const asked = planned(cluster, volume, request)
  assert(asked.ok)
  if (state === 'to-be-made') return asked.value
  const made = withFileMade(asked.value, h2)
  if (state === 'in-sync') return withReplica(made, h2, ({ host, pool }) => ({ host, pool, state }))
  return withReplica(made, h2, (replica) => ({ ...replica, state }))
}

suite('a move of a replica', () => {
  test('is refused with a reason before anything changes', () => {
    const { cluster, volume } = single()
    const refusal = (request: MoveRequest, isUp?: (host: HostId) => boolean) => {
      const asked = planned(cluster, volume, request, isUp)
      return asked.ok ? '' : asked.error.message
    }
    assert.match(refusal({}), /not said/)
    assert.match(refusal({ to: { host: h1 } }), /has a replica of it already/)
    assert.match(refusal({ from: { host: h2 }, to: { host: h3 } }), /no replica on h2/)
    assert.match(refusal({ from: { host: h1, pool: 'fast' }, to: { host: h3 } }), /no replica on h1\/fast/)
    assert.match(refusal({ from: { host: h1 }, to: { host: h2, pool: 'fast' } }), /no pool fast/)
    assert.match(refusal({ from: { host: h1 }, to: { host: 'h9' as HostId } }), /no host h9/)
    assert.match(refusal({ from: { host: h1 }, to: { host: 'witness' as HostId } }), /witness/)
    assert.match(refusal(MOVE, nowhere), /not online/)
    assert.match(refusal({ from: { host: h1 } }), /only current one/)
    const large = planned(cluster, { ...volume, sizeBytes: 2 ** 60 }, MOVE)
    assert.equal(large.ok ? '' : large.error.code, 'no_capacity')
    const again = planned(cluster, moving(), { to: { host: h3 } })
    assert.match(again.ok ? '' : again.error.message, /being moved already/)
    const unready = planned(cluster, { ...volume, ready: false }, MOVE)
    assert.match(unready.ok ? '' : unready.error.message, /not ready/)
  })

  test('begins with a replica that counts for nothing', () => {
    const volume = moving()
    assert.deepEqual(
      inSync(volume).map(({ host }) => host),
      [h1],
    )
    const lost = planServing(volume, undefined, (host) => host === h2, undefined, 0, h2)
    assert.deepEqual(lost, { kind: 'wait', forHosts: [h1], staleCopies: [] }, 'it is no copy that could be accepted')
  })

  test('takes the old replica out only when the new one is in sync, and a leg of a guest that runs', () => {
    for (const state of ['to-be-made', 'stale', 'syncing'] as const) {
      const volume = moving(state)
      assert.equal(dueStep(volume), undefined, state)
      assert.equal(withoutLeaving(volume), volume)
    }
    const volume = moving('in-sync')
    assert.equal(
      isStepDue(volume, (host) => host === h1),
      false,
    )
    assert(isStepDue(volume, everywhere))
    const left = withoutLeaving(volume)
    assert.deepEqual(left.replicas, [{ host: h2, pool: 'default', state: 'in-sync' }])
    assert.deepEqual(
      filesOf(left).map(({ host }) => host),
      [h2, h1],
      'its file still takes room',
    )
  })

  test('removes the old file only when no guest has it open', () => {
    const left = withoutLeaving(moving('in-sync'))
    assert.equal(isStepDue(left, everywhere), false)
    assert(isStepDue(left, (host) => host === h2))
    const { volume, removal } = withMoveFinished(left)
    assert.equal(volume.move, undefined)
    assert.deepEqual(removal, { host: h1, pool: 'default', volume: volume.id })
  })

  test('of two replicas takes away none but the one that was named', () => {
    const { cluster } = single()
    const { volume } = cluster.guestWithDisk('db', [h1, h2])
    const asked = planned(cluster, volume, { from: { host: h2 } })
    assert(asked.ok)
    assert.deepEqual(
      withoutLeaving(asked.value).replicas.map(({ host }) => host),
      [h1],
    )
    const stale = withReplica(asked.value, h1, (replica) => ({ ...replica, state: 'stale' }))
    assert.equal(dueStep(stale), undefined, 'the other one is not current any more')
    const more = planned(cluster, volume, { to: { host: h3 } })
    assert(more.ok)
    assert.equal(dueStep(withReplica(more.value, h3, ({ host, pool }) => ({ host, pool, state: 'in-sync' }))), 'finish')
  })

  test('can be called off until the new replica is current', () => {
    for (const state of ['to-be-made', 'stale', 'syncing'] as const) {
      const undone = withoutMove(moving(state))
      assert(undone.ok)
      assert.deepEqual(
        undone.value.volume.replicas.map(({ host }) => host),
        [h1],
      )
      assert.equal(undone.value.removal?.host, h2)
    }
    assert.equal(withoutMove(moving('in-sync')).ok, false)
    assert.equal(withoutMove(withoutLeaving(moving('in-sync'))).ok, false)
    assert.equal(withoutMove(single().volume).ok, false)
  })

  test('goes on at rest on the host that has the new replica, and only after a clean end', () => {
    const grant = (state: Grant['state'], clean: boolean) => ({ state, clean }) as Grant
    const volume = moving('in-sync')
    assert.equal(moverAtRest(volume, undefined), h2)
    assert.equal(moverAtRest(volume, grant('released', true)), h2)
    assert.equal(moverAtRest(volume, grant('released', false)), undefined)
    assert.equal(moverAtRest(volume, grant('held', true)), undefined)
    assert.equal(moverAtRest(moving('stale'), undefined), undefined)
  })

  test('lets a guest go on only with a leg that the record knows and does not call stale', () => {
    assert(mayGoOnWith(moving('syncing'), [h2]), 'it may just have become a leg')
    assert.equal(mayGoOnWith(moving('stale'), [h2]), false)
    assert.equal(mayGoOnWith(withoutLeaving(moving('in-sync')), [h1]), false, 'it has left')
    assert(mayGoOnWith(withoutLeaving(moving('in-sync')), [h1, h2]))
  })

  test('finds a replica open for filling only as what it is now', () => {
    const held = { epoch: 4, state: 'held' } as Grant
    const objection = (volume: Volume, purpose: 'overwrite' | 'rejoin', grant?: Grant) =>
      objectionToOpening(
        volume.id,
        replicaGrantOf(grant, volume, h2, volume.replicas.find(({ host }) => host === h2)?.pool ?? ''),
        grant?.epoch ?? 0,
        purpose,
      )?.code
    for (const purpose of ['overwrite', 'rejoin'] as const) {
      assert.equal(objection(single().volume, purpose, held), 'conflict', 'none there')
      assert.equal(objection(moving(), purpose, held), 'conflict', 'no file yet')
      assert.equal(objection(moving('stale'), purpose, held), 'conflict', 'asked for again meanwhile')
      assert.equal(objection(moving('syncing'), purpose, held), undefined)
      assert.equal(objection(moving('stale'), purpose), undefined, 'a guest at rest')
    }
  })

  test('changes the pool of a replica when the new file has the same, and not before', () => {
    const { cluster, volume } = single()
    cluster.addPool(h1, 'fast')
    const asked = planned(cluster, volume, { from: { host: h1 }, to: { host: h1, pool: 'fast' } })
    assert(asked.ok)
    assert.deepEqual(asked.value.replicas, volume.replicas, 'the new one is no replica yet')
    assert.equal(toBeMadeOn(asked.value, h1)?.pool, 'fast')
    assert.equal(canChangePool(asked.value), false, 'it has no file yet')
    const filling = withFileMade(asked.value, h1)
    const { move } = filling
    assert(canChangePool(filling) && move?.incoming)
    assert.equal(dueStep(filling), undefined, 'nothing leaves before')
    const behind = withReplica(filling, h1, (replica) => ({ ...replica, state: 'stale' }))
    assert.equal(withPoolChanged(behind), behind, 'a replica that is behind is brought up to date first')
    const changed = withPoolChanged(filling)
    assert.deepEqual(changed.replicas, [{ host: h1, pool: 'fast', state: 'in-sync' }])
    assert(isStepDue(changed, everywhere), 'the leg goes to the new file')
    assert.deepEqual(withMoveFinished(changed).removal, { host: h1, pool: 'default', volume: volume.id })
    const undone = withoutMove(filling)
    assert.deepEqual(undone.ok && undone.value, { volume, removal: { host: h1, pool: 'fast', volume: volume.id } })
  })

  test('serves nobody from the new file before it is the replica, nor from the old one after', () => {
    const { cluster, volume } = single()
    cluster.addPool(h1, 'fast')
    const asked = planned(cluster, volume, { from: { host: h1 }, to: { host: h1 } })
    assert(asked.ok)
    const run = { epoch: 1, state: 'held' } as Grant
    const objection = (record: Volume, pool: string, purpose: Purpose) =>
      objectionToOpening(volume.id, replicaGrantOf(run, record, h1, pool), 1, purpose)?.code
    const filling = withFileMade(asked.value, h1)
    assert.equal(objection(filling, 'fast', 'serve'), 'replica_not_current')
    assert.equal(objection(filling, 'fast', 'overwrite'), 'conflict', 'only what is recorded as being filled now')
    const syncing: Volume = {
      ...filling,
      move: { ...filling.move!, incoming: { ...filling.move!.incoming!, state: 'syncing' } },
    }
    assert.equal(objection(syncing, 'fast', 'overwrite'), undefined)
    assert.equal(objection(syncing, 'fast', 'rejoin'), undefined)
    assert.equal(objection(syncing, 'default', 'serve'), undefined)
    const changed = withPoolChanged(syncing)
    assert.equal(objection(changed, 'fast', 'serve'), undefined)
    assert.equal(objection(changed, 'default', 'serve'), 'replica_not_current')
  })

  test('is removed with all its files when its guest is deleted meanwhile', () => {
    const { cluster, volume } = single()
    cluster.addPool(h1, 'fast')
    const asked = planned(cluster, volume, { from: { host: h1 }, to: { host: h1 } })
    assert(asked.ok)
    assert.deepEqual(
      removalsOf(asked.value),
      ['default', 'fast'].map((pool) => ({ host: h1, volume: volume.id, pool })),
    )
  })

  test('keeps its room on both hosts until it is over', () => {
    const { cluster, volume } = single()
    const id = volume.id
    const put = (value: Volume) => cluster.state.volumes.set(id, { value, revision: 99n })
    put(moving())
    assert.equal(promisedPoolBytes(cluster.state, h2, 'default'), volume.sizeBytes)
    put(withoutLeaving(moving('in-sync')))
    assert.equal(promisedPoolBytes(cluster.state, h1, 'default'), volume.sizeBytes)
  })
})

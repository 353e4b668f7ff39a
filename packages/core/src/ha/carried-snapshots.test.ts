import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import type { HostId } from '../model/ids.ts'
import { KEYS } from '../model/keys.ts'
import type { Snapshot, SnapshotId, SnapshotMemory } from '../model/snapshot.ts'
import type { Volume } from '../model/volume.ts'
import { holderChanges, snapshotsToCarry } from './carried-snapshots.ts'
import { ClusterFixture } from './cluster-fixture.ts'
import { isKeptBySnapshots, plannedMove, withFileMade, withoutLeaving } from './storage-move.ts'

const [h1, h2, h3] = ['h1', 'h2', 'h3'] as HostId[] as [HostId, HostId, HostId]

function given(hosts: readonly HostId[] = [h1, h2]) {
  const cluster = new ClusterFixture(3)
  const { guest, volume } = cluster.guestWithDisk('web', hosts)
  const add = (name: string, holders: readonly HostId[], more: Partial<Snapshot> = {}) => {
    const value: Snapshot = {
      id: name as SnapshotId,
      ...{ guest: guest.id, name, createdAt: 1, state: 'ready', wanted: 'crash', consistent: 'crash' },
      volumes: [{ volume: volume.id, sizeBytes: volume.sizeBytes, hosts: holders }],
      scheduled: false,
      ...more,
    }
    cluster.state.snapshots.set(`${guest.id}/${name}`, { value, revision: 7n })
  }
  const planned = (from?: HostId, to?: HostId) =>
    plannedMove(
      cluster.state,
      volume,
      { ...(from ? { from: { host: from } } : {}), ...(to ? { to: { host: to } } : {}) },
      () => true,
      1_000,
    )
  return { cluster, volume, add, planned }
}

/** The move from h1 to h3 has been done as far as this, and these were carried. */
function arrived(volume: Volume, carried: readonly string[]): Volume {
  const made = withFileMade(volume, h3, carried as readonly SnapshotId[])
  const replicas = made.replicas.map((each) =>
    each.host === h3 ? { host: h3, pool: each.pool, state: 'in-sync' as const } : each,
  )
  return { ...made, replicas }
}

suite('snapshots of a replica that moves', () => {
  test('are carried along the oldest first, each from who holds it', () => {
    const { cluster, volume, add } = given()
    add('young', [h1, h2], { createdAt: 2 })
    add('old', [h2], { createdAt: 1 })
    add('of-nobody', [h3])
    assert.deepEqual(
      snapshotsToCarry(cluster.state, volume).map(({ snapshot, sources }) => [
        snapshot.name,
        ...sources.map(({ host }) => host),
      ]),
      [
        ['old', h2],
        ['young', h1, h2],
      ],
    )
  })

  test('let the old replica go once the new one, or another, holds all that it does', () => {
    const { cluster, add, planned } = given()
    add('everywhere', [h1, h2])
    add('only-here', [h1])
    const asked = planned(h1, h3)
    assert(asked.ok)
    assert(isKeptBySnapshots(cluster.state, arrived(asked.value, [])))
    assert.equal(isKeptBySnapshots(cluster.state, arrived(asked.value, ['only-here'])), false)
  })

  test('keep a replica that nothing takes the place of, if nobody else holds them', () => {
    const { add, planned } = given()
    add('everywhere', [h1, h2])
    assert(planned(h1).ok)
    add('only-here', [h1])
    const asked = planned(h1)
    assert.match(asked.ok ? '' : asked.error.message, /only-here/)
    assert(planned(h2).ok)
  })

  test('an image of the memory counts like the disk', () => {
    const { volume, add, planned } = given()
    add('whole', [h1, h2], { memory: { volume: volume.id, hosts: [h1] } as unknown as SnapshotMemory })
    const asked = planned(h1)
    assert.match(asked.ok ? '' : asked.error.message, /Only the replica on h1/)
  })

  test('one that is being made comes first', () => {
    const { add, planned } = given()
    add('new', [], { state: 'cutting' })
    const asked = planned(h1, h3)
    assert.match(asked.ok ? '' : asked.error.message, /being made/)
  })

  test('are recorded where they are when the move is over, unless they were deleted meanwhile', () => {
    const { cluster, volume, add, planned } = given()
    add('carried', [h1, h2], { memory: { volume: volume.id, hosts: [h1] } as unknown as SnapshotMemory })
    add('left', [h1, h2])
    const asked = planned(h1, h3)
    assert(asked.ok)
    const { writes, compares } = holderChanges(cluster.state, withoutLeaving(arrived(asked.value, ['carried'])))
    const after = writes.map((write) => (write.kind === 'put' ? (JSON.parse(write.value) as Snapshot) : undefined))
    assert.deepEqual(
      after.map((each) => [each?.name, each?.volumes[0]?.hosts, each?.memory?.hosts]),
      [
        ['carried', [h2, h3], [h3]],
        ['left', [h2], undefined],
      ],
    )
    assert.deepEqual(compares[0], { key: KEYS.snapshot(volume.guest, 'carried'), modRevision: 7n })
  })
})

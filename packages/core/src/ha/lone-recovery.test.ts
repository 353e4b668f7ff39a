import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { HostId, VolumeId } from '../model/ids.ts'
import type { Replica, Volume } from '../model/volume.ts'
import { decide } from './coordinator.ts'
import { ClusterFixture } from './cluster-fixture.ts'
import { guestsLeft, guestSteps, hostSteps } from './lone-recovery.ts'

const [h1, h2, h3] = ['h1', 'h2', 'h3'] as HostId[] as [HostId, HostId, HostId]
const ALONE = { self: h1, lost: [h2, h3] }
const STALE: Replica = {
  ...{ host: h1, pool: 'default', state: 'stale' },
  stale: { sinceEpoch: 4, since: 0, reason: 'h1 was down', cause: 'leg-lost' },
}

/** What the steps write, by key; null: the record goes. */
function written(steps: ReturnType<typeof guestSteps>): Record<string, unknown> {
  return Object.fromEntries(
    steps.map(({ compare, write }) => [compare.key, write.kind === 'put' ? JSON.parse(write.value) : null]),
  )
}

/** The records after the steps, as every agent reads them. */
function apply(cluster: ClusterFixture): void {
  for (const value of Object.values(written(guestSteps(cluster.state, ALONE)))) {
    const { epoch, id } = value as { epoch?: number; id?: VolumeId }
    if (epoch !== undefined) cluster.state.grants.set((value as never as { guest: never }).guest, versioned(value))
    else if (id !== undefined) cluster.state.volumes.set(id, versioned(value))
  }
  for (const host of [h2, h3]) {
    cluster.state.hosts.delete(host)
    cluster.state.statuses.delete(host)
    cluster.verdicts.delete(host)
  }
}
const versioned = (value: unknown) => ({ value: value as never, revision: 1_000n })

test('a guest with a current copy here is granted to this host; copies elsewhere count no more', () => {
  const cluster = new ClusterFixture()
  const { guest, volume } = cluster.guestWithDisk('web', ['h2', 'h1'])
  cluster.grant(guest, 'h2', { epoch: 7 })
  assert.deepEqual(guestsLeft(cluster.state, ALONE)[0]?.copies, 'current')
  const [ended, disk] = Object.values(written(guestSteps(cluster.state, ALONE))).toReversed() as [
    { state: string; clean: boolean; epoch: number },
    Volume,
  ]
  assert.deepEqual([ended.state, ended.clean, ended.epoch], ['released', false, 7])
  assert.deepEqual(
    disk.replicas.map(({ host }) => host),
    [h1],
  )
  apply(cluster)
  const granted = decide(cluster.input('h1')).actions.flatMap(({ action }) =>
    action.kind === 'grant' ? [action.grant] : [],
  )
  assert.deepEqual(
    granted.map(({ host, epoch }) => [host, epoch]),
    [[h1, 8]],
  )
  assert.deepEqual(guestSteps(cluster.state, ALONE), [], `nothing is left to be done for ${volume.id}`)
})

test('an old copy is not started by itself, and is when somebody accepts what it lacks', () => {
  const cluster = new ClusterFixture()
  const { guest } = cluster.guestWithDisk('db', ['h2', STALE])
  cluster.grant(guest, 'h2', { epoch: 5 })
  const [left] = guestsLeft(cluster.state, ALONE)
  assert.equal(left?.copies, 'stale')
  assert.match(left?.text ?? '', /stopped at epoch 4, 1970/)
  apply(cluster)
  assert.ok(!decide(cluster.input('h1')).actions.some(({ action }) => action.kind === 'grant'))
  cluster.state.guests.set(guest.id, versioned({ ...guest, acceptDataLoss: { host: h1, atEpoch: 5 } }))
  assert.ok(decide(cluster.input('h1')).actions.some(({ action }) => action.kind === 'grant'))
})

test('a guest that has nothing here stays as it is known, and waits', () => {
  const cluster = new ClusterFixture()
  const { guest } = cluster.guestWithDisk('gone', ['h2', 'h3'])
  cluster.grant(guest, 'h3')
  const [left] = guestsLeft(cluster.state, ALONE)
  assert.deepEqual([left?.copies, left?.text], ['none', 'disk0 was on h2 and h3 only: what it held is lost'])
  apply(cluster)
  const waits = decide(cluster.input('h1')).actions.flatMap(({ action }) =>
    action.kind === 'explain' ? [action.decision] : [],
  )
  assert.match(waits[0]?.outcome ?? '', /only current copy of its data is on h2 and h3/)
})

test('a copy that was still being filled for the first time is none', () => {
  const cluster = new ClusterFixture()
  cluster.guestWithDisk('new', ['h2', { ...STALE, incoming: 'being-filled' }])
  assert.equal(guestsLeft(cluster.state, ALONE)[0]?.copies, 'none')
  assert.deepEqual(guestSteps(cluster.state, ALONE), [])
})

test('what runs here goes on; a move to a lost host, and memory that is on one, end the run', () => {
  const cluster = new ClusterFixture()
  const [stays, moves, comes] = ['stays', 'moves', 'comes'].map((name) => cluster.guestWithDisk(name, ['h1']).guest)
  cluster.grant(stays!, 'h1')
  cluster.grant(moves!, 'h1', { epoch: 3, handover: { to: h2, epoch: 4, reason: '', since: 0 } })
  cluster.grant(comes!, 'h1', { memoryOn: h3 })
  const changed = written(guestSteps(cluster.state, ALONE))
  assert.deepEqual(Object.keys(changed), ['/stead/grants/guest-moves', '/stead/grants/guest-comes'])
  const ended = changed['/stead/grants/guest-moves'] as { state: string; spentEpoch: number; handover?: unknown }
  assert.deepEqual([ended.state, ended.spentEpoch, ended.handover], ['released', 4, undefined])
})

test('moves of replicas that a lost host took part in are over', () => {
  const cluster = new ClusterFixture()
  const { volume } = cluster.guestWithDisk('web', ['h1', 'h2'])
  const moving: Volume = {
    ...volume,
    replicas: [...volume.replicas, { ...STALE, host: h3, incoming: 'to-be-made' }],
    move: { to: h3, from: h2, since: 0 },
  }
  cluster.state.volumes.set(volume.id, versioned(moving))
  const [left] = Object.values(written(guestSteps(cluster.state, ALONE))) as [Volume]
  assert.deepEqual([left.replicas.map(({ host }) => host), left.move], [[h1], undefined])
})

test('records and removals of the lost hosts go', () => {
  const cluster = new ClusterFixture()
  cluster.maintain('h3')
  const removal = { host: h2, volume: 'v1' as VolumeId, pool: 'default' }
  cluster.state.removals.set('h2/v1/default', versioned(removal))
  assert.deepEqual(written(guestSteps(cluster.state, ALONE)), { '/stead/removals/h2/v1/default': null })
  assert.deepEqual(Object.keys(written(hostSteps(cluster.state, ALONE))), [
    ...['/stead/hosts/h2', '/stead/statuses/h2', '/stead/hosts/h3', '/stead/statuses/h3', '/stead/policies/h3'],
  ])
})

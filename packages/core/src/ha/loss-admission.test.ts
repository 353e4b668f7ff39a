import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ClusterState } from '../model/cluster.ts'
import { DEFAULT_POLICY } from '../model/cluster-policy.ts'
import type { Guest } from '../model/guest.ts'
import type { HostId } from '../model/ids.ts'
import { ClusterFixture } from './cluster-fixture.ts'
import { breachesMadeBy, guestsNeedingPlace, lossAdmission } from './loss-admission.ts'

const GIB = 2 ** 30
const everyHost = () => true

function texts(state: ClusterState): readonly string[] | undefined {
  return lossAdmission(state, everyHost)?.breaches.map(({ text }) => text)
}

/** Two hosts of 8 GiB; what each guest takes, GiB. */
function pair(...guests: readonly (readonly [name: string, host: string, gib: number])[]) {
  const cluster = new ClusterFixture(2, { witness: true })
  for (const [name, host, gib] of guests) cluster.grant(cluster.guest(name, { memoryBytes: gib * GIB }), host)
  return cluster
}

function withGuest(state: ClusterState, guest: Guest): ClusterState {
  return { ...state, guests: new Map(state.guests).set(guest.id, { value: guest, revision: 1n }) }
}

test('a guest that the other host could not take is named with the host whose loss would show it', () => {
  assert.deepEqual(texts(pair(['a', 'h1', 5], ['b', 'h2', 3]).state), [])
  assert.deepEqual(texts(pair(['a', 'h1', 5], ['b', 'h2', 4]).state), [
    'if h1 died now, a (5 GiB) would have no place',
    'if h2 died now, b (4 GiB) would have no place',
  ])
})

test('a guest that is being stopped, or that HA ignores, need not be placed after a loss', () => {
  const cluster = pair(['a', 'h1', 5], ['b', 'h2', 4])
  const [a, b] = [...cluster.state.guests.values()].map(({ value }) => value)
  assert.deepEqual(texts(withGuest(withGuest(cluster.state, { ...a!, ha: 'ignored' }), { ...b!, ha: 'ignored' })), [])
})

test('a container that may start from a copy of its native root has a place where that is', () => {
  for (const onLoss of ['wait', 'start-from-copy'] as const) {
    const cluster = new ClusterFixture(2, { witness: true })
    const { guest, volume } = cluster.guestWithDisk('a', ['h1'], { kind: 'ct', rootCopy: { everyMs: 1, onLoss } })
    for (const [id, { value, revision }] of cluster.state.hosts)
      cluster.state.hosts.set(id, { value: { ...value, containers: { lxc: '5.0.2' } }, revision })
    const copies = [{ host: 'h2' as HostId, pool: 'default', since: 0, newest: { at: 1, epoch: 1 } }]
    cluster.state.volumes.set(volume.id, { value: { ...volume, form: 'subvolume', copies }, revision: 1n })
    cluster.grant(guest, 'h1')
    const missing = ['if h1 died now, a (1 GiB) would have no place']
    assert.deepEqual(texts(cluster.state), onLoss === 'wait' ? missing : [])
  }
})

test('nothing is asked where no loss is to be survived, or where one host runs all guests', () => {
  const cluster = pair(['a', 'h1', 8], ['b', 'h2', 8])
  const tolerant = { ...DEFAULT_POLICY, admission: { hostFailures: 0, onBreach: 'refuse' as const } }
  assert.equal(texts({ ...cluster.state, clusterPolicy: { value: tolerant, revision: 1n } }), undefined)
  assert.equal(lossAdmission(new ClusterFixture(1).state, everyHost), undefined)
})

test('a change is blamed for what it makes worse, not for what was so before', () => {
  const cluster = pair(['a', 'h1', 5], ['b', 'h2', 4])
  const stopped = cluster.guest('c', { memoryBytes: 4 * GIB, desired: 'stopped' })
  const { state } = cluster
  assert.deepEqual(breachesMadeBy(state, withGuest(state, { ...stopped, memoryBytes: 2 * GIB }), everyHost), [])
  const started = breachesMadeBy(state, withGuest(state, { ...stopped, desired: 'running' }), everyHost)
  assert.deepEqual(
    started.map(({ text }) => text),
    ['if h2 died now, b (4 GiB) and c (4 GiB) would have no place'],
  )
})

test('a drained host is no place any more, and its guests are planned elsewhere', () => {
  const cluster = new ClusterFixture(3)
  cluster.grant(cluster.guest('a', { memoryBytes: 5 * GIB }), 'h1')
  cluster.grant(cluster.guest('b', { memoryBytes: 4 * GIB }), 'h2')
  const before = { ...cluster.state, policies: new Map(cluster.state.policies) }
  cluster.maintain('h3')
  assert.deepEqual(texts(before), [])
  assert.equal(breachesMadeBy(before, { ...before, policies: cluster.state.policies }, everyHost).length, 2)
})

test('a guest needs a place when it is to run and its host is gone, drained or shut down for good', () => {
  const cluster = new ClusterFixture(3)
  const names = ['onLost', 'drained', 'rebooting', 'home', 'off', 'nowhere']
  const [onLost, drained, rebooting, home, off] = names.map((name) =>
    cluster.guest(name, { desired: name === 'off' ? 'stopped' : 'running' }),
  )
  cluster.addHost('h4', 4, 'compute')
  cluster.grant(onLost!, 'h1')
  cluster.grant(drained!, 'h2')
  cluster.grant(rebooting!, 'h3')
  cluster.grant(home!, 'h4')
  cluster.grant(off!, 'h4')
  cluster.maintain('h2')
  const h3 = 'h3' as HostId
  cluster.state.policies.set(h3, { value: { maintenance: false, shutdown: 'reboot' }, revision: 1n })
  const found = guestsNeedingPlace(cluster.state, (host) => host !== 'h1')
  assert.deepEqual([...found], ['guest-onLost', 'guest-drained', 'guest-nowhere'])
})

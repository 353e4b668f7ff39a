import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { anyClusterFile, SMALL_FILE } from './cluster-file-fixture.ts'
import { fileOf, stateOf } from './cluster-file-state.ts'
import type { ClusterFile, FileGuest } from './cluster-file.ts'
import { DEFAULT_POLICY } from './cluster-policy.ts'
import type { ClusterState } from './cluster.ts'
import type { GuestId, HostId, VolumeId } from './ids.ts'
import { inSync } from './records.ts'
import type { Rule, RuleId } from './rule.ts'

const host = (name: string) => name as HostId
const guest = (name: string) => name as GuestId
const withGuests = (...guests: FileGuest[]): ClusterFile => ({ ...SMALL_FILE, guests })

test('a running guest holds a grant of epoch 1 and is seen running', () => {
  const state = stateOf(SMALL_FILE)
  const grant = state.grants.get(guest('web'))?.value
  assert.deepEqual([grant?.host, grant?.epoch, grant?.state], ['h1', 1, 'held'])
  const seen = state.observations.get(guest('web'))?.value
  assert.deepEqual([seen?.host, seen?.epoch, seen?.phase], ['h1', 1, 'running'])
  assert.equal(state.guests.get(guest('web'))?.value.desired, 'running')
})

test('a guest without a host is to run, and has no grant', () => {
  const state = stateOf(withGuests({ name: 'web', memoryBytes: 1, cpus: 1 }))
  assert.equal(state.guests.get(guest('web'))?.value.desired, 'running')
  assert.equal(state.grants.size, 0)
  assert.equal(state.observations.size, 0)
})

test('a guest whose disk every host reaches has no volumes that limit it', () => {
  const state = stateOf(SMALL_FILE)
  assert.deepEqual(state.guests.get(guest('db'))?.value.volumes, [])
  assert.deepEqual(state.guests.get(guest('web'))?.value.volumes, ['web-disk0'])
})

test('only replicas that are not stale may serve', () => {
  const disk = { diskBytes: 5, replicasOn: ['h1', 'h2'], staleOn: ['h2'] }
  const state = stateOf(withGuests({ name: 'web', memoryBytes: 1, cpus: 1, ...disk }))
  const volume = state.volumes.get('web-disk0' as VolumeId)?.value
  assert.ok(volume)
  assert.deepEqual(
    inSync(volume).map((replica) => replica.host),
    ['h1'],
  )
})

test('a lost host has no lease, and its guests still have their grants', () => {
  const [h1, ...others] = SMALL_FILE.hosts
  const state = stateOf({ ...SMALL_FILE, hosts: [{ ...h1!, state: 'lost' }, ...others] })
  assert.equal(state.statuses.get(host('h1'))?.value.state, 'lost')
  assert.equal(state.liveness.has(host('h1')), false)
  assert.equal(state.liveness.has(host('h2')), true)
  assert.equal(state.grants.get(guest('web'))?.value.host, 'h1')
})

test('a pool without a size is as large as its replicas need, and a witness has none', () => {
  const state = stateOf(SMALL_FILE)
  assert.deepEqual(
    state.hosts.get(host('h2'))?.value.pools.map((pool) => pool.capacityBytes),
    [10 * 2 ** 30],
  )
  assert.deepEqual(state.hosts.get(host('w'))?.value.pools, [])
})

test('what the file says of the policy is laid over the defaults', () => {
  const state = stateOf({ ...SMALL_FILE, policy: { cpuOvercommit: 3 } })
  assert.deepEqual(state.clusterPolicy?.value, { ...DEFAULT_POLICY, cpuOvercommit: 3 })
})

test('an ignored guest is wanted where it runs', () => {
  const state = stateOf(
    withGuests(
      { name: 'a', memoryBytes: 1, cpus: 1, ha: 'ignored', host: 'h1' },
      { name: 'b', memoryBytes: 1, cpus: 1, ha: 'ignored' },
      { name: 'c', memoryBytes: 1, cpus: 1, ha: 'stopped' },
    ),
  )
  assert.deepEqual(
    [...state.guests.values()].map(({ value }) => value.desired),
    ['running', 'stopped', 'stopped'],
  )
})

test('any file comes back from the records as it went in', () => {
  fc.assert(
    fc.property(anyClusterFile, (file) => {
      const back = fileOf(stateOf(file))
      assert.deepEqual(back, { ...file, policy: { ...DEFAULT_POLICY, ...file.policy } })
    }),
    { numRuns: 300 },
  )
})

test('the records of an exported file are those of the first', () => {
  fc.assert(
    fc.property(anyClusterFile, (file) => {
      const state = stateOf(file)
      assert.deepEqual(stateOf(fileOf(state)), state)
    }),
    { numRuns: 100 },
  )
})

test('an export names guests where records have ids, and leaves out what is being deleted', () => {
  const state = stateOf(SMALL_FILE)
  const web = state.guests.get(guest('web'))!
  const db = state.guests.get(guest('db'))!
  const apart = rule({ kind: 'apart', guests: [guest('uuid-1'), guest('db')], strict: true, across: 'host' })
  const live: ClusterState = {
    ...state,
    guests: new Map([
      [guest('uuid-1'), { ...web, value: { ...web.value, id: guest('uuid-1') } }],
      [guest('db'), { ...db, value: { ...db.value, deleting: true } }],
    ]),
    rules: new Map([[apart.id, { value: apart, revision: 1n }]]),
  }
  const file = fileOf(live)
  assert.deepEqual(
    file.guests.map(({ name }) => name),
    ['web'],
  )
  assert.deepEqual(file.rules, [{ ...apart, guests: ['web'] }])
})

test('an export counts a replica that is being brought up to date as stale', () => {
  const state = stateOf(SMALL_FILE)
  const [[id, volume] = assert.fail()] = state.volumes
  const replicas = volume.value.replicas.map((replica) =>
    replica.host === 'h2' ? { ...replica, state: 'syncing' as const } : replica,
  )
  const syncing = { ...volume, value: { ...volume.value, replicas } }
  const [web] = fileOf({ ...state, volumes: new Map([[id, syncing]]) }).guests
  assert.deepEqual(web?.staleOn, ['h2'])
})

test('an export drops a rule of which nothing is left', () => {
  const state = stateOf(SMALL_FILE)
  const gone = rule({ kind: 'ban', guests: [guest('web')], hosts: [host('gone')] })
  const file = fileOf({ ...state, rules: new Map([[gone.id, { value: gone, revision: 1n }]]) })
  assert.deepEqual(file.rules, [])
})

type RuleWithoutId = Rule extends infer One ? (One extends Rule ? Omit<One, 'id'> : never) : never

function rule(value: RuleWithoutId): Rule {
  return { id: 'r' as RuleId, ...value } as Rule
}

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { DEFAULT_POLICY } from '../model/cluster-policy.ts'
import type { HostId } from '../model/ids.ts'
import { banned, inOrder } from '../planning/planning-fixture.ts'
import { ClusterFixture } from './cluster-fixture.ts'
import { whatWouldHelp } from './what-would-help.ts'

const GIB = 2 ** 30

function help(cluster: ClusterFixture, name: string): string[] {
  const guest = [...cluster.state.guests.values()].find(({ value }) => value.name === name)!.value
  return whatWouldHelp(cluster.state, (host) => cluster.state.statuses.get(host)?.value.state === 'online', guest)
}

test('a guest whose only current copy is away needs that host', () => {
  const cluster = new ClusterFixture(3)
  const { guest } = cluster.guestWithDisk('a', ['h1'])
  cluster.grant(guest, 'h1')
  cluster.lose('h1')
  assert.deepEqual(help(cluster, 'a'), ['if h1 were back, its data could be reached'])
})

test('a guest without room is told where the least is lacking', () => {
  const cluster = new ClusterFixture(2)
  cluster.grant(cluster.guest('big', { memoryBytes: 5 * GIB }), 'h1')
  cluster.grant(cluster.guest('bigger', { memoryBytes: 7 * GIB }), 'h2')
  cluster.guest('a', { memoryBytes: 4 * GIB })
  assert.deepEqual(help(cluster, 'a'), [
    'if h1 had 1024 MiB more of memory free, it could run there',
    'if h2 had 3072 MiB more of memory free, it could run there',
  ])
})

test('while HA is disarmed a guest of a lost host needs it armed', () => {
  const cluster = new ClusterFixture(3)
  cluster.grant(cluster.guest('a'), 'h1')
  cluster.lose('h1')
  cluster.state.clusterPolicy = { value: { ...DEFAULT_POLICY, armed: false }, revision: 1n }
  assert.deepEqual(help(cluster, 'a'), ['if HA were armed, it could start'])
})

test('a guest that waits for a host that reboots needs that host', () => {
  const cluster = new ClusterFixture(3)
  cluster.grant(cluster.guest('a'), 'h1', { state: 'released', clean: true, returns: true })
  const h1 = 'h1' as HostId
  cluster.state.policies.set(h1, { value: { maintenance: false, shutdown: 'reboot' }, revision: 1n })
  assert.deepEqual(help(cluster, 'a'), ['if h1 had booted again, or its shutdown were called off, it could start'])
})

test('a guest that starts after another needs that one, or the rule gone', () => {
  const cluster = new ClusterFixture(3)
  const [db, web] = [cluster.guest('db'), cluster.guest('web')]
  const rule = inOrder('tiers', [db.id, web.id])
  cluster.state.rules.set(rule.id, { value: rule, revision: 1n })
  assert.deepEqual(help(cluster, 'web'), ['if db ran, or there were no rule tiers, it could start'])
  cluster.grant(db, 'h1')
  cluster.observe(db, { phase: 'running' })
  assert.ok(!help(cluster, 'web').some((text) => text.includes('tiers')))
})

test('of a guest that runs it says what would bring it elsewhere, and nothing of where it is', () => {
  const cluster = new ClusterFixture(2)
  const guest = cluster.guest('a', { preferredHost: 'h2' as HostId })
  cluster.grant(guest, 'h1')
  const rule = banned('off', [guest.id], ['h2'])
  cluster.state.rules.set(rule.id, { value: rule, revision: 1n })
  assert.deepEqual(help(cluster, 'a'), ['if there were no rule off, it would be placed on h2'])
})

test('a stopped guest needs nothing', () => {
  const cluster = new ClusterFixture(2)
  cluster.guest('a', { desired: 'stopped', memoryBytes: 100 * GIB })
  assert.deepEqual(help(cluster, 'a'), [])
})

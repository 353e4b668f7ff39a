import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { ClusterFixture } from '../ha/cluster-fixture.ts'
import type { ClusterPolicy } from '../model/cluster-policy.ts'
import { DEFAULT_POLICY } from '../model/cluster-policy.ts'
import type { GuestId, HostId } from '../model/ids.ts'
import { KEYS } from '../model/keys.ts'
import type { Rule, RuleId } from '../model/rule.ts'
import { foresee, type Foresight } from './foresee.ts'
import type { Figures } from './figures.ts'
import { singleFailures, type Supposition } from './supposition.ts'

const GIB = 2 ** 30
const FIGURES: Figures = {
  lossMs: 1_050,
  startMs: 300,
  stopMs: 4_000,
  pauseMs: 30,
  samples: { start: 0, stop: 0, pause: 0 },
}

function whatIf(cluster: ClusterFixture, supposition: Supposition): Foresight {
  return foresee(cluster.state, supposition, { figures: FIGURES, wallMs: 1_000_000 })
}

/** A guest with a mirrored disk that runs on the first of its replicas' hosts. */
function running(cluster: ClusterFixture, name: string, replicasOn: readonly string[], memoryBytes = GIB) {
  const { guest } = cluster.guestWithDisk(name, replicasOn, { memoryBytes })
  cluster.grant(guest, replicasOn[0]!, { epoch: 3 })
  cluster.observe(guest, {})
  return guest
}

function rule(cluster: ClusterFixture, wanted: Rule): void {
  cluster.state.rules.set(wanted.id, { value: wanted, revision: 1n })
}

function policy(cluster: ClusterFixture, change: Partial<ClusterPolicy>): void {
  cluster.state.clusterPolicy = { value: { ...DEFAULT_POLICY, ...change }, revision: 1n }
}

const hostDown = (...hosts: string[]): Supposition => ({ kind: 'host-down', hosts: hosts as HostId[] })

suite('what if a host goes down', () => {
  test('its guest runs again where its other copy is, after detection and start', () => {
    const cluster = new ClusterFixture()
    running(cluster, 'web', ['h2', 'h3'])
    const { guests, data, summary } = whatIf(cluster, hostDown('h2'))
    assert.equal(guests.length, 1)
    assert.equal(guests[0]?.to, 'h3')
    assert.equal(guests[0]?.downMs, 1_350)
    assert.match(guests[0]?.why ?? '', /its disks are local/)
    assert.deepEqual(
      data.map(({ risk, text }) => [risk, text]),
      [['last-copy', 'web runs from one copy, on h3']],
    )
    assert.equal(summary, '1 guest down for up to 1.4 s; 1 disk left with one copy')
  })

  test('what one more loss would mean after it is told', () => {
    const cluster = new ClusterFixture(3)
    running(cluster, 'a', ['h1', 'h2'], 5 * GIB)
    running(cluster, 'b', ['h2', 'h3'], 5 * GIB)
    const { breaches } = whatIf(cluster, hostDown('h1'))
    assert.deepEqual(breaches.map((breach) => breach.text).toSorted(), [
      'if h2 died now, b (5 GiB) would have no place',
      'if h3 died now, a (5 GiB) would have no place',
    ])
  })

  test('the live records are left as they are', () => {
    const cluster = new ClusterFixture()
    running(cluster, 'web', ['h2', 'h3'])
    const before = JSON.stringify([...cluster.state.grants, ...cluster.state.volumes], (_, value: unknown) =>
      typeof value === 'bigint' ? String(value) : value,
    )
    whatIf(cluster, hostDown('h2'))
    const after = JSON.stringify([...cluster.state.grants, ...cluster.state.volumes], (_, value: unknown) =>
      typeof value === 'bigint' ? String(value) : value,
    )
    assert.equal(after, before)
  })

  test('a guest whose only current copy is there stays down, and it is said why', () => {
    const cluster = new ClusterFixture()
    running(cluster, 'single', ['h2'])
    const { guests, data } = whatIf(cluster, hostDown('h2'))
    assert.equal(guests[0]?.to, undefined)
    assert.equal(guests[0]?.downMs, undefined)
    assert.match(guests[0]?.why ?? '', /the only current copy of its data is on h2/)
    assert.equal(data[0]?.risk, 'out-of-reach')
  })

  test('what fits nowhere is named with the reason of every host', () => {
    const cluster = new ClusterFixture(2, { witness: true })
    running(cluster, 'big', ['h1', 'h2'], 6 * GIB)
    running(cluster, 'other', ['h2', 'h1'], 6 * GIB)
    const { guests, summary } = whatIf(cluster, hostDown('h2'))
    assert.deepEqual(
      guests.map(({ name, to }) => [name, to]),
      [['other', undefined]],
    )
    assert.match(guests[0]?.why ?? '', /h1: it has 2048 MiB of memory free, 6144 MiB are needed/)
    assert.equal(summary, '1 guest without a host: other; 2 disks left with one copy')
  })

  test('of a pair without a witness nothing is decided', () => {
    const cluster = new ClusterFixture(2)
    running(cluster, 'web', ['h2', 'h1'])
    const { canDecide, guests } = whatIf(cluster, hostDown('h2'))
    assert.equal(canDecide, false)
    assert.match(guests[0]?.why ?? '', /too few voters/)
  })

  test('start order is kept, and its time counts', () => {
    const cluster = new ClusterFixture()
    const web = running(cluster, 'web', ['h2', 'h3'])
    const db = running(cluster, 'db', ['h2', 'h3'])
    const order: Rule = {
      id: 'db-first' as RuleId,
      kind: 'order',
      guests: [db.id, web.id],
      readyAfterMs: 10_000,
      mode: 'required',
    }
    rule(cluster, order)
    const { guests } = whatIf(cluster, hostDown('h2'))
    const downMs = Object.fromEntries(guests.map((guest) => [guest.name, guest.downMs]))
    assert.deepEqual(downMs, { web: 1_050 + 300 + 10_000 + 300, db: 1_350 })
  })

  test('while HA is disarmed nothing is recovered', () => {
    const cluster = new ClusterFixture()
    running(cluster, 'web', ['h2', 'h3'])
    policy(cluster, { armed: false })
    assert.match(whatIf(cluster, hostDown('h2')).guests[0]?.why ?? '', /HA is disarmed/)
  })
})

suite('what if a network or a disk fails', () => {
  test('without its path to the other copy a guest goes on from its own', () => {
    const cluster = new ClusterFixture()
    running(cluster, 'web', ['h2', 'h3'])
    assert.deepEqual(whatIf(cluster, { kind: 'network-down', network: 'san' }).data, [], 'the RAN stands in')
    leaveOnlySan(cluster)
    const { guests, data, summary } = whatIf(cluster, { kind: 'network-down', network: 'san' })
    assert.equal(summary, '1 disk left with one copy')
    assert.equal(guests[0]?.to, 'h2')
    assert.equal(guests[0]?.interruptions, 0)
    assert.equal(data[0]?.risk, 'last-copy')
  })

  test('a cable touches only the guests that use it', () => {
    const cluster = new ClusterFixture()
    running(cluster, 'web', ['h2', 'h3'])
    leaveOnlySan(cluster)
    assert.deepEqual(whatIf(cluster, { kind: 'network-down', network: 'san', host: 'h1' as HostId }).guests, [])
    assert.deepEqual(whatIf(cluster, { kind: 'network-down', network: 'ran' }).data, [])
  })

  test('a guest without a local copy stands still', () => {
    const cluster = new ClusterFixture()
    const { guest } = cluster.guestWithDisk('far', ['h2', 'h3'])
    cluster.grant(guest, 'h1')
    cluster.observe(guest, {})
    leaveOnlySan(cluster)
    const { guests } = whatIf(cluster, { kind: 'network-down', network: 'san' })
    assert.equal(guests[0]?.downMs, undefined)
    assert.match(guests[0]?.why ?? '', /reaches none of its disks/)
  })
})

suite('what if the administrator', () => {
  test('drains a host: its guests move one stop and start each, and the rest stays', () => {
    const cluster = new ClusterFixture()
    for (const name of ['a', 'b', 'c']) running(cluster, name, ['h2', 'h3'])
    running(cluster, 'other', ['h1', 'h2'])
    const { guests, breaches } = whatIf(cluster, { kind: 'drain', host: 'h2' as HostId })
    assert.deepEqual(
      guests.map(({ name, to, downMs }) => [name, to, downMs]),
      ['a', 'b', 'c'].map((name) => [name, 'h3', 4_300]),
    )
    assert.deepEqual(breaches, [])
  })

  test('adds a guest: where it would run, and whom the next loss would leave without a place', () => {
    const cluster = new ClusterFixture(2, { witness: true })
    running(cluster, 'old', ['h1', 'h2'], 5 * GIB)
    const guest = { ...new ClusterFixture().guest('new', { memoryBytes: 5 * GIB }), id: 'new' as GuestId }
    const { guests, breaches } = whatIf(cluster, { kind: 'add-guest', guest })
    assert.equal(guests[0]?.to, 'h2')
    assert.deepEqual(breaches.map((breach) => breach.text).toSorted(), [
      'if h1 died now, old (5 GiB) would have no place',
      'if h2 died now, new (5 GiB) would have no place',
    ])
  })

  test('sets a rule that the present places break: one guest moves', () => {
    const cluster = new ClusterFixture()
    const [a, b] = [running(cluster, 'a', ['h2', 'h3']), running(cluster, 'b', ['h2', 'h3'])]
    const apart: Rule = { id: 'apart' as RuleId, kind: 'apart', guests: [a.id, b.id], strict: true, across: 'host' }
    const { guests } = whatIf(cluster, { kind: 'set-rule', rule: apart })
    assert.equal(guests.length, 1)
    assert.notEqual(guests[0]?.to, 'h2')
    for (const [id, { value, revision }] of cluster.state.hosts)
      cluster.state.hosts.set(id, { value: { ...value, qemuVersion: '10.0.2' }, revision })
    assert.equal(whatIf(cluster, { kind: 'set-rule', rule: apart }).summary, '1 guest moved without a break')
  })
})

test('a change that stops a guest: it is down, since that was asked for', () => {
  const cluster = new ClusterFixture()
  const guest = running(cluster, 'web', ['h2', 'h3'])
  const value = JSON.stringify({ ...guest, desired: 'stopped', ha: 'stopped' })
  const writes = [{ kind: 'put', key: KEYS.guest(guest.id), value }] as const
  const [foreseen] = whatIf(cluster, { kind: 'change', summary: '`vm stop web` is done', writes }).guests
  assert.equal(foreseen?.to, undefined)
  assert.equal(foreseen?.why, 'it was asked to stop')
})

test('every single failure names hosts, storage, networks, cables and fault domains', () => {
  const cluster = new ClusterFixture(2, { witness: true })
  cluster.state.policies.set('h1' as HostId, {
    value: { maintenance: false, faultDomains: { rack: 'r1' } },
    revision: 1n,
  })
  const kinds = singleFailures(cluster.state).map((failure) => failure.kind)
  const counts = Object.fromEntries(
    [...new Set(kinds)].map((kind) => [kind, kinds.filter((one) => one === kind).length]),
  )
  assert.deepEqual(counts, { 'host-down': 3, 'storage-down': 2, 'network-down': 3 + 2 * 3, 'domain-down': 1 })
})

/** A cluster with one network: no other one can stand in for it. */
function leaveOnlySan({ state }: ClusterFixture): void {
  for (const [id, host] of state.hosts) {
    const { san } = host.value.addresses
    state.hosts.set(id, { ...host, value: { ...host.value, addresses: san === undefined ? {} : { san } } })
  }
}

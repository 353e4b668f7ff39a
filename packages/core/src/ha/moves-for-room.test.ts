/** A guest that must run and fits nowhere: others move live to make room for it, few and only where nothing else helps. */
import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { foresee } from '../foresight/foresee.ts'
import { measuredFigures } from '../foresight/figures.ts'
import { DEFAULT_POLICY } from '../model/cluster-policy.ts'
import type { MovedForRoom } from '../model/decision.ts'
import type { Guest } from '../model/guest.ts'
import type { GuestId, HostId } from '../model/ids.ts'
import { ClusterFixture } from './cluster-fixture.ts'
import { decide } from './coordinator.ts'
import type { Action } from './plan.ts'
import { objectionTo } from './safety.ts'

const GIB = 2 ** 30
const [H1, H2] = ['h1', 'h2'] as HostId[]

/** Hosts of 8 GiB without a reserve, with guests that run: `[name, host, GiB]`. */
function clusterOf(hosts: number, ...guests: readonly (readonly [name: string, host: string, gib: number])[]) {
  const cluster = new ClusterFixture(hosts)
  for (const [id, { value, revision }] of cluster.state.hosts)
    cluster.state.hosts.set(id, { value: { ...value, qemuVersion: '10.0.2' }, revision })
  cluster.state.clusterPolicy = { value: { ...DEFAULT_POLICY, memoryReserveBytes: 0 }, revision: 1n }
  for (const [name, host, gib] of guests) {
    const guest = cluster.guest(name, { memoryBytes: gib * GIB })
    cluster.grant(guest, host)
    cluster.observe(guest, { phase: 'running' })
  }
  return cluster
}

/** On h1 3 GiB are free, on h2 4: `big` needs 6, and fits on h1 once `small` is on h2. */
function crowded(change: Partial<Guest> = {}) {
  const cluster = clusterOf(2, ['small', 'h1', 3], ['other', 'h1', 2], ['third', 'h2', 4])
  return { cluster, big: cluster.guest('big', { memoryBytes: 6 * GIB, ...change }) }
}

function actionsOf(cluster: ClusterFixture): readonly Action[] {
  return decide(cluster.input()).actions.map(({ action }) => action)
}

const kindsOf = (cluster: ClusterFixture) => actionsOf(cluster).map(({ kind }) => kind)

/** The record of its waiting, as it is decided now. */
function waitOf(cluster: ClusterFixture) {
  const explain = actionsOf(cluster).find((action) => action.kind === 'explain')
  assert(explain)
  return explain.decision
}

function remember(cluster: ClusterFixture, guest: Guest, moved?: readonly MovedForRoom[]) {
  const decision = waitOf(cluster)
  cluster.state.decisions.set(guest.id, { value: moved ? { ...decision, moved } : decision, revision: 2n })
}

function moveOf(cluster: ClusterFixture) {
  const move = actionsOf(cluster).find((action) => action.kind === 'hand-over')
  assert(move)
  return move
}

suite('room for a guest that fits nowhere', () => {
  test('is made by a live move, which its record tells of', () => {
    const { cluster } = crowded()
    const { guest, grant } = moveOf(cluster)
    assert.deepEqual([guest.name, grant.handover?.to, grant.handover?.reason], ['small', H2, 'it makes room for big'])
    assert.equal(objectionTo(moveOf(cluster), cluster.state), undefined)
    const { outcome, waitsFor, moved } = waitOf(cluster)
    assert.deepEqual([outcome, waitsFor], ['small moves from h1 to h2 to make room for it', 'room'])
    const { wallMs } = cluster.input()
    assert.deepEqual(moved, [{ guest: guest.id, name: 'small', from: H1, to: H2, at: wallMs }])
  })

  test('is waited for, without a further move or word', () => {
    const { cluster, big } = crowded()
    const { guest, grant } = moveOf(cluster)
    remember(cluster, big)
    cluster.grant(guest, 'h1', { handover: grant.handover! })
    assert.deepEqual(actionsOf(cluster), [])
  })

  test('is used once it is there, and the start says to whom it owes that', () => {
    const { cluster, big } = crowded()
    const { guest } = moveOf(cluster)
    remember(cluster, big)
    cluster.grant(guest, 'h2', { epoch: 2, cameFrom: H1! })
    const [start] = actionsOf(cluster)
    assert(start?.kind === 'grant')
    assert.equal(start.grant.host, H1)
    assert.ok(
      start.decision.facts.includes('small was moved from h1 to h2 to make room for it'),
      String(start.decision.facts),
    )
    assert.equal(start.decision.moved, undefined)
  })

  test('is not made while others can be started: they come first, and may change what is free', () => {
    const { cluster } = crowded()
    cluster.guest('tiny', { memoryBytes: GIB / 2 })
    assert.deepEqual(kindsOf(cluster).toSorted(), ['explain', 'grant'])
  })

  for (const [what, change] of [
    ['that HA ignores', { ha: 'ignored' }],
    ['that is to be stopped', { desired: 'stopped' }],
  ] as const)
    test(`is not made for a guest ${what}`, () => {
      const { cluster } = crowded(change)
      assert.ok(!kindsOf(cluster).includes('hand-over'))
    })

  test('is not made while HA is disarmed, while others move, or while a host is about to be there', () => {
    const { cluster } = crowded()
    cluster.state.clusterPolicy = {
      value: { ...DEFAULT_POLICY, memoryReserveBytes: 0, armed: false },
      revision: 1n,
    }
    assert.ok(!kindsOf(cluster).includes('hand-over'))
    const busy = crowded().cluster
    const moving = busy.state.grants.get('guest-other' as GuestId)!.value
    busy.state.grants.set(moving.guest, {
      value: { ...moving, handover: { to: H2!, epoch: 2, reason: 'test', since: 0 } },
      revision: 3n,
    })
    assert.ok(!kindsOf(busy).includes('hand-over'))
    const booting = crowded().cluster
    booting.addHost('h3', 3, 'compute')
    booting.state.statuses.delete('h3' as HostId)
    assert.ok(!kindsOf(booting).includes('hand-over'))
  })

  test('costs nobody an interruption: who cannot move live stays', () => {
    const { cluster } = crowded()
    const old = cluster.state.hosts.get(H1!)!
    cluster.state.hosts.set(H1!, { ...old, value: { ...old.value, qemuVersion: '7.2.15' } })
    assert.deepEqual(kindsOf(cluster), ['explain'])
    assert.equal(waitOf(cluster).outcome, 'no host can take it now')
  })

  test('is not made by breaking a rule', () => {
    const { cluster } = crowded()
    const guests = ['guest-small', 'guest-other', 'guest-third'] as GuestId[]
    cluster.state.rules.set('stay' as never, {
      value: {
        id: 'stay' as never,
        kind: 'hosts',
        guests: guests.slice(0, 2),
        hosts: [{ host: H1!, priority: 0 }],
        strict: true,
      },
      revision: 4n,
    })
    // `third` could go to h1 only if there were room.
    assert.deepEqual(kindsOf(cluster), ['explain'])
  })

  test('takes three moves at most within ten minutes', () => {
    const { cluster, big } = crowded()
    const { wallMs } = cluster.input()
    const before = (minutes: number): MovedForRoom => ({
      ...{ guest: 'gone' as GuestId, name: 'gone', from: H1!, to: H2! },
      at: wallMs - minutes * 60_000,
    })
    remember(cluster, big, [before(9), before(5), before(1)])
    const plan = decide(cluster.input())
    assert.ok(!plan.actions.some(({ action }) => action.kind === 'hand-over'))
    assert.equal(plan.againInMs, 60_000)
    remember(cluster, big, [before(11), before(5), before(1)])
    assert.equal(moveOf(cluster).guest.name, 'small')
    assert.equal(waitOf(cluster).moved?.length, 4)
  })
})

test('what-if foresees the moves, one after the other, and the start after them', () => {
  // h3 is lost with `big`. `b` is too big for h4; it has room on h2 once `c` is on h4.
  const cluster = clusterOf(
    4,
    ['b', 'h1', 4],
    ['rest', 'h1', 4],
    ['c', 'h2', 3],
    ['d', 'h2', 3],
    ['e', 'h4', 5],
    ['big', 'h3', 4],
  )
  const homes = [
    ['rest', H1],
    ['d', H2],
    ['e', 'h4'],
  ] as const
  for (const [name, host] of homes)
    cluster.state.rules.set(name as never, {
      value: {
        id: name as never,
        kind: 'hosts',
        guests: [`guest-${name}` as GuestId],
        hosts: [{ host: host as HostId, priority: 0 }],
        strict: true,
      },
      revision: 4n,
    })
  cluster.state.rules.set('off' as never, {
    value: { id: 'off' as never, kind: 'ban', guests: ['guest-big' as GuestId], hosts: [H2!, 'h4' as HostId] },
    revision: 4n,
  })
  const foresight = foresee(
    cluster.state,
    { kind: 'host-down', hosts: ['h3' as HostId] },
    { figures: measuredFigures(cluster.state, []), wallMs: 1_000_000 },
  )
  assert.deepEqual(
    foresight.guests.map(({ name, from, to, interruptions, why }) => [name, from, to, interruptions, why]).toSorted(),
    [
      ['b', H1, H2, 0, 'it makes room for big'],
      ['big', 'h3', H1, 1, '4096 MiB of memory free'],
      ['c', H2, 'h4', 0, 'it makes room for big'],
    ],
  )
  const moves = foresight.timeline.map(({ text }) => text).filter((text) => text.includes('moves live'))
  assert.deepEqual(moves, [
    'c moves live from h2 to h4: it makes room for big',
    'b moves live from h1 to h2: it makes room for big',
  ])
})

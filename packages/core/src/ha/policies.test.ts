/** What administrators set, and what the coordinator makes of it. */
import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { DEFAULT_POLICY, type ClusterPolicy } from '../model/cluster-policy.ts'
import type { Guest } from '../model/guest.ts'
import type { GuestId, HostId } from '../model/ids.ts'
import type { Rule, RuleId } from '../model/rule.ts'
import { ClusterFixture } from './cluster-fixture.ts'
import { decide, type CoordinatorInput } from './coordinator.ts'
import type { Action } from './plan.ts'

const GIB = 2 ** 30
const h = (name: string) => name as HostId

/** Everything that comes of it, one short sentence each. */
function choices(cluster: ClusterFixture, change: Partial<CoordinatorInput> = {}): string[] {
  return decide({ ...cluster.input('h1'), ...change }).actions.flatMap(({ action }) => inWords(action) ?? [])
}

function inWords(action: Action): string | undefined {
  switch (action.kind) {
    case 'grant':
      return `${action.guest.name} runs on ${action.grant.host}`
    case 'recall':
      return `${action.guest.name} leaves ${action.grant.host}: ${action.grant.reason}`
    case 'explain':
      return `${action.decision.guest} waits: ${action.decision.outcome}`
    default:
      return undefined
  }
}

function running(cluster: ClusterFixture, name: string, host: string, change: Partial<Guest> = {}): Guest {
  const guest = cluster.guest(name, change)
  cluster.grant(guest, host)
  cluster.observe(guest, {})
  return guest
}

function rule(cluster: ClusterFixture, wanted: Rule): void {
  cluster.state.rules.set(wanted.id, { value: wanted, revision: 1n })
}

function policy(cluster: ClusterFixture, change: Partial<ClusterPolicy>): void {
  cluster.state.clusterPolicy = { value: { ...DEFAULT_POLICY, ...change }, revision: 1n }
}

function hostWish(cluster: ClusterFixture, host: string, shutdown: 'power-off' | 'reboot'): void {
  cluster.state.policies.set(h(host), { value: { maintenance: false, shutdown }, revision: 1n })
}

function wishFor(guest: Guest, host: string): Rule {
  return {
    id: 'wish' as RuleId,
    kind: 'hosts',
    guests: [guest.id],
    hosts: [{ host: h(host), priority: 0 }],
    strict: false,
  }
}

suite('priority', () => {
  test('the more important guest gets the room', () => {
    const cluster = new ClusterFixture(1)
    cluster.guest('minor', { memoryBytes: 6 * GIB })
    cluster.guest('major', { memoryBytes: 6 * GIB, priority: 10 })
    assert.deepEqual(choices(cluster), ['major runs on h1', 'minor waits: no host can take it now'])
  })
})

suite('start order', () => {
  const order = (guests: readonly Guest[], change: Partial<Extract<Rule, { kind: 'order' }>> = {}): Rule => ({
    id: 'order' as RuleId,
    kind: 'order',
    guests: guests.map(({ id }) => id),
    readyAfterMs: 5_000,
    mode: 'required',
    ...change,
  })

  test('the later guest waits until the earlier one has run long enough', () => {
    const cluster = new ClusterFixture()
    const [db, web] = [cluster.guest('db'), cluster.guest('web')]
    rule(cluster, order([db, web]))
    assert.deepEqual(choices(cluster), [
      'web waits: it starts after db (rule order), which does not run yet',
      'db runs on h1',
    ])
    cluster.grant(db, 'h1')
    cluster.observe(db, {})
    const soon = decide({ ...cluster.input(), runningForMs: new Map([[db.id, 2_000]]) })
    assert.equal(soon.againInMs, 3_000)
    assert.deepEqual(choices(cluster, { runningForMs: new Map([[db.id, 5_000]]) }), ['web runs on h2'])
  })

  test('an optional order does not wait for a guest that is not to run or cannot', () => {
    const cluster = new ClusterFixture()
    const [db, web] = [cluster.guest('db', { desired: 'stopped', ha: 'stopped' }), cluster.guest('web')]
    rule(cluster, order([db, web], { mode: 'optional' }))
    assert.deepEqual(choices(cluster), ['web runs on h1'])
    rule(cluster, order([db, web]))
    assert.match(choices(cluster)[0] ?? '', /^web waits/)
  })
})

suite('restart and relocation', () => {
  const failed = (change: Partial<Guest>, failures: number, failedOn: readonly string[]): ClusterFixture => {
    const cluster = new ClusterFixture()
    const guest = cluster.guest('web', change)
    cluster.grant(guest, failedOn.at(-1) ?? 'h1', { state: 'released', epoch: failures })
    cluster.observe(guest, { failures, phase: 'stopped', failedOn: failedOn.map(h) })
    return cluster
  }

  test('it is tried again on its host as often as the policy says', () => {
    assert.deepEqual(choices(failed({ maxRestart: 2 }, 2, ['h3'])), ['web runs on h3'])
    assert.deepEqual(choices(failed({ maxRestart: 1 }, 2, ['h3'])), ['web runs on h1'])
  })

  test('a relocated guest goes where it has not failed yet', () => {
    assert.deepEqual(choices(failed({ maxRestart: 0, maxRelocate: 2 }, 2, ['h1', 'h2'])), ['web runs on h3'])
  })

  test('after the last try it is left alone', () => {
    assert.deepEqual(choices(failed({ maxRestart: 0, maxRelocate: 1 }, 2, ['h1', 'h2'])), [])
  })
})

suite('shutting a host down', () => {
  test('failover: its guests are stopped at once and start elsewhere', () => {
    const cluster = new ClusterFixture()
    policy(cluster, { shutdown: 'failover' })
    const guest = running(cluster, 'web', 'h2')
    hostWish(cluster, 'h2', 'power-off')
    assert.deepEqual(choices(cluster), ['web leaves h2: h2 is being shut down'])
    cluster.grant(guest, 'h2', { state: 'released', clean: true })
    assert.deepEqual(choices(cluster), ['web runs on h1'])
  })

  test('freeze: they wait for the host, and return to it', () => {
    const cluster = new ClusterFixture()
    policy(cluster, { shutdown: 'conditional' })
    const guest = running(cluster, 'web', 'h2')
    hostWish(cluster, 'h2', 'reboot')
    const [recalled] = decide(cluster.input()).actions.map(({ action }) => action)
    assert(recalled?.kind === 'recall' && recalled.grant.returns)
    cluster.grant(guest, 'h2', { state: 'released', clean: true, returns: true })
    cluster.lose('h2')
    assert.deepEqual(choices(cluster), ['web waits: it waits for h2, which is being rebooted'])
    cluster.state.policies.delete(h('h2'))
    cluster.verdicts.set(h('h2'), 'heard')
    cluster.state.statuses.set(h('h2'), {
      value: { state: 'online', bootId: 'boot-h2-1', since: 0, reason: '' },
      revision: 1n,
    })
    assert.deepEqual(choices(cluster), ['web runs on h2'])
  })

  test('a shutdown ends with the next boot, in the step in which the host can be used again, and not before', () => {
    const cluster = new ClusterFixture()
    policy(cluster, { shutdown: 'freeze' })
    cluster.grant(cluster.guest('web'), 'h2', { state: 'released', clean: true, returns: true })
    cluster.state.policies.set(h('h2'), {
      value: { maintenance: true, shutdown: 'reboot', faultDomains: { rack: 'r1' } },
      revision: 1n,
    })
    cluster.lose('h2')
    cluster.verdicts.set(h('h2'), 'heard')
    const statusAction = () =>
      decide(cluster.input()).actions.flatMap(({ action }) => (action.kind === 'host-status' ? [action] : []))
    // The same boot is heard again: it was cut off, and has not rebooted yet.
    assert.deepEqual(
      statusAction().map(({ status, policyAfter }) => [status.state, policyAfter]),
      [['online', undefined]],
    )
    cluster.bootIds.set(h('h2'), 'boot-h2-2')
    assert.deepEqual(
      statusAction().map(({ status, policyAfter }) => [status.bootId, policyAfter]),
      [['boot-h2-2', { maintenance: true, faultDomains: { rack: 'r1' } }]],
    )
    assert(!choices(cluster).some((choice) => choice.includes('runs on')))
  })

  test('a guest returns to the host that it waited for even where a rule would rather have it elsewhere', () => {
    const cluster = new ClusterFixture()
    const guest = cluster.guest('web')
    cluster.grant(guest, 'h2', { state: 'released', clean: true, returns: true })
    rule(cluster, wishFor(guest, 'h1'))
    assert.deepEqual(choices(cluster), ['web runs on h2'])
  })

  test('migrate: they leave first, and only those that another host can take', () => {
    const cluster = new ClusterFixture(2)
    policy(cluster, { shutdown: 'migrate' })
    running(cluster, 'small', 'h2')
    running(cluster, 'huge', 'h2', { memoryBytes: 9 * GIB })
    hostWish(cluster, 'h2', 'power-off')
    assert.deepEqual(choices(cluster), ['small leaves h2: h2 is being drained'])
  })
})

suite('while HA is disarmed', () => {
  test('nothing is recovered, and a guest that somebody starts runs', () => {
    const cluster = new ClusterFixture()
    policy(cluster, { armed: false })
    running(cluster, 'old', 'h3')
    cluster.guest('new')
    cluster.lose('h3')
    assert.deepEqual(choices(cluster), [
      'old waits: HA is disarmed: nothing is recovered until it is armed again',
      'new runs on h1',
    ])
  })
})

suite('guests that start one after another', () => {
  /** `db`, then `web` on the same host, which may not be where `other` is. */
  function tiers() {
    const cluster = new ClusterFixture(2)
    const [db, web, other] = ['db', 'web', 'other'].map((name) => cluster.guest(name, { memoryBytes: 3 * GIB }))
    const [pair, ordered] = [
      [db!.id, web!.id],
      [db!.id, web!.id],
    ]
    rule(cluster, { id: 'pair' as RuleId, kind: 'together', guests: pair, strict: true })
    rule(cluster, { id: 'order' as RuleId, kind: 'order', guests: ordered, readyAfterMs: 0, mode: 'required' })
    rule(cluster, {
      id: 'spread' as RuleId,
      kind: 'apart',
      guests: [web!.id, other!.id],
      strict: true,
      across: 'host',
    })
    rule(cluster, wishFor(other!, 'h1'))
    return { cluster, db: db!, web: web!, other: other! }
  }

  test('the place of the later one is kept while it waits', () => {
    const { cluster, db } = tiers()
    cluster.grant(db, 'h1')
    cluster.observe(db, { phase: 'starting' })
    assert.deepEqual(choices(cluster), [
      'web waits: it starts after db (rule order), which does not run yet',
      'other runs on h2',
    ])
  })

  test('nothing is moved for a wish while the turn of another is coming', () => {
    const { cluster, db, web, other } = tiers()
    cluster.grant(db, 'h1')
    cluster.grant(other, 'h2')
    for (const guest of [db, other]) cluster.observe(guest, {})
    const [told] = decide(cluster.input()).actions.map(({ action }) => action)
    assert(told?.kind === 'explain')
    cluster.state.decisions.set(web.id, { value: told.decision, revision: 1n })
    assert.deepEqual(choices(cluster), [])
  })

  test('no place is kept for one whose turn does not come', () => {
    const { cluster, db } = tiers()
    cluster.grant(db, 'h1', { state: 'released', clean: false })
    cluster.observe(db, { phase: 'failed', failures: 6 })
    assert.deepEqual(choices(cluster), [
      'web waits: it starts after db (rule order), which does not run yet',
      'other runs on h1',
    ])
  })
})

suite('guests that run where they should not', () => {
  const apart = (guests: readonly GuestId[]): Rule => ({
    id: 'apart' as RuleId,
    kind: 'apart',
    guests,
    strict: true,
    across: 'host',
  })

  test('a new strict rule moves one of two, while nothing else goes on', () => {
    const cluster = new ClusterFixture()
    const [a, b] = [running(cluster, 'a', 'h1'), running(cluster, 'b', 'h1')]
    rule(cluster, apart([a.id, b.id]))
    assert.equal(choices(cluster).length, 1)
    assert.match(choices(cluster)[0] ?? '', /^[ab] leaves h1: /)
    cluster.guest('starting')
    assert.deepEqual(
      choices(cluster).filter((choice) => choice.includes('leaves')),
      [],
    )
  })

  const prefers = (guest: Guest): Rule => ({
    id: 'home' as RuleId,
    kind: 'hosts',
    guests: [guest.id],
    hosts: [
      { host: h('h1'), priority: 2 },
      { host: h('h2'), priority: 1 },
    ],
    strict: false,
  })

  test('those that must be together are stopped as one, and start as one once the last has stopped', () => {
    const cluster = new ClusterFixture()
    const [one, other] = [running(cluster, 'one', 'h2'), running(cluster, 'other', 'h2')]
    const guests = [one.id, other.id]
    rule(cluster, { id: 'pair' as RuleId, kind: 'together', guests, strict: true })
    rule(cluster, {
      ...wishFor(one, 'h3'),
      kind: 'hosts',
      hosts: [{ host: h('h3'), priority: 0 }],
      strict: true,
      guests,
    })
    const reason = 'it may not stay on h2: rule wish allows one only on h3; h3 can take it'
    assert.deepEqual(choices(cluster), [`one leaves h2: ${reason}`, `other leaves h2: ${reason}`])
    cluster.grant(one, 'h2', { state: 'released', clean: true })
    cluster.grant(other, 'h2', { state: 'recalled' })
    assert.deepEqual(choices(cluster), [], 'the first waits for the second')
    cluster.grant(other, 'h2', { state: 'released', clean: true })
    assert.deepEqual(choices(cluster), ['one runs on h3', 'other runs on h3'])
  })

  test('a pair returns together to the host that a rule prefers', () => {
    const cluster = new ClusterFixture()
    const [one, other] = [running(cluster, 'one', 'h2'), running(cluster, 'other', 'h2')]
    rule(cluster, { id: 'pair' as RuleId, kind: 'together', guests: [one.id, other.id], strict: true })
    rule(cluster, wishFor(one, 'h3'))
    const reason = 'h3 is better for it: rule wish asks for it first'
    assert.deepEqual(choices(cluster), [`one leaves h2: ${reason}`, `other leaves h2: ${reason}`])
  })

  test('failback: it returns to the host that its rule prefers as soon as that is there', () => {
    const cluster = new ClusterFixture()
    rule(cluster, prefers(running(cluster, 'web', 'h2')))
    assert.deepEqual(choices(cluster), ['web leaves h2: h1 is better for it: rule home asks for it first'])
    cluster.maintain('h1')
    assert.deepEqual(choices(cluster), [])
  })

  test('failback off: it stays', () => {
    const cluster = new ClusterFixture()
    rule(cluster, prefers(running(cluster, 'web', 'h3', { failback: false })))
    assert.deepEqual(choices(cluster), [])
  })

  test('a move that was asked for is made when the host has room, and is then forgotten', () => {
    const cluster = new ClusterFixture()
    const guest = running(cluster, 'web', 'h1', { moveTo: h('h3') })
    assert.deepEqual(choices(cluster), ['web leaves h1: it was asked to move to h3'])
    cluster.grant(guest, 'h1', { state: 'released', clean: true })
    const [action] = decide(cluster.input()).actions.map((planned) => planned.action)
    assert(action?.kind === 'grant')
    assert.equal(action.grant.host, 'h3')
    assert.equal(action.guestAfter?.moveTo, undefined)
  })

  test('it is made against the wish of a rule too, and not undone by failback', () => {
    const cluster = new ClusterFixture()
    const guest = running(cluster, 'web', 'h1', { moveTo: h('h3'), preferredHost: h('h3') })
    rule(cluster, wishFor(guest, 'h1'))
    cluster.grant(guest, 'h1', { state: 'released', clean: true })
    assert.deepEqual(choices(cluster), ['web runs on h3'])
    cluster.guest('web', { preferredHost: h('h3') })
    cluster.grant(guest, 'h3', { epoch: 2 })
    cluster.observe(guest, {})
    assert.deepEqual(choices(cluster), [])
  })

  test('a guest that was stopped for a move starts elsewhere when the host is lost meanwhile', () => {
    const cluster = new ClusterFixture()
    const guest = cluster.guest('web', { moveTo: h('h3') })
    cluster.grant(guest, 'h1', { state: 'released', clean: true })
    cluster.lose('h3')
    assert.equal(choices(cluster).length, 1)
    assert.match(choices(cluster)[0] ?? '', /web runs on h[12]/)
  })

  test('a host without room is not moved to', () => {
    const cluster = new ClusterFixture()
    running(cluster, 'full', 'h3', { memoryBytes: 8 * GIB })
    running(cluster, 'web', 'h1', { moveTo: h('h3') })
    assert.deepEqual(choices(cluster), [])
  })

  test('balancing moves only as many as it is allowed to', () => {
    const cluster = new ClusterFixture(2)
    for (const name of ['a', 'b', 'c', 'd']) running(cluster, name, 'h1')
    assert.deepEqual(choices(cluster), [])
    assert.equal(choices(cluster, { balancingMovesMax: 3 }).length, 1)
  })
})

suite('a restart that a user asks for', () => {
  test('ends the run that was meant, which is then started where it was', () => {
    const cluster = new ClusterFixture(3)
    const web = running(cluster, 'web', 'h2', { restartEpoch: 1 })
    assert.deepEqual(choices(cluster), ['web leaves h2: it was asked to be restarted'])
    const { value: grant } = cluster.state.grants.get(web.id)!
    const ended = { ...grant, state: 'released' as const, clean: true, movesTo: h('h2') }
    cluster.state.grants.set(web.id, { value: ended, revision: 9n })
    assert.deepEqual(choices(cluster), ['web runs on h2'])
  })

  test('is over once a newer run has begun', () => {
    const cluster = new ClusterFixture(3)
    running(cluster, 'web', 'h2', { restartEpoch: 0 })
    assert.deepEqual(choices(cluster), [])
  })
})

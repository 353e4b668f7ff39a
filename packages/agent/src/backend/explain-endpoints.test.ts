import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ClusterFixture } from '@stead/core/ha/cluster-fixture.ts'
import type { Decision } from '@stead/core/model/decision.ts'
import type { ClusterEvent } from '@stead/core/model/event.ts'
import type { Guest } from '@stead/core/model/guest.ts'
import { KEYS } from '@stead/core/model/keys.ts'
import { TestBackend } from './backend-fixture.ts'

const GIB = 2 ** 30

function decisionOf(guest: Guest, change: Partial<Decision>): Decision {
  return {
    guest: guest.name,
    action: 'start',
    outcome: 'run on h1 at epoch 1, since it is to run',
    epoch: 1,
    decidedAt: 0,
    coordinator: 'h1',
    facts: [],
    candidates: [],
    ...change,
  }
}

function eventOf(id: string, change: Partial<ClusterEvent>): ClusterEvent {
  const time = '2026-01-01T00:00:10.000Z'
  return { id, time, monotonicMs: 1, kind: 'host.lost', subject: 'host/h1', message: '', host: 'h2', ...change }
}

test('of a guest that waits for room it names the smallest change that would do, and others', async (context) => {
  const cluster = new ClusterFixture(3)
  cluster.grant(cluster.guest('big', { memoryBytes: 6 * GIB }), 'h1')
  cluster.grant(cluster.guest('bigger', { memoryBytes: 7 * GIB }), 'h2')
  cluster.lose('h3')
  const waiting = cluster.guest('late', { memoryBytes: 4 * GIB })
  const decision = decisionOf(waiting, { action: 'wait', outcome: 'no host can take it now', waitsFor: 'room' })
  cluster.state.decisions.set(waiting.id, { value: decision, revision: 1n })
  const backend = await TestBackend.start(context, cluster)
  const found = await backend.must('guest.explain', { params: { guest: 'late' } })
  assert.equal(found.state, 'waiting')
  assert.equal(found.smallestChange, 'if h1 had 2048 MiB more of memory free, it could run there')
  assert.deepEqual(found.otherChanges, [
    'if h2 had 3072 MiB more of memory free, it could run there',
    'if h3 were back, it could run there',
  ])
})

test('of a host it tells its state, what it fails with, and what its loss would mean for each guest', async (context) => {
  const cluster = new ClusterFixture(3)
  const [small, large] = [cluster.guest('small'), cluster.guest('large', { memoryBytes: 7 * GIB })]
  for (const guest of [small, large]) {
    cluster.grant(guest, 'h1')
    cluster.observe(guest, { phase: 'running' })
  }
  cluster.grant(cluster.guest('there', { memoryBytes: 6 * GIB }), 'h2')
  cluster.grant(cluster.guest('too', { memoryBytes: 6 * GIB }), 'h3')
  const backend = await TestBackend.start(context, cluster)
  await backend.must('host.set', { params: { host: 'h1' }, body: { faultDomains: { rack: 'r1' } } })
  await backend.must('host.set', { params: { host: 'h2' }, body: { faultDomains: { rack: 'r1' } } })
  const found = await backend.must('host.explain', { params: { host: 'h1' } })
  assert.equal(found.state, 'online')
  assert.ok(found.facts.includes('it fails with rack r1, as h2'), found.facts.join())
  assert.deepEqual(
    found.guests.map(({ name }) => name),
    ['large', 'small'],
  )
  assert.match(found.guests[0]?.meaning ?? '', /^if h1 died now, it would stay down: /)
  assert.match(found.guests[1]?.meaning ?? '', /^if h1 died now, it would run on h[23] after about [\d.]+ s$/)
  assert.deepEqual(
    found.events.map(({ kind }) => kind),
    ['host.changed'],
  )
})

test('of a grant it shows the decision as long as it is the newest, and what led to it', async (context) => {
  const cluster = new ClusterFixture(3)
  const guest = cluster.guest('web')
  const decision = decisionOf(guest, { action: 'recover', epoch: 2 })
  cluster.state.decisions.set(guest.id, { value: decision, revision: 1n })
  const backend = await TestBackend.start(context, cluster)
  const events = [
    eventOf('1', { kind: 'guest.started', subject: 'guest/other' }),
    eventOf('2', { kind: 'host.lost', time: '2025-01-01T00:00:00.000Z' }),
    eventOf('3', { kind: 'host.lost' }),
    eventOf('4', { kind: 'grant.committed', subject: 'guest/web', details: { epoch: 2 } }),
    eventOf('5', { kind: 'grant.committed', subject: 'guest/web', details: { epoch: 1 } }),
  ]
  for (const event of events) await backend.put(KEYS.event(event.id), event)
  const found = await backend.must('event.explain', { params: { event: '4' } })
  assert.deepEqual([found.decision?.action, found.note], ['recover', ''])
  assert.deepEqual(
    found.before.map(({ id }) => id),
    ['3'],
  )
  const older = await backend.must('event.explain', { params: { event: '5' } })
  assert.equal(older.decision, null)
  assert.match(older.note, /newer decision about web/)
  const seen = await backend.must('event.explain', { params: { event: '3' } })
  assert.match(seen.note, /what was seen or done/)
  assert.equal((await backend.refused('event.explain', { params: { event: '9' } })).code, 'not_found')
})

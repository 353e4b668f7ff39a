import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ClusterFixture } from '../ha/cluster-fixture.ts'
import type { Decision } from '../model/decision.ts'
import { KEYS } from '../model/keys.ts'
import type { Rule } from '../model/rule.ts'
import { apart, together } from '../planning/planning-fixture.ts'
import { transactionFor } from './commit.ts'

test('a guest that is erased leaves its rules, and each of them must still be as it was read', () => {
  const cluster = new ClusterFixture(3)
  const [a, b, c] = ['a', 'b', 'c'].map((name) => cluster.guest(name))
  const rules = [
    apart('three', [a!.id, b!.id, c!.id]),
    together('two', [a!.id, b!.id]),
    apart('others', [a!.id, c!.id]),
  ]
  for (const [index, rule] of rules.entries())
    cluster.state.rules.set(rule.id, { value: rule, revision: 100n + BigInt(index) })
  const { compares, writes } = transactionFor({ kind: 'erase', guest: b!, volumes: [] }, [], {
    state: cluster.state,
    claimRevision: 7n,
    eventWrites: () => [],
  })
  const [three, two, others] = rules.map(({ id }) => KEYS.rule(id))
  const written = writes.find(({ kind, ...write }) => kind === 'put' && 'key' in write && write.key === three)
  assert.ok(written?.kind === 'put')
  assert.deepEqual((JSON.parse(written.value) as Rule).guests, [a!.id, c!.id])
  assert.ok(writes.some((write) => write.kind === 'delete' && write.key === two))
  const compared = new Map(compares.map((one) => [one.key, 'modRevision' in one ? one.modRevision : undefined]))
  assert.deepEqual([compared.get(three!), compared.get(two!), compared.has(others!)], [100n, 101n, false])
})

test('a wait is told anew only by who has seen what was told last', () => {
  const cluster = new ClusterFixture(3)
  const guest = cluster.guest('a')
  const decision: Decision = {
    ...{ guest: guest.name, action: 'wait', outcome: 'no host can take it now', waitsFor: 'room', epoch: 0 },
    ...{ decidedAt: 1, coordinator: 'h1', facts: [], candidates: [] },
  }
  const comparedRevision = () => {
    const action = { kind: 'explain', guest: guest.id, decision } as const
    const { compares } = transactionFor(action, [], { state: cluster.state, claimRevision: 7n, eventWrites: () => [] })
    const compare = compares.find(({ key }) => key === KEYS.decision(guest.id))
    return compare && 'modRevision' in compare ? compare.modRevision : undefined
  }
  assert.equal(comparedRevision(), 0n)
  cluster.state.decisions.set(guest.id, { value: decision, revision: 42n })
  assert.equal(comparedRevision(), 42n)
})

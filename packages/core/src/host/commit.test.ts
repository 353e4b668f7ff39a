import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ClusterFixture } from '../ha/cluster-fixture.ts'
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

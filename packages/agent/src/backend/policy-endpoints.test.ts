import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { ClusterFixture } from '@stead/core/ha/cluster-fixture.ts'
import { DEFAULT_POLICY } from '@stead/core/model/cluster-policy.ts'
import { apart } from '@stead/core/planning/planning-fixture.ts'
import { TestBackend } from './backend-fixture.ts'

const GIB = 2 ** 30

function start(context: TestContext, ...guests: readonly (readonly [name: string, host: string, gib: number])[]) {
  const cluster = new ClusterFixture(3)
  for (const [name, host, gib] of guests) cluster.grant(cluster.guest(name, { memoryBytes: gib * GIB }), host)
  return TestBackend.start(context, cluster)
}

test('the policy is the default until it is set, and a change keeps the rest', async (context) => {
  const backend = await start(context)
  assert.deepEqual(await backend.must('policy.show'), { ...DEFAULT_POLICY, revision: '0' })
  const body = { cpuOvercommit: 4, admission: { onBreach: 'refuse' }, balancing: { mode: 'off' } }
  await backend.must('policy.set', { body })
  const { revision, ...policy } = await backend.must('policy.show')
  assert.ok(Number(revision) > 0)
  assert.deepEqual(policy, {
    ...DEFAULT_POLICY,
    cpuOvercommit: 4,
    admission: { hostFailures: 1, onBreach: 'refuse' },
    balancing: { ...DEFAULT_POLICY.balancing, mode: 'off' },
  })
  const told = backend.events().find(({ kind }) => kind === 'policy.changed')
  assert.match(told?.message ?? '', /cpuOvercommit 8 -> 4, admission\.onBreach warn -> refuse/)
})

test('disarming and arming are events of their own', async (context) => {
  const backend = await start(context)
  await backend.must('policy.set', { body: { armed: false } })
  await backend.must('policy.set', { body: { armed: true } })
  assert.deepEqual(
    backend.events().map(({ kind }) => kind),
    ['ha.disarmed', 'ha.armed'],
  )
})

test('a policy that makes no sense, or changes nothing, is refused', async (context) => {
  const backend = await start(context)
  const refused = await backend.refused('policy.set', { body: { balancing: { scoreGoal: 0.5 } } })
  assert.match(refused.message, /would end at 0\.5 and begin at 0\.3/)
  assert.equal((await backend.refused('policy.set')).code, 'bad_request')
})

test('a stricter policy tells at once what does not live up to it', async (context) => {
  const backend = await start(context, ['a', 'h1', 5], ['b', 'h2', 5])
  const { warnings } = await backend.must('policy.set', { body: { admission: { hostFailures: 2 } } })
  assert.ok(warnings.includes('if h1 and h3 died now, a (5 GiB) would have no place'), warnings.join('\n'))
})

test('a change made on an older look is refused', async (context) => {
  const backend = await start(context)
  await backend.must('policy.set', { body: { cpuOvercommit: 4 } })
  const late = await backend.call('policy.set', { body: { cpuOvercommit: 5 } }, { ifMatch: ['0'] })
  assert.equal(!late.ok && late.error.code, 'changed_meanwhile')
})

test('the check names losses, broken rules and what balancing would gain', async (context) => {
  const cluster = new ClusterFixture(3)
  const [a, b, c] = ['a', 'b', 'c'].map((name) => cluster.guest(name, { memoryBytes: 3 * GIB }))
  for (const guest of [a!, b!]) cluster.grant(guest, 'h1')
  cluster.grant(c!, 'h2')
  cluster.grant(cluster.guest('huge', { memoryBytes: 8 * GIB }), 'h3')
  const rule = apart('spread', [a!.id, b!.id])
  cluster.state.rules.set(rule.id, { value: rule, revision: 1n })
  const backend = await TestBackend.start(context, cluster)
  const check = await backend.must('cluster.check')
  assert.equal(check.ok, false)
  assert.deepEqual(
    check.admission.breaches.map(({ text }) => text),
    [
      'if h3 died now, huge (8 GiB) would have no place',
      'if h1 died now, b (3 GiB) would have no place',
      'if h2 died now, c (3 GiB) would have no place',
    ],
  )
  assert.deepEqual(
    check.violations.map(({ guest, host, rules }) => [guest, host, rules]),
    [
      ['a', 'h1', ['spread']],
      ['b', 'h1', ['spread']],
    ],
  )
  assert.equal(check.balance.mode, 'recommend')
  assert.equal(check.balance.moves[0]?.from, 'h1')
  assert.equal(check.balance.moves[0]?.to, 'h2')
})

test('where nothing is wrong the check says so', async (context) => {
  const backend = await start(context, ['a', 'h1', 1], ['b', 'h2', 1], ['c', 'h3', 1])
  const check = await backend.must('cluster.check')
  assert.equal(check.ok, true)
  assert.deepEqual([check.admission.checked, check.admission.breaches, check.violations], [3, [], []])
})

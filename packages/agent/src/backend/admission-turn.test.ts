/** The policy of admission, when changes meet: on one host, and on several. */
import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { ClusterFixture } from '@stead/core/ha/cluster-fixture.ts'
import { DEFAULT_POLICY, type ClusterPolicy } from '@stead/core/model/cluster-policy.ts'
import { KEYS } from '@stead/core/model/keys.ts'
import { TestBackend } from './backend-fixture.ts'

const GIB = 2 ** 30

/** Three hosts of 8 GiB with 5 guests of 2 GiB on them: after a loss there is room for 3 more, and for no other. */
async function nearlyFull(context: TestContext, admission: Partial<ClusterPolicy['admission']>) {
  const cluster = new ClusterFixture(3)
  const policy = { ...DEFAULT_POLICY, memoryReserveBytes: 0, cpuOvercommit: 8 }
  cluster.state.clusterPolicy = {
    value: { ...policy, admission: { ...policy.admission, ...admission } },
    revision: 1n,
  }
  for (const [index, host] of ['h1', 'h1', 'h2', 'h2', 'h3'].entries())
    cluster.grant(cluster.guest(`g${index}`, { memoryBytes: 2 * GIB }), host)
  for (let index = 0; index < 10; index++)
    cluster.guest(`new${index}`, { memoryBytes: 2 * GIB, desired: 'stopped', ha: 'stopped' })
  const first = await TestBackend.start(context, cluster)
  return [first, await first.onHost(context, 'h2'), await first.onHost(context, 'h3')] as const
}

function start(backend: TestBackend, index: number, body: object = {}) {
  return backend.call('guest.start', { params: { guest: `new${index}` }, body })
}

async function breachesOf(backend: TestBackend): Promise<readonly string[]> {
  return (await backend.must('cluster.check')).admission.breaches.map(({ text }) => text)
}

test('of changes that are made at once on several hosts no more are admitted than a loss leaves room for', async (context) => {
  const desks = await nearlyFull(context, { onBreach: 'refuse' })
  const answers = await Promise.all(Array.from({ length: 10 }, (_, index) => start(desks[index % 3]!, index)))
  assert.equal(answers.filter(({ ok }) => ok).length, 3)
  for (const answer of answers) if (!answer.ok) assert.equal(answer.error.code, 'admission', answer.error.message)
  for (const desk of desks) assert.deepEqual(await breachesOf(desk), [])
})

test('a copy that is behind is not judged by: what another host did a moment ago counts', async (context) => {
  const [first, second] = await nearlyFull(context, { onBreach: 'refuse' })
  const heal = first.server.breakWatches()
  const outcomes = [start(first, 0), start(second, 1), start(first, 2), start(second, 3)]
  // One may have been judged and committed by now; nothing can be judged after it until the copies know of it.
  await new Promise((resolve) => setTimeout(resolve, 50))
  heal()
  assert.equal((await Promise.all(outcomes)).filter(({ ok }) => ok).length, 3)
  assert.deepEqual(await breachesOf(second), [])
})

test('under a policy that warns, it is the one that makes the breach that is warned', async (context) => {
  const desks = await nearlyFull(context, { onBreach: 'warn' })
  const answers = await Promise.all(Array.from({ length: 5 }, (_, index) => start(desks[index % 3]!, index)))
  const warned = answers.map((answer) => answer.ok && answer.value.warnings.length > 0)
  assert.deepEqual(warned.filter(Boolean).length, 2)
  assert.notDeepEqual(await breachesOf(desks[0]), [])
})

test('what is done all the same counts for the next one', async (context) => {
  const desks = await nearlyFull(context, { onBreach: 'refuse' })
  const accepted = [0, 1, 2].map((index) => start(desks[index]!, index, { acceptBreach: true }))
  for (const answer of await Promise.all(accepted)) assert.equal(answer.ok, true)
  const refused = await start(desks[0], 3)
  assert.equal(!refused.ok && refused.error.code, 'admission')
})

test('a policy that becomes stricter is obeyed by what was judged by the old one', async (context) => {
  const [first, second] = await nearlyFull(context, { onBreach: 'ignore' })
  const heal = first.server.breakWatches()
  const body = { admission: { onBreach: 'refuse' } }
  const strict = first.call('policy.set', { body })
  await first.store.get(KEYS.clusterPolicy)
  // The second host's copy does not know of it yet.
  const answers = [0, 1, 2, 3].map((index) => start(second, index))
  await new Promise((resolve) => setTimeout(resolve, 30))
  heal()
  assert.equal((await strict).ok, true)
  const codes = (await Promise.all(answers)).map((answer) => (answer.ok ? 'done' : answer.error.code))
  assert.deepEqual(codes.toSorted(), ['admission', 'done', 'done', 'done'])
})

test('where the policy asks for nothing, changes do not wait for one another', async (context) => {
  const [first, second] = await nearlyFull(context, { onBreach: 'ignore' })
  await Promise.all([start(first, 0), start(second, 1)])
  const turn = await first.store.get(KEYS.admissionTurn)
  assert.equal(turn.ok && turn.value, undefined)
})

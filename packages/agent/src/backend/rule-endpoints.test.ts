import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { ClusterFixture } from '@stead/core/ha/cluster-fixture.ts'
import { KEYS } from '@stead/core/model/keys.ts'
import { DEFAULT_POLICY } from '@stead/core/model/cluster-policy.ts'
import type { GuestId } from '@stead/core/model/ids.ts'
import type { RuleId } from '@stead/core/model/rule.ts'
import { setRuleBody } from '@stead/api/endpoints/rules.ts'
import { TestBackend } from './backend-fixture.ts'

const GIB = 2 ** 30

/** Three hosts, three guests of 1 GiB that run on the first, the second and again the first. */
async function threeGuests(context: TestContext) {
  const cluster = new ClusterFixture(3, { witness: true })
  for (const [name, host] of [
    ['a', 'h1'],
    ['b', 'h2'],
    ['c', 'h1'],
  ] as const)
    cluster.grant(cluster.guest(name), host)
  return TestBackend.start(context, cluster)
}

const together = { kind: 'together', name: 'pair', guests: ['a', 'b'] }
const apart = { kind: 'apart', name: 'spread', guests: ['b', 'a'] }

test('a rule takes names, keeps ids and shows names', async (context) => {
  const backend = await threeGuests(context)
  const body = { kind: 'hosts', name: 'home', guests: ['a'], hosts: [{ host: 'h1', priority: 2 }, { host: 'h2' }] }
  const { rules } = await backend.must('rule.create', { body })
  assert.deepEqual(rules[0]?.guests, ['a'])
  assert.equal(rules[0]?.text, 'a runs on h1, then h2 before all others')
  assert.deepEqual(backend.mirror.state.rules.get('home' as RuleId)?.value.guests, ['guest-a'])
  assert.deepEqual(
    (await backend.must('rule.list')).items.map(({ name }) => name),
    ['home'],
  )
  assert.ok(backend.events().some(({ kind, subject }) => kind === 'rule.created' && subject === 'rule/home'))
})

test('guests that run against a new rule are named, since they are about to be moved', async (context) => {
  const backend = await threeGuests(context)
  const { warnings } = await backend.must('rule.create', { body: { ...apart, guests: ['a', 'c'] } })
  assert.ok(warnings.includes('a runs on h1, but rule spread keeps a apart from c, which is there'), warnings.join())
})

test('a rule that contradicts another is refused with the proof, and nothing is written', async (context) => {
  const backend = await threeGuests(context)
  await backend.must('rule.create', { body: together })
  const refused = await backend.refused('rule.create', { body: apart })
  assert.equal(refused.code, 'conflict')
  assert.match(
    refused.message,
    /^Rule spread cannot be kept: b and a must be together \(rule pair\) and apart \(rule spread\)$/,
  )
  assert.match(refused.hint ?? '', /stead rule list/)
  assert.equal(backend.mirror.state.rules.size, 1)
})

test('of two contradictory rules that are set at once one is refused', async (context) => {
  const backend = await threeGuests(context)
  const answers = await Promise.all([together, apart].map((body) => backend.call('rule.create', { body })))
  assert.equal(answers.filter(({ ok }) => ok).length, 1)
  assert.equal(answers.flatMap((one) => (one.ok ? [] : [one.error.code]))[0], 'conflict')
  assert.equal((await backend.store.range(KEYS.rule('' as RuleId))).ok, true)
  assert.equal(backend.mirror.state.rules.size, 1)
})

test('rules that go together can be set at once', async (context) => {
  const backend = await threeGuests(context)
  const bodies = ['x', 'y', 'z'].map((name) => ({ ...apart, name }))
  const answers = await Promise.all(bodies.map((body) => backend.call('rule.create', { body })))
  assert.deepEqual(
    answers.map(({ ok }) => ok),
    [true, true, true],
  )
})

test('a request that is repeated sets its rule once and gets the same answer', async (context) => {
  const backend = await threeGuests(context)
  const answers = [
    await backend.call('rule.create', { body: together }, { idempotencyKey: 'k' }),
    await backend.call('rule.create', { body: together }, { idempotencyKey: 'k' }),
  ]
  assert.deepEqual(
    answers.map((one) => one.ok && one.value.rules.map(({ name }) => name)),
    [['pair'], ['pair']],
  )
  assert.equal((await backend.refused('rule.create', { body: together })).code, 'name_taken')
})

test('a rule demands something else, another kind as well, and keeps its name', async (context) => {
  const backend = await threeGuests(context)
  await backend.must('rule.create', { body: { ...together, comment: 'why' } })
  const set = await backend.must('rule.set', {
    params: { rule: 'pair' },
    body: { kind: 'apart', guests: ['a', 'c'], strict: false },
  })
  assert.deepEqual(
    [set.name, set.kind, set.guests, set.strict, set.across, set.comment],
    ['pair', 'apart', ['a', 'c'], false, 'host', ''],
  )
  assert.equal(backend.mirror.state.rules.size, 1)
  assert.ok(
    backend
      .events()
      .some(({ kind, message }) => kind === 'rule.changed' && message.startsWith('rule pair is changed: a and c')),
  )
})

test('guests that run against a changed rule are named', async (context) => {
  const backend = await threeGuests(context)
  await backend.must('rule.create', { body: apart })
  const { warnings } = await backend.must('rule.set', {
    params: { rule: 'spread' },
    body: { kind: 'apart', guests: ['a', 'c'] },
  })
  assert.ok(warnings.includes('a runs on h1, but rule spread keeps a apart from c, which is there'), warnings.join())
})

test('a rule is judged without what it demanded before; against the others it stays as it was', async (context) => {
  const backend = await threeGuests(context)
  await backend.must('rule.create', { body: together })
  await backend.must('rule.set', { params: { rule: 'pair' }, body: { kind: 'apart', guests: ['a', 'b'] } })
  await backend.must('rule.create', { body: { ...together, name: 'other', guests: ['b', 'c'] } })
  const body = { kind: 'apart', guests: ['a', 'b', 'c'] }
  const refused = await backend.refused('rule.set', { params: { rule: 'pair' }, body })
  assert.equal(refused.code, 'conflict')
  assert.match(refused.message, /^Rule pair cannot be kept: .*together \(rule other\) and apart \(rule pair\)/)
  assert.deepEqual((await backend.must('rule.show', { params: { rule: 'pair' } })).guests, ['a', 'b'])
})

test('a rule that is not there cannot be changed, and becomes no group', async (context) => {
  const backend = await threeGuests(context)
  const body = { kind: 'apart', guests: ['a', 'b'] }
  assert.equal((await backend.refused('rule.set', { params: { rule: 'none' }, body })).code, 'not_found')
  assert.equal(setRuleBody.safeParse({ kind: 'group', guests: ['a', 'b'] }).success, false)
  assert.equal(setRuleBody.safeParse({ ...body, name: 'other' }).success, false)
})

test('a group is together and in order, both or none', async (context) => {
  const backend = await threeGuests(context)
  const group = { kind: 'group', name: 'shop', guests: ['a', 'b'], readyAfterMs: 5000 }
  const { rules } = await backend.must('rule.create', { body: group })
  assert.deepEqual(
    rules.map(({ name, kind, strict, mode, readyAfterMs }) => [name, kind, strict, mode, readyAfterMs]),
    [
      ['shop', 'together', true, null, null],
      ['shop-order', 'order', true, 'required', 5000],
    ],
  )
  const circle = { ...group, name: 'back', guests: ['b', 'a'] }
  assert.match((await backend.refused('rule.create', { body: circle })).message, /the order goes in a circle/)
  assert.deepEqual([...backend.mirror.state.rules.keys()].toSorted(), ['shop', 'shop-order'])
})

for (const [what, body, code, message] of [
  ['an unknown guest', { ...apart, guests: ['a', 'nobody'] }, 'not_found', /no guest nobody/],
  ['an unknown host', { kind: 'ban', name: 'x', guests: ['a'], hosts: ['h9'] }, 'not_found', /no host h9/],
  ['a witness', { kind: 'ban', name: 'x', guests: ['a'], hosts: ['witness'] }, 'conflict', /runs no guests/],
  ['one guest by name and by id', { ...apart, guests: ['a', 'guest-a'] }, 'bad_request', /named twice/],
  ['a fault domain that no host has', { ...apart, across: 'rack' }, 'conflict', /by rack, which no host has/],
  [
    'bans that leave no host',
    { kind: 'ban', name: 'x', guests: ['a'], hosts: ['h1', 'h2', 'h3'] },
    'conflict',
    /no host is left for a/,
  ],
] as const) {
  test(`a rule about ${what} is refused`, async (context) => {
    const backend = await threeGuests(context)
    const refused = await backend.refused('rule.create', { body })
    assert.equal(refused.code, code)
    assert.match(refused.message, message)
  })
}

test('a guest that is being deleted is in no new rule, and proves nothing against one', async (context) => {
  const backend = await threeGuests(context)
  await backend.must('rule.create', { body: together })
  const guest = backend.mirror.state.guests.get('guest-a' as GuestId)!.value
  await backend.put(KEYS.guest(guest.id), { ...guest, deleting: true })
  assert.match((await backend.refused('rule.create', { body: apart })).message, /being deleted/)
  await backend.must('rule.create', { body: { ...apart, guests: ['b', 'c'] } })
})

test('a rule that would leave a guest without a place after a loss is warned of, or refused', async (context) => {
  const cluster = new ClusterFixture(3)
  for (const [name, host] of [
    ['a', 'h1'],
    ['b', 'h2'],
  ] as const)
    cluster.grant(cluster.guest(name, { memoryBytes: 5 * GIB }), host)
  const backend = await TestBackend.start(context, cluster)
  const only = (name: string) => ({ kind: 'ban', name, guests: ['a'], hosts: ['h3'] })
  const breach = 'if h1 died now, a (5 GiB) would have no place'
  assert.deepEqual((await backend.must('rule.create', { body: only('warned') })).warnings, [breach])
  await backend.must('rule.delete', { params: { rule: 'warned' } })
  const policy = { ...DEFAULT_POLICY, admission: { hostFailures: 1, onBreach: 'refuse' } }
  await backend.must('policy.set', { body: { admission: policy.admission } })
  const refused = await backend.refused('rule.create', { body: only('refused') })
  assert.equal(refused.code, 'admission')
  assert.ok(refused.message.includes(breach))
  const accepted = await backend.must('rule.create', { body: { ...only('accepted'), acceptBreach: true } })
  assert.deepEqual(accepted.warnings, [breach])
})

test('a host cannot be put into a rack where rules could not be kept any more', async (context) => {
  const backend = await threeGuests(context)
  for (const [host, rack] of [
    ['h1', 'r1'],
    ['h2', 'r2'],
    ['h3', 'r2'],
  ])
    await backend.must('host.set', { params: { host }, body: { faultDomains: { rack } } })
  await backend.must('rule.create', { body: { ...apart, across: 'rack' } })
  const refused = await backend.refused('host.set', { params: { host: 'h1' }, body: { faultDomains: { rack: 'r2' } } })
  assert.equal(refused.code, 'conflict')
  assert.match(refused.message, /b and a must each be on another rack \(rule spread\), but there are only r2/)
  const moved = await backend.must('host.set', {
    params: { host: 'h3' },
    body: { faultDomains: { rack: null, feed: 'f1' } },
  })
  assert.deepEqual(moved.faultDomains, { feed: 'f1' })
})

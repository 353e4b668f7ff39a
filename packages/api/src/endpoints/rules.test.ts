import assert from 'node:assert/strict'
import { test } from 'node:test'
import { describeIssues } from '../issues.ts'
import { setPolicyBody } from './policy.ts'
import { createRuleBody } from './rules.ts'

test('a rule is strict unless it is said otherwise, but for the hosts that a guest prefers', () => {
  const shared = { name: 'r', guests: ['a', 'b'] }
  const strictOf = (body: object) => {
    const rule = createRuleBody.parse({ ...shared, ...body })
    return 'strict' in rule ? rule.strict : undefined
  }
  assert.equal(strictOf({ kind: 'together' }), true)
  assert.equal(strictOf({ kind: 'apart' }), true)
  assert.equal(strictOf({ kind: 'hosts', hosts: [{ host: 'h1' }] }), false)
  assert.deepEqual(createRuleBody.parse({ ...shared, kind: 'order' }), {
    ...shared,
    kind: 'order',
    acceptBreach: false,
    readyAfterMs: 0,
    until: 'running',
    mode: 'required',
  })
})

for (const [what, body, message] of [
  ['one guest that is to be apart', { kind: 'apart', guests: ['a'] }, /guests: must name at least 2 guests/],
  ['a guest that is named twice', { kind: 'together', guests: ['a', 'a'] }, /guests: must name each guest once/],
  ['no host', { kind: 'ban', guests: ['a'], hosts: [] }, /hosts: /],
  [
    'a host that is named twice',
    { kind: 'hosts', guests: ['a'], hosts: [{ host: 'h1' }, { host: 'h1', priority: 1 }] },
    /hosts: must name each host once/,
  ],
  [
    'a priority below 0',
    { kind: 'hosts', guests: ['a'], hosts: [{ host: 'h1', priority: -1 }] },
    /hosts\[0\]\.priority/,
  ],
  ['a wait of a day', { kind: 'order', guests: ['a', 'b'], readyAfterMs: 86_400_000 }, /readyAfterMs/],
  ['an unknown field', { kind: 'ban', guests: ['a'], hosts: ['h1'], strict: true }, /strict: unknown field/],
  ['an unknown kind', { kind: 'near', guests: ['a', 'b'] }, /kind: /],
] as const) {
  test(`a rule about ${what} is refused, with its field`, () => {
    const checked = createRuleBody.safeParse({ name: 'r', ...body })
    assert.ok(!checked.success)
    assert.match(describeIssues(checked.error.issues, createRuleBody).message, message)
  })
}

for (const body of [
  { cpuOvercommit: 0 },
  { cpuOvercommit: Number.NaN },
  { admission: { hostFailures: 5 } },
  { admission: { onBreach: 'panic' } },
  { balancing: { scoreMax: 2 } },
  { balancing: { speed: 1 } },
  { memoryReserveBytes: -1 },
]) {
  test(`the policy ${JSON.stringify(body)} is refused`, () => assert.ok(!setPolicyBody.safeParse(body).success))
}

test('a part of the policy may be said alone', () => {
  assert.deepEqual(setPolicyBody.parse({ admission: { onBreach: 'refuse' } }), { admission: { onBreach: 'refuse' } })
})

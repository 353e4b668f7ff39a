import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createRuleBody } from '@stead/api/endpoints/rules.ts'
import type { RuleView } from '@stead/api/views.ts'
import { complaintAbout, EMPTY_RULE, formOfRule, RULE_KINDS, ruleBodyOf, ruleChangeOf } from './rule-form.ts'

const FULL = { ...EMPTY_RULE, name: 'shop', guests: ['db', 'web'], hosts: ['h2', 'h3'], readyAfterSeconds: 1.5 }

test('every kind of rule becomes a request that the API takes', () => {
  for (const kind of RULE_KINDS) {
    assert.equal(complaintAbout({ ...FULL, kind }), undefined, kind)
    assert.equal(createRuleBody.parse(ruleBodyOf({ ...FULL, kind })).kind, kind)
  }
})

test('of hosts the first is the dearest; times are in milliseconds', () => {
  assert.deepEqual(ruleBodyOf({ ...FULL, kind: 'hosts' }), {
    ...{ kind: 'hosts', name: 'shop', guests: ['db', 'web'], strict: true },
    hosts: [
      { host: 'h2', priority: 2 },
      { host: 'h3', priority: 1 },
    ],
  })
  assert.deepEqual(ruleBodyOf({ ...FULL, kind: 'order', untilReady: true, isOptional: true, comment: ' why ' }), {
    ...{ kind: 'order', name: 'shop', guests: ['db', 'web'], comment: 'why' },
    ...{ readyAfterMs: 1_500, until: 'ready', mode: 'optional' },
  })
})

const VIEW: RuleView = {
  ...{ name: 'shop', kind: 'hosts', guests: ['db', 'web'], strict: true, across: null, readyAfterMs: null },
  ...{ mode: null, until: null, text: '', comment: 'why', revision: '7' },
  hosts: [
    { host: 'h1', priority: 0 },
    { host: 'h2', priority: 10 },
    { host: 'h3', priority: 10 },
  ],
}

test('a rule that is there comes into the form and out of it as it was, its name left out', () => {
  const guests = ['db', 'web']
  assert.deepEqual(ruleChangeOf(formOfRule({ ...VIEW, kind: 'apart', hosts: [], across: 'rack', strict: false })), {
    ...{ kind: 'apart', guests, comment: 'why', strict: false, across: 'rack' },
  })
  const order: RuleView = { ...VIEW, kind: 'order', hosts: [], readyAfterMs: 1_500, mode: 'optional', until: 'ready' }
  assert.deepEqual(ruleChangeOf(formOfRule(order)), {
    ...{ kind: 'order', guests, comment: 'why', readyAfterMs: 1_500, mode: 'optional', until: 'ready' },
  })
  assert.equal(complaintAbout(formOfRule(order), true), undefined)
})

test('ranks of hosts stay as they are until their order is changed', () => {
  const form = formOfRule(VIEW)
  const hostsOf = (change: object) => (ruleChangeOf({ ...form, ...change }) as { hosts: unknown }).hosts
  assert.deepEqual(form.hosts, ['h2', 'h3', 'h1'])
  assert.deepEqual(hostsOf({}), [VIEW.hosts[1], VIEW.hosts[2], VIEW.hosts[0]])
  assert.deepEqual(hostsOf({ hosts: ['h3', 'h2'] }), [
    { host: 'h3', priority: 2 },
    { host: 'h2', priority: 1 },
  ])
})

test('what the API would refuse is said before it is asked', () => {
  assert.match(complaintAbout({ ...FULL, guests: ['db'] }) ?? '', /at least 2/)
  assert.match(complaintAbout({ ...FULL, name: 'Not a name' }) ?? '', /name/)
  assert.match(complaintAbout({ ...FULL, kind: 'ban', hosts: [] }) ?? '', /hosts/)
})

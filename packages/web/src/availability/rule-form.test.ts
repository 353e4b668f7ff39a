import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createRuleBody } from '@stead/api/endpoints/rules.ts'
import { complaintAbout, EMPTY_RULE, RULE_KINDS, ruleBodyOf } from './rule-form.ts'

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

test('what the API would refuse is said before it is asked', () => {
  assert.match(complaintAbout({ ...FULL, guests: ['db'] }) ?? '', /at least 2/)
  assert.match(complaintAbout({ ...FULL, name: 'Not a name' }) ?? '', /name/)
  assert.match(complaintAbout({ ...FULL, kind: 'ban', hosts: [] }) ?? '', /hosts/)
})

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { apart, banned, inOrder, onHosts, together } from '../planning/planning-fixture.ts'
import type { GuestId } from './ids.ts'
import { withoutGuest } from './rule.ts'

const GONE = 'b' as GuestId

test('a rule goes on about those that are left', () => {
  assert.deepEqual(withoutGuest(apart('x', ['a', 'b', 'c']), GONE)?.guests, ['a', 'c'])
  assert.deepEqual(withoutGuest(inOrder('o', ['c', 'b', 'a']), GONE)?.guests, ['c', 'a'])
  assert.deepEqual(withoutGuest(banned('n', ['a', 'b'], ['h1']), GONE)?.guests, ['a'])
})

test('a rule goes with the guests that it is about', () => {
  assert.equal(withoutGuest(together('t', ['a', 'b']), GONE), undefined)
  assert.equal(withoutGuest(onHosts('p', ['b'], ['h1']), GONE), undefined)
})

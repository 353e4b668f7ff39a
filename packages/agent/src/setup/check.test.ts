import assert from 'node:assert/strict'
import { test } from 'node:test'
import { checkOf, refusalOf } from './check.ts'

const clock = checkOf('clock', 'clock')
const mtu = checkOf('san-mtu-h1', 'san to h1, MTU')

test('what is fine and what is only a warning refuses nothing', () => {
  assert.equal(refusalOf([clock.ok('right'), mtu.warning('small', 'make it larger')], []).ok, true)
})

test('a failure refuses, says what to do, and how to accept it', () => {
  const refused = refusalOf([clock.failed('differs by 9 s', 'Set the time'), mtu.ok('fine')], [])
  assert.ok(!refused.ok)
  assert.equal(refused.error.message, 'Nothing was changed, since clock: differs by 9 s')
  assert.equal(refused.error.hint, 'Set the time; or accept it: --despite clock')
})

test('a failure that was named is accepted, and no other one', () => {
  const checks = [clock.failed('differs', 'Set the time'), mtu.failed('too small', 'Make it larger')]
  assert.equal(refusalOf(checks, ['clock', 'san-mtu-h1']).ok, true)
  const refused = refusalOf(checks, ['clock'])
  assert.match(refused.ok ? '' : refused.error.message, /san to h1, MTU/)
  assert.doesNotMatch(refused.ok ? '' : refused.error.message, /differs/)
})

test('what could not work is refused whatever is accepted', () => {
  const refused = refusalOf([clock.refused('no such thing', 'Make it')], ['clock'])
  assert.equal(refused.ok, false)
  assert.doesNotMatch(refused.ok ? '' : (refused.error.hint ?? ''), /--despite/)
})

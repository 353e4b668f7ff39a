import assert from 'node:assert/strict'
import { test } from 'node:test'
import { checkPassword } from './password-rules.ts'

const why = (password: string, user = 'alice', lengthMin = 12) => {
  const checked = checkPassword(password, user, { lengthMin })
  return checked.ok ? 'taken' : checked.error.message
}

test('a password has the length that the policy asks for, counted in characters as people see them', () => {
  assert.equal(why('elevenchars'), 'The password has fewer than 12 characters')
  assert.equal(why('elevenchars', 'alice', 11), 'taken')
  assert.equal(why('🙂'.repeat(11)), 'The password has fewer than 12 characters')
  assert.equal(why('x'.repeat(257)), 'The password has more than 256 characters')
})

test("a password does not contain its user's name, however it is written", () => {
  for (const password of ['alice-im-wunderland', 'ich bin ALICE, ja', 'ａｌｉｃｅ im wunderland'])
    assert.equal(why(password), 'The password contains the name alice', password)
  assert.match(why('dora im wunderland', 'dora@campus'), /the name dora/)
  // Of a name of two letters half of all words consist.
  assert.equal(why('eal beads unlocked', 'al'), 'taken')
})

test('the hint says what would be taken', () => {
  const short = checkPassword('short', 'alice', { lengthMin: 16 })
  assert.ok(!short.ok)
  assert.match(short.error.hint ?? '', /16 characters or more: four words/)
})

test('of those that look alike there is one form', () => {
  assert.deepEqual(
    checkPassword('Übergröße-im-Lager', 'alice'),
    checkPassword('U\u0308bergro\u0308ße-im-Lager', 'alice'),
  )
})

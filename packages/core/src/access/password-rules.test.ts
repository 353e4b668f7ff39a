import assert from 'node:assert/strict'
import { test } from 'node:test'
import { checkPassword } from './password-rules.ts'

for (const password of [
  'short',
  'elevenchars',
  'password1234',
  'Passwort1234!',
  'alicealice12',
  'abcabcabcabc',
  'qwertyuiopas',
  '123456789012',
  'x'.repeat(257) + 'abcdefg',
]) {
  test(`${password.slice(0, 20)} is refused`, () => assert.ok(!checkPassword(password, 'alice').ok))
}

test('long ones are taken, in one form of those that look alike', () => {
  for (const password of ['correct horse battery', 'jK3#-long-enough', 'пароль-из-букв'])
    assert.ok(checkPassword(password, 'alice').ok)
  assert.deepEqual(
    checkPassword('Übergröße-im-Lager', 'alice'),
    checkPassword('U\u0308bergro\u0308ße-im-Lager', 'alice'),
  )
})

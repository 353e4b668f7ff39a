import assert from 'node:assert/strict'
import { test } from 'node:test'
import { PasswordStrength } from './password-strength.ts'

const words = ['alice', 'Example', 'stead']

test('what is tried first is refused, with the reason', async () => {
  const strength = new PasswordStrength()
  const expected = {
    password1234: /like one of those that are used often/,
    '1qaz2wsx3edc': /used often and have leaked/,
    'P@ssw0rd!2026': /tried first|like one/,
    'Passwort1234!': /tried first/,
    'Summer2026!!': /tried first/,
    abcabcabcabc: /repeats itself/,
    aaaaaaaaaaaaaaaa: /repeats few characters/,
    '123456789012': /row|like one|used often/,
    qwertyuiopas: /keyboard|like one|tried first/,
    'Example2026!': /tried first|anybody would try/,
  }
  for (const [password, reason] of Object.entries(expected)) {
    const checked = await strength.check({ password, words }, 12)
    assert.ok(!checked.ok, password)
    assert.equal(checked.error.code, 'bad_request')
    assert.match(checked.error.message, reason, password)
    assert.match(checked.error.hint ?? '', /four words/)
  }
})

test('words that have nothing to do with each other, and what nobody could remember, are taken', async () => {
  const strength = new PasswordStrength()
  for (const password of [
    ...['correct horse battery', 'jK3#-long-enough', 'пароль-из-букв', 'Übergröße-im-Lager', 'xQ7-vV2-pL9-kk'],
    // As long as one may be: only its beginning is looked at.
    Array.from({ length: 256 }, (_, index) => String.fromCharCode(33 + ((index * 37) % 90))).join(''),
  ])
    assert.ok((await strength.check({ password, words }, 12)).ok, password)
})

test('of many at once some are sent away, and the others answered', async () => {
  const strength = new PasswordStrength()
  const answers = await Promise.all(
    Array.from({ length: 10 }, () => strength.check({ password: 'correct horse battery', words }, 12)),
  )
  assert.equal(answers.filter(({ ok }) => ok).length, 8)
  for (const answer of answers) if (!answer.ok) assert.equal(answer.error.code, 'too_many_requests')
})

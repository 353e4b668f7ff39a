import assert from 'node:assert/strict'
import { test } from 'node:test'
import { harmlessSentence, harmlessText } from './harmless-text.ts'

test('what would act on a terminal is shown as its code; lines, tabs and other letters stay', () => {
  assert.equal(harmlessText('a\u001b[2Jb\u0007\u009b1m'), 'a\\u001b[2Jb\\u0007\\u009b1m')
  assert.equal(harmlessText('abc\u202Etxt.exe'), 'abc\\u202etxt.exe')
  assert.equal(harmlessText('żółw\tna\npłocie 💥'), 'żółw\tna\npłocie 💥')
})

test('a sentence has one line and an end', () => {
  assert.equal(harmlessSentence('a\n  b\r\nc'), 'a b\\u000d c')
  assert.equal(harmlessSentence('x'.repeat(30_000)).length, 2_001)
})

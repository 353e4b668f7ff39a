import assert from 'node:assert/strict'
import { test } from 'node:test'
import { PASTE_CHARACTERS_MAX } from '@stead/api/endpoints/consoles.ts'
import { pastePlan } from './paste-plan.ts'

test('a long text is typed in parts that the API takes, in order and whole', () => {
  const text = 'echo 1\n'.repeat(400)
  const plan = pastePlan(text, 'us')
  assert.ok(plan.ok)
  assert.equal(plan.value.join(''), text)
  assert.deepEqual(
    plan.value.map((part) => part.length <= PASTE_CHARACTERS_MAX),
    [true, true, true],
  )
})

test('nothing is typed of a text whose end the layout cannot type', () => {
  const plan = pastePlan(`${'a'.repeat(PASTE_CHARACTERS_MAX)}ż`, 'us')
  assert.equal(plan.ok, false)
  assert.match(plan.ok ? '' : plan.error.message, /cannot type ż/)
  assert.equal(pastePlan('ż', 'pl').ok, true)
})

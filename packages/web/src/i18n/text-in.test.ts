import assert from 'node:assert/strict'
import { test } from 'node:test'
import { texts as en } from './en/frame.ts'
import { texts as pl } from './pl/frame.ts'
import { textIn } from './text-in.ts'

test('values stand where the text wants them, figures in the way of the language', () => {
  assert.equal(textIn('en', en)('word.of', { part: '1 GiB', whole: '4 GiB' }), '1 GiB of 4 GiB')
  assert.equal(textIn('en', en)('guests.count', { count: 10_000 }), '10,000 guests')
})

test('each language counts in its own forms', () => {
  const english = textIn('en', en)
  assert.deepEqual(
    [0, 1, 2].map((count) => english('guests.count', { count })),
    ['0 guests', '1 guest', '2 guests'],
  )
  const polish = textIn('pl', pl)
  assert.deepEqual(
    [1, 2, 5, 22].map((count) => polish('guests.count', { count })),
    ['1 gość', '2 goście', '5 gości', '22 goście'],
  )
})

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { everyMs, everyOf, everyText } from './snapshot-every.ts'

test('a period is said in the largest unit that fits, and means the same again', () => {
  const hour = 3_600_000
  assert.deepEqual(everyOf(hour), { count: 1, unit: 'hours' })
  assert.deepEqual(everyOf(36 * hour), { count: 36, unit: 'hours' })
  assert.deepEqual(everyOf(48 * hour), { count: 2, unit: 'days' })
  assert.deepEqual(everyOf(90_000), { count: 1.5, unit: 'minutes' })
  for (const ms of [60_000, 90_000, hour, 48 * hour]) assert.equal(everyMs(everyOf(ms)), ms)
})

test('each language counts in its own way', () => {
  const texts = (count: number) =>
    ['en', 'fr', 'pl'].map((language) => everyText({ count, unit: 'hours' }, language).replaceAll(/\s/g, ' '))
  assert.deepEqual(texts(1), ['1 hour', '1 heure', '1 godzina'])
  assert.deepEqual(texts(3), ['3 hours', '3 heures', '3 godziny'])
})

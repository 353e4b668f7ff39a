import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Host } from './host.ts'
import { baselineOf, LEVEL_FLAGS, levelOf } from './processor.ts'

test('a processor has the level of which it has every flag, and of all below', () => {
  assert.equal(levelOf(new Set(['sse2'])), 1)
  assert.equal(levelOf(new Set(LEVEL_FLAGS[2])), 2)
  assert.equal(levelOf(new Set([...LEVEL_FLAGS[2], ...LEVEL_FLAGS[3]])), 3)
  assert.equal(levelOf(new Set([...LEVEL_FLAGS[2], ...LEVEL_FLAGS[3], ...LEVEL_FLAGS[4]])), 4)
  assert.equal(levelOf(new Set([...LEVEL_FLAGS[3], ...LEVEL_FLAGS[4]])), 1)
  assert.equal(levelOf(new Set([...LEVEL_FLAGS[2], ...LEVEL_FLAGS[3].slice(1)])), 2)
})

test('the baseline is what the weakest host that runs guests can', () => {
  const host = (role: Host['role'], level?: 1 | 2 | 3 | 4) =>
    ({ role, ...(level === undefined ? {} : { processor: { level, model: '' } }) }) as Host
  assert.equal(baselineOf([host('compute', 4), host('compute', 3), host('witness', 1)]), 3)
  assert.equal(baselineOf([host('compute'), host('compute', 2)]), 2)
  assert.equal(baselineOf([host('compute')]), undefined)
})

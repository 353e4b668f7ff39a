import assert from 'node:assert/strict'
import { test } from 'node:test'
import { fuzzWorld } from './world-fuzz.ts'

/** For how long seeds that nobody has tried are played, in real time. */
const FRESH_MS = 45_000
const SEED_MAX = 2 ** 31

test('fresh worlds full of faults break no promise', { timeout: 4 * FRESH_MS }, async (context) => {
  const first = 1 + Math.floor(Math.random() * SEED_MAX)
  const startedMs = performance.now()
  let seed = first
  for (; performance.now() - startedMs < FRESH_MS; seed++) {
    const { violations } = await fuzzWorld(seed)
    assert.deepEqual(violations, [], `seed ${seed}; to see what happened: ./dev sim repro ${seed}`)
  }
  context.diagnostic(`seeds ${first} to ${seed - 1}`)
})

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { firstOf } from './hedged-attempts.ts'

const isGood = (outcome: string) => outcome.startsWith('good')

test('a quick answer asks nobody else', async () => {
  let asked = 0
  const outcome = await firstOf([async () => 'good', async () => `bad ${asked++}`], 1_000, isGood)
  assert.deepEqual([outcome, asked], ['good', 0])
})

test('a silent server is overtaken by the next one', async () => {
  const silent = new Promise<string>(() => {})
  assert.equal(await firstOf([() => silent, async () => 'good'], 5, isGood), 'good')
})

test('a failure asks the next one at once', async () => {
  assert.equal(await firstOf([async () => 'bad', async () => 'good'], 60_000, isGood), 'good')
})

test('when all fail the last failure is the outcome', async () => {
  assert.equal(await firstOf([async () => 'bad 1', async () => 'bad 2'], 60_000, isGood), 'bad 2')
})

test('a slow server may still answer after the others have failed', async () => {
  const slow = new Promise<string>((resolve) => setTimeout(() => resolve('good, late'), 30))
  assert.equal(await firstOf([() => slow, async () => 'bad'], 1, isGood), 'good, late')
})

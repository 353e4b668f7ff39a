import assert from 'node:assert/strict'
import { it } from 'node:test'
import { endOnceAlone } from './idle-init.ts'

/** Looks at the counts one after the other; the last one stays. Tells after how many looks it was ended. */
async function endedAfter(...counts: readonly (number | undefined)[]): Promise<number | undefined> {
  let looks = 0
  let ended: number | undefined
  await endOnceAlone({
    others: () => counts[Math.min(looks++, counts.length - 1)],
    end: () => (ended = looks),
  })
  return ended
}

it('ends an init that was left alone, not before it has been so for a while', async () => {
  const looks = await endedAfter(3, 1, 0)
  assert.ok(looks !== undefined && looks > 3)
})

it('begins to wait anew when somebody comes', async () => {
  const looks = await endedAfter(1, 0, 1, 0, 1, 0)
  assert.ok(looks !== undefined && looks > 6)
})

it('leaves alone what ends by itself', async () => {
  assert.equal(await endedAfter(2, 0, undefined), undefined)
})

it('does not touch an init that never had others: it may not have heard yet', async () => {
  assert.equal(await endedAfter(...Array.from({ length: 20 }, () => 0), undefined), undefined)
})

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { usageCsv, usageDays, usageSum } from './usage-days.ts'

const hour = (at: string, cpuHours: number) => ({
  ...{ project: 'shop', hour: at, complete: true, cpuHours, memoryGibHours: 2, diskGibHours: 10 },
  ...{ receivedBytes: 100, sentBytes: 7 },
})
const HOURS = [hour('2026-11-22T23:00:00Z', 1), hour('2026-11-23T00:00:00Z', 2), hour('2026-11-23T01:00:00Z', 4)]

test('hours are summed by day, the newest first', () => {
  assert.deepEqual(
    usageDays(HOURS).map(({ day, cpuHours, sentBytes }) => [day, cpuHours, sentBytes]),
    [
      ['2026-11-23', 6, 14],
      ['2026-11-22', 1, 7],
    ],
  )
  assert.equal(usageSum(HOURS).memoryGibHours, 6)
  assert.equal(usageSum([]).cpuHours, 0)
})

test('as a file it has a line an hour', () => {
  const [head, first, ...more] = usageCsv(HOURS).trimEnd().split('\n')
  assert.equal(head, 'project,hour,complete,cpuHours,memoryGibHours,diskGibHours,receivedBytes,sentBytes')
  assert.equal(first, 'shop,2026-11-22T23:00:00Z,true,1,2,10,100,7')
  assert.equal(more.length, 2)
})

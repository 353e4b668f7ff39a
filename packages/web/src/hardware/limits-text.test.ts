import assert from 'node:assert/strict'
import { test } from 'node:test'
import { diskLimitsText, nicLimitsText } from './limits-text.ts'

test('limits are told in the units in which people think of them', () => {
  const disk = { operationsPerSecond: 1_500, bytesPerSecond: 100 * 2 ** 20, burstBytesPerSecond: 400 * 2 ** 20 }
  assert.equal(diskLimitsText(disk, 'en'), '1,500 IO/s, 100 MiB/s (400 MiB/s)')
  assert.equal(diskLimitsText({ burstOperationsPerSecond: 900 }, 'en'), '(900 IO/s)')
  assert.equal(
    nicLimitsText({ receiveBytesPerSecond: 12_500_000, sendBytesPerSecond: 62_500, sendPacketsPerSecond: 1_500 }, 'en'),
    '↓ 100 Mbit/s, ↑ 0.5 Mbit/s, ↑ 1,500 pps',
  )
  assert.deepEqual([diskLimitsText(undefined, 'en'), nicLimitsText({}, 'en')], ['', ''])
})

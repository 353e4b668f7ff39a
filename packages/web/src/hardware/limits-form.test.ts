import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setDiskBody } from '@stead/api/endpoints/hardware.ts'
import { diskLimitsForm, diskLimitsOf, nicLimitsForm, nicLimitsOf } from './limits-form.ts'

test('limits come back as they were, and the API takes them', () => {
  const disk = {
    ...{ operationsPerSecond: 500, bytesPerSecond: 100 * 2 ** 20 },
    ...{ burstOperationsPerSecond: 5_000, burstBytesPerSecond: 400 * 2 ** 20, burstSeconds: 10 },
  }
  assert.deepEqual(diskLimitsOf(diskLimitsForm(disk)), disk)
  assert.equal(setDiskBody.safeParse({ limits: disk }).success, true)
  const nic = { receiveBytesPerSecond: 12_500_000, sendBytesPerSecond: 1_250_000, sendPacketsPerSecond: 500 }
  assert.deepEqual(nicLimitsForm(nic), { receiveMbit: 100, sendMbit: 10, sendPackets: 500 })
  assert.deepEqual(nicLimitsOf(nicLimitsForm(nic)), nic)
})

test('what is left empty has no limit', () => {
  assert.deepEqual(diskLimitsOf(diskLimitsForm()), {})
  assert.deepEqual(nicLimitsOf(nicLimitsForm({})), {})
})

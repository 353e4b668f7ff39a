import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ENDPOINTS } from '@stead/api/endpoints.ts'
import { limitsOf, quotaFormOf } from './quota-form.ts'

test('a quota goes through the form and back unchanged; what is left empty has no limit', () => {
  const quota = { guests: 4, memoryBytes: 1.5 * 2 ** 30, snapshots: 0 }
  const form = quotaFormOf(quota)
  assert.deepEqual(form, {
    guests: 4,
    cpus: '',
    memoryBytes: 1.5,
    diskBytes: '',
    snapshots: 0,
    backups: '',
    addresses: '',
  })
  const limits = limitsOf(form)
  assert.deepEqual(limits, { ...quota, cpus: null, diskBytes: null, backups: null, addresses: null })
  assert.ok(ENDPOINTS['project.create'].body.safeParse({ name: 'p', quota: limits }).success)
})

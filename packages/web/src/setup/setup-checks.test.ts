import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { SetupCheck } from '@stead/api/endpoints/set-up.ts'
import { groupOf, isAllowed } from './setup-checks.ts'

const check = (id: string, more: Partial<SetupCheck> = {}): SetupCheck => ({
  ...{ id, name: id, state: 'ok', text: '', hint: null, final: false, ...more },
})

test('what is measured of a network stands with it, pools with the disks, all else with the host', () => {
  assert.deepEqual(
    ['san-latency-h1', 'ran-bandwidth', 'pool-pairing-default', 'clock'].map((id) => groupOf({ id })),
    [...['networks', 'networks', 'disks', 'host']],
  )
})

test('a warning lets it begin, a failure once it was accepted, and what could not work never', () => {
  assert.equal(isAllowed([check('a'), check('b', { state: 'warning' })], new Set()), true)
  assert.equal(isAllowed([check('a', { state: 'failed' })], new Set()), false)
  assert.equal(isAllowed([check('a', { state: 'failed' })], new Set(['a'])), true)
  assert.equal(isAllowed([check('a', { state: 'failed', final: true })], new Set(['a'])), false)
})

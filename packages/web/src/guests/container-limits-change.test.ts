import assert from 'node:assert/strict'
import { test } from 'node:test'
import { CONTAINER_PRESETS } from '@stead/core/model/container-presets.ts'
import { limitsChange, limitsText } from './container-limits-change.ts'

const BEFORE = { numproc: { limit: 200 }, numfile: { barrier: 1024, limit: 2048 }, cpuunits: { limit: 1000 } }

test('limits are written one a line, and an untouched text asks for nothing', () => {
  assert.equal(limitsText(BEFORE), 'cpuunits=1000\nnumfile=1024:2048\nnumproc=200')
  for (const limits of [BEFORE, ...Object.values(CONTAINER_PRESETS), {}])
    assert.deepEqual(limitsChange(limits, limitsText(limits)), { ok: true, value: {} })
})

test('what is changed is asked for, and what is left out is lifted', () => {
  const changed = limitsChange(BEFORE, 'numproc=300\n\n numfile=1024:2048 ')
  assert.deepEqual(changed, { ok: true, value: { numproc: { limit: 300 }, cpuunits: {} } })
})

test('a resource that there is not is refused', () => {
  const refused = limitsChange(BEFORE, 'numfoo=3')
  assert.equal(refused.ok, false)
})

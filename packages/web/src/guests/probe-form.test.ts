import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setProbeBody } from '@stead/api/endpoints/lifecycle.ts'
import { PROBE_DEFAULTS } from '@stead/core/model/probe.ts'
import { probeForm, probeOf } from './probe-form.ts'

test('a probe comes back as it was, with what the form has no field for', () => {
  const probe = {
    ...PROBE_DEFAULTS,
    ...{
      check: { kind: 'http' as const, port: 8080, path: '/health', status: 204, body: 'fine' },
      initialDelayMs: 5_000,
    },
  }
  assert.deepEqual(probeOf(probeForm(probe)), probe)
  const console = { ...PROBE_DEFAULTS, check: { kind: 'console' as const, find: 'ready \\d+', as: 'pattern' as const } }
  assert.deepEqual(probeOf(probeForm(console)), console)
})

test('a new one begins as something that the API takes', () => {
  const form = probeForm(null)
  for (const kind of ['tcp', 'http', 'agent', 'console'] as const)
    assert.equal(setProbeBody.safeParse(probeOf({ ...form, kind })).success, true, kind)
  assert.deepEqual(probeOf({ ...form, address: ' 192.0.2.7 ' }).check, { kind: 'tcp', port: 80, address: '192.0.2.7' })
})

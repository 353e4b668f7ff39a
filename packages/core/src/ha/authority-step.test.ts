import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { AuthorityChange } from '../model/authority-change.ts'
import type { HostId } from '../model/ids.ts'
import { authorityStep, type HostTrustReport } from './authority-step.ts'

const [h1, h2] = ['h1', 'h2'] as [HostId, HostId]
const change = (phase: AuthorityChange['phase']): AuthorityChange => ({
  ...{ phase, former: 'old', next: 'new', certificate: '', begunAt: 0 },
})

function step(phase: AuthorityChange['phase'], of: Readonly<Record<string, Partial<HostTrustReport>>>) {
  return authorityStep(change(phase), [h1, h2], (host) => ({ trusts: undefined, isSignedByNext: false, ...of[host] }))
}

test('certificates of the new one are made when every host trusts both', () => {
  const both = { trusts: ['old', 'new'] }
  assert.deepEqual(step('trust', { h1: both, h2: { trusts: ['old'] } }), { kind: 'wait', for: [h2] })
  // Its agent and its member of the store differ.
  assert.deepEqual(step('trust', { h1: both, h2: {} }), { kind: 'wait', for: [h2] })
  assert.deepEqual(step('trust', { h1: both, h2: both }), { kind: 'go-on', to: 'sign' })
})

test('the former one is dropped when every host shows a certificate of the new one', () => {
  const signed = { isSignedByNext: true }
  assert.deepEqual(step('sign', { h1: signed }), { kind: 'wait', for: [h2] })
  assert.deepEqual(step('sign', { h1: signed, h2: signed }), { kind: 'go-on', to: 'drop' })
})

test('it is done when no host trusts the former one', () => {
  const done = { trusts: ['new'] }
  assert.deepEqual(step('drop', { h1: done, h2: { trusts: ['old', 'new'] } }), { kind: 'wait', for: [h2] })
  assert.deepEqual(step('drop', { h1: done, h2: {} }), { kind: 'wait', for: [h2] })
  assert.deepEqual(step('drop', { h1: done, h2: done }), { kind: 'go-on', to: 'done' })
})

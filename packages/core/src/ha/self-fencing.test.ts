import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { deadmanDecision, type SelfFencingInput, isGuarded } from './self-fencing.ts'

const BASE: SelfFencingInput = {
  now: 100_000,
  leaseSentAt: 99_500,
  contactSentAt: 99_900,
  peerCount: 2,
  leaseTtlMs: 3000,
  marginMs: 500,
  detectionMs: 1000,
}

test('the newest evidence plus TTL minus margin is the deadline', () => {
  const decision = deadmanDecision(BASE)
  assert.deepEqual(decision, { kind: 'renew', until: 102_400, isolated: false, fencesItself: true, reason: 'contact' })
})

test('without a quorum of the store the peers alone keep the guests alive', () => {
  const decision = deadmanDecision({ ...BASE, leaseSentAt: 1000 })
  assert.equal(decision.kind, 'renew')
  assert.equal(decision.reason, 'contact')
})

test('cut off from the peers but not from the store: isolated, and alive by the lease', () => {
  const decision = deadmanDecision({ ...BASE, contactSentAt: 90_000 })
  assert.deepEqual(decision, { kind: 'renew', until: 102_000, isolated: true, fencesItself: true, reason: 'lease' })
})

test('isolated from both: the timer is left to fire', () => {
  const decision = deadmanDecision({ ...BASE, leaseSentAt: 97_000, contactSentAt: 97_400 })
  assert.equal(decision.kind, 'let-fire')
  assert.equal(decision.reason, 'deadline-passed')
  assert.ok(decision.isolated)
})

test('while HA is disarmed nobody can take over, and no host fences itself', () => {
  const decision = deadmanDecision({ ...BASE, leaseSentAt: 1, contactSentAt: 1, armed: false })
  assert.deepEqual(decision, {
    kind: 'renew',
    until: 102_500,
    isolated: true,
    fencesItself: false,
    reason: 'disarmed',
  })
})

test('alone, or one of a pair without witness, a host never fences itself', () => {
  for (const peerCount of [0, 1]) {
    const decision = deadmanDecision({ ...BASE, peerCount, leaseSentAt: undefined, contactSentAt: undefined })
    assert.equal(decision.kind, 'renew')
    assert.equal(decision.fencesItself, false)
    assert.equal(decision.isolated, peerCount === 1)
  }
})

test('no evidence since the start arms nothing', () => {
  const decision = deadmanDecision({ ...BASE, leaseSentAt: undefined, contactSentAt: undefined })
  assert.deepEqual(decision, {
    kind: 'let-fire',
    until: undefined,
    isolated: true,
    fencesItself: true,
    reason: 'no-evidence',
  })
})

test('property: whatever happened, the guests of a host cut at t are dead by t + TTL - margin', () => {
  const evidence = fc.option(fc.integer({ min: 0, max: 10_000 }), { nil: undefined })
  fc.assert(
    fc.property(evidence, evidence, fc.integer({ min: 0, max: 20_000 }), (lease, contact, now) => {
      // The cut is after all evidence, since evidence carries the moment of sending.
      const cutAt = Math.max(lease ?? 0, contact ?? 0)
      const decision = deadmanDecision({
        ...BASE,
        now: Math.max(now, cutAt),
        leaseSentAt: lease,
        contactSentAt: contact,
      })
      if (decision.kind === 'renew') assert.ok((decision.until ?? Infinity) <= cutAt + BASE.leaseTtlMs - BASE.marginMs)
    }),
  )
})

test('property: stamps from the future are no evidence', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 1e9 }), (ahead) => {
      const now = BASE.now
      const decision = deadmanDecision({ ...BASE, leaseSentAt: undefined, contactSentAt: now + ahead })
      assert.equal(decision.kind, 'let-fire')
    }),
  )
})

test('guests may be started only under a guardian that has armed the deadman, or need not', () => {
  const view = { at: 0, peers: {}, startedMs: 0, observingMs: 0, stalled: false, isolated: false }
  assert.equal(isGuarded(undefined), false)
  assert.equal(isGuarded(view), false)
  // The survivor of a pair without a witness hears nobody, and fences itself never.
  assert.equal(isGuarded({ ...view, isolated: true, guards: true }), true)
})

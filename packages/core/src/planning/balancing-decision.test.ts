import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { balancingDecision, type BalancingPolicy, type BalancingState } from './balancing-decision.ts'

const POLICY: BalancingPolicy = { mode: 'automatic', scoreMax: 0.2, scoreGoal: 0.1, holdMs: 60_000, movesPerHourMax: 4 }
const NOW = 10_000_000
const state = (more: Partial<BalancingState> = {}): BalancingState => ({
  score: 0.3,
  unevenSince: NOW - 60_000,
  underWay: false,
  movedAt: [],
  recovering: false,
  ...more,
})

describe('the decision to balance', () => {
  it('is to act once an imbalance has lasted', () => {
    assert.equal(balancingDecision(POLICY, state(), NOW).movesMax, 4)
    const fresh = balancingDecision(POLICY, state({ unevenSince: undefined }), NOW)
    assert.deepEqual([fresh.movesMax, fresh.unevenSince], [0, NOW])
    assert.match(fresh.why, /for 0 s of 60 s/)
  })

  it('forgets an imbalance that went away by itself', () => {
    const gone = balancingDecision(POLICY, state({ score: 0.15 }), NOW)
    assert.deepEqual([gone.movesMax, gone.unevenSince], [0, undefined])
  })

  it('goes on below the limit until the goal is reached', () => {
    assert.equal(balancingDecision(POLICY, state({ score: 0.15, underWay: true }), NOW).movesMax, 4)
    const done = balancingDecision(POLICY, state({ score: 0.09, underWay: true }), NOW)
    assert.deepEqual([done.movesMax, done.underWay], [0, false])
  })

  it('moves no more guests an hour than allowed', () => {
    const movedAt = [NOW - 3_700_000, NOW - 3_000_000, NOW - 60_000, NOW - 1_000]
    assert.equal(balancingDecision(POLICY, state({ movedAt }), NOW).movesMax, 1)
    const full = balancingDecision(POLICY, state({ movedAt: [...movedAt, NOW - 500], underWay: true }), NOW)
    assert.deepEqual([full.movesMax, full.underWay], [0, true])
  })

  it('waits while guests are recovered, and keeps what it knew', () => {
    const waiting = balancingDecision(POLICY, state({ recovering: true }), NOW)
    assert.deepEqual([waiting.movesMax, waiting.unevenSince], [0, NOW - 60_000])
  })

  it('only shows the moves where it may only recommend, and does nothing when off', () => {
    const shown = balancingDecision({ ...POLICY, mode: 'recommend' }, state(), NOW)
    assert.deepEqual([shown.movesMax, shown.act, shown.underWay], [4, false, false])
    assert.equal(balancingDecision({ ...POLICY, mode: 'off' }, state(), NOW).movesMax, 0)
  })
})

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ClusterFixture } from '../ha/cluster-fixture.ts'
import { DEFAULT_POLICY } from '../model/cluster-policy.ts'
import type { Clock } from '../ports/clock.ts'
import { BalancingWatch } from './balancing-watch.ts'

const GIB = 2 ** 30

class HandClock implements Clock {
  nowMs = 0
  monotonicMs = () => this.nowMs
  wallMs = () => this.nowMs
  sleep = async () => undefined
}

/** Two hosts, one of which has all guests. */
function lopsided(mode: 'automatic' | 'recommend'): ClusterFixture {
  const cluster = new ClusterFixture(2)
  for (const name of ['a', 'b', 'c', 'd']) {
    const guest = cluster.guest(name, { memoryBytes: 2 * GIB })
    cluster.grant(guest, 'h1')
    cluster.observe(guest, {})
  }
  const balancing = { mode, scoreMax: 0.3, scoreGoal: 0.1, holdMs: 60_000, movesPerHourMax: 2 }
  cluster.state.clusterPolicy = { value: { ...DEFAULT_POLICY, balancing }, revision: 1n }
  return cluster
}

test('moves are allowed once the imbalance has lasted, and only so many an hour', () => {
  const clock = new HandClock()
  const watch = new BalancingWatch(clock)
  const { state } = lopsided('automatic')
  const ask = () => watch.movesMax(state, () => true)
  assert.equal(ask(), 0)
  clock.nowMs = 59_000
  assert.equal(ask(), 0)
  clock.nowMs = 75_000
  assert.equal(ask(), 2)
  watch.moved()
  assert.equal(ask(), 0, 'the move must show before the next one')
  clock.nowMs = 90_000
  assert.equal(ask(), 1)
  watch.moved()
  clock.nowMs = 120_000
  assert.equal(ask(), 0)
  clock.nowMs += 3_600_000
  assert.equal(ask(), 2)
})

test('never during recovery, and never when only recommendations are wanted', () => {
  for (const [mode, isLosing] of [
    ['automatic', true],
    ['recommend', false],
  ] as const) {
    const clock = new HandClock()
    const watch = new BalancingWatch(clock)
    const cluster = lopsided(mode)
    if (isLosing) cluster.lose('h2')
    watch.movesMax(cluster.state, () => true)
    clock.nowMs = 100_000
    assert.equal(
      watch.movesMax(cluster.state, () => true),
      0,
    )
  }
})

import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ClusterState } from '../model/cluster.ts'
import type { GuestId, HostId } from '../model/ids.ts'
import { ClusterFixture } from '../ha/cluster-fixture.ts'
import { RunningTimes } from './running-times.ts'

const [h1, h2] = ['h1', 'h2'] as [HostId, HostId]

class HandClock {
  nowMs = 0
  monotonicMs = () => this.nowMs
  wallMs = () => this.nowMs
  sleep = async () => undefined
}

function running(): { state: ClusterState; guest: GuestId } {
  const cluster = new ClusterFixture()
  const db = cluster.guest('db')
  cluster.grant(db, 'h1')
  cluster.observe(db, { phase: 'running' })
  return { state: cluster.state, guest: db.id }
}

test('a guest is counted from when it was first seen running', () => {
  const clock = new HandClock()
  const times = new RunningTimes(clock)
  const { state, guest } = running()
  assert.equal(times.of(state, () => true).get(guest), 0)
  clock.nowMs = 5_000
  assert.equal(times.of(state, () => true).get(guest), 5_000)
})

test('what was reported from a host that is not there does not count, and counts anew when it is back', () => {
  const clock = new HandClock()
  const times = new RunningTimes(clock)
  const { state, guest } = running()
  times.of(state, () => true)
  clock.nowMs = 5_000
  assert.equal(times.of(state, (host) => host === h2).get(guest), undefined)
  clock.nowMs = 6_000
  assert.equal(times.of(state, (host) => host === h1).get(guest), 0)
})

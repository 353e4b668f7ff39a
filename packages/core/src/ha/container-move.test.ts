/** Which containers move with their processes, and which by a restart, with what reason. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ContainerHost, ContainerSettings } from '../model/container.ts'
import type { Guest } from '../model/guest.ts'
import type { HostId, VolumeId } from '../model/ids.ts'
import { ClusterFixture } from './cluster-fixture.ts'
import { decide } from './coordinator.ts'
import { objectionToLiveMoveOf } from './move-request.ts'

const WORKS = { possible: true, reason: '', criu: '4.2.1' }
const SETTINGS: ContainerSettings = { template: 'busybox', system: { haltSignal: 'SIGUSR1' }, idBase: 1_000_000 }

function running(trials: readonly ContainerHost['liveMove'][], change: Partial<Guest> = {}) {
  const cluster = new ClusterFixture(trials.length)
  for (const [index, liveMove] of trials.entries()) {
    const id = `h${index + 1}` as HostId
    const known = cluster.state.hosts.get(id)!
    const containers = { lxc: '5.0.2', ...(liveMove ? { liveMove } : {}) }
    cluster.state.hosts.set(id, { ...known, value: { ...known.value, containers } })
  }
  const { guest } = cluster.guestWithDisk('web', ['h1', 'h2'], { kind: 'ct', container: SETTINGS, ...change })
  cluster.grant(guest, 'h1', { epoch: 4 })
  cluster.observe(guest, { phase: 'running' })
  const objection = () => objectionToLiveMoveOf(cluster.state, guest, 'h2' as HostId, () => true)?.message ?? ''
  const moves = () =>
    decide(cluster.input())
      .actions.map(({ action }) => action)
      .filter(({ kind }) => kind === 'hand-over' || kind === 'recall')
  return { cluster, guest, objection, moves }
}

test('it moves live where the trials of both hosts have passed', () => {
  const { cluster, objection, moves } = running([WORKS, WORKS])
  assert.equal(objection(), '')
  cluster.maintain('h1')
  assert.deepEqual(
    moves().map(({ kind }) => kind),
    ['hand-over'],
  )
})

test('asked to go live to a host that cannot take it any more, it waits, and goes nowhere else', () => {
  const asked = { moveTo: 'h2' as HostId, moveHow: 'live' } as const
  assert.deepEqual(running([WORKS, undefined, WORKS], asked).moves(), [])
  assert.deepEqual(
    running([WORKS, WORKS, WORKS], asked)
      .moves()
      .map(({ kind }) => kind),
    ['hand-over'],
  )
})

test('what a trial has shown on either host is the reason against it, and a drain restarts it', () => {
  const fails = { possible: false, reason: 'CRIU 3.17.1, check: vdso', criu: '3.17.1' }
  for (const [trials, expected] of [
    [[fails, WORKS], /cannot be taken along live on h1: CRIU 3\.17\.1, check: vdso/],
    [[WORKS, fails], /cannot be taken along live on h2: CRIU 3\.17\.1, check: vdso/],
    [[WORKS, undefined], /h2 has not tried yet/],
    [[WORKS, { ...WORKS, criu: '4.1.1' }], /h2 has an older CRIU \(4\.1\.1\) than h1 \(4\.2\.1\)/],
  ] as const) {
    const { cluster, objection, moves } = running(trials)
    assert.match(objection(), expected)
    cluster.maintain('h1')
    assert.deepEqual(
      moves().map(({ kind }) => kind),
      ['recall'],
    )
  }
})

test('what the trial’s container has not is a reason of the container’s own', () => {
  for (const [change, expected] of [
    [{ container: { ...SETTINGS, privileged: true } }, /it is privileged/],
    [{ container: { ...SETTINGS, nesting: true } }, /nesting/],
    [{ volumes: ['a', 'b'] as VolumeId[] }, /further disks/],
  ] as const)
    assert.match(running([WORKS, WORKS], change).objection(), expected)
})

test('one that could not be taken along a moment ago is restarted by a drain, with that reason, and live again later', () => {
  const { cluster, guest, moves } = running([WORKS, WORKS])
  const { wallMs } = cluster.input()
  const failedHandover = { to: 'h2' as HostId, reason: 'it filters packets itself', at: wallMs, times: 1 }
  cluster.grant(guest, 'h1', { epoch: 4, failedHandover })
  cluster.maintain('h1')
  const [action] = moves()
  assert(action?.kind === 'recall')
  assert.equal(action.grant.reason, 'h1 is being drained; not live: it filters packets itself')
  cluster.grant(guest, 'h1', { epoch: 4, failedHandover: { ...failedHandover, at: wallMs - 60_000 } })
  assert.equal(moves()[0]?.kind, 'hand-over')
})

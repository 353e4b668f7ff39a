/** Who moves live, who by a restart, who waits; and what storage thinks of it. */
import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import type { Grant } from '../model/grant.ts'
import type { Guest } from '../model/guest.ts'
import type { HostId, VolumeId } from '../model/ids.ts'
import { ClusterFixture } from './cluster-fixture.ts'
import { decide } from './coordinator.ts'
import { isStillServed, objectionToOpening, objectionToServed } from './export-gate.ts'
import { compareVersions, pauseBeforeNextTry } from './live-move.ts'
import { objectionToLiveMoveOf } from './move-request.ts'
import { objectionTo } from './safety.ts'

const H2 = 'h2' as HostId

/** Three hosts with these versions of QEMU; the guest runs on h1. */
function running(versions: readonly string[] = ['10.0.2', '10.0.2', '10.0.2'], change: Partial<Guest> = {}) {
  const cluster = new ClusterFixture(versions.length)
  for (const [index, qemuVersion] of versions.entries()) {
    const id = `h${index + 1}` as HostId
    const known = cluster.state.hosts.get(id)!
    cluster.state.hosts.set(id, { ...known, value: { ...known.value, qemuVersion } })
  }
  const { guest } = cluster.guestWithDisk('web', ['h1', 'h2'], change)
  cluster.grant(guest, 'h1', { epoch: 4 })
  cluster.observe(guest, { phase: 'running' })
  return { cluster, guest }
}

const actionsOf = (cluster: ClusterFixture) => decide(cluster.input()).actions.map(({ action }) => action)
const isUp = () => true

test('a guest that is about to leave keeps its room: nothing is started into it before it has gone', () => {
  const GIB = 2 ** 30
  const cluster = new ClusterFixture(2)
  for (const id of ['h1', 'h2'] as HostId[]) {
    const known = cluster.state.hosts.get(id)!
    cluster.state.hosts.set(id, { ...known, value: { ...known.value, qemuVersion: '10.0.2' } })
  }
  const { guest } = cluster.guestWithDisk('big', ['h1', 'h2'], { memoryBytes: 6 * GIB, moveTo: H2, moveHow: 'live' })
  cluster.grant(guest, 'h1')
  cluster.observe(guest, { phase: 'running' })
  cluster.guestWithDisk('late', ['h1', 'h2'], { memoryBytes: 5 * GIB })
  const granted = actionsOf(cluster).filter((action) => action.kind === 'grant' || action.kind === 'hand-over')
  assert.deepEqual(
    granted.map(({ kind }) => kind),
    ['hand-over'],
  )
})

suite('a host that is drained', () => {
  test('hands its running guests over, at the next epoch, and stays their host until then', () => {
    const { cluster } = running()
    cluster.maintain('h1')
    const [action] = actionsOf(cluster)
    assert(action?.kind === 'hand-over')
    assert.equal(objectionTo(action, cluster.state), undefined)
    const { host, epoch, state, handover } = action.grant
    assert.deepEqual([host, epoch, state], ['h1', 4, 'held'])
    assert.deepEqual([handover?.to, handover?.epoch], ['h2', 5])
  })

  test('does nothing more while the guest is on its way, and its room is taken on both hosts', () => {
    const { cluster, guest } = running()
    cluster.maintain('h1')
    cluster.grant(guest, 'h1', { epoch: 4, handover: { to: H2, epoch: 5, reason: '', since: 0 } })
    assert.deepEqual(actionsOf(cluster), [])
    const big = cluster.guest('big', { memoryBytes: 7.5 * 2 ** 30 })
    const [action] = actionsOf(cluster)
    assert(action?.kind === 'grant' && action.guest.id === big.id)
    assert.equal(action.grant.host, 'h3')
  })

  test('stops a guest that no host can take live, and waits for one that stands still for a moment', () => {
    const old = running(['10.0.2', '7.2.9', '7.2.9'])
    old.cluster.maintain('h1')
    assert.equal(actionsOf(old.cluster)[0]?.kind, 'recall')
    const starting = running()
    starting.cluster.observe(starting.guest, { phase: 'starting' })
    starting.cluster.maintain('h1')
    assert.deepEqual(actionsOf(starting.cluster), [])
  })

  test('tries again after a while when a move has failed, with an epoch that was never promised', () => {
    const { cluster, guest } = running()
    cluster.maintain('h1')
    const failedHandover = { to: H2, reason: 'the cable', at: 999_000, times: 1 }
    cluster.grant(guest, 'h1', { epoch: 4, spentEpoch: 5, failedHandover })
    const plan = decide(cluster.input())
    assert.deepEqual(plan.actions, [])
    assert.equal(plan.againInMs, 4_000)
    const [later] = decide({ ...cluster.input(), wallMs: 1_004_000 }).actions
    assert(later?.action.kind === 'hand-over')
    assert.equal(later.action.grant.handover?.epoch, 6)
  })
})

suite("a user's wish", () => {
  test('for a live move is carried out live, one for a restart by a restart', () => {
    for (const [moveHow, kind] of [
      ['live', 'hand-over'],
      ['restart', 'recall'],
    ] as const) {
      const { cluster } = running(undefined, { moveTo: 'h3' as HostId, moveHow })
      const [action] = actionsOf(cluster)
      assert.equal(action?.kind, kind)
    }
  })

  test('is refused with the reason: not running, no host, an older QEMU there', () => {
    const { cluster, guest } = running(['10.1.0', '10.0.2', '10.1.0'])
    assert.match(objectionToLiveMoveOf(cluster.state, guest, H2, isUp)?.message ?? '', /older QEMU \(10\.0\.2\)/)
    assert.equal(objectionToLiveMoveOf(cluster.state, guest, 'h3' as HostId, isUp), undefined)
    assert.match(objectionToLiveMoveOf(cluster.state, guest, 'h1' as HostId, isUp)?.message ?? '', /already/)
    cluster.observe(guest, { phase: 'paused' })
    assert.match(objectionToLiveMoveOf(cluster.state, guest, 'h3' as HostId, isUp)?.message ?? '', /not run just now/)
  })
})

test('a guest goes only where the processor has what it saw when it booted', () => {
  const { cluster, guest } = running()
  const set = (host: string, level: 1 | 2 | 3 | 4, model: string) => {
    const known = cluster.state.hosts.get(host as HostId)!
    cluster.state.hosts.set(host as HostId, { ...known, value: { ...known.value, processor: { level, model } } })
  }
  set('h1', 4, 'new')
  set('h2', 2, 'old')
  set('h3', 3, 'middle')
  cluster.grant(guest, 'h1', { epoch: 4, processorLevel: 3 })
  const objection = (to: string) => objectionToLiveMoveOf(cluster.state, guest, to as HostId, isUp)?.message ?? ''
  assert.match(objection('h2'), /h2 lacks what x86-64-v3 asks for/)
  assert.equal(objection('h3'), '')
  cluster.grant(guest, 'h1', { epoch: 4 })
  assert.match(objection('h3'), /it sees the very processor of h1 \(new\); h3 has another/)
  cluster.grant(guest, 'h1', { epoch: 4, state: 'released' })
  const granted = actionsOf(cluster).find(({ kind }) => kind === 'grant')
  assert(granted?.kind === 'grant')
  assert.equal(granted.grant.processorLevel, 2, 'what the weakest of all can')
})

test('the loss of the source during a move spends the promised epoch', () => {
  const { cluster, guest } = running()
  cluster.grant(guest, 'h1', { epoch: 4, handover: { to: H2, epoch: 5, reason: '', since: 0 } })
  cluster.lose('h1')
  const found = decide(cluster.input('h2')).actions.map((planned) => planned.action)
  const action = found.find(({ kind }) => kind === 'grant')
  assert(action?.kind === 'grant')
  assert.equal(action.grant.epoch, 6)
  assert.equal(objectionTo(action, cluster.state), undefined)
})

test('safety lets a hand-over promise the next epoch, and nothing else', () => {
  const { cluster, guest } = running()
  const held = cluster.state.grants.get(guest.id)!.value
  const judge = (change: Partial<Grant>, handover = { to: H2, epoch: 5, reason: '', since: 0 }) =>
    objectionTo({ kind: 'hand-over', guest, grant: { ...held, handover, ...change } }, cluster.state)
  assert.equal(judge({}), undefined)
  assert.match(judge({ host: H2 }) ?? '', /change hands/)
  assert.match(judge({ epoch: 5 }) ?? '', /change hands/)
  assert.match(judge({}, { to: H2, epoch: 6, reason: '', since: 0 }) ?? '', /epochs grow by one/)
  assert.match(judge({}, { to: 'h1' as HostId, epoch: 5, reason: '', since: 0 }) ?? '', /cannot take it over/)
  cluster.lose('h2')
  assert.match(judge({}) ?? '', /h2 is lost/)
})

suite('the host of a replica', () => {
  const volume = 'v' as VolumeId
  const moving = { epoch: 4, handoverEpoch: 5, newestEpoch: 5, inSync: true }

  test('opens it for the destination beside the run, and for nothing but a run', () => {
    assert.equal(objectionToOpening(volume, moving, 5, 'serve'), undefined)
    assert.equal(objectionToOpening(volume, moving, 4, 'serve'), undefined)
    assert.equal(objectionToOpening(volume, moving, 5, 'overwrite')?.code, 'stale_epoch')
    assert.equal(objectionToOpening(volume, { ...moving, inSync: false }, 5, 'serve')?.code, 'replica_not_current')
    assert.deepEqual(
      [3, 4, 5, 6].filter((epoch) => isStillServed(moving, epoch)),
      [4, 5],
    )
  })

  test('refuses the epoch of a move that came to nothing, and ends its export', () => {
    const over = { epoch: 4, newestEpoch: 5, inSync: true }
    assert.equal(objectionToOpening(volume, over, 5, 'serve')?.code, 'stale_epoch')
    assert.equal(objectionToOpening(volume, over, 6, 'serve')?.code, 'conflict')
    assert.equal(isStillServed(over, 5), false)
    assert.equal(objectionToServed(volume, over, 4, [4, 5]), undefined)
  })

  test('does not trust a read that is older than what it already serves', () => {
    assert.equal(objectionToServed(volume, { epoch: 4, inSync: true }, 4, [6])?.code, 'stale_epoch')
  })
})

test('versions are compared by number', () => {
  assert(compareVersions('10.0.10', '10.0.9') > 0)
  assert(compareVersions('9.2', '10.0') < 0)
  assert.equal(compareVersions('10.0', '10.0.0'), 0)
})

test('a wall clock that was set back lengthens no wait', () => {
  const grant = { failedHandover: { at: 1_000_000, times: 2 } } as Grant
  assert.equal(pauseBeforeNextTry(grant, 1_000_000), 15_000)
  assert.equal(pauseBeforeNextTry(grant, 0), 15_000)
  assert.equal(pauseBeforeNextTry(grant, 1_015_000), 0)
})

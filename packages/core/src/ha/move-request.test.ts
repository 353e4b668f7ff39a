import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Guest } from '../model/guest.ts'
import type { HostId } from '../model/ids.ts'
import type { RuleId } from '../model/rule.ts'
import { ClusterFixture } from './cluster-fixture.ts'
import { moveTargets, objectionToMove } from './move-request.ts'

const [h1, h2, h3] = ['h1', 'h2', 'h3'] as [HostId, HostId, HostId]
const everywhere = () => true

/** A guest that runs on h1. */
function running(change: Partial<Guest> = {}): { cluster: ClusterFixture; guest: Guest } {
  const cluster = new ClusterFixture()
  const guest = cluster.guest('web', change)
  cluster.grant(guest, 'h1')
  cluster.observe(guest, {})
  return { cluster, guest }
}

test('a guest that runs may be moved where it fits, and not where it is', () => {
  const { cluster, guest } = running()
  assert.equal(objectionToMove(cluster.state, guest, h2, everywhere), undefined)
  assert.equal(objectionToMove(cluster.state, guest, h1, everywhere)?.message, 'web is on h1 already')
})

test('what a strict rule forbids is refused with its name', () => {
  const { cluster, guest } = running()
  const other = cluster.guest('db')
  cluster.grant(other, 'h2')
  const rule = {
    id: 'apart' as RuleId,
    kind: 'apart',
    strict: true,
    across: 'host',
    guests: [guest.id, other.id],
  } as const
  cluster.state.rules.set(rule.id, { value: rule, revision: 1n })
  const reason = objectionToMove(cluster.state, guest, h2, everywhere)?.message
  assert.equal(reason, 'web cannot move to h2: rule apart keeps web apart from db, which is there')
  const targets = moveTargets(cluster.state, guest, everywhere)
  assert.deepEqual(
    targets.filter(({ reason: why }) => why !== '').map(({ host }) => host),
    [h2],
  )
})

test('a guest whose host is not online waits for its recovery, and one that stops cannot be moved', () => {
  const { cluster, guest } = running()
  const isUp = (host: HostId) => host !== h1
  assert.match(objectionToMove(cluster.state, guest, h2, isUp)?.message ?? '', /h1, which is not online/)
  const stopping = running({ desired: 'stopped' })
  assert.match(
    objectionToMove(stopping.cluster.state, stopping.guest, h2, everywhere)?.message ?? '',
    /is being stopped/,
  )
})

test('a stopped guest may be asked for anywhere', () => {
  const cluster = new ClusterFixture()
  const guest = cluster.guest('web', { desired: 'stopped' })
  assert.equal(
    objectionToMove(cluster.state, guest, h3, () => false),
    undefined,
  )
})

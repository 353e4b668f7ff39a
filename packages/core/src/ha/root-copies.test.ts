import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Guest } from '../model/guest.ts'
import type { HostId, VolumeId } from '../model/ids.ts'
import { promisedPoolBytes, removalsOf } from '../model/records.ts'
import { usageOf } from '../model/project-quota.ts'
import type { RootCopy, RootCopyPolicy } from '../model/root-copy.ts'
import type { Volume } from '../model/volume.ts'
import { ClusterFixture } from './cluster-fixture.ts'
import {
  copyToStartFrom,
  isLate,
  nextRootStep,
  plannedCopy,
  withRootFromCopy,
  withRootMove,
  withRootMoved,
  withSent,
} from './root-copies.ts'

const [H1, H2, H3] = ['h1', 'h2', 'h3'] as HostId[] as [HostId, HostId, HostId]
const MINUTE_MS = 60_000
const GIB = 2 ** 30
const EVERY: RootCopyPolicy = { everyMs: 5 * MINUTE_MS, onLoss: 'wait' }
const up = () => true

/** A container whose root is on h1; h2 has a pool for roots, h3 has none. */
function cluster(policy?: RootCopyPolicy, copies: readonly RootCopy[] = []) {
  const fixture = new ClusterFixture()
  for (const host of [H1, H2]) {
    const known = fixture.state.hosts.get(host)!
    const pools = known.value.pools.map((pool) => ({ ...pool, subvolumes: true as const }))
    fixture.state.hosts.set(host, { ...known, value: { ...known.value, pools } })
  }
  const id = 'f'.repeat(32) as VolumeId
  const guest: Guest = fixture.guest('web', { kind: 'ct', volumes: [id], ...(policy ? { rootCopy: policy } : {}) })
  const volume: Volume = {
    ...{ id, guest: guest.id, name: 'disk0', form: 'subvolume', sizeBytes: GIB, ready: true, syncPoint: 'sp' },
    replicas: [{ host: H1, pool: 'default', state: 'in-sync' }],
    ...(copies.length > 0 ? { copies } : {}),
  }
  const put = (next: Volume) => void fixture.state.volumes.set(id, { value: next, revision: 1n })
  put(volume)
  return { fixture, state: fixture.state, guest, volume, put }
}

const copyOf = (host: HostId, at?: number, epoch = 1): RootCopy => ({
  ...{ host, pool: 'default', since: 0 },
  ...(at === undefined ? {} : { newest: { at, epoch } }),
})

test('a copy gets its place where there is a pool for roots, and is sent when its interval has passed', () => {
  const begun = cluster(EVERY)
  const step = nextRootStep(begun.state, begun.volume, up, 7)
  assert.deepEqual(step, { kind: 'begin', copy: { host: H2, pool: 'default', since: 7 } })
  const made = cluster(EVERY, [copyOf(H2, 1_000)])
  const next = (nowMs: number) => nextRootStep(made.state, made.volume, up, nowMs)?.kind
  assert.deepEqual([next(1_000 + EVERY.everyMs - 1), next(1_000 + EVERY.everyMs)], [undefined, 'send'])
  // A clock that was set back by a day.
  assert.equal(nextRootStep(made.state, cluster(EVERY, [copyOf(H2, 86_400_000)]).volume, up, 0)?.kind, 'send')
})

test('nothing is sent to a host that is down; what is not wanted ends', () => {
  const { state, volume } = cluster(EVERY, [copyOf(H2)])
  assert.equal(
    nextRootStep(state, volume, (host) => host !== H2, 0),
    undefined,
  )
  const unwanted = cluster(undefined, [copyOf(H2)])
  assert.equal(nextRootStep(unwanted.state, unwanted.volume, up, 0)?.kind, 'end')
  const elsewhere = cluster({ ...EVERY, to: H3 }, [copyOf(H2)])
  assert.equal(nextRootStep(elsewhere.state, elsewhere.volume, up, 0)?.kind, 'end')
})

test('a copy that cannot be is refused with the reason', () => {
  const { state, volume } = cluster()
  const why = (to: HostId, isUp: (host: HostId) => boolean = up) => {
    const planned = plannedCopy(state, volume, { ...EVERY, to }, isUp, 0)
    return planned.ok ? '' : planned.error.message
  }
  assert.equal(why(H1), '', 'the root itself has gone to where its copy was to be: it is on another one')
  assert.match(why(H3), /none of the pools of h3 is on btrfs/)
  assert.match(
    why(H2, (host) => host !== H2),
    /h2 is not online/,
  )
  assert.match(why('h9' as HostId), /There is no host h9/)
  assert.equal(why(H2), '')
  const large = plannedCopy(state, { ...volume, sizeBytes: 2 ** 50 }, EVERY, up, 0)
  assert.match(large.ok ? '' : large.error.message, /No other host can hold a copy: .*bytes free/)
})

test('copies count as room of their pool and as disk of the project; one on the way to a move does not count twice', () => {
  const { state, volume, put } = cluster(EVERY, [copyOf(H2)])
  assert.deepEqual([promisedPoolBytes(state, H2, 'default'), usageOf(state, 'default').diskBytes], [GIB, 2 * GIB])
  const moving = withRootMove(state, cluster().volume, H2, up, 0)
  assert.ok(moving.ok)
  put(moving.value)
  assert.deepEqual([promisedPoolBytes(state, H2, 'default'), usageOf(state, 'default').diskBytes], [GIB, GIB])
  assert.deepEqual(
    removalsOf(volume).map(({ host }) => host),
    [H1, H2],
  )
})

test('a move switches the root only once a copy is there, and leaves the old one to be removed', () => {
  const { state, volume } = cluster()
  const moving = withRootMove(state, volume, H2, up, 0)
  assert.ok(moving.ok)
  assert.equal(withRootMoved(moving.value), undefined)
  const moved = withRootMoved(withSent(moving.value, H2, { at: 5, epoch: 1 }, true))
  assert.deepEqual(moved?.volume.replicas, [{ host: H2, pool: 'default', state: 'in-sync' }])
  assert.deepEqual([moved?.volume.move, moved?.volume.copies], [undefined, undefined])
  assert.deepEqual(moved?.removal, { host: H1, pool: 'default', volume: volume.id })
})

test('of a lost home a guest starts from the newest copy, if its policy says so', () => {
  const copies = [copyOf(H2, 900, 1), copyOf(H3, 100, 2)]
  for (const onLoss of ['wait', 'start-from-copy'] as const) {
    const { fixture, state, guest, volume } = cluster({ ...EVERY, onLoss }, copies)
    assert.equal(copyToStartFrom(state, guest, volume, up), undefined)
    const known = fixture.state.statuses.get(H1)!
    fixture.state.statuses.set(H1, { ...known, value: { ...known.value, state: 'lost' } })
    assert.equal(copyToStartFrom(state, guest, volume, up), onLoss === 'wait' ? undefined : H3)
    const only = copyToStartFrom(state, guest, volume, (host) => host === H2)
    assert.equal(only, onLoss === 'wait' ? undefined : H2)
  }
})

test('what the lost host has becomes a volume of nobody, which is not the root', () => {
  const { volume } = cluster(EVERY, [copyOf(H2, 900, 1), copyOf(H3)])
  const started = withRootFromCopy(volume, H2, 41)
  assert.ok(started)
  const { volume: next, aside } = started
  assert.deepEqual(
    next.copies?.map(({ host }) => host),
    [H3],
  )
  assert.deepEqual([aside.attachment, aside.takesOver, aside.replicas[0]?.host], ['detached', volume.id, H1])
  assert.notEqual(aside.id, volume.id)
  assert.notEqual(aside.id, withRootFromCopy(volume, H2, 42)?.aside.id)
  assert.match(aside.id, /^[0-9a-f]{32}$/)
  // Deleted before its host was back, its folder is still under the old name.
  assert.deepEqual(removalsOf(aside), [{ host: H1, pool: 'default', volume: volume.id }])
  assert.equal(withRootFromCopy(volume, H3, 41), undefined)
})

test('a copy is late after three intervals, also when it never came', () => {
  const limit = 3 * EVERY.everyMs
  for (const copy of [copyOf(H2, 0), copyOf(H2)])
    assert.deepEqual([isLate(EVERY, copy, limit), isLate(EVERY, copy, limit + 1)], [false, true])
})

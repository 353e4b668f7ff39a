/** Hosts that are drained with native roots on them: what is sent where, why not, and what is foreseen of it. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { foresee } from '../foresight/foresee.ts'
import { transactionFor } from '../host/commit.ts'
import { DEFAULT_POLICY } from '../model/cluster-policy.ts'
import type { HostId, VolumeId } from '../model/ids.ts'
import { KEYS } from '../model/keys.ts'
import type { Operation } from '../model/operation.ts'
import type { RootCopy } from '../model/root-copy.ts'
import type { Snapshot } from '../model/snapshot.ts'
import type { Volume } from '../model/volume.ts'
import { ClusterFixture } from './cluster-fixture.ts'
import { decide } from './coordinator.ts'
import { moveTargets } from './move-request.ts'
import { operationOutcome } from './operations.ts'
import type { Action } from './plan.ts'
import { nextRootStep, withRootMove, withRootMoved, withoutRootMove, withSent } from './root-copies.ts'
import { objectionTo } from './safety.ts'

const [H1, H2, H3] = ['h1', 'h2', 'h3'] as HostId[] as [HostId, HostId, HostId]
const GIB = 2 ** 30
const up = () => true
const FIGURES = {
  ...{ lossMs: 1_000, startMs: 300, stopMs: 4_000, pauseMs: 30 },
  samples: { start: 0, stop: 0, pause: 0 },
}

/** Containers that run on h1, with their roots there; pools for such roots on these hosts, of so many bytes. */
function cluster({
  roots = { web: GIB },
  pools = { h1: 20 * GIB, h2: 20 * GIB },
}: {
  readonly roots?: Readonly<Record<string, number>>
  readonly pools?: Readonly<Record<string, number>>
} = {}) {
  const fixture = new ClusterFixture(3)
  const { state } = fixture
  for (const [id, { value, revision }] of state.hosts) {
    const capacityBytes = pools[id]
    const native = { name: 'fast', path: '/fast', capacityBytes: capacityBytes ?? 0, subvolumes: true as const }
    const mine = capacityBytes === undefined ? value.pools : [...value.pools, native]
    state.hosts.set(id, { value: { ...value, containers: { lxc: '5.0.2' }, cpuCount: 64, pools: mine }, revision })
  }
  const volumeOf = (name: string) => state.volumes.get(`volume${name}` as VolumeId)!.value
  const put = (volume: Volume) => void state.volumes.set(volume.id, { value: volume, revision: 1n })
  for (const [name, sizeBytes] of Object.entries(roots)) {
    const { guest, volume } = fixture.guestWithDisk(name, [{ host: H1, pool: 'fast', state: 'in-sync' }], {
      kind: 'ct',
    })
    put({ ...volume, form: 'subvolume', sizeBytes })
    fixture.grant(guest, 'h1')
    fixture.observe(guest, {})
  }
  const decided = () => decide(fixture.input()).actions.map(({ action }) => action)
  const commit = (action: Action) => {
    assert.equal(objectionTo(action, state), undefined)
    if (action.kind !== 'send-root') return
    state.guests.set(action.guest.id, { value: action.guestAfter, revision: 9n })
    put(action.root)
  }
  const drain = () => {
    const operation = { kind: 'host.drain', subject: 'host/h1', state: 'running' } as Operation
    return operationOutcome(operation, state)
  }
  return { fixture, state, volumeOf, put, decided, commit, drain }
}

const sent = (actions: readonly Action[]) =>
  actions.flatMap((action) => (action.kind === 'send-root' ? [`${action.guest.name} to ${action.root.move?.to}`] : []))

test('its root is sent while it runs; then it is recalled for its new host, as being drained', () => {
  const { fixture, state, volumeOf, put, decided, commit, drain } = cluster()
  assert.deepEqual(decided(), [])
  fixture.maintain('h1')
  const [action] = decided()
  assert.ok(action?.kind === 'send-root')
  assert.deepEqual([action.root.move?.to, action.root.move?.forDrain, action.reason], [H2, true, 'h1 is being drained'])
  const { compares } = transactionFor(action, [], { state, claimRevision: 1n, eventWrites: () => [] })
  for (const key of [
    KEYS.guest(action.guest.id),
    KEYS.grant(action.guest.id),
    KEYS.volume(action.root.id),
    KEYS.removal(H2, action.root.id, 'fast'),
  ])
    assert.ok(compares.some((compare) => compare.key === key))
  commit(action)
  assert.deepEqual(decided(), [], 'it goes on while its root is sent')
  assert.equal(drain().message, '1 guests to move; the root of web is being sent to h2')
  put(withSent(volumeOf('web'), H2, { at: 5, epoch: 1 }, true))
  const [recall] = decided()
  assert.ok(recall?.kind === 'recall')
  assert.deepEqual([recall.grant.movesTo, recall.grant.reason], [H2, 'h1 is being drained'])
  fixture.grant(recall.guest, 'h1', { ...recall.grant, state: 'released', clean: true })
  assert.equal(drain().message, 'the rest of the root of web is sent', 'what it wrote last is on h1 alone')
  put(withRootMoved(volumeOf('web'))!.volume)
  assert.equal(drain().state, 'succeeded')
})

test('where nothing can take it the drain waits and says why for each host', () => {
  const { fixture, decided, drain } = cluster({ pools: { h1: 20 * GIB } })
  fixture.maintain('h1')
  assert.deepEqual(decided(), [])
  const { state, message } = drain()
  assert.equal(state, 'waiting')
  assert.equal(
    message,
    'no other host can take web (h2: its root is a subvolume of h1, and none of the pools of h2 is on btrfs; h3: its root is a subvolume of h1, and none of the pools of h3 is on btrfs)',
  )
})

test('with snapshots it stays, and that is the reason, also against a move that is asked for', () => {
  const { fixture, state, decided, drain } = cluster()
  const guest = [...state.guests.values()][0]!.value
  state.snapshots.set('s', { value: { guest: guest.id, name: 'before' } as Snapshot, revision: 1n })
  fixture.maintain('h1')
  assert.deepEqual(decided(), [])
  assert.match(drain().message, /^no other host can take web \(its root is .*web has snapshots, .*: before\)$/)
  assert.match(moveTargets(state, guest, up).find(({ host }) => host === H2)?.reason ?? '', /web has snapshots/)
})

test('roots that are sent away at the same time share the room that there is', () => {
  const many = { a: 6 * GIB, b: 6 * GIB, c: 6 * GIB }
  const { fixture, decided, commit } = cluster({ roots: many, pools: { h1: 40 * GIB, h2: 7 * GIB, h3: 7 * GIB } })
  fixture.maintain('h1')
  const first = decided()
  assert.equal(new Set(sent(first).map((each) => each.split(' ').at(-1))).size, sent(first).length)
  for (const action of first) commit(action)
  const then = decided()
  assert.equal(sent(first).length + sent(then).length, 2)
  for (const action of then) commit(action)
  assert.deepEqual(sent(decided()), [])
})

test('it goes where a copy is already, of which only the rest is to be sent', () => {
  const pools = { h1: 20 * GIB, h2: 20 * GIB, h3: 20 * GIB }
  const copy: RootCopy = { host: H3, pool: 'fast', since: 0, newest: { at: 1, epoch: 1 } }
  const { fixture, volumeOf, put, decided } = cluster({ pools })
  put({ ...volumeOf('web'), copies: [copy] })
  fixture.maintain('h1')
  assert.deepEqual(sent(decided()), ['web to h3'])
})

test('a root on its way has room for its guest where it is going to be', () => {
  const { fixture, state, volumeOf, put, decided, commit } = cluster()
  fixture.maintain('h1')
  for (const action of decided()) commit(action)
  const large = fixture.guest('large', { memoryBytes: 8 * GIB, preferredHost: H2 })
  const grants = decided().filter(({ kind }) => kind === 'grant')
  assert.deepEqual(
    grants.map((action) => action.kind === 'grant' && action.grant.host),
    [H3],
    'h2, which it prefers, has not room for both',
  )
  state.guests.delete(large.id)
  put(withSent(volumeOf('web'), H2, { at: 5, epoch: 1 }, true))
  assert.equal(decided()[0]?.kind, 'recall')
})

test('a drain that is over before the root is there leaves it where it is; one that was asked for goes on', () => {
  const { fixture, state, volumeOf, decided, commit } = cluster()
  fixture.maintain('h1')
  for (const action of decided()) commit(action)
  assert.equal(nextRootStep(state, volumeOf('web'), up, 0)?.kind, 'send')
  state.policies.delete(H1)
  assert.deepEqual(nextRootStep(state, volumeOf('web'), up, 0), {
    kind: 'stay',
    reason: 'h1 is not drained any more',
  })
  const near = withSent(volumeOf('web'), H2, { at: 5, epoch: 1 }, true)
  assert.equal(nextRootStep(state, near, up, 60_000)?.kind, 'send')
  const asked = cluster()
  const moving = withRootMove(asked.state, asked.volumeOf('web'), H2, up, 0)
  assert.ok(moving.ok)
  const guest = [...asked.state.guests.values()][0]!.value
  asked.state.guests.set(guest.id, { value: { ...guest, moveTo: H2, moveHow: 'restart' }, revision: 2n })
  assert.equal(nextRootStep(asked.state, moving.value, up, 0)?.kind, 'send')
})

test('a root that could not be sent is tried again later, each time after a longer while', () => {
  const { fixture, state, volumeOf, put, decided, commit, drain } = cluster()
  fixture.maintain('h1')
  for (const action of decided()) commit(action)
  const atRest = [...state.guests.values()][0]!
  const { moveTo: _to, moveHow: _how, ...guest } = atRest.value
  state.guests.set(guest.id, { ...atRest, value: guest })
  const { wallMs } = fixture.input()
  const { volume, removal } = withoutRootMove(volumeOf('web'), 'the pool is full', false, wallMs)
  assert.deepEqual([volume.move, volume.copies, removal?.host], [undefined, undefined, H2])
  put(volume)
  const plan = decide(fixture.input())
  assert.deepEqual([plan.actions, plan.againInMs], [[], 5_000])
  assert.match(
    drain().message,
    /1 guests to move; the root of web did not get to h2 \(the pool is full\), and is tried again/,
  )
  put({ ...volume, failedMove: { ...volume.failedMove!, at: wallMs - 5_000 } })
  const [again] = decided()
  assert.ok(again?.kind === 'send-root')
  const twice = withoutRootMove(again.root, 'the pool is full', true, wallMs)
  assert.deepEqual([twice.volume.failedMove?.times, twice.volume.copies?.length], [2, 1])
})

test('a host that is shut down with its guests moved off first sends its roots away too', () => {
  const { state, decided } = cluster()
  state.policies.set(H1, { value: { maintenance: false, shutdown: 'power-off' }, revision: 1n })
  state.clusterPolicy = { value: { ...DEFAULT_POLICY, shutdown: 'migrate' }, revision: 1n }
  assert.deepEqual(sent(decided()), ['web to h2'])
  state.clusterPolicy = { value: { ...DEFAULT_POLICY, shutdown: 'failover' }, revision: 1n }
  assert.deepEqual(sent(decided()), [])
})

test('a drain is foreseen as it goes: the root first, then one break; or no host, and why', () => {
  const whatIf = (pools: Readonly<Record<string, number>>) =>
    foresee(cluster({ pools }).state, { kind: 'drain', host: H1 }, { figures: FIGURES, wallMs: 1_000 })
  const { guests, timeline } = whatIf({ h1: 20 * GIB, h2: 20 * GIB })
  assert.deepEqual(
    guests.map(({ name, from, to, downMs, interruptions }) => [name, from, to, downMs, interruptions]),
    [['web', 'h1', 'h2', 4_300, 1]],
  )
  const told = timeline.map(({ text }) => text).join('\n')
  assert.match(
    told,
    /root of web is to move from h1 to h2: h1 is being drained[^]*sent to h2[^]*web is stopped on h1: h1 is being drained[^]*the root of web is on h2[^]*web runs on h2/,
  )
  assert.deepEqual(whatIf({ h1: 20 * GIB }).guests, [])
})

test('nothing is sent over a root, nor from one that is being sent', () => {
  const { fixture, state, decided } = cluster()
  fixture.maintain('h1')
  const [action] = decided()
  assert.ok(action?.kind === 'send-root')
  const over = { ...action, root: { ...action.root, move: { to: H1, since: 0 } } }
  assert.match(objectionTo(over, state) ?? '', /would be overwritten/)
  const replicas = [{ host: H2, pool: 'fast', state: 'in-sync' as const }]
  assert.match(objectionTo({ ...action, root: { ...action.root, replicas } }, state) ?? '', /change hands/)
  fixture.lose('h2')
  assert.equal(objectionTo(action, state), 'h2 is lost')
})

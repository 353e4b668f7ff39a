/** Native roots in a simulated cluster: they move, and are followed by copies, with a fault at each moment of it. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { homeOf, withRootMove } from '@stead/core/ha/root-copies.ts'
import type { HostId } from '@stead/core/model/ids.ts'
import { KEYS } from '@stead/core/model/keys.ts'
import { isActive } from '@stead/core/model/records.ts'
import type { RootCopyPolicy } from '@stead/core/model/root-copy.ts'
import type { Volume } from '@stead/core/model/volume.ts'
import type { CommandVerb } from './fault-commands.ts'
import { guestId } from './world-records.ts'
import { OTHER_POOL, POOL } from './world-storage.ts'
import { World } from './world.ts'

const LIMIT_MS = 90_000
/** Of a move in the world's time, and a little more. */
const MOVE_MS = 1_600
const STEP_MS = 160
const EVERY_MS = 4_000

function act(world: World, command: string): void {
  const [verb, ...args] = command.split(' ')
  world.perform({ verb: verb as CommandVerb, args })
}

async function until(world: World, condition: () => boolean): Promise<void> {
  assert.ok(await world.until(condition, LIMIT_MS), `not within ${LIMIT_MS} ms\n${world.log.slice(-30).join('\n')}`)
}

/** A guest whose only disk is a root on h1. */
async function running(seed: number, rootCopy?: RootCopyPolicy): Promise<World> {
  const world = new World({ seed, guests: { web: ['h1'] } })
  const volume: Volume = { ...world.volume('web'), form: 'subvolume' }
  world.write({ kind: 'put', key: KEYS.volume(volume.id), value: JSON.stringify(volume) })
  if (rootCopy) world.changeGuest('web', { rootCopy })
  await until(world, () => world.isRunning('web'))
  await world.clock.advance(2_000)
  return world
}

/** As the API does it; why it is refused, if it is. */
function move(world: World, to: string): string | undefined {
  const state = [...world.hosts].find(({ hasRunningAgent }) => hasRunningAgent)!.belief!
  const host = to as HostId
  const isUp = (each: HostId) => state.statuses.get(each)?.value.state === 'online'
  const moving = withRootMove(state, world.volume('web'), host, isUp, world.clock.wallMs())
  if (!moving.ok) return moving.error.message
  world.write({ kind: 'put', key: KEYS.volume(moving.value.id), value: JSON.stringify(moving.value) })
  if (isActive(world.grant('web'))) world.changeGuest('web', { moveTo: host, moveHow: 'restart' })
  return undefined
}

const home = (world: World) => homeOf(world.volume('web'))
const isOver = (world: World) =>
  world.volume('web').move === undefined && world.removals(world.volume('web').id).length === 0
/** Hosts that have anything of the root. */
const holders = (world: World) =>
  world.hostIds.filter((id) =>
    [POOL, OTHER_POOL].some((pool) => world.host(id).volumes.contentOf(world.volume('web').id, pool) !== undefined),
  )

/** It runs where its root is, writes, and nothing of it is anywhere else. */
async function assertAt(world: World, host: string): Promise<void> {
  await until(world, () => isOver(world) && world.isRunning('web') && holders(world).length === 1)
  assert.deepEqual([home(world), world.grant('web')?.host, ...holders(world)], [host, host, host])
  assert.deepEqual([world.volume('web').copies, world.guest('web')?.moveTo], [undefined, undefined])
  const written = world.checks.writes.acknowledged
  await until(world, () => world.checks.writes.acknowledged > written + 10)
  assert.deepEqual(world.checks.violations, [])
  world.close()
}

test('a root is sent while its guest runs; no write is lost, and nothing is left behind', async () => {
  const world = await running(1)
  assert.equal(move(world, 'h2'), undefined)
  await until(world, () => holders(world).length === 2)
  assert.deepEqual([home(world), isActive(world.grant('web'))], ['h1', true])
  await assertAt(world, 'h2')
})

test('a root moves while its guest is stopped, which is started meanwhile', async () => {
  const world = await running(2)
  act(world, 'stop web')
  await until(world, () => !isActive(world.grant('web')))
  assert.equal(move(world, 'h3'), undefined)
  act(world, 'start web')
  await assertAt(world, 'h3')
})

test('a move that is called off leaves the root where it is, and nothing elsewhere', async () => {
  const world = await running(3)
  move(world, 'h2')
  await world.clock.advance(100)
  const { moveTo: _to, ...guest } = world.guest('web')!
  world.write({ kind: 'put', key: KEYS.guest(guestId('web')), value: JSON.stringify(guest) })
  await assertAt(world, 'h1')
})

test('it does not move to where it is, nor twice at once', async () => {
  const world = await running(4)
  assert.match(move(world, 'h1') ?? '', /the root itself is on h1/)
  assert.equal(move(world, 'h2'), undefined)
  assert.match(move(world, 'h3') ?? '', /is being moved to h2 already/)
  await assertAt(world, 'h2')
})

for (const fault of [
  'kill-agent h1',
  'kill-agent h2',
  'power-off h1',
  'power-off h2',
  'cut h1',
  'cut h2',
  'kill-member h1',
  'kill-guest web',
  'lose-answer',
])
  test(`${fault} at any moment of a move: there is one root, and nothing is left over`, async () => {
    const homes = new Set<string | undefined>()
    for (let afterMs = 0; afterMs <= MOVE_MS; afterMs += STEP_MS) {
      const world = await running(100 + afterMs)
      move(world, 'h2')
      await world.clock.advance(afterMs)
      act(world, fault)
      await world.clock.advance(3_000)
      act(world, 'heal')
      await until(world, () => isOver(world) && world.isRunning('web'))
      homes.add(home(world))
      await assertAt(world, home(world) ?? '')
    }
    assert.ok(homes.has('h2' as HostId))
  })

test('a drained host sends its root away, and nothing of it stays there', async () => {
  const world = await running(10)
  act(world, 'drain h1')
  await until(world, () => world.volume('web').move?.forDrain === true)
  assert.ok(isActive(world.grant('web')))
  await until(world, () => home(world) !== 'h1')
  await assertAt(world, home(world) ?? '')
})

for (const fault of ['undrain h1', 'kill-agent h1', 'power-off h1', 'power-off h2', 'cut h1', 'kill-member h1'])
  test(`${fault} at any moment of a drain: there is one root, and nothing is left over`, async () => {
    for (let afterMs = 0; afterMs <= MOVE_MS; afterMs += 2 * STEP_MS) {
      const world = await running(200 + afterMs)
      act(world, 'drain h1')
      await world.clock.advance(afterMs)
      act(world, fault)
      await world.clock.advance(3_000)
      act(world, 'heal')
      await until(world, () => isOver(world) && world.isRunning('web'))
      await assertAt(world, home(world) ?? '')
    }
  })

test('what an agent that was killed has left of a deleted volume goes when the next one begins', async () => {
  const world = await running(11)
  const { volumes } = world.host('h2' as HostId)
  const left = (volume: string) => volumes.unfinished().some((each) => each.volume === volume)
  const [deleted, { id }] = ['d'.repeat(32) as Volume['id'], world.volume('web')]
  for (const volume of [deleted, id]) volumes.leaveUnfinished(volume, POOL)
  act(world, 'kill-agent h2')
  act(world, 'heal')
  await until(world, () => !left(deleted))
  assert.equal(left(id), true)
  world.close()
})

const FOLLOWING: RootCopyPolicy = { to: 'h2' as HostId, everyMs: EVERY_MS, onLoss: 'wait' }
const newest = (world: World, host: string) =>
  world.volume('web').copies?.find((copy) => copy.host === host)?.newest?.at ?? 0

test('a copy follows the root at its interval, and goes when it is not wanted any more', async () => {
  const world = await running(5, FOLLOWING)
  await until(world, () => newest(world, 'h2') > 0)
  const first = newest(world, 'h2')
  await until(world, () => newest(world, 'h2') > first)
  assert.ok(newest(world, 'h2') - first < 2 * EVERY_MS)
  const { rootCopy: _copy, ...guest } = world.guest('web')!
  world.write({ kind: 'put', key: KEYS.guest(guestId('web')), value: JSON.stringify(guest) })
  await until(world, () => world.volume('web').copies === undefined)
  await world.clock.advance(2_000)
  const { id } = world.volume('web')
  assert.deepEqual(await world.host('h1' as HostId).volumes.held(id, POOL), { ok: true, value: [] }, 'nor a cut')
  await assertAt(world, 'h1')
})

test('a root that has moved at rest, followed by a copy: nothing of it is lost before it is started for the first time', async () => {
  const world = await running(13, { everyMs: EVERY_MS, onLoss: 'wait' })
  act(world, 'stop web')
  await until(world, () => !isActive(world.grant('web')))
  assert.equal(move(world, 'h2'), undefined)
  await until(world, () => isOver(world) && home(world) === 'h2')
  await world.clock.advance(20_000)
  assert.deepEqual(holders(world).includes('h2' as HostId), true)
  act(world, 'start web')
  await until(world, () => world.isRunning('web'))
  assert.deepEqual([home(world), world.checks.violations], ['h2', []])
  await until(world, () => newest(world, world.volume('web').copies?.[0]?.host ?? '') > 0)
  world.close()
})

test('a cut of which nobody has a copy goes when the next agent begins', async () => {
  const world = await running(12)
  const { id } = world.volume('web')
  const { volumes } = world.host('h1' as HostId)
  await volumes.cut(id, POOL, 7)
  act(world, 'kill-agent h1')
  act(world, 'heal')
  let held: readonly number[] = [7]
  for (let second = 0; second < 30 && held.length > 0; second++) {
    await world.clock.advance(1_000)
    const answer = await volumes.held(id, POOL)
    held = answer.ok ? answer.value : held
  }
  assert.deepEqual(held, [])
  await assertAt(world, 'h1')
})

test('a copy that cannot be made is told of once it is late, and again when it follows', async () => {
  const world = await running(6, FOLLOWING)
  await until(world, () => newest(world, 'h2') > 0)
  const told = (kind: string) => world.events().filter((event) => event.kind === kind).length
  act(world, 'power-off h2')
  await until(world, () => told('root-copy.late') > 0)
  await world.clock.advance(4 * EVERY_MS)
  assert.deepEqual([told('root-copy.late'), told('root-copy.current')], [1, 0])
  act(world, 'heal')
  await until(world, () => told('root-copy.current') > 0)
  assert.equal(world.volume('web').copies?.[0]?.late, undefined)
  world.close()
})

test('of a lost host it waits, whatever copies there are', async () => {
  const world = await running(7, FOLLOWING)
  await until(world, () => newest(world, 'h2') > 0)
  act(world, 'power-off h1')
  await world.clock.advance(30_000)
  assert.deepEqual([world.runsOn('web'), home(world)], [[], 'h1'])
  act(world, 'heal')
  await until(world, () => world.isRunning('web'))
  assert.equal(world.grant('web')?.host, 'h1')
  assert.deepEqual(world.checks.violations, [])
  world.close()
})

for (const fault of ['power-off h1', 'cut h1'])
  test(`${fault}: where the policy says so it starts from the copy, and what the lost host has is set aside`, async () => {
    const world = await running(8, { ...FOLLOWING, onLoss: 'start-from-copy' })
    await until(world, () => newest(world, 'h2') > 0)
    const { id } = world.volume('web')
    // What was written since the copy is given up: the policy says so.
    world.checks.writes.forget(id)
    act(world, fault)
    await until(world, () => world.isRunning('web') && home(world) === 'h2')
    const told = world.events().find(({ kind }) => kind === 'data-loss.accepted')
    assert.match(told?.message ?? '', /the copy of its root on h2, of .* s old, .* what h1 has is set aside/)
    act(world, 'heal')
    const asides = () =>
      [...world.host('h3' as HostId).belief!.volumes.values()].filter(({ value }) => value.attachment === 'detached')
    await until(world, () => asides().length === 1 && asides()[0]!.value.takesOver === undefined)
    const aside = asides()[0]!.value
    assert.deepEqual(
      aside.replicas.map(({ host }) => host),
      ['h1'],
    )
    assert.ok(world.host('h1' as HostId).volumes.contentOf(aside.id, aside.replicas[0]!.pool))
    // The copy was its follower: another host has one now.
    await until(world, () => (world.volume('web').copies ?? []).some((copy) => copy.newest !== undefined))
    assert.ok(!world.volume('web').copies?.some((copy) => copy.host === 'h2'))
    assert.deepEqual([world.runsOn('web'), world.checks.violations], [['h2'], []])
    world.close()
  })

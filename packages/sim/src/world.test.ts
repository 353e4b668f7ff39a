import assert from 'node:assert/strict'
import { test } from 'node:test'
import { KEYS } from '@stead/core/model/keys.ts'
import type { Decision } from '@stead/core/model/decision.ts'
import type { HostId } from '@stead/core/model/ids.ts'
import { fuzzWorld } from './world-fuzz.ts'
import { guestId, volumeId } from './world-records.ts'
import { World } from './world.ts'

/** A few, at every run of the tests; `./dev sim fuzz --seeds N` tries more. */
const FUZZ_SEEDS = 6
const LIMIT_MS = 60_000
const [h1, h2, h3] = ['h1', 'h2', 'h3'] as [HostId, HostId, HostId]

/** One guest that runs on h1, with replicas on h1 and h2. */
async function scenario(
  body: (world: World, until: (what: string, condition: () => boolean) => Promise<void>) => Promise<void>,
): Promise<void> {
  const world = new World({ seed: 1, guests: { web: ['h1', 'h2'] } })
  const until = async (what: string, condition: () => boolean) =>
    assert.ok(
      await world.clock.until(condition, LIMIT_MS),
      `not within ${LIMIT_MS} ms: ${what}\n${world.log.slice(-30).join('\n')}`,
    )
  try {
    await until('it runs on h1', () => world.isRunning('web') && world.grant('web')?.host === h1)
    await world.clock.advance(2_000)
    await body(world, until)
    assert.deepEqual(world.checks.violations, [])
  } finally {
    world.close()
  }
}

const resyncs = (world: World) => world.events().filter((event) => event.kind === 'resync.finished')

test("the guest's host is lost: it runs elsewhere within two seconds, and nothing is lost", () =>
  scenario(async (world, until) => {
    const startedMs = world.clock.monotonicMs()
    world.powerOff(h1)
    await until('it runs on h2', () => world.isRunning('web') && world.grant('web')?.host === h2)
    assert.ok(world.clock.monotonicMs() - startedMs < 2_000)
    assert.equal(world.grant('web')?.epoch, 2)
    world.powerOn(h1)
    await until('it is protected', () => world.isProtected('web'))
  }))

test('a leg is lost and comes back: the guest runs on, and only what changed is copied', () =>
  scenario(async (world, until) => {
    world.cut(h2, ['san'])
    await until('the replica is stale', () => !world.isProtected('web'))
    await world.clock.advance(100)
    world.network.mend(h2)
    await until('it is protected', () => world.isProtected('web'))
    assert.equal(world.grant('web')?.epoch, 1)
    await until('the resync is told', () => resyncs(world).length > 0)
    assert.equal(resyncs(world).at(-1)?.details?.['compared'], false)
  }))

test('the guest dies while both replicas live: the union of what changed is copied', () =>
  scenario(async (world, until) => {
    // Both replicas are current and keep their bitmaps; only the run is lost.
    world.killGuests(h1)
    await until('it runs again', () => world.isRunning('web') && world.grant('web')?.epoch === 2)
    await until('it is protected', () => world.isProtected('web'))
    await until('the resync is told', () => resyncs(world).length > 0)
    assert.equal(resyncs(world).at(-1)?.details?.['compared'], false)
    world.want('web', 'stopped')
    await until('it is stopped', () => world.grant('web')?.state === 'released')
    world.checks.assertEqual(volumeId('web'))
  }))

test('both hosts with current data are lost, one after the other: the guest waits and says for whom', () =>
  scenario(async (world, until) => {
    world.powerOff(h2)
    await until('h2 is stale', () => !world.isProtected('web'))
    world.powerOn(h2)
    world.cut(h2, ['ran'])
    await world.clock.advance(3_000)
    world.powerOff(h1)
    await until('it waits', () => world.record<Decision>(KEYS.decision(guestId('web')))?.action === 'wait')
    assert.match(world.record<Decision>(KEYS.decision(guestId('web')))?.outcome ?? '', /on h1, which is down/)
    assert.deepEqual(world.runsOn('web'), [])
    world.healAll()
    await until('it runs and is protected', () => world.isRunning('web') && world.isProtected('web'))
  }))

test('the agent dies in the middle of a resync: the next one begins it again', () =>
  scenario(async (world, until) => {
    world.killDaemon(h2)
    await until('the resync has begun', () =>
      world.volume('web').replicas.some((replica) => replica.state === 'syncing'),
    )
    world.killAgent(h1)
    await until('it is protected', () => world.isProtected('web'))
    assert.equal(world.grant('web')?.epoch, 1)
    assert.deepEqual(world.runsOn('web'), [h1])
  }))

test('a host that is cut off ends its guest, which runs elsewhere', () =>
  scenario(async (world, until) => {
    world.cut(h1)
    await until('it runs on h2 alone', () => world.isRunning('web') && world.runsOn('web').join() === h2)
    world.network.mend(h1)
    await until('it is protected', () => world.isProtected('web'))
    assert.ok(world.record(KEYS.status(h3)))
  }))

test('the wall clock is set back an hour: nobody is suspected, and a lost host is still noticed in time', () =>
  scenario(async (world, until) => {
    world.clock.setWallBack(3_600_000)
    await world.clock.advance(10_000)
    assert.equal(world.grant('web')?.epoch, 1)
    assert.equal(world.events().filter((event) => event.kind === 'host.suspected').length, 0)
    const startedMs = world.clock.monotonicMs()
    world.powerOff(h1)
    await until('it runs on h2', () => world.isRunning('web') && world.grant('web')?.host === h2)
    assert.ok(world.clock.monotonicMs() - startedMs < 2_000)
    world.powerOn(h1)
    world.clock.setWallBack(3_600_000)
    await until('it is protected', () => world.isProtected('web'))
    world.want('web', 'stopped')
    await until('it is stopped', () => world.grant('web')?.state === 'released')
    world.checks.assertEqual(volumeId('web'))
  }))

test('the same seed gives the same world', async () => {
  const [first, second] = [await fuzzWorld(3), await fuzzWorld(3)]
  assert.deepEqual(second.story, first.story)
  assert.deepEqual(second.log, first.log)
})

test(`${FUZZ_SEEDS} worlds full of faults break no promise`, async () => {
  for (let seed = 1; seed <= FUZZ_SEEDS; seed++) {
    const { violations } = await fuzzWorld(seed)
    assert.deepEqual(violations, [], `seed ${seed}; to see what happened: ./dev sim repro ${seed}`)
  }
})

/** Live moves of containers that CRIU does not bring to an end: the container runs on one host, once, with all that was safe. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { HostId } from '@stead/core/model/ids.ts'
import { KEYS } from '@stead/core/model/keys.ts'
import type { CommandVerb } from './fault-commands.ts'
import { World } from './world.ts'

const LIMIT_MS = 60_000
const [h1, h2] = ['h1', 'h2'] as HostId[]
const SEEDS = [1, 2, 3]

async function asked(seed: number, fault: CommandVerb, body: (world: World, before: number) => Promise<void>) {
  const world = new World({ seed, live: true, hosts: 3, guests: { web: ['h1', 'h2'] }, containers: ['web'] })
  try {
    world.changeGuest('web', { desired: 'stopped', preferredHost: h1! })
    await until(world, 'hosts', () => world.hostIds.every((id) => world.record(KEYS.status(id)) !== undefined))
    world.perform({ verb: 'start', args: ['web'] })
    await until(world, 'it runs on h1', () => world.isRunning('web') && world.grant('web')?.host === h1)
    await world.clock.advance(2_000)
    world.perform({ verb: fault, args: ['web'] })
    world.perform({ verb: 'move-live', args: ['web', 'h2'] })
    await body(world, world.checks.writes.acknowledged)
    await until(world, 'it is protected', () => world.isProtected('web'))
    assert.equal(world.runsOn('web').length, 1)
    assert.deepEqual(world.checks.violations, [])
  } finally {
    world.close()
  }
}

async function until(world: World, what: string, condition: () => boolean): Promise<void> {
  assert.ok(await world.until(condition, LIMIT_MS), `not: ${what}\n${world.log.slice(-30).join('\n')}`)
}

const told = (world: World, kind: string) => world.events().filter((event) => event.kind === kind).length

for (const seed of SEEDS) {
  test(`it cannot be written down: it goes on where it was, as it was (seed ${seed})`, () =>
    asked(seed, 'dump-fails', async (world, before) => {
      await until(world, 'the move is given up', () => told(world, 'guest.migration-failed') === 1)
      assert.deepEqual([world.grant('web')?.host, world.grant('web')?.epoch, world.runsOn('web')], [h1, 1, [h1]])
      await until(world, 'it writes on', () => world.checks.writes.acknowledged > before + 20)
      assert.equal(told(world, 'guest.exited'), 0)
    }))

  test(`it cannot be restored: it begins anew on one host (seed ${seed})`, () =>
    asked(seed, 'restore-fails', async (world) => {
      await until(world, 'a newer run', () => (world.grant('web')?.epoch ?? 0) > 2 && world.isRunning('web'))
      await world.clock.advance(2_000)
      const before = world.checks.writes.acknowledged
      await until(world, 'it writes', () => world.checks.writes.acknowledged > before + 20)
      assert.equal(told(world, 'guest.migrated'), 0)
      assert.ok([h1, h2].includes(world.runsOn('web')[0]))
    }))
}

/** A replica changes its pool in a simulated cluster, with a fault at each moment of it. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { HostId } from '@stead/core/model/ids.ts'
import { inSync, isActive, replicaOn } from '@stead/core/model/records.ts'
import type { CommandVerb } from './fault-commands.ts'
import { OTHER_POOL, POOL } from './world-storage.ts'
import { World } from './world.ts'

const H1 = 'h1' as HostId
const LIMIT_MS = 90_000
/** Of a change in the world's time, and a little more. */
const CHANGE_MS = 800
const STEP_MS = 20

async function running(seed: number, replicas: readonly string[] = ['h1', 'h2']): Promise<World> {
  const world = new World({ seed, live: true, guests: { web: replicas } })
  await until(world, () => world.isRunning('web') && world.isProtected('web'))
  await world.clock.advance(2_000)
  return world
}

function act(world: World, command: string): void {
  const [verb, ...args] = command.split(' ')
  world.perform({ verb: verb as CommandVerb, args })
}

async function until(world: World, condition: () => boolean): Promise<void> {
  assert.ok(await world.until(condition, LIMIT_MS), `not within ${LIMIT_MS} ms\n${world.log.slice(-30).join('\n')}`)
}

const poolOf = (world: World) => replicaOn(world.volume('web'), H1)?.pool
const hasFile = (world: World, pool: string) =>
  world.host(H1).volumes.contentOf(world.volume('web').id, pool) !== undefined
const isOver = (world: World) => {
  const { id, move, replicas } = world.volume('web')
  const isRemoving = world.removals(id).length > 0
  return move === undefined && !isRemoving && inSync(world.volume('web')).length === replicas.length
}

/** One file there, none in the other pool, all replicas equal, and no check has found anything wrong. */
async function assertIn(world: World, pool: string): Promise<void> {
  await until(world, () => isOver(world) && poolOf(world) === pool && world.isRunning('web'))
  assert.deepEqual([hasFile(world, POOL), hasFile(world, OTHER_POOL)], [pool === POOL, pool === OTHER_POOL])
  const written = world.checks.writes.acknowledged
  await until(world, () => world.checks.writes.acknowledged > written + 10)
  act(world, 'stop web')
  await until(world, () => !isActive(world.grant('web')))
  if (world.grant('web')?.clean) world.checks.writes.allEqual(world.volume('web').id)
  assert.deepEqual(world.checks.violations, [])
  world.close()
}

for (const replicas of [['h1'], ['h1', 'h2']])
  test(`with replicas on ${replicas.join(' and ')}: the guest writes on, and the old file goes`, async () => {
    const world = await running(1, replicas)
    const epoch = world.grant('web')?.epoch
    act(world, 'move-replica web h1 h1')
    await until(world, () => isOver(world) && poolOf(world) === OTHER_POOL)
    assert.equal(world.grant('web')?.epoch, epoch)
    await assertIn(world, OTHER_POOL)
  })

test('while the guest is stopped', async () => {
  const world = await running(2)
  act(world, 'stop web')
  await until(world, () => !isActive(world.grant('web')))
  act(world, 'move-replica web h1 h1')
  await until(world, () => isOver(world) && poolOf(world) === OTHER_POOL)
  act(world, 'start web')
  await assertIn(world, OTHER_POOL)
})

test('is called off: the new file goes away and nothing else changes', async () => {
  const world = await running(3)
  act(world, 'move-replica web h1 h1')
  await until(world, () => hasFile(world, OTHER_POOL))
  act(world, 'cancel-replica-move web')
  await assertIn(world, POOL)
})

test('is called off, and then the replica is given up, before its host can remove anything: both files go', async () => {
  const world = await running(4)
  const { id } = world.volume('web')
  act(world, 'stop web')
  await until(world, () => !isActive(world.grant('web')))
  act(world, 'move-replica web h1 h1')
  await until(world, () => hasFile(world, OTHER_POOL))
  act(world, 'power-off h1')
  act(world, 'cancel-replica-move web')
  act(world, 'remove-replica web h1')
  await until(world, () => world.removals(id).length === 2)
  act(world, 'heal')
  await until(world, () => world.removals(id).length === 0)
  assert.deepEqual([hasFile(world, POOL), hasFile(world, OTHER_POOL)], [false, false])
  assert.deepEqual(world.checks.violations, [])
  world.close()
})

const FAULTS = [
  'kill-agent h1',
  'kill-daemon h1',
  'kill-member h1',
  'power-off h1',
  'power-off h2',
  'cut h1',
  'lose-answer',
]

for (const fault of FAULTS)
  test(`${fault} at any moment of a change: it goes on, or nothing is left of it`, async () => {
    const pools = new Set<string | undefined>()
    for (let afterMs = 0; afterMs <= CHANGE_MS; afterMs += STEP_MS) {
      const world = await running(100 + afterMs)
      act(world, 'move-replica web h1 h1')
      await world.clock.advance(afterMs)
      act(world, fault)
      await world.clock.advance(3_000)
      act(world, 'heal')
      await until(world, () => isOver(world))
      const pool = poolOf(world) ?? ''
      pools.add(pool)
      await assertIn(world, pool)
    }
    assert.ok(pools.has(OTHER_POOL))
  })

/** A replica moves in a simulated cluster, and its guest's snapshots with it, with a fault at each moment. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { HostId } from '@stead/core/model/ids.ts'
import { KEYS } from '@stead/core/model/keys.ts'
import { inSync } from '@stead/core/model/records.ts'
import type { Snapshot, SnapshotId } from '@stead/core/model/snapshot.ts'
import type { CommandVerb } from './fault-commands.ts'
import { guestId } from './world-records.ts'
import { World } from './world.ts'

const WEB = guestId('web')
const LIMIT_MS = 90_000
/** Of a move in the world's time, and a little more. */
const MOVE_MS = 1_200
const STEP_MS = 100

function act(world: World, command: string): void {
  const [verb, ...args] = command.split(' ')
  world.perform({ verb: verb as CommandVerb, args })
}

async function until(world: World, condition: () => boolean): Promise<void> {
  assert.ok(await world.until(condition, LIMIT_MS), `not within ${LIMIT_MS} ms\n${world.log.slice(-30).join('\n')}`)
}

const recordOf = (world: World, name: string) => world.record<Snapshot>(KEYS.snapshot(WEB, name))

/** A guest on h1 and h2 with two snapshots, the second one with its memory. */
async function snapshotted(seed: number): Promise<World> {
  const world = new World({ seed, live: true, hosts: 3, guests: { web: ['h1', 'h2'] } })
  await until(world, () => world.isRunning('web') && world.isProtected('web'))
  for (const [name, more] of [
    ['s1', {}],
    ['s2', { withMemory: true }],
  ] as const) {
    await world.clock.advance(1_000)
    const snapshot: Snapshot = {
      id: `snapshot${name}` as SnapshotId,
      ...{ guest: WEB, name, createdAt: world.clock.wallMs(), state: 'wanted', wanted: 'crash', consistent: 'crash' },
      ...{ volumes: [], scheduled: false },
      ...more,
    }
    world.write({ kind: 'put', key: KEYS.snapshot(WEB, name), value: JSON.stringify(snapshot) })
    await until(world, () => recordOf(world, name)?.state === 'ready')
  }
  await world.clock.advance(1_000)
  return world
}

const isOver = (world: World) => {
  const { id, move, replicas } = world.volume('web')
  const isRemoving = world.removals(id).length > 0
  return move === undefined && !isRemoving && inSync(world.volume('web')).length === replicas.length
}

/** Each replica is named as holder of both snapshots, and holds the same; the memory is beside each too. */
function assertHeld(world: World, hosts: readonly string[]): void {
  const volume = world.volume('web')
  assert.deepEqual(volume.replicas.map(({ host }) => host).toSorted(), hosts)
  for (const name of ['s1', 's2']) {
    const snapshot = recordOf(world, name)
    assert.deepEqual(snapshot?.volumes[0]?.hosts.toSorted(), hosts, name)
    if (name === 's2') assert.deepEqual(snapshot?.memory?.hosts.toSorted(), hosts)
    const kept = volume.replicas.map(({ host, pool }) =>
      world.host(host).volumes.keptOf(volume.id, pool, `snapshot${name}` as SnapshotId),
    )
    for (const each of kept) {
      assert.ok(each?.content && kept[0]?.content?.equals(each.content), `${name} differs`)
      assert.equal(each.memory !== undefined, name === 's2')
    }
  }
}

const MOVES: readonly (readonly [what: string, command: string, hosts: readonly string[]])[] = [
  ['to another host', 'move-replica web h2 h3', ['h1', 'h3']],
  ["from the guest's host", 'move-replica web h1 h3', ['h2', 'h3']],
  ['to another pool', 'move-replica web h1 h1', ['h1', 'h2']],
  ['as one more', 'add-replica web h3', ['h1', 'h2', 'h3']],
]
for (const [what, command, hosts] of MOVES)
  test(`${what}: the snapshots go with it`, async () => {
    const world = await snapshotted(1)
    act(world, command)
    await until(world, () => isOver(world) && world.isRunning('web'))
    assertHeld(world, hosts)
    assert.deepEqual(world.checks.violations, [])
    world.close()
  })

test('a replica that alone holds a snapshot is not simply taken away', async () => {
  const world = await snapshotted(2)
  const s1 = recordOf(world, 's1')!
  const volumes = s1.volumes.map((each) => ({ ...each, hosts: ['h2' as HostId] }))
  world.write({ kind: 'put', key: KEYS.snapshot(WEB, 's1'), value: JSON.stringify({ ...s1, volumes }) })
  await world.clock.advance(1_000)
  act(world, 'remove-replica web h2')
  await world.clock.advance(5_000)
  assert.equal(world.volume('web').replicas.length, 2)
  world.close()
})

for (const fault of [
  'kill-agent h3',
  'kill-agent h1',
  'kill-daemon h3',
  'power-off h3',
  'power-off h2',
  'power-off h1',
])
  test(`${fault} at any moment of a move: the snapshots are where the replicas are`, async () => {
    for (let afterMs = 0; afterMs <= MOVE_MS; afterMs += STEP_MS) {
      const world = await snapshotted(100 + afterMs)
      act(world, 'move-replica web h2 h3')
      await world.clock.advance(afterMs)
      act(world, fault)
      await world.clock.advance(3_000)
      act(world, 'heal')
      await until(world, () => isOver(world) && world.isRunning('web'))
      assertHeld(
        world,
        world
          .volume('web')
          .replicas.map(({ host }) => host)
          .toSorted(),
      )
      assert.deepEqual(world.checks.violations, [])
      world.close()
    }
  })

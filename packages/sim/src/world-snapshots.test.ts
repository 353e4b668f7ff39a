/** Snapshots in a simulated cluster, with a fault at each moment of their making. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { HostId } from '@stead/core/model/ids.ts'
import type { Guest } from '@stead/core/model/guest.ts'
import { KEYS } from '@stead/core/model/keys.ts'
import type { Snapshot, SnapshotId } from '@stead/core/model/snapshot.ts'
import type { CommandVerb } from './fault-commands.ts'
import { guestId, volumeId } from './world-records.ts'
import { POOL } from './world-storage.ts'
import { World } from './world.ts'

const LIMIT_MS = 60_000
const WEB = guestId('web')
const VOLUME = volumeId('web')
/** Of a snapshot's making in the world's time, and a little more. */
const MAKING_MS = 120
const STEP_MS = 10

async function running(seed: number): Promise<World> {
  const world = new World({ seed, live: true, guests: { web: ['h1', 'h2'] } })
  world.changeGuest('web', { desired: 'stopped', preferredHost: 'h1' as HostId })
  await until(world, () => world.hostIds.every((id) => world.record(KEYS.status(id)) !== undefined))
  act(world, 'start web')
  await until(world, () => world.isRunning('web') && world.grant('web')?.host === 'h1')
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

/** As an API writes it. */
function ask(world: World, name: string, more: Partial<Snapshot> = {}): void {
  const snapshot: Snapshot = {
    id: `snapshot${name}` as SnapshotId,
    guest: WEB,
    name,
    createdAt: world.clock.wallMs(),
    state: 'wanted',
    wanted: 'filesystem',
    consistent: 'crash',
    volumes: [],
    scheduled: false,
    ...more,
  }
  world.write({ kind: 'put', key: KEYS.snapshot(WEB, name), value: JSON.stringify(snapshot) })
}

function recordOf(world: World, name: string): Snapshot | undefined {
  return world.record<Snapshot>(KEYS.snapshot(WEB, name))
}

const isSettled = (world: World, name: string) => ['ready', undefined].includes(recordOf(world, name)?.state)

/** All hosts that it names hold it, and the same. */
function assertEqualOnAll(world: World, { id, volumes }: Snapshot): void {
  const hosts = volumes.flatMap((volume) => volume.hosts)
  assert.ok(hosts.length > 0)
  const contents = hosts.map((host) => world.host(host).volumes.snapshotOf(VOLUME, POOL, id))
  for (const content of contents) assert.ok(content && contents[0]?.equals(content), `${hosts.join(', ')} differ`)
}

async function heldOn(world: World, host: HostId): Promise<readonly string[]> {
  const held = await world.host(host).volumes.heldSnapshots()
  return held.ok ? held.value.flatMap(({ snapshots }) => snapshots.map(({ snapshot }) => snapshot)) : []
}

test('all replicas hold the same moment, and the guest writes on', async () => {
  const world = await running(1)
  ask(world, 's1')
  await until(world, () => recordOf(world, 's1')?.state === 'ready')
  const snapshot = recordOf(world, 's1')!
  assert.equal(snapshot.volumes[0]?.hosts.length, 2)
  const written = world.checks.writes.acknowledged
  await world.clock.advance(2_000)
  assert.ok(world.checks.writes.acknowledged > written)
  assertEqualOnAll(world, snapshot)
  assert.deepEqual(world.checks.violations, [])
  world.close()
})

const FAULTS = ['power-off h1', 'disk-full h2', 'power-off h2', 'kill-agent h1', 'cut h2 san', 'kill-guests h1']
const KINDS: readonly (readonly [what: string, asked: Partial<Snapshot>])[] = [
  ['its making', {}],
  ['its making with the memory', { withMemory: true }],
]
for (const [fault, [what, asked]] of FAULTS.flatMap((each) => KINDS.map((kind) => [each, kind] as const)))
  test(`${fault} at any moment of ${what}: it is whole, or nothing is left of it`, async () => {
    const outcomes = new Set<string>()
    for (let afterMs = 0; afterMs < MAKING_MS; afterMs += STEP_MS) {
      const world = await running(100 + afterMs)
      ask(world, 's1', asked)
      await world.clock.advance(afterMs)
      act(world, fault)
      await world.clock.advance(3_000)
      act(world, 'heal')
      await until(world, () => isSettled(world, 's1') && world.isRunning('web') && world.isProtected('web'))
      const snapshot = recordOf(world, 's1')
      outcomes.add(snapshot ? 'whole' : 'undone')
      if (snapshot) assertEqualOnAll(world, snapshot)
      if (snapshot) assert.equal(snapshot.memory !== undefined, asked.withMemory === true)
      else {
        await world.clock.advance(5_000)
        for (const host of ['h1', 'h2'] as HostId[]) assert.deepEqual(await heldOn(world, host), [], host)
      }
      assert.deepEqual(world.checks.violations, [])
      world.close()
    }
    assert.deepEqual([...outcomes].toSorted(), ['undone', 'whole'])
  })

/** As an API writes it. */
function askBack(world: World, name: string): void {
  const snapshot = recordOf(world, name)
  assert.ok(snapshot)
  world.changeGuest('web', { desired: 'stopped', ha: 'stopped', forceStop: true })
  const rolling: Snapshot = { ...snapshot, state: 'rolling-back', startAfter: true }
  world.write({ kind: 'put', key: KEYS.snapshot(WEB, name), value: JSON.stringify(rolling) })
}

test('its memory meets the disks that it belongs to once: it is spent before the guest goes on', async () => {
  const world = await running(7)
  ask(world, 's1', { withMemory: true })
  await until(world, () => recordOf(world, 's1')?.state === 'ready')
  const boots = () => world.hostIds.map((id) => world.host(id).machine.processes.get(WEB)).find((each) => each)
  assert.equal(boots()?.cameOver, undefined)
  await world.clock.advance(2_000)
  askBack(world, 's1')
  const seen = new Set<string | undefined>()
  for (let passedMs = 0; passedMs < LIMIT_MS && boots()?.cameOver !== true; passedMs += 1) {
    seen.add(guestRecord(world).resumeFrom)
    await world.clock.advance(1)
  }
  assert.ok(seen.has('s1'))
  await until(world, () => boots()?.status === 'running')
  assert.equal(guestRecord(world).resumeFrom, undefined)
  assert.equal(boots()?.cameOver, true, 'it has not booted')
  world.close()
})

function guestRecord(world: World): Guest {
  return world.record<Guest>(KEYS.guest(WEB))!
}

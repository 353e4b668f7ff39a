import assert from 'node:assert/strict'
import { test } from 'node:test'
import { WAIT_WITHOUT_LEASE_MS } from '@stead/core/ha/heartbeat-key-step.ts'
import { FIRST_HEARTBEAT_KEY } from '@stead/core/model/heartbeat-key.ts'
import type { HostId } from '@stead/core/model/ids.ts'
import { KEYS } from '@stead/core/model/keys.ts'
import { encodeHeartbeat, PacketKey } from '../guardian/heartbeat-packet.ts'
import { FIRST_KEY, KeyWorld, type KeyHost, type KeyWorldOptions } from './heartbeat-key-fixture.ts'

const MINUTE_MS = 60_000
const id = (name: string) => name as HostId
/** As its removal writes it. */
const removed = (name: string, before = FIRST_HEARTBEAT_KEY) => ({ ...before, due: [...before.due, id(name)] })

async function inWorld(options: KeyWorldOptions, run: (world: KeyWorld) => Promise<void>): Promise<void> {
  const world = await KeyWorld.start(options)
  try {
    await run(world)
  } finally {
    world.close()
  }
}

function upHosts(world: KeyWorld): KeyHost[] {
  return [...world.hosts.values()].filter(({ isUp }) => isUp)
}

async function untilReplaced(world: KeyWorld, limitMs: number, generation = 1): Promise<void> {
  await world.until(
    'the key is replaced',
    async () => {
      const record = await world.record
      return record?.generation === generation && !record.formerCounts && record.due.length === 0
    },
    limitMs,
  )
  await world.until(
    'every host has done with the former one',
    () => upHosts(world).every(({ kept }) => kept.generation === generation && kept.former === undefined),
    limitMs,
  )
}

/** What somebody who has this key could make the hosts believe. */
function forged(key: string): Buffer {
  const heartbeat = { from: 'h3', bootId: 'b', seq: 9_999_999, statements: new Map() }
  return encodeHeartbeat(heartbeat, new PacketKey(Buffer.from(key, 'hex')))
}

test('a removal replaces the key: no heartbeat is missed on the way, and the former key opens nothing afterwards', async () => {
  for (let seed = 1; seed <= 12; seed++)
    await inWorld({ seed, watchMsMax: { h1: 500, h2: 4_000, h3: 9_000 } }, async (world) => {
      assert.ok(upHosts(world).every(({ ring }) => ring.read(forged(FIRST_KEY))))
      await world.put(KEYS.heartbeatKey, removed('old'))
      await untilReplaced(world, 5 * MINUTE_MS)
      await world.pass(5_000)
      assert.deepEqual(world.suspicions, [], `seed ${seed}`)
      assert.ok(upHosts(world).every(({ ring }) => ring.read(forged(FIRST_KEY)) === undefined))
      assert.ok(!JSON.stringify(await world.record).includes(upHosts(world)[0]?.kept.key ?? ''))
    })
})

test('an agent that is away for long while its guardian lives is waited for', async () => {
  await inWorld({ seed: 1, watchMsMax: { h3: 30 * MINUTE_MS } }, async (world) => {
    await world.put(KEYS.heartbeatKey, removed('old'))
    const h3 = world.hosts.get(id('h3')) as KeyHost
    await world.until(
      'the others have the new key',
      () => upHosts(world).filter(({ ring }) => ring.generation === 1).length === 3,
      MINUTE_MS,
    )
    await world.pass(3 * MINUTE_MS)
    assert.equal(h3.ring.generation, 0)
    assert.equal((await world.record)?.formerCounts, true)
    await untilReplaced(world, 90 * MINUTE_MS)
    assert.deepEqual(world.suspicions, [])
  })
})

test('a dead host is not waited for, though the removed one lets it seem alive; it is given the key when it is back', async () => {
  await inWorld({ seed: 2 }, async (world) => {
    await world.powerOff(id('h3'))
    await world.put(KEYS.heartbeatKey, removed('old'))
    await world.pass(WAIT_WITHOUT_LEASE_MS / 2)
    assert.equal((await world.record)?.formerCounts, true, 'it may yet be back')
    for (const host of upHosts(world)) host.arrive(forged(FIRST_KEY))
    await untilReplaced(world, 3 * MINUTE_MS)
    await world.powerOn(id('h3'))
    const h3 = world.hosts.get(id('h3')) as KeyHost
    assert.equal(h3.kept.generation, 0)
    await world.until('it has the new key', () => h3.kept.generation === 1, MINUTE_MS)
    await world.pass(5_000)
    world.suspicions.length = 0
    await world.pass(MINUTE_MS)
    assert.deepEqual(world.suspicions, [])
  })
})

test('another host goes on where the coordinator was lost', async () => {
  for (const afterMs of [0, 250, 1_000, 3_000])
    await inWorld({ seed: 3, watchMsMax: { h4: 2_000 } }, async (world) => {
      await world.put(KEYS.heartbeatKey, removed('old'))
      await world.pass(afterMs)
      await world.powerOff(id('h1'))
      await world.put(KEYS.coordinator, { host: 'h2', term: 2 })
      await untilReplaced(world, 5 * MINUTE_MS)
      const others = world.suspicions.filter((text) => !text.includes('h1'))
      assert.deepEqual(others, [], `lost after ${afterMs} ms`)
    })
})

test('of two removals right after one another the second has a key of its own', async () => {
  await inWorld({ seed: 4, watchMsMax: { h2: 3_000 } }, async (world) => {
    await world.put(KEYS.heartbeatKey, removed('old'))
    await world.until('the first is on its way', async () => (await world.record)?.formerCounts === true, MINUTE_MS)
    await world.put(KEYS.heartbeatKey, removed('other', await world.record))
    await untilReplaced(world, 5 * MINUTE_MS, 2)
    assert.deepEqual((await world.record)?.madeFor, ['other'])
    assert.deepEqual(world.suspicions, [])
  })
})

test('who joins in the middle is given both keys', async () => {
  await inWorld({ seed: 5, watchMsMax: { h2: MINUTE_MS } }, async (world) => {
    await world.put(KEYS.heartbeatKey, removed('old'))
    await world.until('it is on its way', async () => (await world.record)?.formerCounts === true, MINUTE_MS)
    // From a host that has not followed yet.
    const given = await (world.hosts.get(id('h2')) as KeyHost).own.newest()
    assert.ok(given.ok)
    assert.equal(given.value.generation, 1)
    assert.equal(given.value.former, FIRST_KEY)
    assert.notEqual(given.value.key, FIRST_KEY)
  })
})

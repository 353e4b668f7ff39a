/** Snapshots of a replica when something goes wrong: a killed daemon, an agent that ends, a pool without room. */
import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import type { VolumeId } from '@stead/core/model/ids.ts'
import type { SnapshotId } from '@stead/core/model/snapshot.ts'
import type { Result } from '@stead/core/result.ts'
import { makeQsdFixture, POOL, type QsdSide } from './qsd-fixture.ts'
import type { QsdVolumeHost, ReadingExport } from './qsd-volume-host.ts'

const MIB = 2 ** 20
const SIZE = 16 * MIB
const BLOCK = 64 * 1024

async function start(context: TestContext, capacityBytes?: number, sizeBytes = SIZE) {
  const fixture = await makeQsdFixture(capacityBytes)
  context.after(() => fixture.close())
  const { source: side, folder } = fixture
  const volume = randomUUID().replaceAll('-', '') as VolumeId
  value(await side.volumes.createReplica({ volume, pool: POOL, sizeBytes }))
  const files = () =>
    readdirSync(join(folder, side.host)).filter((name) => name.startsWith(volume) && !name.endsWith('.kept.json'))
  return { side, volume, files, guest: await serve(side, side.volumes, volume, 1) }
}

test('a killed daemon forgets nothing: neither the snapshots nor what was written since', async (context) => {
  const { side, volume, guest } = await start(context)
  value(await guest.write(0, pattern(1)))
  const first = await take(side.volumes, volume)
  value(await guest.write(0, pattern(2)))
  value(await guest.flush())
  await take(side.volumes, volume)
  value(await guest.write(BLOCK, pattern(3)))
  value(await guest.flush())
  await guest.close()
  value(await value(side.volumes.daemon(POOL)).kill())
  value(await side.volumes.ensureDaemon(POOL))
  const again = await serve(side, side.volumes, volume, 2)
  assert.ok(value(await again.read(0, BLOCK)).equals(pattern(2)))
  assert.ok(value(await again.read(BLOCK, BLOCK)).equals(pattern(3)))
  await again.close()
  side.record(volume, { epoch: 3, inSync: true, rollBackTo: first })
  value(await side.volumes.rollBackReplica(volume, POOL, first))
  const third = await serve(side, side.volumes, volume, 3)
  assert.ok(value(await third.read(0, BLOCK)).equals(pattern(1)))
  await third.close()
})

test('a daemon killed between preparing and cutting: the snapshot is refused, the volume as it was', async (context) => {
  const { side, volume, guest, files } = await start(context)
  value(await guest.write(0, pattern(1)))
  value(await guest.flush())
  await guest.close()
  const snapshot = newSnapshot()
  value(await side.volumes.prepareSnapshot(volume, POOL, snapshot))
  value(await value(side.volumes.daemon(POOL)).kill())
  value(await side.volumes.ensureDaemon(POOL))
  const again = await serve(side, side.volumes, volume, 2)
  value(await again.write(BLOCK, pattern(2)))
  assert.equal((await side.volumes.cutSnapshot(volume, POOL, snapshot)).ok, false)
  assert.ok(value(await again.read(0, BLOCK)).equals(pattern(1)))
  value(await again.flush())
  await again.close()
  value(await side.volumes.releaseSnapshot(volume, POOL, snapshot))
  value(await side.volumes.revokeBelow(volume, POOL, 3))
  value(await side.volumes.mergeLayers(volume, POOL))
  assert.deepEqual(files(), [`${volume}.raw`])
  const third = await serve(side, side.volumes, volume, 3)
  assert.ok(value(await third.read(BLOCK, BLOCK)).equals(pattern(2)))
  await third.close()
})

test('an agent that ends while the last layer is merged: the next one finishes it before anybody writes', async (context) => {
  const { side, volume, guest, files } = await start(context)
  const snapshot = await take(side.volumes, volume)
  for (let block = 0; block < 200; block++) value(await guest.write(BLOCK * block, pattern(block)))
  value(await guest.flush())
  await guest.close()
  value(await side.volumes.revokeBelow(volume, POOL, 2))
  value(await side.volumes.releaseSnapshot(volume, POOL, snapshot))
  const merging = side.volumes.mergeLayers(volume, POOL)
  const daemon = value(side.volumes.daemon(POOL))
  const isMerging = async () => value(await daemon.call<readonly unknown[]>('query-jobs')).length > 0
  for (let tries = 0; tries < 500 && !(await isMerging()); tries++) await new Promise((next) => setImmediate(next))
  side.volumes.release()
  await merging
  const next = side.successor()
  value(await next.ensureDaemon(POOL))
  const again = await serve(side, next, volume, 2)
  for (const block of [0, 7, 199]) assert.ok(value(await again.read(BLOCK * block, BLOCK)).equals(pattern(block)))
  value(await again.write(0, pattern(250)))
  value(await again.flush())
  await again.close()
  // Whatever the list of layers says now is what a daemon that starts anew must find.
  value(await value(next.daemon(POOL)).kill())
  value(await next.ensureDaemon(POOL))
  const third = await serve(side, next, volume, 3)
  assert.ok(value(await third.read(0, BLOCK)).equals(pattern(250)))
  await third.close()
  value(await next.revokeBelow(volume, POOL, 4))
  value(await next.mergeLayers(volume, POOL))
  assert.deepEqual(files(), [`${volume}.raw`])
})

test('a replica is enlarged while its layers are merged: the merge makes way and is done later', async (context) => {
  const { side, volume, guest, files } = await start(context)
  const first = await take(side.volumes, volume)
  for (let block = 0; block < 100; block++) value(await guest.write(BLOCK * block, pattern(block)))
  const second = await take(side.volumes, volume)
  value(await guest.write(0, pattern(240)))
  value(await guest.flush())
  await guest.close()
  value(await side.volumes.releaseSnapshot(volume, POOL, first))
  const merging = side.volumes.mergeLayers(volume, POOL)
  const daemon = value(side.volumes.daemon(POOL))
  const isMerging = async () => value(await daemon.call<readonly unknown[]>('query-jobs')).length > 0
  for (let tries = 0; tries < 500 && !(await isMerging()); tries++) await new Promise((next) => setImmediate(next))
  const sizeBytes = 2 * SIZE
  const again = value(
    await side.connect(value(await side.volumes.serveAnew({ volume, pool: POOL, epoch: 1, sizeBytes }))),
  )
  await merging
  value(await again.write(sizeBytes - BLOCK, pattern(241)))
  value(await side.volumes.mergeLayers(volume, POOL))
  assert.ok(value(await again.read(0, BLOCK)).equals(pattern(240)))
  assert.ok(value(await again.read(BLOCK * 99, BLOCK)).equals(pattern(99)))
  await again.close()
  value(await side.volumes.releaseSnapshot(volume, POOL, second))
  value(await side.volumes.revokeBelow(volume, POOL, 2))
  value(await side.volumes.mergeLayers(volume, POOL))
  assert.deepEqual(files(), [`${volume}.raw`])
  const path = join(value(side.volumes.daemon(POOL)).pool.path, `${volume}.raw`)
  const { size, blocks } = statSync(path)
  assert.equal(size, sizeBytes)
  assert.ok(blocks * 512 >= sizeBytes, 'all its blocks are allocated')
})

test('a snapshot is read while its layer is merged: the merge makes way and is done later', async (context) => {
  const { side, volume, guest, files } = await start(context, undefined, 6 * SIZE)
  const first = await take(side.volumes, volume)
  // Half a second of merging.
  for (let block = 0; block < 1000; block++) value(await guest.write(BLOCK * block, pattern(block)))
  const second = await take(side.volumes, volume)
  value(await guest.write(BLOCK * 7, pattern(240)))
  value(await side.volumes.releaseSnapshot(volume, POOL, first))
  const merging = side.volumes.mergeLayers(volume, POOL)
  const daemon = value(side.volumes.daemon(POOL))
  const isMerging = async () => value(await daemon.call<readonly unknown[]>('query-jobs')).length > 0
  for (let tries = 0; tries < 500 && !(await isMerging()); tries++) await new Promise((next) => setImmediate(next))
  assert.ok(await isMerging())
  const read = async ({ exportName }: ReadingExport) => {
    const client = value(await daemon.connect({ exportName }))
    const content = await client.read(BLOCK * 7, BLOCK)
    await client.disconnect()
    return content
  }
  assert.ok(value(await side.volumes.withReadingExport(volume, POOL, read, second)).equals(pattern(7)))
  await merging
  value(await side.volumes.mergeLayers(volume, POOL))
  assert.ok(value(await side.volumes.withReadingExport(volume, POOL, read, second)).equals(pattern(7)))
  await guest.close()
  value(await side.volumes.revokeBelow(volume, POOL, 2))
  value(await side.volumes.releaseSnapshot(volume, POOL, second))
  value(await side.volumes.mergeLayers(volume, POOL))
  assert.deepEqual(files(), [`${volume}.raw`])
})

test('a pool without room for all that may be written: refused, and nothing is left behind', async (context) => {
  const { side, volume, guest, files } = await start(context, SIZE + 8 * MIB)
  value(await guest.write(0, pattern(1)))
  const refused = await side.volumes.prepareSnapshot(volume, POOL, newSnapshot())
  assert.equal(refused.ok ? '' : refused.error.code, 'no_capacity')
  assert.deepEqual(files(), [`${volume}.raw`])
  value(await guest.write(BLOCK, pattern(2)))
  assert.ok(value(await guest.read(0, BLOCK)).equals(pattern(1)))
  await guest.close()
})

async function take(volumes: QsdVolumeHost, volume: VolumeId): Promise<SnapshotId> {
  const snapshot = newSnapshot()
  value(await volumes.prepareSnapshot(volume, POOL, snapshot))
  value(await volumes.cutSnapshot(volume, POOL, snapshot))
  value(await volumes.sealSnapshot(volume, POOL, snapshot))
  return snapshot
}

async function serve(side: QsdSide, volumes: QsdVolumeHost, volume: VolumeId, epoch: number) {
  side.record(volume, { epoch, inSync: true })
  const request = { volume, pool: POOL, epoch, syncPoint: 'sp', rejoining: false }
  return value(await side.connect(value(await volumes.exportToGuest(request))))
}

function newSnapshot(): SnapshotId {
  return randomUUID().replaceAll('-', '') as SnapshotId
}

function pattern(seed: number): Buffer {
  return Buffer.alloc(BLOCK, (seed % 250) + 1)
}

function value<T>(result: Result<T>): T {
  assert.ok(result.ok, `unexpected failure: ${JSON.stringify(result, undefined, 1)}`)
  return result.value
}

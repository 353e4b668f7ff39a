/** The behaviour that every implementation of the port `VolumeHost` shows, as tests. */
import assert from 'node:assert/strict'
import { createHash, randomUUID } from 'node:crypto'
import { test, type TestContext } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import type { BlobId, VolumeId } from '@stead/core/model/ids.ts'
import type { SnapshotId } from '@stead/core/model/snapshot.ts'
import type { CopyRequest, ExportAddress, VolumeHost } from '@stead/core/ports/volume-host.ts'
import type { Result } from '@stead/core/result.ts'

/** A client of an export, as a guest's leg is. Each call fails once the export has been taken away. */
export interface ExportClient {
  read(offset: number, length: number): Promise<Result<Buffer>>
  write(offset: number, data: Buffer): Promise<Result<void>>
  flush(): Promise<Result<void>>
  close(): Promise<void>
}

/** What the store says of a volume and of this host's replica. */
export interface RecordedState {
  readonly epoch: number
  readonly handoverEpoch?: number
  readonly newestEpoch?: number
  readonly inSync: boolean
  readonly rollBackTo?: SnapshotId
}

export interface VolumeHostSide {
  /** Name of the host, as `CopyRequest.target.host` has it. */
  readonly host: string
  readonly volumes: VolumeHost
  /** Where the other side's copies reach its exports. */
  readonly address: string
  /** What a linearizable read of the store tells this host from now on. */
  record(volume: VolumeId, said: RecordedState): void
  connect(address: ExportAddress): Promise<Result<ExportClient>>
}

/** Two hosts, each with a pool named `pool`. */
export interface VolumeHostFixture {
  readonly pool: string
  readonly source: VolumeHostSide
  readonly target: VolumeHostSide
  /** Larger than what the pool has room for. */
  readonly tooLargeBytes: number
  /** Makes a raw image known as a blob; absent where there are none. */
  readonly addBlob?: (content: Buffer) => Promise<BlobId>
  close(): Promise<void>
}

const BLOCK = 64 * 1024
const SIZE = 8 * 1024 * 1024
const TIMEOUT_MS = 60_000

export function volumeHostContract(name: string, make: () => Promise<VolumeHostFixture>): void {
  const contract = (
    title: string,
    body: (fixture: VolumeHostFixture, volume: VolumeId, context: TestContext) => Promise<void>,
  ) =>
    void test(`${name}: ${title}`, { timeout: TIMEOUT_MS }, async (context) => {
      const fixture = await make()
      try {
        await body(fixture, randomUUID().replaceAll('-', '') as VolumeId, context)
      } finally {
        await fixture.close()
      }
    })

  contract('creates a replica once, full of zeros, and removes it for good', async ({ source, pool }, volume) => {
    source.record(volume, { epoch: 1, inSync: true })
    const spec = { volume, pool, sizeBytes: SIZE }
    refused(await source.volumes.inspect(volume, pool), 'not_found')
    value(await source.volumes.createReplica(spec))
    value(await source.volumes.createReplica(spec))
    refused(await source.volumes.createReplica({ ...spec, sizeBytes: SIZE * 2 }), 'conflict')
    assert.deepEqual(value(await source.volumes.inspect(volume, pool)), {
      volume,
      pool,
      sizeBytes: SIZE,
      bitmaps: [],
      exports: [],
      keptEpochs: [],
    })
    const client = await serve(source, volume, pool, 1)
    assert.ok(value(await client.read(SIZE - BLOCK, BLOCK)).equals(Buffer.alloc(BLOCK)))
    value(await source.volumes.removeReplica(volume, pool))
    assert.equal((await client.read(0, 512)).ok, false)
    value(await source.volumes.removeReplica(volume, pool))
    refused(await source.volumes.inspect(volume, pool), 'not_found')
    await client.close()
  })

  contract('refuses what the pool has no room for', async ({ source, pool, tooLargeBytes }, volume) => {
    refused(await source.volumes.createReplica({ volume, pool, sizeBytes: tooLargeBytes }), 'no_capacity')
    refused(await source.volumes.inspect(volume, pool), 'not_found')
  })

  contract('fills a replica from an image', async ({ source, pool, addBlob }, volume, context) => {
    if (!addBlob) return context.skip('no blobs here')
    source.record(volume, { epoch: 1, inSync: true })
    const content = pattern(3, BLOCK * 3)
    const blob = await addBlob(content)
    value(await source.volumes.createReplica({ volume, pool, sizeBytes: SIZE }, { blob, format: 'raw' }))
    const client = await serve(source, volume, pool, 1)
    assert.ok(value(await client.read(0, content.length)).equals(content))
    assert.ok(value(await client.read(content.length, BLOCK)).equals(Buffer.alloc(BLOCK)))
    await client.close()
    const small = `${volume.slice(1)}0` as VolumeId
    refused(
      await source.volumes.createReplica({ volume: small, pool, sizeBytes: BLOCK }, { blob, format: 'raw' }),
      'invalid_image',
    )
    refused(await source.volumes.inspect(small, pool), 'not_found')
  })

  contract('serves the granted epoch only, and only a current replica', async ({ source, pool }, volume) => {
    await create(source, volume, pool)
    source.record(volume, { epoch: 5, inSync: true })
    const request = { volume, pool, epoch: 5, syncPoint: 'sp', rejoining: false }
    refused(await source.volumes.exportToGuest({ ...request, epoch: 4 }), 'stale_epoch')
    refused(await source.volumes.exportToGuest({ ...request, epoch: 6 }), 'conflict')
    refused(await source.volumes.exportAsTarget({ volume, pool, epoch: 4 }), 'stale_epoch')
    refused(await source.volumes.exportAsTarget({ volume, pool, epoch: 5 }), 'conflict')
    source.record(volume, { epoch: 5, inSync: false })
    refused(await source.volumes.exportToGuest(request), 'replica_not_current')
    assert.deepEqual(value(await source.volumes.inspect(volume, pool)).exports, [])
    const served = value(await source.volumes.exportToGuest({ ...request, rejoining: true }))
    assert.equal(served.exportName, `vol-${volume}-e5`)
    assert.equal(served.bitmapIsNew, true)
    assert.deepEqual(served.revoked, [])
  })

  contract("serves a live move's destination beside the run, whose bitmaps stay", async ({ source, pool }, volume) => {
    await create(source, volume, pool)
    const moving = { epoch: 1, handoverEpoch: 2, newestEpoch: 2, inSync: true }
    const request = { volume, pool, epoch: 2, syncPoint: 'another', rejoining: false }
    source.record(volume, moving)
    refused(await source.volumes.exportToGuest(request), 'conflict')
    source.record(volume, { epoch: 1, inSync: true })
    const run = await serve(source, volume, pool, 1)
    value(await run.write(0, pattern(1, BLOCK)))
    const before = value(await source.volumes.inspect(volume, pool)).bitmaps
    source.record(volume, moving)
    const served = value(await source.volumes.exportToGuest(request))
    assert.deepEqual([served.exportName, served.bitmapIsNew, served.revoked], [`vol-${volume}-e2`, false, []])
    assert.deepEqual(value(await source.volumes.inspect(volume, pool)).bitmaps, before)
    value(await run.write(BLOCK, pattern(2, BLOCK)))
    source.record(volume, { epoch: 2, inSync: true })
    value(await source.volumes.revokeBelow(volume, pool, 2))
    assert.equal((await run.write(0, pattern(9, BLOCK))).ok, false)
    const arrived = value(await source.connect(served))
    assert.ok(value(await arrived.read(BLOCK, BLOCK)).equals(pattern(2, BLOCK)))
    for (const client of [run, arrived]) await client.close()
  })

  contract('an epoch that was promised to a move that came to nothing is over', async ({ source, pool }, volume) => {
    await create(source, volume, pool)
    const run = await serve(source, volume, pool, 1)
    const open = (epoch: number) =>
      source.volumes.exportToGuest({ volume, pool, epoch, syncPoint: 'sp', rejoining: false })
    source.record(volume, { epoch: 1, handoverEpoch: 2, newestEpoch: 2, inSync: true })
    value(await open(2))
    source.record(volume, { epoch: 1, newestEpoch: 2, inSync: true })
    refused(await open(2), 'stale_epoch')
    assert.deepEqual(value(await open(1)).revoked, [`vol-${volume}-e2`])
    value(await run.write(0, pattern(1, BLOCK)))
    await run.close()
  })

  contract('the bitmaps belong to the newest run that is served', async ({ source, pool }, volume) => {
    await create(source, volume, pool)
    const client = await serve(source, volume, pool, 3)
    refused(await source.volumes.addBitmap(volume, pool, 'late', 'sp', 2), 'stale_epoch')
    value(await source.volumes.addBitmap(volume, pool, 'next', 'sp', 3))
    refused(await source.volumes.addBitmap(volume, pool, 'second', 'sp', 3), 'conflict')
    await client.close()
  })

  contract('keeps its client when the same epoch is asked for again', async ({ source, pool }, volume) => {
    await create(source, volume, pool)
    const client = await serve(source, volume, pool, 1)
    value(await client.write(0, pattern(1, BLOCK)))
    const again = value(
      await source.volumes.exportToGuest({ volume, pool, epoch: 1, syncPoint: 'sp', rejoining: false }),
    )
    assert.equal(again.bitmapIsNew, false)
    assert.deepEqual(again.revoked, [])
    value(await client.write(BLOCK, pattern(2, BLOCK)))
    await client.close()
  })

  contract('a newer epoch takes the replica away from the old writer', async ({ source, pool }, volume) => {
    await create(source, volume, pool)
    const old = await serve(source, volume, pool, 1)
    value(await old.write(0, pattern(1, BLOCK)))
    source.record(volume, { epoch: 2, inSync: true })
    const served = value(
      await source.volumes.exportToGuest({ volume, pool, epoch: 2, syncPoint: 'sp', rejoining: false }),
    )
    assert.deepEqual(served.revoked, [`vol-${volume}-e1`])
    assert.equal(served.bitmapIsNew, false)
    assert.equal((await old.write(0, pattern(9, BLOCK))).ok, false)
    const client = value(await source.connect(served))
    assert.ok(value(await client.read(0, BLOCK)).equals(pattern(1, BLOCK)))
    refused(
      await source.volumes.exportToGuest({ volume, pool, epoch: 1, syncPoint: 'sp', rejoining: false }),
      'stale_epoch',
    )
    await old.close()
    await client.close()
  })

  contract('revokes what is older than an epoch, and single exports', async ({ source, pool }, volume) => {
    await create(source, volume, pool)
    const client = await serve(source, volume, pool, 3)
    assert.deepEqual(value(await source.volumes.revokeBelow(volume, pool, 3)), [])
    value(await client.write(0, pattern(1, BLOCK)))
    assert.deepEqual(value(await source.volumes.revokeBelow(volume, pool, 4)), [`vol-${volume}-e3`])
    assert.equal((await client.write(0, pattern(2, BLOCK))).ok, false)
    await client.close()
    const second = await serve(source, volume, pool, 3)
    value(await source.volumes.revokeExport(volume, pool, `vol-${volume}-e3`))
    value(await source.volumes.revokeExport(volume, pool, `vol-${volume}-e3`))
    assert.equal((await second.read(0, BLOCK)).ok, false)
    await second.close()
  })

  contract(
    'serves the same run anew: the old connection is over, and nothing is forgotten',
    async (fixture, volume) => {
      const { source, pool } = fixture
      await create(source, volume, pool)
      const old = await serve(source, volume, pool, 2)
      value(await old.write(0, pattern(1, BLOCK)))
      const address = value(await source.volumes.serveAnew({ volume, pool, epoch: 2 }))
      assert.equal(address.exportName, `vol-${volume}-e2`)
      assert.equal((await old.write(0, pattern(2, BLOCK))).ok, false)
      await old.close()
      const client = value(await source.connect(address))
      assert.ok(value(await client.read(0, BLOCK)).equals(pattern(1, BLOCK)))
      value(await client.write(BLOCK, pattern(3, BLOCK)))
      const { bitmaps } = value(await source.volumes.inspect(volume, pool))
      assert.deepEqual(
        bitmaps.map(({ dirtyBytes, recording }) => ({ dirtyBytes, recording })),
        [{ dirtyBytes: 2 * BLOCK, recording: true }],
      )
      refused(await source.volumes.serveAnew({ volume, pool, epoch: 1 }), 'stale_epoch')
      source.record(volume, { epoch: 2, inSync: false })
      refused(await source.volumes.serveAnew({ volume, pool, epoch: 2 }), 'replica_not_current')
      // An export that is not there was lost with its daemon, for all that can be known.
      source.record(volume, { epoch: 2, inSync: true })
      await client.close()
      value(await source.volumes.revokeExport(volume, pool, address.exportName))
      refused(await source.volumes.serveAnew({ volume, pool, epoch: 2 }), 'replica_not_current')
    },
  )

  contract('enlarges a replica once it is served anew, and keeps what it knows', async (fixture, volume) => {
    const { source, target, pool, tooLargeBytes } = fixture
    const { client: old, address: before } = await mirror(fixture, volume)
    const sizeBytes = 2 * SIZE
    value(await old.write(0, pattern(1, BLOCK)))
    refused(await source.volumes.reserveReplica({ volume, pool, sizeBytes: tooLargeBytes }), 'no_capacity')
    for (const size of [sizeBytes, SIZE, sizeBytes, sizeBytes])
      value(await source.volumes.reserveReplica({ volume, pool, sizeBytes: size }))
    assert.equal(value(await source.volumes.inspect(volume, pool)).sizeBytes, SIZE, 'nobody notices')
    value(await old.write(BLOCK, pattern(2, BLOCK)))
    assert.equal((await old.write(SIZE, pattern(2, BLOCK))).ok, false)
    // Asked for beside the run that has it: it stays as that run knows it.
    const again = { volume, pool, epoch: 1, syncPoint: 'sp', rejoining: false, sizeBytes }
    value(await source.volumes.exportToGuest(again))
    assert.equal(value(await source.volumes.inspect(volume, pool)).sizeBytes, SIZE)
    await old.close()
    const client = value(
      await source.connect(value(await source.volumes.serveAnew({ volume, pool, epoch: 1, sizeBytes }))),
    )
    assert.equal(value(await source.volumes.inspect(volume, pool)).sizeBytes, sizeBytes)
    assert.ok(value(await client.read(BLOCK, BLOCK)).equals(pattern(2, BLOCK)))
    assert.ok(value(await client.read(sizeBytes - BLOCK, BLOCK)).equals(Buffer.alloc(BLOCK)))
    assert.deepEqual(bitmaps(await source.volumes.inspect(volume, pool)), [
      { name: 'sp', dirtyBytes: 2 * BLOCK, recording: true },
    ])
    value(await client.write(sizeBytes - BLOCK, pattern(3, BLOCK)))
    value(await client.flush())
    const small = await copy(fixture, volume, before, { select: 'all', compare: false })
    assert.ok(!small.ok, 'what does not fit is not copied')
    const address = value(await target.volumes.exportAsTarget({ volume, pool, epoch: 1, sizeBytes }))
    value(await source.volumes.addBitmap(volume, pool, 'sp2', 'sp'))
    const copied = await copy(fixture, volume, address, { select: { bitmap: 'sp', extra: [] }, compare: false })
    assert.equal(value(copied).copiedBytes, 3 * BLOCK, 'what is new and was not written is equal as it is')
    await assertEqualReplicas(source, target, volume, pool, sizeBytes)
    await client.close()
  })

  contract('enlarges a replica for the next run, with a snapshot below it too', async (fixture, volume) => {
    const { source, pool } = fixture
    await create(source, volume, pool)
    const snapshot = randomUUID().replaceAll('-', '') as SnapshotId
    const open = async (epoch: number, sizeBytes: number) => {
      value(await source.volumes.reserveReplica({ volume, pool, sizeBytes }))
      source.record(volume, { epoch, inSync: true })
      const request = { volume, pool, epoch, syncPoint: 'sp', rejoining: false, sizeBytes }
      return value(await source.connect(value(await source.volumes.exportToGuest(request))))
    }
    const first = await open(1, SIZE + BLOCK)
    value(await first.write(SIZE, pattern(1, BLOCK)))
    value(await first.flush())
    value(await source.volumes.prepareSnapshot(volume, pool, snapshot))
    value(await source.volumes.cutSnapshot(volume, pool, snapshot))
    value(await source.volumes.sealSnapshot(volume, pool, snapshot))
    await first.close()
    const second = await open(2, 2 * SIZE)
    assert.equal(value(await source.volumes.inspect(volume, pool)).sizeBytes, 2 * SIZE)
    assert.ok(value(await second.read(SIZE, BLOCK)).equals(pattern(1, BLOCK)))
    assert.ok(value(await second.read(SIZE + BLOCK, BLOCK)).equals(Buffer.alloc(BLOCK)))
    value(await second.write(2 * SIZE - BLOCK, pattern(2, BLOCK)))
    await second.close()
    value(await source.volumes.releaseSnapshot(volume, pool, snapshot))
    value(await source.volumes.revokeBelow(volume, pool, 3))
    // As the storage keeper does while nobody is served.
    value(await source.volumes.mergeLayers(volume, pool))
    const third = await open(3, 2 * SIZE)
    assert.equal(value(await source.volumes.inspect(volume, pool)).sizeBytes, 2 * SIZE)
    assert.ok(value(await third.read(2 * SIZE - BLOCK, BLOCK)).equals(pattern(2, BLOCK)))
    await third.close()
  })

  contract('becoming a resync target ends all other exports', async ({ source, pool }, volume) => {
    await create(source, volume, pool)
    const guest = await serve(source, volume, pool, 1)
    source.record(volume, { epoch: 1, inSync: false })
    const target = value(await source.volumes.exportAsTarget({ volume, pool, epoch: 1 }))
    assert.equal(target.exportName, `vol-${volume}-e1-sync`)
    assert.equal((await guest.write(0, pattern(1, BLOCK))).ok, false)
    const copier = value(await source.connect(target))
    value(await copier.write(0, pattern(2, BLOCK)))
    const served = value(
      await source.volumes.exportToGuest({ volume, pool, epoch: 1, syncPoint: 'sp2', rejoining: true }),
    )
    assert.deepEqual(served.revoked, [`vol-${volume}-e1-sync`])
    assert.equal((await copier.write(0, pattern(3, BLOCK))).ok, false)
    await guest.close()
    await copier.close()
  })

  contract('bitmaps hold exactly the blocks that were written', async ({ source, pool }, volume) => {
    await create(source, volume, pool)
    const client = await serve(source, volume, pool, 1)
    value(await client.write(BLOCK * 3 + 512, Buffer.alloc(512, 1)))
    value(await client.write(BLOCK * 10 - 512, Buffer.alloc(1024, 1)))
    assert.deepEqual(value(await source.volumes.dirtyRanges(volume, pool, 'sp')), [
      { offset: BLOCK * 3, length: BLOCK },
      { offset: BLOCK * 9, length: BLOCK * 2 },
    ])
    for (const _ of [1, 2]) value(await source.volumes.addBitmap(volume, pool, 'next', 'sp'))
    value(await client.write(BLOCK * 20, Buffer.alloc(BLOCK, 2)))
    assert.deepEqual(bitmaps(await source.volumes.inspect(volume, pool)), [
      { name: 'next', dirtyBytes: BLOCK, recording: true },
      { name: 'sp', dirtyBytes: BLOCK * 3, recording: false },
    ])
    for (const [name, bytes] of Object.entries({ next: BLOCK, sp: BLOCK * 3, other: 0 }))
      await saysInTheEnd(bytes, async () => value(await source.volumes.dirtyBytes(volume, pool, name)))
    for (const name of ['sp', 'next', 'next']) value(await source.volumes.removeBitmap(volume, pool, name))
    assert.deepEqual(bitmaps(await source.volumes.inspect(volume, pool)), [])
    await client.close()
  })

  contract('a new epoch in the middle of a resync loses no changed block', async ({ source, pool }, volume) => {
    await create(source, volume, pool)
    const first = await serve(source, volume, pool, 1)
    value(await first.write(0, pattern(1, BLOCK)))
    value(await source.volumes.addBitmap(volume, pool, 'pass-1', 'sp'))
    value(await first.write(BLOCK * 5, pattern(2, BLOCK)))
    await first.close()
    source.record(volume, { epoch: 2, inSync: true })
    const served = value(
      await source.volumes.exportToGuest({ volume, pool, epoch: 2, syncPoint: 'sp', rejoining: false }),
    )
    assert.equal(served.bitmapIsNew, false)
    assert.deepEqual(bitmaps(await source.volumes.inspect(volume, pool)), [
      { name: 'sp', dirtyBytes: BLOCK * 2, recording: true },
    ])
    // With nothing that recorded since, the history is lost and must be called so.
    value(await source.volumes.addBitmap(volume, pool, 'pass-2', 'sp'))
    value(await source.volumes.removeBitmap(volume, pool, 'pass-2'))
    source.record(volume, { epoch: 3, inSync: true })
    assert.equal(
      value(await source.volumes.exportToGuest({ volume, pool, epoch: 3, syncPoint: 'sp', rejoining: false }))
        .bitmapIsNew,
      true,
    )
  })

  contract('a pass copies exactly the dirty blocks while the guest goes on writing', async (fixture, volume) => {
    const { source, target, pool } = fixture
    const { client, address } = await mirror(fixture, volume)
    value(await client.write(BLOCK * 2, pattern(1, BLOCK)))
    value(await client.write(BLOCK * 64, pattern(2, BLOCK * 3)))
    value(await source.volumes.addBitmap(volume, pool, 'next', 'sp'))
    refused(await copy(fixture, volume, address, { select: { bitmap: 'next', extra: [] }, compare: false }), 'conflict')
    value(await client.write(BLOCK * 100, pattern(3, BLOCK)))
    const extra = [{ offset: BLOCK * 90, length: 512 }]
    const moved = value(await copy(fixture, volume, address, { select: { bitmap: 'sp', extra }, compare: false }))
    assert.deepEqual(moved, { copiedBytes: BLOCK * 5, totalBytes: BLOCK * 5 })
    const reader = value(await target.connect(address))
    assert.ok(value(await reader.read(BLOCK * 2, BLOCK)).equals(pattern(1, BLOCK)))
    assert.ok(value(await reader.read(BLOCK * 64, BLOCK * 3)).equals(pattern(2, BLOCK * 3)))
    assert.ok(value(await reader.read(BLOCK * 100, BLOCK)).equals(Buffer.alloc(BLOCK)))
    await reader.close()
    await client.close()
  })

  contract('a full copy makes equal, zeros over old data too', async (fixture, volume) => {
    const { source, target, pool } = fixture
    const { client, address } = await mirror(fixture, volume)
    value(await client.write(BLOCK * 17, pattern(4, BLOCK * 20)))
    value(await client.flush())
    const dirt = value(await target.connect(address))
    value(await dirt.write(BLOCK * 60, pattern(5, BLOCK)))
    const moved = value(await copy(fixture, volume, address, { select: 'all', compare: false }))
    assert.deepEqual(moved, { copiedBytes: SIZE, totalBytes: SIZE })
    await assertEqualReplicas(source, target, volume, pool)
    await dirt.close()
    await client.close()
  })

  contract('comparing copies only blocks that differ', async (fixture, volume) => {
    const { source, target, pool } = fixture
    const { client, address } = await mirror(fixture, volume)
    const other = value(await target.connect(address))
    for (const [each, block] of [
      [client, 7],
      [other, 7],
      [client, 30],
      [other, 90],
    ] as const)
      value(await each.write(BLOCK * block, pattern(6, BLOCK)))
    const progress: number[] = []
    const moved = value(
      await copy(fixture, volume, address, { select: 'all', compare: true }, (bytes) => progress.push(bytes)),
    )
    assert.deepEqual(moved, { copiedBytes: BLOCK * 2, totalBytes: BLOCK * 2 })
    assert.equal(progress.at(-1), BLOCK * 2)
    await assertEqualReplicas(source, target, volume, pool)
    await other.close()
    await client.close()
  })

  contract('a copy can be stopped, and needs a current source and the granted epoch', async (fixture, volume) => {
    const { source } = fixture
    const { client, address } = await mirror(fixture, volume)
    const stopped = AbortSignal.abort(new Error('enough'))
    refused(await copy(fixture, volume, address, { select: 'all', compare: false }, undefined, stopped), 'conflict')
    source.record(volume, { epoch: 1, inSync: false })
    refused(await copy(fixture, volume, address, { select: 'all', compare: false }), 'replica_not_current')
    source.record(volume, { epoch: 2, inSync: true })
    refused(await copy(fixture, volume, address, { select: 'all', compare: false }), 'stale_epoch')
    await client.close()
  })

  contract('a copy fails when the target is taken away', async (fixture, volume) => {
    const { target, pool } = fixture
    const { client, address } = await mirror(fixture, volume)
    value(await target.volumes.revokeExport(volume, pool, address.exportName))
    const moved = await copy(fixture, volume, address, { select: 'all', compare: false })
    assert.equal(moved.ok, false)
    await client.close()
  })

  contract('flushes what it holds; digests are those of each block', async ({ source, pool }, volume) => {
    await create(source, volume, pool)
    const client = await serve(source, volume, pool, 1)
    value(await client.write(BLOCK * 2, pattern(8, BLOCK)))
    value(await source.volumes.flush(volume, pool))
    const digests = value(await source.volumes.digests(volume, pool, { offset: BLOCK, length: BLOCK * 3 }))
    const blocks = [Buffer.alloc(BLOCK), pattern(8, BLOCK), Buffer.alloc(BLOCK)]
    const expected = blocks.map((block) => createHash('sha256').update(block).digest('base64'))
    assert.deepEqual(digests, expected)
    refused(await source.volumes.digests(volume, pool, { offset: 512, length: BLOCK }), 'bad_request')
    await client.close()
  })

  contract('knows only its own pools and volumes', async ({ source, pool }, volume) => {
    source.record(volume, { epoch: 1, inSync: true })
    refused(await source.volumes.inspect(volume, 'no-such-pool'), 'not_found')
    refused(
      await source.volumes.exportToGuest({ volume, pool, epoch: 1, syncPoint: 'sp', rejoining: false }),
      'not_found',
    )
    assert.deepEqual(value(await source.volumes.revokeBelow(volume, pool, 9)), [])
  })
}

async function create(side: VolumeHostSide, volume: VolumeId, pool: string): Promise<void> {
  value(await side.volumes.createReplica({ volume, pool, sizeBytes: SIZE }))
}

async function serve(side: VolumeHostSide, volume: VolumeId, pool: string, epoch: number): Promise<ExportClient> {
  side.record(volume, { epoch, inSync: true })
  return value(
    await side.connect(
      value(await side.volumes.exportToGuest({ volume, pool, epoch, syncPoint: 'sp', rejoining: false })),
    ),
  )
}

/** A replica served to a guest on the source, and one that waits to be brought up to date on the target. */
async function mirror(
  { source, target, pool }: VolumeHostFixture,
  volume: VolumeId,
): Promise<{ client: ExportClient; address: ExportAddress }> {
  await create(source, volume, pool)
  await create(target, volume, pool)
  const client = await serve(source, volume, pool, 1)
  target.record(volume, { epoch: 1, inSync: false })
  return { client, address: value(await target.volumes.exportAsTarget({ volume, pool, epoch: 1 })) }
}

function copy(
  { source, target, pool }: VolumeHostFixture,
  volume: VolumeId,
  address: ExportAddress,
  how: Pick<CopyRequest, 'select' | 'compare'>,
  onBytes: (copiedBytes: number) => void = () => undefined,
  signal: AbortSignal = new AbortController().signal,
) {
  const request = {
    volume,
    pool,
    epoch: 1,
    ...how,
    target: { host: target.host, pool, address: target.address, port: address.port, exportName: address.exportName },
  }
  return source.volumes.copy(request, ({ copiedBytes }) => onBytes(copiedBytes), signal)
}

async function assertEqualReplicas(
  source: VolumeHostSide,
  target: VolumeHostSide,
  volume: VolumeId,
  pool: string,
  sizeBytes = SIZE,
): Promise<void> {
  const range = { offset: 0, length: sizeBytes }
  const [mine, theirs] = await Promise.all([
    source.volumes.digests(volume, pool, range),
    target.volumes.digests(volume, pool, range),
  ])
  assert.equal(value(mine).length, sizeBytes / BLOCK)
  assert.deepEqual(value(theirs), value(mine))
}

function bitmaps(info: Awaited<ReturnType<VolumeHost['inspect']>>) {
  return value(info).bitmaps.toSorted((a, b) => a.name.localeCompare(b.name))
}

/** Bytes that differ from block to block and are never all zero. */
function pattern(seed: number, length: number): Buffer {
  const data = Buffer.alloc(length)
  for (let at = 0; at < length; at += 8) {
    data.writeUInt32LE(seed + 1, at)
    data.writeUInt32LE(at, at + 4)
  }
  return data
}

function value<T>(result: Result<T>): T {
  assert.ok(result.ok, `unexpected failure: ${JSON.stringify(result, undefined, 1)}`)
  return result.value
}

function refused(result: Result<unknown>, code: string): void {
  assert.ok(!result.ok, `expected ${code}, but it succeeded`)
  assert.equal(result.error.code, code, result.error.message)
}

/** What is asked may answer what was so some seconds ago. */
async function saysInTheEnd(expected: number, ask: () => Promise<number>): Promise<void> {
  for (const endMs = performance.now() + 15_000; performance.now() < endMs; await sleep(50))
    if ((await ask()) === expected) return
  assert.equal(await ask(), expected)
}

/** Linked replicas on real storage daemons: they share an image's file, and nobody ever writes it. */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { createHash, randomUUID } from 'node:crypto'
import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import type { BlobId, VolumeId } from '@stead/core/model/ids.ts'
import type { Result } from '@stead/core/result.ts'
import { connectExport, makeQsdFixture, POOL, type QsdFixture, type QsdSide } from './qsd-fixture.ts'

const BLOCK = 64 * 1024
const IMAGE_BYTES = 4 * 1024 * 1024
/** Larger than the image: what lies behind it are zeros. */
const SIZE = 8 * 1024 * 1024
const PATTERN = Buffer.alloc(BLOCK, 'stead')
const MINE = Buffer.alloc(BLOCK, 7)

interface Linked extends QsdFixture {
  readonly blob: BlobId
  readonly create: (side: QsdSide, volume: VolumeId) => Promise<Result<void>>
  /** What the image's own file holds. */
  readonly imageDigest: () => string
}

function linked(title: string, body: (fixture: Linked) => Promise<void>): void {
  test(title, { timeout: 120_000 }, async () => {
    const fixture = await makeQsdFixture()
    try {
      const raw = join(fixture.folder, 'image.raw')
      writeFileSync(raw, Buffer.concat([PATTERN, Buffer.alloc(IMAGE_BYTES - BLOCK)]))
      const image = join(fixture.folder, 'image.qcow2')
      execFileSync('qemu-img', ['convert', '-f', 'raw', '-O', 'qcow2', raw, image])
      const blob = await fixture.addBlob?.(readFileSync(image))
      assert.ok(blob)
      const file = join(fixture.folder, 'blob-0')
      const imageDigest = () => createHash('sha256').update(readFileSync(file)).digest('hex')
      const content = { blob, format: 'qcow2', linked: true } as const
      const create = (side: QsdSide, volume: VolumeId) =>
        side.volumes.createReplica({ volume, pool: POOL, sizeBytes: SIZE }, content)
      await body({ ...fixture, blob, create, imageDigest })
    } finally {
      await fixture.close()
    }
  })
}

const newVolume = () => randomUUID().replaceAll('-', '') as VolumeId

async function serve(side: QsdSide, volume: VolumeId, epoch = 1) {
  side.record(volume, { epoch, inSync: true })
  const request = { volume, pool: POOL, epoch, syncPoint: 'sp', rejoining: false }
  return value(await connectExport(value(await side.volumes.exportToGuest(request))))
}

function value<T>(result: Result<T>): T {
  assert.ok(result.ok, result.ok ? '' : JSON.stringify(result.error))
  return result.value
}

linked(
  'two guests start from one image, each sees its own writes only, and the image stays as it was',
  async (fixture) => {
    const { source, create, imageDigest, folder } = fixture
    const before = imageDigest()
    const [first, second] = [newVolume(), newVolume()]
    for (const volume of [first, second]) value(await create(source, volume))
    value(await create(source, first))
    assert.equal(value(await source.volumes.inspect(first, POOL)).sizeBytes, SIZE)
    const [a, b] = [await serve(source, first), await serve(source, second)]
    assert.deepEqual(value(await a.read(0, BLOCK)), PATTERN)
    assert.deepEqual(value(await a.read(IMAGE_BYTES, BLOCK)), Buffer.alloc(BLOCK))
    value(await a.write(0, MINE))
    value(await a.write(SIZE - BLOCK, MINE))
    value(await a.flush())
    assert.deepEqual(value(await a.read(0, BLOCK)), MINE)
    assert.deepEqual(value(await b.read(0, BLOCK)), PATTERN)
    await a.close()
    await b.close()
    assert.equal(imageDigest(), before)
    assert.equal(statSync(join(folder, 'blob-0')).nlink, 3)
    value(await source.volumes.removeReplica(first, POOL))
    assert.equal(statSync(join(folder, 'blob-0')).nlink, 2)
    assert.deepEqual(value(await (await serve(source, second, 2)).read(0, BLOCK)), PATTERN)
    assert.deepEqual(
      readdirSync(join(folder, 'a')).filter((name) => name.startsWith(first)),
      [],
    )
  },
)

linked(
  'what was written survives the death of the storage daemon, and is copied to a replica that missed it',
  async (fixture) => {
    const { source, target, create } = fixture
    const volume = newVolume()
    for (const side of [source, target]) value(await create(side, volume))
    const client = await serve(source, volume)
    value(await client.write(BLOCK, MINE))
    value(await client.flush())
    await client.close()
    assert.deepEqual(value(await source.volumes.dirtyRanges(volume, POOL, 'sp')), [{ offset: BLOCK, length: BLOCK }])
    target.record(volume, { epoch: 1, inSync: false })
    const address = value(await target.volumes.exportAsTarget({ volume, pool: POOL, epoch: 1 }))
    const to = { host: target.host, pool: POOL, address: target.address, ...address }
    const request = { volume, pool: POOL, epoch: 1, select: 'all', compare: true, target: to } as const
    const copied = value(await source.volumes.copy(request, () => undefined, new AbortController().signal))
    assert.equal(copied.copiedBytes, BLOCK, 'only what differs is moved')
    for (const side of [source, target]) {
      value(await value(side.volumes.daemon(POOL)).kill())
      value(await side.volumes.ensureDaemon(POOL))
      const again = await serve(side, volume, 2)
      assert.deepEqual(value(await again.read(0, 2 * BLOCK)), Buffer.concat([PATTERN, MINE]))
      await again.close()
    }
  },
)

linked('one that is half made when the agent dies is made anew', async ({ source, create, folder }) => {
  const volume = newVolume()
  writeFileSync(join(folder, 'a', `${volume}.0123456789ab.qcow2`), 'half a layer')
  value(await create(source, volume))
  const client = await serve(source, volume)
  assert.deepEqual(value(await client.read(0, BLOCK)), PATTERN)
  await client.close()
})

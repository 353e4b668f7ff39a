import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { finished } from 'node:stream/promises'
import { test, type TestContext } from 'node:test'
import type { VolumeId } from '@stead/core/model/ids.ts'
import type { SnapshotId } from '@stead/core/model/snapshot.ts'
import { KeyedLock } from './keyed-lock.ts'
import { imagesIn, MemoryImages, releaseImage } from './memory-images.ts'
import { roomIn } from './replica-files.ts'

const MIB = 2 ** 20
const NAME = { volume: 'v1' as VolumeId, pool: 'default', snapshot: 's1' as SnapshotId }
const FILE = 'v1.memory-s1'

function start(context: TestContext, capacityBytes = 64 * MIB) {
  const path = mkdtempSync(join(tmpdir(), 'stead-images-'))
  context.after(() => rmSync(path, { recursive: true }))
  const pool = { name: 'default', path, capacityBytes, port: 0 }
  const images = new MemoryImages([pool], new KeyedLock())
  const write = async (content: Buffer, bytesMax = 8 * MIB) => {
    const sink = await images.create(NAME, bytesMax)
    assert.ok(sink.ok)
    sink.value.end(content)
    await finished(sink.value).catch(() => undefined)
    return { bytes: content.length, digest: `sha256:${createHash('sha256').update(content).digest('hex')}` }
  }
  return { path, pool, images, write }
}

test('an image takes its room at once, and gives back what it does not need', async (context) => {
  const { path, pool, images, write } = start(context)
  const content = Buffer.alloc(3 * MIB, 'memory')
  const sent = await write(content)
  assert.ok((await roomIn(pool)) <= 56 * MIB)
  assert.deepEqual(readdirSync(path), [`${FILE}.new`])
  assert.ok(!(await images.open(NAME)).ok, 'it is not there before it is sealed')
  assert.ok((await images.seal(NAME, sent)).ok)
  assert.deepEqual(readdirSync(path), [FILE])
  assert.equal(statSync(join(path, FILE)).mode & 0o777, 0o400)
  assert.ok((await roomIn(pool)) >= 60 * MIB)
  const opened = await images.open(NAME)
  assert.ok(opened.ok)
  const parts: Buffer[] = []
  for await (const part of opened.value as AsyncIterable<Buffer>) parts.push(part)
  assert.ok(Buffer.concat(parts).equals(content))
})

test('a pool without room takes none, and nothing is left', async (context) => {
  const { path, images } = start(context)
  const refused = await images.create(NAME, 65 * MIB)
  assert.equal(refused.ok ? '' : refused.error.code, 'no_capacity')
  assert.deepEqual(readdirSync(path), [])
})

test('what is not what was sent is not kept: another content, too much, or nothing at all', async (context) => {
  const { path, images, write } = start(context)
  const { digest } = await write(Buffer.from('one'))
  assert.ok(!(await images.seal(NAME, { bytes: 4, digest })).ok)
  const sent = await write(Buffer.alloc(9 * MIB))
  assert.ok(!(await images.seal(NAME, sent)).ok)
  assert.ok(!(await images.seal(NAME, sent)).ok)
  assert.deepEqual(readdirSync(path), [])
})

test('one that is only begun is found and released like one that is whole', async (context) => {
  const { path, pool, images, write } = start(context)
  const sink = await images.create(NAME, MIB)
  assert.ok(sink.ok)
  sink.value.destroy()
  assert.deepEqual(await imagesIn(pool), [{ volume: 'v1', snapshot: 's1' }])
  assert.ok((await releaseImage(pool, NAME.volume, NAME.snapshot)).ok)
  assert.ok((await images.seal(NAME, await write(Buffer.from('whole')))).ok)
  assert.deepEqual(await imagesIn(pool), [{ volume: 'v1', snapshot: 's1' }])
  assert.ok((await releaseImage(pool, NAME.volume, NAME.snapshot)).ok)
  assert.deepEqual(readdirSync(path), [])
})

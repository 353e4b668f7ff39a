import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { fill } from './replica-files.ts'

const KIB = 1024
const MIB = 2 ** 20

function files(t: TestContext) {
  const folder = mkdtempSync(join(tmpdir(), 'stead-content-'))
  t.after(() => rmSync(folder, { recursive: true }))
  const [image, replica] = [join(folder, 'image'), join(folder, 'replica')]
  writeFileSync(replica, '')
  truncateSync(replica, 12 * MIB)
  return { image: { path: image, format: 'raw' as const }, replica }
}

test('a replica begins as its image, holes and odd ends included, and is zero behind it', async (t) => {
  const { image, replica } = files(t)
  const content = Buffer.alloc(9 * MIB + 4096)
  for (const [at, length] of [
    [0, 100],
    [64 * KIB - 1, 2],
    [4 * MIB - 5, 10],
    [5 * MIB, MIB],
    [content.length - 1, 1],
  ] as const)
    randomBytes(length).copy(content, at)
  writeFileSync(image.path, content)
  const filled = await fill(replica, 12 * MIB, image)
  assert.ok(filled.ok)
  const made = readFileSync(replica)
  assert.equal(made.length, 12 * MIB)
  assert.ok(made.subarray(0, content.length).equals(content))
  assert.ok(made.subarray(content.length).equals(Buffer.alloc(made.length - content.length)))
})

test('an image that is larger than the volume, or gone, is refused', async (t) => {
  const { image, replica } = files(t)
  writeFileSync(image.path, Buffer.alloc(13 * MIB))
  const large = await fill(replica, 12 * MIB, image)
  assert.match(large.ok ? '' : large.error.message, /^The image holds 13631488 bytes, the volume only 12582912$/)
  const gone = await fill(replica, 12 * MIB, { path: `${image.path}.gone`, format: 'raw' })
  assert.equal(gone.ok ? '' : gone.error.code, 'invalid_image')
})

import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { after, before, describe, it } from 'node:test'
import type { BlobId } from '@stead/core/model/ids.ts'
import { BlobStore } from './blob-store.ts'

describe('files by the digest of their content', () => {
  let folder: string
  let store: BlobStore
  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'stead-blobs-'))
    store = new BlobStore(folder, async () => undefined)
  })
  after(() => rmSync(folder, { recursive: true, force: true }))

  const made = () => {
    const content = randomBytes(200_000)
    return { content, blob: `sha256:${createHash('sha256').update(content).digest('hex')}` as BlobId }
  }
  /** Sends the beginning, then the connection breaks. */
  const broken = (content: Buffer) =>
    Readable.from(
      (async function* () {
        yield content
        throw new Error('the connection broke')
      })(),
    )

  it('goes on with an upload that broke off, and checks the whole', async () => {
    const { content, blob } = made()
    assert.ok(!(await store.put(blob, broken(content.subarray(0, 80_000)))).ok)
    assert.equal(await store.receivedBytes(blob), 80_000)
    assert.equal(store.find(blob), undefined)
    const early = await store.put(blob, Readable.from([content.subarray(90_000)]), 90_000)
    assert.equal(!early.ok && early.error.code, 'conflict')
    const rest = await store.put(blob, Readable.from([content.subarray(80_000)]), 80_000)
    assert.ok(rest.ok)
    assert.deepEqual(readFileSync(rest.value), content)
    assert.equal(await store.receivedBytes(blob), content.length)
  })

  it('waits for whoever brings the same content, and brings it itself when that breaks off', async () => {
    const { content, blob } = made()
    let opened = 0
    const open = () => (opened++, Readable.from([content]))
    const kept = await Promise.all([store.keep(blob, open), store.keep(blob, open), store.keep(blob, open)])
    assert.ok(kept.every(({ ok }) => ok))
    assert.equal(opened, 1)
    const next = made()
    const breaks = store.put(next.blob, broken(next.content.subarray(0, 80_000)))
    const twice = await store.put(next.blob, Readable.from([next.content]))
    assert.equal(!twice.ok && twice.error.code, 'conflict', 'who uploads is not kept waiting')
    assert.ok((await store.keep(next.blob, () => Readable.from([next.content]))).ok)
    assert.ok(!(await breaks).ok)
    assert.deepEqual(readFileSync(store.find(next.blob) ?? ''), next.content)
  })

  it('lets nobody list what there is, and only its owner read what is for nobody else', async () => {
    assert.equal(statSync(folder).mode & 0o777, 0o711)
    for (const mode of [0o600, undefined] as const) {
      const { content, blob } = made()
      const path = join(folder, 'made')
      writeFileSync(path, content, { mode: 0o666 })
      assert.ok((await store.take(path, blob, mode)).ok)
      assert.equal(statSync(store.find(blob) ?? '').mode & 0o777, mode ?? 0o644)
    }
  })

  it('keeps nothing of content that is not what its digest names', async () => {
    const { content, blob } = made()
    const before = readdirSync(folder)
    assert.ok(!(await store.put(blob, Readable.from([content.subarray(1)]))).ok)
    await store.put(blob, broken(content.subarray(0, 100)))
    const wrong = await store.put(blob, Readable.from([content.subarray(101)]), 100)
    assert.equal(!wrong.ok && wrong.error.code, 'bad_request')
    assert.deepEqual(readdirSync(folder), before)
  })

  it('refuses what the file system has no room for, before it comes or as soon as that is seen', async () => {
    const before = readdirSync(folder)
    const full = new BlobStore(folder, async () => undefined, Number.MAX_SAFE_INTEGER)
    const { content, blob } = made()
    for (const size of [content.length, undefined]) {
      const refused = await full.put(blob, Readable.from([content]), 0, size)
      assert.equal(!refused.ok && refused.error.code, 'no_capacity')
      assert.deepEqual(readdirSync(folder), before)
    }
    assert.ok((await store.put(blob, Readable.from([content]), 0, content.length)).ok)
  })

  it('takes the same file from one client at a time', async () => {
    const { content, blob } = made()
    const first = store.put(blob, Readable.from([content]))
    const second = await store.put(blob, Readable.from([content]))
    assert.equal(!second.ok && second.error.code, 'conflict')
    assert.ok((await first).ok)
  })
})

import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { closeSync, mkdtempSync, openSync, rmSync, writeFileSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { checkImage, checkInitrd, checkKernel } from './blob-check.ts'

describe('the check of what a user brings', () => {
  let folder: string
  const file = (name: string, content: string | Buffer = '') => {
    const path = join(folder, name)
    writeFileSync(path, content)
    return path
  }
  const qcow2 = (name: string, ...more: string[]) => {
    const path = join(folder, name)
    execFileSync('qemu-img', ['create', '-q', '-f', 'qcow2', ...more, path, '1M'])
    return path
  }
  before(() => (folder = mkdtempSync(join(tmpdir(), 'stead-blob-'))))
  after(() => rmSync(folder, { recursive: true, force: true }))

  it('knows a kernel from other files', async () => {
    const image = Buffer.alloc(4096)
    image.writeUInt16LE(0xaa55, 0x1fe)
    image.write('HdrS', 0x202)
    assert.deepEqual(await checkKernel(file('vmlinuz', image)), { ok: true, value: 'bzImage' })
    for (const path of [
      file('text', 'not a kernel'),
      file('empty'),
      process.execPath,
      join(folder, 'absent'),
      folder,
    ]) {
      const checked = await checkKernel(path)
      assert.ok(!checked.ok, path)
      assert.equal(checked.error.code, 'invalid_image')
    }
  })

  it('knows an initial RAM disk', async () => {
    assert.ok((await checkInitrd(file('cpio', '070701000'))).ok)
    assert.ok((await checkInitrd(file('gz', Buffer.from([0x1f, 0x8b, 8])))).ok)
    assert.ok(!(await checkInitrd(file('txt', 'hello'))).ok)
  })

  it('gives format and size of a sound image', async () => {
    assert.deepEqual(await checkImage(qcow2('good')), {
      ok: true,
      value: { format: 'qcow2', virtualSizeBytes: 1 << 20 },
    })
    assert.deepEqual(await checkImage(file('raw', Buffer.alloc(8192, 1))), {
      ok: true,
      value: { format: 'raw', virtualSizeBytes: 8192 },
    })
  })

  it('refuses a corrupt image, a truncated one, an empty one and one that names other files', async () => {
    const corrupt = qcow2('corrupt', '-o', 'preallocation=metadata')
    const descriptor = openSync(corrupt, 'r+')
    // The refcount table's first entry, in the second cluster: points nowhere now.
    writeSync(descriptor, Buffer.alloc(64, 0xff), 0, 64, 65_536)
    closeSync(descriptor)
    const truncated = file('truncated', Buffer.from('QFI\xfb\0\0\0\x03', 'latin1'))
    const overlay = qcow2('overlay', '-b', file('secret', Buffer.alloc(1 << 20)), '-F', 'raw')
    for (const path of [corrupt, truncated, file('nothing'), overlay]) {
      const checked = await checkImage(path)
      assert.ok(!checked.ok, path)
      assert.equal(checked.error.code, 'invalid_image')
    }
  })
})

import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { checkInitrd, checkKernel } from './blob-check.ts'

describe('the check of what a user brings', () => {
  let folder: string
  const file = (name: string, content: string | Buffer = '') => {
    const path = join(folder, name)
    writeFileSync(path, content)
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
})

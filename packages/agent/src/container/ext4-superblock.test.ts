import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { readSuperblock } from './ext4-superblock.ts'

const MIB = 2 ** 20

describe('the superblock of ext4', () => {
  let folder = ''
  before(() => void (folder = mkdtempSync(join(tmpdir(), 'stead-ext4-'))))
  after(() => rmSync(folder, { recursive: true }))

  function made(name: string, ...changes: readonly string[]): string {
    const path = join(folder, name)
    execFileSync('mke2fs', ['-q', '-F', '-t', 'ext4', '-b', '4096', path, '8M'], { stdio: 'ignore' })
    for (const change of changes)
      execFileSync('debugfs', ['-w', '-R', `set_super_value ${change}`, path], { stdio: 'ignore' })
    return path
  }

  it('tells the size, and that nobody has used it', async () => {
    const expected = { isClean: true, wasUsed: false, sizeBytes: 8 * MIB, blockBytes: 4096 }
    assert.deepEqual(await readSuperblock(made('new')), expected)
  })

  it('tells that it was mounted since it was checked', async () => {
    const found = await readSuperblock(made('used', 'lastcheck 20260101', 'mtime 20260102'))
    assert.equal(found?.wasUsed, true)
    assert.equal(found?.isClean, true)
    assert.equal((await readSuperblock(made('checked', 'mtime 20260101', 'lastcheck 20260102')))?.wasUsed, false)
  })

  for (const change of [
    'state 0',
    'state 3',
    'last_orphan 12',
    'error_count 1',
    'feature_incompat 0x2c6',
    'feature_ro_compat 0x1046b',
    'max_mnt_count 1',
  ])
    it(`does not call it clean with ${change}`, async () => {
      const more = change === 'max_mnt_count 1' ? ['mnt_count 1'] : []
      assert.equal((await readSuperblock(made('unclean', change, ...more)))?.isClean, false)
    })

  it('finds none where there is none', async () => {
    const path = join(folder, 'blank')
    writeFileSync(path, '')
    truncateSync(path, MIB)
    assert.equal(await readSuperblock(path), undefined)
    assert.equal(await readSuperblock(join(folder, 'absent')), undefined)
  })
})

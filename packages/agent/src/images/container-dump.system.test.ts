/** A dumped container, read back as on a host (root, namespaces). */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import {
  chmodSync,
  chownSync,
  copyFileSync,
  createWriteStream,
  linkSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { after, before, describe, it } from 'node:test'
import type { BlobId } from '@stead/core/model/ids.ts'
import { ok } from '@stead/core/result.ts'
import { dumpContainer } from './container-dump.ts'
import { importRootArchive } from './root-archive.ts'

const CONFIG = { name: 'web1', note: 'ü' }

describe('the dump of a container', () => {
  let folder: string
  const path = (name: string) => join(folder, name)
  const inRoot = (name: string) => join(folder, 'root', name)

  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'stead-dump-'))
    chmodSync(folder, 0o711)
    for (const name of ['work', 'more', 'root/bin', 'root/etc', 'root/stead'])
      mkdirSync(path(name), { recursive: true })
    chmodSync(path('work'), 0o711)
    copyFileSync('/bin/busybox', inRoot('bin/busybox'))
    execFileSync('setcap', ['cap_net_raw+ep', inRoot('bin/busybox')])
    linkSync(inRoot('bin/busybox'), inRoot('bin/sh'))
    symlinkSync('./busybox', inRoot('bin/init'))
    writeFileSync(inRoot('etc/secret'), 'x')
    chownSync(inRoot('etc/secret'), 65_535, 33)
    chmodSync(inRoot('etc/secret'), 0o000)
    // Its own files may be called like ours.
    writeFileSync(inRoot('stead/guest.json'), '"of the container"')
    execFileSync('truncate', ['-s', '64M', inRoot('etc/holes')])
    writeFileSync(path('more/file'), 'of the further disk')
    chownSync(path('more/file'), 7, 8)
  })
  after(() => rmSync(folder, { recursive: true, force: true }))

  it('gives back the configuration and every file as it was', async () => {
    const disks = [{ kind: 'folder', path: path('root') } as const, { kind: 'folder', path: path('more') } as const]
    const dump = await dumpContainer({ disks, config: CONFIG, workFolder: path('work'), compress: 'zstd' })
    await pipeline(dump.content, createWriteStream(path('web1.tar.zst')))
    const ended = await dump.ended
    assert.ok(ended.ok, ended.ok ? '' : ended.error.message)
    assert.deepEqual(readdirSync(path('work')), [])
    const images = [path('root.ext4'), path('more.ext4')]
    const read = await importRootArchive(
      {
        ...{ workFolder: path('work'), reserveBytes: 0 },
        keep: async (from) => (renameSync(from, images.shift()!), ok()),
      },
      { path: path('web1.tar.zst'), source: 'sha256:0' as BlobId, bytesMax: 2 ** 30, filesMax: 1_000 },
    )
    assert.ok(read.ok, read.ok ? '' : read.error.message)
    assert.deepEqual([read.value.facts.form, JSON.parse(read.value.config ?? '')], ['stead-dump', CONFIG])
    execFileSync('e2fsck', ['-fn', path('root.ext4')], { stdio: 'ignore' })
    const debugfs = (command: string, image = 'root.ext4') =>
      execFileSync('debugfs', ['-R', command, path(image)], { stdio: ['ignore', 'pipe', 'ignore'] }).toString()
    assert.match(debugfs('stat /etc/secret'), /Mode: +0000[^]*User: 65535 +Group: +33/)
    assert.match(debugfs('stat /bin/sh'), /Links: 2/)
    assert.match(debugfs('stat /bin/init'), /Fast link dest: "\.\/busybox"/)
    assert.match(debugfs('ea_get -x /bin/busybox security.capability'), /= 01 00 00 02 00 20 /)
    assert.match(debugfs('stat /etc/holes'), /Size: 67108864[^]*Blockcount: 0\b/)
    assert.equal(debugfs('cat /stead/guest.json'), '"of the container"')
    assert.equal(read.value.moreDisks.length, 1)
    assert.equal(debugfs('cat /file', 'more.ext4'), 'of the further disk')
    assert.match(debugfs('stat /file', 'more.ext4'), /User: +7 +Group: +8/)
  })

  it('that is given up leaves nothing, and one that fails says why', async () => {
    const givenUp = await dumpContainer({
      disks: [{ kind: 'folder', path: path('root') }],
      config: CONFIG,
      workFolder: path('work'),
      compress: 'zstd',
    })
    givenUp.content.destroy()
    assert.equal((await givenUp.ended).ok, false)
    const absent = await dumpContainer({
      disks: [{ kind: 'folder', path: path('none') }],
      config: CONFIG,
      workFolder: path('work'),
      compress: 'zstd',
    })
    absent.content.resume()
    const ended = await absent.ended
    assert.match(ended.ok ? '' : ended.error.message, /could not be dumped.*does not exist/)
    assert.deepEqual(readdirSync(path('work')), [])
  })

  it('whose further disks are not numbered from 1 is refused', async () => {
    for (const name of ['odd/stead', 'odd/root/bin', 'odd/disks/2']) mkdirSync(path(name), { recursive: true })
    writeFileSync(path('odd/stead/guest.json'), '{}')
    copyFileSync('/bin/busybox', path('odd/root/bin/init'))
    execFileSync('tar', ['-cf', path('odd.tar'), '-C', path('odd'), 'stead', 'root', 'disks'])
    const read = await importRootArchive(
      { workFolder: path('work'), reserveBytes: 0, keep: async () => ok() },
      { path: path('odd.tar'), source: 'sha256:0' as BlobId, bytesMax: 2 ** 30, filesMax: 1_000 },
    )
    assert.match(read.ok ? '' : read.error.message, /not numbered from 1/)
  })
})

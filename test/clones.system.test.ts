/** Linked guests, templates and clones on real storage: they share an image's file, are mirrored, and stand alone. */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, suite, test } from 'node:test'
import { bootSector, lastNumberIn } from '@stead/agent/qemu/boot-sector.ts'
import { FAILURES } from '@stead/core/errors.ts'
import { LabCluster } from './support/lab-cluster.ts'

const MIB = 2 ** 20

suite('linked guests, templates and clones', { timeout: 600_000 }, () => {
  const folder = mkdtempSync(join(tmpdir(), 'stead-clones-'))
  let lab: LabCluster

  before(async () => {
    lab = await LabCluster.up({ hosts: 2, witness: true })
    writeFileSync(join(folder, 'tiny.raw'), Buffer.concat([bootSector('write'), Buffer.alloc(4 * MIB - 512)]))
    await lab.must('image', 'import', 'tiny', join(folder, 'tiny.raw'))
  })
  after(async () => {
    await lab?.down()
    rmSync(folder, { recursive: true, force: true })
  })

  const untilWrites = (name: string) => lab.until(`${name} writes`, async () => /B\.{5}/.test(await lab.console(name)))
  const blobLinks = async () => {
    const [image] = await lab.json<readonly { readonly blob: string }[]>('image', 'list')
    const file = (image?.blob ?? '').replace(':', '-')
    return ['h1', 'h2'].map((host) => statSync(join(lab.hostFolder(host), 'blobs', file)).nlink)
  }
  const filesOf = (host: string) => readdirSync(join(lab.hostFolder(host), 'pools', 'default'))

  test('a linked guest runs from the image that both hosts keep once, and its writes are on both', async () => {
    await lab.must(
      'vm',
      'create',
      'one',
      '--memory',
      '64MiB',
      '--image',
      'tiny',
      '--linked',
      '--disk',
      '8MiB',
      '--start',
    )
    await untilWrites('one')
    assert.deepEqual(await blobLinks(), [2, 2])
    await lab.must('vm', 'stop', 'one', '--force')
    await lab.untilProtected('one')
    const [volume] = (await lab.guest('one')).volumes
    const target = join(folder, 'one.qcow2')
    await lab.must('volume', 'export', volume?.id ?? '', target)
    execFileSync('qemu-img', ['convert', '-f', 'qcow2', '-O', 'raw', target, join(folder, 'one.raw')])
    const content = readFileSync(join(folder, 'one.raw'))
    assert.equal(content.length, 8 * MIB)
    assert(lastNumberIn(content) >= 5, 'what the guest wrote is in the export')
    assert.deepEqual(content.subarray(0, 440), bootSector('write').subarray(0, 440), 'and what the image holds')
  })

  test('a replica of a linked guest that was lost is brought up to date', async () => {
    await lab.must('vm', 'start', 'one')
    const { host } = await lab.guest('one')
    const other = host === 'h1' ? 'h2' : 'h1'
    await untilWrites('one')
    await lab.must('lab', 'power-off', other)
    await lab.until('its loss is noticed', async () => (await lab.guest('one')).protection.level !== 'protected')
    await lab.must('lab', 'power-on', other)
    await lab.untilProtected('one')
    assert(!(await lab.console('one')).includes('E'), 'a write failed')
    await lab.must('vm', 'stop', 'one', '--force')
  })

  test('an image that guests share is not deleted', async () => {
    const refused = await lab.run('image', 'delete', 'tiny')
    assert.equal(refused.code, FAILURES.conflict.exit)
    assert.match(refused.stderr, /shared by one/)
  })

  test('a template is never started; linked and full clones of it run by themselves', async () => {
    await lab.must('vm', 'template', 'one')
    const refused = await lab.run('vm', 'start', 'one')
    assert.equal(refused.code, FAILURES.conflict.exit)
    assert.match(refused.stderr, /template[^]*vm clone one/)
    await lab.must('vm', 'clone', 'one', 'two', '--linked', '--start')
    await lab.must('vm', 'clone', 'one', 'three', '--start')
    await Promise.all([untilWrites('two'), untilWrites('three')])
    const [two, three] = await Promise.all([lab.guest('two'), lab.guest('three')])
    assert.notEqual(two.nics[0]?.mac, three.nics[0]?.mac)
    assert(filesOf('h1').includes(`${three.volumes[0]?.id}.raw`), 'a full clone is an ordinary replica')
    assert(!filesOf('h1').includes(`${two.volumes[0]?.id}.raw`))
    // Neither needs the template, nor the image that it came from.
    await lab.must('vm', 'delete', 'one')
    await lab.until('the image is free', async () => (await blobLinks()).every((links) => links === 1))
    await lab.must('image', 'delete', 'tiny')
    await lab.must('vm', 'stop', 'two', '--force')
    await lab.must('vm', 'start', 'two')
    await untilWrites('two')
  })

  test('a guest that runs is neither a template nor cloned', async () => {
    for (const command of [
      ['vm', 'template', 'two'],
      ['vm', 'clone', 'two', 'four'],
    ]) {
      const refused = await lab.run(...command)
      assert.equal(refused.code, FAILURES.conflict.exit)
      assert.match(refused.stderr, /must be stopped/)
    }
  })
})

/** Images, CDs and cloud-init as a user has them: a Debian guest made of its image is reached over the LAN. */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, suite, test } from 'node:test'
import { FAILURES } from '@stead/core/errors.ts'
import { isoImage } from '@stead/agent/cloud-init/iso-image.ts'
import { DebianGuest } from './support/debian-guest.ts'
import { LabCluster } from './support/lab-cluster.ts'

suite('images', { timeout: 3_000_000 }, () => {
  const folder = mkdtempSync(join(tmpdir(), 'stead-images-'))
  let lab: LabCluster
  let debian: DebianGuest

  before(async () => {
    lab = await LabCluster.up({ hosts: 2, witness: true })
    debian = await DebianGuest.create(lab, 'web1', { address: '10.66.1.10', host: 'h1', more: ['--hostname', 'front'] })
  })
  after(async () => {
    await lab?.down()
    rmSync(folder, { recursive: true, force: true })
  })

  const iso = async (name: string, text: string) => {
    const path = join(folder, `${name}.iso`)
    writeFileSync(path, isoImage(name, [{ name: 'hello.txt', content: Buffer.from(text) }]))
    await lab.must('image', 'import', name, path)
  }

  test('a disk image cannot lie in a drive, and a CD cannot fill a disk', async () => {
    await iso('first', 'one')
    await iso('second', 'two')
    const asDisk = await lab.run('vm', 'create', 'x', '--memory', '64MiB', '--disk', '8MiB', '--image', 'first')
    assert.equal(asDisk.code, FAILURES.bad_request.exit)
    assert.match(asDisk.stderr, /first is a CD/)
    const asCd = await lab.run('vm', 'create', 'x', '--memory', '64MiB', '--cdrom', 'debian')
    assert.match(asCd.stderr, /debian is a disk image/)
  })

  test('a Debian guest is as cloud-init was told: name, user, key, address', async () => {
    await debian.booted()
    assert.equal(await debian.must('hostname'), 'front')
    assert.match(await debian.must('sudo id -u'), /^0$/)
    assert.match(await debian.must('ip -brief address'), /10\.66\.1\.10\/16/)
    // The first disk is larger than the image: cloud-init has let the file system grow into it.
    assert(Number(await debian.must('df --output=size -m / | tail -1')) > 1100)
  })

  test('it is another instance with other settings, and takes them at its next start', async () => {
    const before = await debian.must('cat /var/lib/cloud/data/instance-id')
    await lab.must(
      'vm',
      'cloud-init',
      'web1',
      '--cloud-init-user',
      'ada',
      '--ssh-key',
      `${debian.keyFile}.pub`,
      '--ip',
      '10.66.1.11/16',
      '--hostname',
      'back',
    )
    await lab.must('vm', 'stop', 'web1', '--grace', '60s', '--timeout', '90s')
    await lab.must('vm', 'start', 'web1')
    const moved = debian.at('10.66.1.11')
    await moved.booted()
    assert.equal(await moved.must('hostname'), 'back')
    assert.notEqual(await moved.must('cat /var/lib/cloud/data/instance-id'), before)
  })
})

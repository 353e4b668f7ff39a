/** Images, CDs and cloud-init as a user has them: a Debian guest made of its image is reached, moved, kept and rolled back. */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, suite, test } from 'node:test'
import { FAILURES } from '@stead/core/errors.ts'
import type { SnapshotsView } from '@stead/api/endpoints/snapshots.ts'
import { isoImage } from '@stead/agent/cloud-init/iso-image.ts'
import { DebianGuest } from './support/debian-guest.ts'
import { LabCluster } from './support/lab-cluster.ts'

suite('images', { timeout: 3_000_000 }, () => {
  const folder = mkdtempSync(join(tmpdir(), 'stead-images-'))
  let lab: LabCluster
  let debian: DebianGuest

  before(async () => {
    lab = await LabCluster.up({ hosts: 2, witness: true })
    const place = { address: '10.66.1.10', host: 'h1' }
    debian = await DebianGuest.create(lab, 'web1', {
      ...place,
      more: ['--hostname', 'front', '--firmware', 'uefi-secure'],
    })
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

  test('it was started by Secure Boot: firmware, shim, GRUB and kernel were checked', async () => {
    const variable = '/sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c'
    assert.match(await debian.must(`od -An -tx1 ${variable}`), / 01$/)
    assert.match(await debian.must('sudo dmesg | grep -i "secure boot"'), /enabled/i)
  })

  test('it moves live while somebody is logged in, with its firmware', async () => {
    const marks = 'for n in $(seq 1 60); do echo mark $n; sleep 0.2; done'
    const session = debian.ssh(marks)
    await lab.must('vm', 'migrate', 'web1', '--to', 'h2', '--timeout', '90s')
    const { code, stdout } = await session
    assert.equal(code, 0)
    assert.equal(stdout.match(/^mark \d+$/gm)?.length, 60)
    assert.equal((await lab.guest('web1')).host, 'h2')
    const started = (await lab.events()).filter(({ kind }) => kind === 'guest.started')
    assert.equal(started.length, 1, 'it was started once')
  })

  test('rolled back to a snapshot, it has what was there, and takes the settings that it was given since', async () => {
    await debian.must('echo kept > kept; sync')
    await lab.until('its agent answers', async () => (await lab.run('vm', 'agent', 'ping', 'web1')).code === 0)
    await lab.must('vm', 'snapshot', 'create', 'web1', 's1')
    const { items } = await lab.json<SnapshotsView>('vm', 'snapshot', 'list', 'web1')
    assert.deepEqual(
      items.map(({ name, consistent }) => [name, consistent]),
      [['s1', 'filesystem']],
    )
    await debian.must('rm kept; echo late > late; sync')
    const before = await debian.must('cat /var/lib/cloud/data/instance-id')
    await lab.must(
      ...['vm', 'cloud-init', 'web1', '--cloud-init-user', 'ada', '--ssh-key', `${debian.keyFile}.pub`],
      ...['--ip', '10.66.1.11/16', '--hostname', 'back'],
    )
    await lab.must('vm', 'snapshot', 'rollback', 'web1', 's1', '--timeout', '90s')
    const moved = debian.at('10.66.1.11')
    await moved.booted()
    assert.equal(await moved.must('hostname'), 'back')
    assert.notEqual(await moved.must('cat /var/lib/cloud/data/instance-id'), before)
    assert.equal(await moved.must('cat kept; ls'), 'kept\nkept')
  })
})

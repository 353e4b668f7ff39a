/** Containers as files, as a user has them: dumped while they work, made again under other names, taken over from OpenVZ. */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import {
  createWriteStream,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { after, before, suite, test } from 'node:test'
import { ENDPOINTS } from '@stead/api/endpoints.ts'
import type { BackupView } from '@stead/api/endpoints/backups.ts'
import { FAILURES } from '@stead/core/errors.ts'
import { LabCluster } from './support/lab-cluster.ts'
import { nativeRootCopyTests } from './support/native-root-copy-tests.ts'
import { nativeRootTests } from './support/native-root-tests.ts'

/** Odd names, owners, modes, links; a file that grows all the time. */
const FILL = `
mkdir -p /srv/data && cd /srv/data
printf 'first line' > 'a name with blanks'
printf 'x' > '-rf' && printf 'y' > 'ümlaut*?'
printf 'two\\nlines' > "$(printf 'new\\nline')"
chown 1000:65535 ./-rf && chmod 4751 ./-rf
ln -s '../../nowhere at all' link && ln 'a name with blanks' hard
echo extra > /var/extra/file && chown 7:8 /var/extra/file && ln /var/extra/file /var/extra/hard
mkfifo pipe && mkdir -m 1777 sticky && dd if=/dev/zero of=holes bs=1 count=1 seek=20000000 2>/dev/null
(while true; do date >> /srv/data/growing; sync growing; usleep 20000; done) </dev/null >/dev/null 2>&1 &
`
/** Everything of each file but its time and the ones that change. */
const TELL = `cd /srv/data && for each in * .[!.]*; do
  [ "$each" = growing ] || [ ! -e "$each" -a ! -h "$each" ] || stat -c '%N %f %u %g %h %s' "./$each"; done
  cat 'a name with blanks' ./-rf hard; stat -c '%N %u %g %h' /var/extra/*; cat /var/extra/hard; md5sum holes; wc -c < growing`

suite('dumps of containers', { timeout: 600_000 }, () => {
  const folder = mkdtempSync(join(tmpdir(), 'stead-ctdump-'))
  const path = (name: string) => join(folder, name)
  let lab: LabCluster
  let dumped = ''

  const sh = (name: string, script: string) => lab.must('ct', 'exec', name, '--', 'sh', '-c', script)

  before(async () => {
    lab = await LabCluster.up({ hosts: 2, witness: true, btrfsPool: true })
    await lab.must('template', 'build', 'busybox')
    const limits = ['--processes', '60', '--limit', 'numfile=512:1024', '--nameserver', '192.0.2.53']
    const size = ['--template', 'busybox', '--memory', '64MiB', '--disk', '64MiB', '--mount', '16MiB:/var/extra']
    await lab.must('ct', 'create', 'c1', ...size, ...limits, '--address', '10.77.0.50/24', '--start')
    await sh('c1', FILL)
    dumped = steady(await sh('c1', TELL))
    assert.match(dumped, /-rf 89e9 1000 65535[^]*first line/)
  })
  after(async () => {
    await lab?.down()
    rmSync(folder, { recursive: true, force: true })
  })

  /** What the file that grows had is no matter of comparison. */
  function steady(told: string): string {
    return told.trim().split('\n').slice(0, -1).join('\n')
  }

  for (const mode of ['snapshot', 'suspend', 'stop'])
    test(`${mode}: what is restored is what was there, and the container goes on`, async () => {
      const file = path(`${mode}.tar.zst`)
      assert.match(await lab.must('ct', 'dump', 'c1', file, '--mode', mode), new RegExp(`: ${mode}, `))
      assert.equal(statSync(file).mode & 0o777, 0o600)
      assert.equal((await lab.guest('c1')).state, 'running')
      const { items } = await lab.json<{ items: unknown[] }>('ct', 'snapshot', 'list', 'c1')
      assert.deepEqual(items, [])
      const name = `of-${mode}`
      const restored = await lab.run('ct', 'restore', name, file, '--start')
      assert.equal(restored.code, 0, restored.stderr)
      assert.match(restored.stderr, /addresses are left out, since c1 has one/)
      assert.doesNotMatch(restored.stderr, /not in the dump/)
      assert.equal(steady(await sh(name, TELL)), dumped)
      const made = await lab.guest(name)
      assert.deepEqual(made.container?.limits, (await lab.guest('c1')).container?.limits)
      assert.deepEqual([made.container?.nameservers, made.memoryBytes], [['192.0.2.53'], 64 * 2 ** 20])
      assert.equal(made.nics[0]?.addresses, undefined)
      assert.match(await sh(name, 'df -k /var/extra | tail -1'), /1[3-6]\d{3} /)
      if (mode === 'stop') await sh('c1', FILL)
      await lab.must('ct', 'stop', name, '--force')
      await lab.must('ct', 'delete', name)
    })

  test('a dump is told as an event, and the templates in between are gone', async () => {
    const told = (await lab.events()).filter(({ kind }) => kind === 'guest.dumped')
    assert.deepEqual(
      told.map(({ details }) => details?.['mode']),
      ['snapshot', 'suspend', 'stop'],
    )
    assert.ok(told.every(({ details }) => Number(details?.['sizeBytes']) > 0))
    const items = await lab.json<{ name: string }[]>('template', 'list')
    assert.deepEqual(
      items.map(({ name }) => name),
      ['busybox'],
    )
  })

  test('the cluster holds one for as long as it is asked to: it is restored, fetched and deleted', async () => {
    assert.deepEqual(await lab.json<unknown[]>('backup', 'list'), [], 'what was only fetched is let go')
    await lab.must('project', 'set', 'default', '--backups', '1')
    await lab.must('ct', 'dump', 'c1', '--keep', '2d')
    const [backup = assert.fail()] = await lab.json<BackupView[]>('backup', 'list')
    assert.deepEqual([backup.guest, backup.state, backup.mode], ['c1', 'ready', 'snapshot'])
    const more = await lab.run('ct', 'dump', 'c1', path('more.tar.zst'))
    assert.equal(more.code, FAILURES.quota.exit, more.stderr)
    await lab.must('ct', 'restore', 'kept', '--backup', backup.id, '--start')
    assert.equal(steady(await sh('kept', TELL)), dumped)
    await lab.must('ct', 'stop', 'kept', '--force')
    await lab.must('ct', 'delete', 'kept')
    // Asked of the other host, it comes from the one that has it, and nothing stays there.
    const other = backup.host === 'h1' ? 'h2' : 'h1'
    const fetched = await lab.clientOf([other]).stream(ENDPOINTS['backup.fetch'], { params: { backup: backup.id } })
    assert.ok(fetched.ok)
    await pipeline(fetched.value.body, createWriteStream(path('kept.tar.zst')))
    assert.equal(statSync(path('kept.tar.zst')).size, backup.sizeBytes)
    const files = (host: string) => readdirSync(join(lab.hostFolder(host), 'blobs'))
    const name = backup.blob?.replace(':', '-') ?? ''
    assert.deepEqual([files(backup.host).includes(name), files(other).includes(name)], [true, false])
    await lab.must('backup', 'delete', backup.id)
    await lab.until('its file is gone', async () => !files(backup.host).includes(name))
    await lab.must('project', 'set', 'default', '--backups', 'none')
  })

  test('a file that exists is not overwritten, and nothing half stays', async () => {
    writeFileSync(path('there'), 'mine')
    assert.notEqual((await lab.run('ct', 'dump', 'c1', path('there'))).code, 0)
    assert.notEqual((await lab.run('ct', 'dump', 'c1', path('no folder/x'))).code, 0)
    assert.deepEqual(
      readdirSync(folder).filter((name) => name.endsWith('.part')),
      [],
    )
  })

  test('of OpenVZ: the report first, then a container that runs', async () => {
    const root = path('private/101')
    mkdirSync(root, { recursive: true })
    execFileSync('tar', ['-xf', path('suspend.tar.zst'), '-C', root, '--strip-components=1', 'root'])
    rmSync(join(root, 'srv/data/pipe'))
    execFileSync('tar', ['-czf', path('101.tar.gz'), '--numeric-owner', '-C', path('private'), '101'])
    const conf = [
      'ONBOOT="yes"',
      'PHYSPAGES="0:64M"',
      'SWAPPAGES="0:0"',
      'NUMPROC="80:80"',
      'KMEMSIZE="14372700:14790164"',
      'DISKSPACE="65536:65536"',
      'HOSTNAME="Shop.example.org"',
      'IP_ADDRESS="10.77.0.60/24"',
      'FEATURES="nfs:on"',
      'NAME="shop\u001B[31m"',
    ]
    writeFileSync(path('101.conf'), `${conf.join('\n')}\n`)
    const source = [path('101.conf'), '--root', path('101.tar.gz'), '--name', 'shop']
    const report = await lab.must('ct', 'import', ...source, '--dry-run')
    assert.match(report, /Changed its meaning:\n[^]*KMEMSIZE \(line 5\)[^]*Left out:\n[^]*FEATURES[^]*Nothing was made/)
    assert.ok(!report.includes('\u001B'))
    assert.equal((await lab.run('ct', 'show', 'shop')).code, FAILURES.not_found.exit)
    const made = await lab.run('ct', 'import', ...source, '--start')
    assert.equal(made.code, 0, made.stderr)
    assert.match(made.stderr, /Taken over:[^]*NUMPROC/)
    assert.match(await sh('shop', 'hostname; cat "/srv/data/a name with blanks"'), /shop.example.org\nfirst line/)
    const { nics, container } = await lab.guest('shop')
    assert.deepEqual([nics[0]?.addresses, container?.limits['numproc']], [['10.77.0.60/24'], { limit: 80 }])
  })

  test('hostile dumps are refused, and leave nothing', async () => {
    const settings = JSON.stringify({ version: 1, name: '../x', limits: { numproc: { limit: -1 } } })
    mkdirSync(path('bad/stead'), { recursive: true })
    writeFileSync(path('bad/stead/guest.json'), settings)
    execFileSync('tar', ['-cf', path('bad.tar'), '-C', path('bad'), 'stead/guest.json'])
    const refused = await lab.run('ct', 'restore', 'bad', path('bad.tar'))
    assert.equal(refused.code, FAILURES.invalid_image.exit, refused.stderr)
    execFileSync('tar', ['-xf', path('suspend.tar.zst'), '-C', path('bad')])
    mkdirSync(path('bad/root/etc'), { recursive: true })
    writeFileSync(path('bad/root/etc/evil'), 'x')
    const escape = ['--transform', 's,^root/etc/evil,root/../../../../etc/evil,', '-P']
    execFileSync('tar', ['-cf', path('bad.tar'), ...escape, '-C', path('bad'), 'stead/guest.json', 'root'])
    const hostile = await lab.run('ct', 'restore', 'bad', path('bad.tar'))
    assert.equal(hostile.code, FAILURES.invalid_image.exit, hostile.stderr)
    assert.ok(!existsSync('/etc/evil'))
    assert.equal((await lab.run('ct', 'show', 'bad')).code, FAILURES.not_found.exit)
    const items = await lab.json<unknown[]>('template', 'list')
    assert.equal(items.length, 1)
  })

  nativeRootTests(() => lab)
  nativeRootCopyTests(() => lab)
})

/** Templates of containers as a user makes them, and the smallest one as a container would run it. */
import assert from 'node:assert/strict'
import { execFile, execFileSync } from 'node:child_process'
import { chmodSync, globSync, mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, suite, test } from 'node:test'
import type { BlobId } from '@stead/core/model/ids.ts'
import { FAILURES } from '@stead/core/errors.ts'
import { ok } from '@stead/core/result.ts'
import { importRootArchive } from '@stead/agent/images/root-archive.ts'
import { buildBusyboxRoot } from '@stead/cli/template-build/busybox-root.ts'
import { LabCluster } from './support/lab-cluster.ts'

const RUN_MS_MAX = 120_000

suite('templates of containers', { timeout: 600_000 }, () => {
  const folder = mkdtempSync(join(tmpdir(), 'stead-template-'))
  const path = (name: string) => join(folder, name)
  let lab: LabCluster
  let archive: string

  before(async () => {
    chmodSync(folder, 0o711)
    for (const name of ['build', 'work', 'mnt']) mkdirSync(path(name), { mode: 0o711 })
    archive = await buildBusyboxRoot(path('build'), AbortSignal.timeout(RUN_MS_MAX))
    lab = await LabCluster.up({ hosts: 2 })
  })
  after(async () => {
    await lab?.down()
    rmSync(folder, { recursive: true, force: true })
  })

  test('the template of BusyBox starts, and halts and restarts on the signals that it names', async () => {
    const made = await importRootArchive(
      {
        ...{ workFolder: path('work'), reserveBytes: 0 },
        keep: async (from) => (renameSync(from, path('root.ext4')), ok()),
      },
      { path: archive, source: 'sha256:0' as BlobId, bytesMax: 2 ** 30, filesMax: 10_000 },
    )
    assert.ok(made.ok, made.ok ? '' : made.error.message)
    const { facts, disk } = made.value
    assert.match(facts.os, /^BusyBox \d/)
    assert.deepEqual(facts.system, { init: ['/sbin/init'], haltSignal: 'SIGUSR1' })
    assert.ok(disk.virtualSizeBytes < 16 * 2 ** 20, `${disk.virtualSizeBytes}`)
    execFileSync('e2fsck', ['-fn', path('root.ext4')], { stdio: 'ignore' })
    // Seen by who waits for it: an init that halts its namespace ends by SIGINT, one that restarts it by SIGHUP.
    assert.equal(await endOfInit(facts.system.haltSignal.slice(3)), 'SIGINT')
    assert.equal(await endOfInit('TERM'), 'SIGHUP')
  })

  test('signatures: by a trusted key, of this very file, and none where they are demanded', async () => {
    const key = path('key')
    execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', key])
    const sign = (file: string) => {
      execFileSync('ssh-keygen', ['-q', '-Y', 'sign', '-f', key, '-n', 'stead-template', file])
      return ['--signature', `${file}.sig`]
    }
    const signed = sign(archive)
    const unknown = await lab.run('template', 'import', archive, 'signed', ...signed)
    assert.equal(unknown.code, FAILURES.invalid_image.exit)
    assert.match(unknown.stderr, /key that is not trusted here: ssh-ed25519/)
    await lab.must('template', 'key', 'add', 'me', `${key}.pub`)
    assert.match(await lab.must('template', 'key', 'list'), /^me +ssh-ed25519 AAAA/m)
    await lab.must('policy', 'set', '--template-signatures', 'demanded')
    const missing = await lab.run('template', 'import', archive, 'signed')
    assert.match(missing.stderr, /takes no archive without a signature/)
    writeFileSync(path('other'), 'another file')
    const others = await lab.run('template', 'import', archive, 'signed', ...sign(path('other')))
    assert.equal(others.code, FAILURES.invalid_image.exit)
    assert.match(others.stderr, /not the one that me has signed/)
    await lab.must('template', 'import', archive, 'signed', '--version', '1', ...signed)
    assert.match(await lab.must('template', 'show', 'signed'), /^Signed by: +me$/m)
    await lab.must('template', 'key', 'remove', 'me')
    assert.equal((await lab.run('template', 'import', archive, 'signed', ...signed)).code, FAILURES.invalid_image.exit)
    await lab.must('policy', 'set', '--template-signatures', 'optional')
    await lab.must('template', 'delete', 'signed@1')
  })

  /** In namespaces of the test's own, as a container has them; the host name tells that the start script was run. */
  function endOfInit(signal: string): Promise<unknown> {
    const root = path('mnt')
    const script = [
      `mount -o loop ${path('root.ext4')} ${root}`,
      `mount -t proc none ${root}/proc`,
      `mount -t tmpfs none ${root}/dev`,
      `for each in null console; do touch ${root}/dev/$each; mount --bind /dev/null ${root}/dev/$each; done`,
      `(for second in $(seq 60); do [ "$(hostname)" = busybox ] && kill -${signal} 1; sleep 1; done) &`,
      `exec chroot ${root} /sbin/init`,
    ].join('\n')
    const args = ['--mount', '--pid', '--fork', '--kill-child', '--net', '--uts', '--ipc', 'sh', '-ec', script]
    return new Promise((resolve) => {
      execFile('unshare', args, { timeout: RUN_MS_MAX, killSignal: 'SIGKILL' }, (error, _stdout, stderr) =>
        resolve(error?.signal ?? `${error?.code}: ${stderr}`),
      )
    })
  }

  test('one is imported, listed, shown and deleted, and lies on the hosts as an image', async () => {
    assert.match(await lab.must('template', 'import', archive, 'tiny', '--version', '1'), /^template tiny@1 imported/)
    assert.match(await lab.must('template', 'list'), /tiny +1 \* +BusyBox/)
    assert.match(await lab.must('template', 'show', 'tiny'), /Init: +\/sbin\/init\n[^]*\(root\)/)
    assert.match(await lab.must('image', 'list'), /tiny@1 +root/)
    await lab.must('template', 'delete', 'tiny@1')
    assert.equal((await lab.run('template', 'show', 'tiny')).code, FAILURES.not_found.exit)
  })

  test('one is built by its name', async () => {
    await lab.must('template', 'build', 'busybox')
    const template = await lab.json<{ name: string; architecture: string }>('template', 'show', 'busybox')
    assert.deepEqual([template.name, template.architecture], ['busybox', 'amd64'])
  })

  test('what is no root file system is refused with a reason, and nothing stays', async () => {
    const refused = await lab.run('template', 'import', '/bin/busybox', 'x')
    assert.equal(refused.code, FAILURES.invalid_image.exit)
    assert.match(refused.stderr, /it is no tar/)
    const held = globSync('**/imports/*', { cwd: lab.env['STEAD_LAB_ROOT'] ?? '' })
    assert.deepEqual(held, [])
  })
})

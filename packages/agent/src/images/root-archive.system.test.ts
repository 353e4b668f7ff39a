/** Archives of root file systems, sound and hostile, unpacked and written as on a host (root, namespaces). */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import type { BlobId } from '@stead/core/model/ids.ts'
import { ok } from '@stead/core/result.ts'
import { importRootArchive, type ImportedRoot, type RootRequest } from './root-archive.ts'
import { folder, tarOf, type Member } from './tar-fixture.ts'

const MIB = 2 ** 20
const SOURCE = `sha256:${'0'.repeat(64)}` as BlobId
const BUSYBOX = readFileSync('/bin/busybox')

/** A whole system of two megabytes. */
const SYSTEM: readonly Member[] = [
  folder('./'),
  folder('./bin'),
  folder('./sbin'),
  folder('./etc'),
  { name: './bin/busybox', content: BUSYBOX, mode: 0o755 },
  { name: './bin/sh', type: '1', target: './bin/busybox', mode: 0o755 },
  { name: './sbin/init', type: '2', target: '/bin/busybox' },
  { name: './etc/os-release', content: 'ID=tiny\nVERSION_ID="1.2"\nPRETTY_NAME="Tiny \x1b[31mLinux"\n' },
]

describe('an archive of a root file system', () => {
  let work: string
  const path = (name: string) => join(work, name)
  const kept = (root: ImportedRoot) => path(`kept/${root.disk.blob.slice(7)}`)
  const take = (file: string, more: Partial<RootRequest> = {}) =>
    importRootArchive(
      {
        workFolder: path('work'),
        reserveBytes: 0,
        keep: async (from, blob) => {
          renameSync(from, path(`kept/${blob.slice(7)}`))
          return ok()
        },
      },
      { path: file, source: SOURCE, bytesMax: 64 * MIB, filesMax: 1_000, ...more },
    )
  const file = (name: string, members: readonly Member[]) => {
    writeFileSync(path(name), tarOf(members))
    return path(name)
  }
  const taken = async (archive: string, more: Partial<RootRequest> = {}) => {
    const answer = await take(archive, more)
    assert.ok(answer.ok, answer.ok ? '' : `${answer.error.message} ${JSON.stringify(answer.error.cause)}`)
    assert.deepEqual(readdirSync(path('work')), [])
    execFileSync('e2fsck', ['-fn', kept(answer.value)], { stdio: 'ignore' })
    return answer.value
  }
  const refused = async (archive: string, why: RegExp, more: Partial<RootRequest> = {}, code = 'invalid_image') => {
    const answer = await take(archive, more)
    assert.ok(!answer.ok, `${archive} was taken`)
    assert.match(answer.error.message, why)
    assert.equal(answer.error.code, code)
    assert.deepEqual(readdirSync(path('work')), [])
  }
  const debugfs = (image: string, command: string) =>
    execFileSync('debugfs', ['-R', command, image], { stdio: ['ignore', 'pipe', 'ignore'] }).toString()

  before(() => {
    work = mkdtempSync(join(tmpdir(), 'stead-root-'))
    chmodSync(work, 0o711)
    for (const each of ['work', 'kept']) mkdirSync(path(each), { mode: 0o711 })
  })
  after(() => rmSync(work, { recursive: true, force: true }))

  it('becomes a small file system that can be mounted and whose programs run', async () => {
    const root = await taken(file('system.tar', SYSTEM))
    assert.ok(root.disk.virtualSizeBytes <= 12 * MIB, `${root.disk.virtualSizeBytes}`)
    assert.deepEqual(
      { ...root.facts, contentBytes: 0 },
      {
        system: { init: ['/sbin/init'], haltSignal: 'SIGUSR1' },
        os: 'Tiny [31mLinux',
        architecture: 'amd64',
        form: 'root',
        sourceDigest: SOURCE.slice(7),
        files: 6,
        contentBytes: 0,
      },
    )
    mkdirSync(path('mnt'))
    const script = `mount -o loop ${kept(root)} ${path('mnt')} && chroot ${path('mnt')} /bin/sh -c 'echo from inside'`
    const said = execFileSync('unshare', ['--mount', 'sh', '-c', script], { timeout: 60_000 }).toString()
    assert.equal(said, 'from inside\n')
  })

  it('keeps owners, modes, links, attributes and holes', async () => {
    const root = await taken(
      file('owners.tar', [
        ...SYSTEM,
        { name: 'etc/last', content: 'x', uid: 65_535, gid: 65_535, mode: 0o4755 },
        { name: 'etc/first', content: 'x', uid: 33, gid: 4, mode: 0o640 },
        { name: 'etc/out', type: '2', target: '../../../../etc/shadow' },
        {
          name: 'bin/ping',
          content: 'x',
          mode: 0o755,
          pax: { 'SCHILY.xattr.user.note': 'kept', 'SCHILY.xattr.security.selinux': 'not kept' },
        },
        { name: 'etc/queue', type: '6' },
      ]),
    )
    assert.match(debugfs(kept(root), 'stat /etc/last'), /Mode: +04755[^]*User: 65535 +Group: 65535/)
    assert.match(debugfs(kept(root), 'stat /etc/first'), /Mode: +0640[^]*User: +33 +Group: +4/)
    assert.match(debugfs(kept(root), 'stat /etc/out'), /Fast link dest: "\.\.\/\.\.\/\.\.\/\.\.\/etc\/shadow"/)
    assert.match(debugfs(kept(root), 'stat /bin/sh'), /Links: 2/)
    assert.match(debugfs(kept(root), 'stat /etc/queue'), /Type: FIFO/)
    assert.match(debugfs(kept(root), 'ea_list /bin/ping'), /user\.note \(4\) = "kept"/)
    assert.doesNotMatch(debugfs(kept(root), 'ea_list /bin/ping'), /selinux/)
  })

  it('keeps the capabilities of programs as a container sees them, and holes of files', async () => {
    const tree = path('tree')
    mkdirSync(join(tree, 'bin'), { recursive: true })
    writeFileSync(join(tree, 'bin/busybox'), BUSYBOX, { mode: 0o755 })
    execFileSync('setcap', ['cap_net_raw+ep', join(tree, 'bin/busybox')])
    execFileSync('truncate', ['-s', '32M', join(tree, 'holes')])
    const archive = path('tree.tar')
    execFileSync('tar', ['-C', tree, '--xattrs', '--xattrs-include=*', '--sparse', '-cf', archive, '.'])
    const root = await taken(archive, { init: ['/bin/busybox', 'init'] })
    // Version 2 of the attribute: of no user namespace in particular.
    assert.match(debugfs(kept(root), 'ea_get -x /bin/busybox security.capability'), /= 01 00 00 02 00 20 /)
    assert.match(debugfs(kept(root), 'stat /holes'), /Size: 33554432[^]*Blockcount: 0\b/)
    assert.ok(root.disk.virtualSizeBytes < 16 * MIB)
    assert.deepEqual(root.facts.system, { init: ['/bin/busybox', 'init'], haltSignal: 'SIGTERM' })
  })

  for (const [ending, command] of [
    ['gz', ['gzip', '-c']],
    ['xz', ['xz', '-0', '-c']],
    ['zst', ['zstd', '-qc']],
  ] as const) {
    it(`is read when packed as .${ending}, and refused when that is damaged`, async () => {
      const packed = execFileSync(command[0], command.slice(1), { input: tarOf(SYSTEM), maxBuffer: 16 * MIB })
      writeFileSync(path(`system.tar.${ending}`), packed)
      await taken(path(`system.tar.${ending}`))
      writeFileSync(path(`short.tar.${ending}`), packed.subarray(0, packed.length - 5))
      await refused(path(`short.tar.${ending}`), /cut off|damaged/)
    })
  }

  it('is read to its end, however much of nothing follows the last member', async () => {
    writeFileSync(path('padded.tar'), Buffer.concat([tarOf(SYSTEM), Buffer.alloc(15 * MIB)]))
    await taken(path('padded.tar'))
  })

  describe('is refused', () => {
    const hostile: readonly (readonly [what: string, members: readonly Member[], why: RegExp])[] = [
      ['with an absolute path', [{ name: '/etc/passwd', content: 'x' }], /"\/etc\/passwd" names an absolute path/],
      ['with a path out of it', [{ name: 'a/../../x', content: 'x' }], /names a path out of it/],
      ['with a path out of it in a pax header', [{ name: 'x', pax: { path: '../x' } }], /names a path out of it/],
      ['with a hard link out of it', [{ name: 'x', type: '1', target: '../../etc/shadow' }], /names a path out of it/],
      ['with a hard link to an absolute path', [{ name: 'x', type: '1', target: '/etc/shadow' }], /an absolute path/],
      ['with a hard link to nothing', [{ name: 'x', type: '1', target: 'etc/none' }], /hard link to "etc\/none"/],
      [
        'with a file behind a link',
        [
          { name: 'etc/out', type: '2', target: '/tmp' },
          { name: 'etc/out/x', content: 'x' },
        ],
        /"etc\/out\/x" lies behind the symbolic link "etc\/out"/,
      ],
      [
        'with a file below a file',
        [
          { name: 'etc/a', content: 'x' },
          { name: 'etc/a/b', content: 'x' },
        ],
        /which is no folder/,
      ],
      ['with a disk', [{ name: 'sda', type: '4', device: [8, 0] }], /"sda" is a device/],
      ['with memory', [{ name: 'etc/mem', type: '3', device: [1, 1] }], /is a device/],
      ['with an id that no container has', [{ name: 'x', uid: 65_536 }], /belongs to the id 65536/],
      ['with a group that no container has', [{ name: 'x', pax: { gid: '4294967295' } }], /the id 4294967295/],
      ['with a type that is not known', [{ name: 'x', type: 'M' }], /has the type "M"/],
      ['with a global header that renames', [{ name: 'x', type: 'g', content: '11 path=/x\n' }], /sets path of all/],
      ['with a name that is too long', [{ name: 'x', pax: { path: 'x'.repeat(256) } }], /is no path of Linux/],
      ['without an init', SYSTEM.filter(({ name }) => name !== './sbin/init'), /there is no init/],
      ['without a system', [folder('a'), folder('b')], /holds no root file system/],
      ['of a ploop disk', [folder('101/root.hdd'), { name: '101/root.hdd/root.hds', content: 'x' }], /ploop/],
    ]
    for (const [what, members, why] of hostile) {
      const whole = what.startsWith('with ') ? [...SYSTEM, ...members] : members
      it(what, () => refused(file('hostile.tar', whole), why))
    }

    it('with more files or bytes than agreed, before they are unpacked', async () => {
      await refused(file('many.tar', SYSTEM), /more than 3 files/, { filesMax: 3 })
      await refused(file('large.tar', SYSTEM), /larger than 1048576 bytes/, { bytesMax: MIB })
      const sparse = { name: 'holes', pax: { 'GNU.sparse.major': '1', 'GNU.sparse.realsize': '99999999999' } }
      await refused(file('sparse.tar', [...SYSTEM, sparse]), /makes it larger/)
      const bomb = execFileSync('sh', ['-c', 'truncate -s 256M bomb && tar -c bomb | zstd -q; rm bomb'], { cwd: work })
      writeFileSync(path('bomb.tar.zst'), bomb)
      assert.ok(bomb.length < MIB)
      await refused(path('bomb.tar.zst'), /makes it larger/)
    })

    it('when it is empty, cut off, damaged, or something else', async () => {
      writeFileSync(path('empty'), '')
      await refused(path('empty'), /is empty/)
      writeFileSync(path('zeros'), Buffer.alloc(4096))
      await refused(path('zeros'), /it is empty/)
      writeFileSync(path('text'), 'no tar'.repeat(200))
      await refused(path('text'), /it is no tar/)
      const sound = tarOf(SYSTEM)
      writeFileSync(path('short'), sound.subarray(0, 100_000))
      await refused(path('short'), /cut off/)
      const damaged = Buffer.from(sound)
      damaged.write('9', 512 * 1 + 3)
      writeFileSync(path('damaged'), damaged)
      await refused(path('damaged'), /damaged/)
      await refused(file('cut', [{ name: 'x', content: 'x', said: 5_000 }]), /cut off/)
    })

    it('when there is no room, in the middle too, and nothing is left', async () => {
      const small = mkdtempSync(join(tmpdir(), 'stead-full-'))
      const fixture = join(import.meta.dirname, 'full-disk-fixture.ts')
      const script = `mount -t tmpfs -o size=1m none ${small} && exec ${process.execPath} ${fixture} ${file('f.tar', SYSTEM)} ${small} root`
      try {
        const said = execFileSync('unshare', ['--mount', 'sh', '-c', script], { timeout: 60_000 }).toString()
        assert.deepEqual(JSON.parse(said), { code: 'no_capacity', left: [] })
      } finally {
        rmSync(small, { recursive: true, force: true })
      }
    })
  })

  it('loses the devices that every container has anyway, and says which', async () => {
    const root = await taken(
      file('devices.tar', [
        ...SYSTEM,
        folder('dev'),
        { name: 'dev/ploop1', type: '4', device: [182, 1] },
        { name: 'dev/again', type: '1', target: 'dev/ploop1' },
        { name: 'etc/null', type: '3', device: [1, 3] },
      ]),
    )
    assert.deepEqual(root.leftOut, ['dev/ploop1', 'dev/again', 'etc/null'])
    assert.match(debugfs(kept(root), 'ls /dev'), /^ *\d+ +\(12\) \. +2 +\(\d+\) \.\. *\n*$/)
  })

  it('of a container of OpenVZ or Proxmox is known by its configuration, which comes with it', async () => {
    const within = (prefix: string) => SYSTEM.map((each) => ({ ...each, name: each.name.replace('./', prefix) }))
    const proxmox = await taken(
      file('vzdump.tar', [
        ...SYSTEM,
        folder('./etc/vzdump'),
        { name: './etc/vzdump/pct.conf', content: 'arch: amd64\n' },
      ]),
    )
    assert.deepEqual([proxmox.facts.form, proxmox.config], ['proxmox', 'arch: amd64\n'])
    const dumped = await taken(
      file('vps.tar', [
        ...SYSTEM,
        folder('./etc/vzdump'),
        { name: './etc/vzdump/vps.conf', content: 'CPUUNITS="1000"\n' },
      ]),
    )
    assert.deepEqual([dumped.facts.form, dumped.config], ['openvz', 'CPUUNITS="1000"\n'])
    const area = await taken(
      file('private.tar', [
        folder('private'),
        ...within('private/101/').map((each) =>
          each.type === '1' ? { ...each, target: 'private/101/bin/busybox' } : each,
        ),
      ]),
    )
    assert.deepEqual([area.facts.form, area.facts.architecture], ['openvz', 'amd64'])
    assert.match(debugfs(kept(area), 'stat /bin/sh'), /Links: 2/)
  })

  describe('of an application', () => {
    const layers = {
      base: [
        ...SYSTEM,
        folder('data'),
        { name: 'data/old', content: 'x' },
        folder('gone'),
        { name: 'gone/x', content: 'x' },
      ],
      middle: [{ name: '.wh.gone' }, folder('data'), { name: 'data/.wh..wh..opq' }, { name: 'data/new', content: 'x' }],
      top: [
        { name: 'data', type: '2', target: 'etc' },
        { name: 'sh2', type: '1', target: 'bin/sh' },
      ],
    }
    const config = JSON.stringify({
      config: {
        Entrypoint: ['/bin/sh'],
        Cmd: ['-c', 'exec app'],
        Env: ['A=1'],
        WorkingDir: '/data',
        StopSignal: 'SIGQUIT',
      },
    })
    const digestOf = (content: Buffer | string) => createHash('sha256').update(content).digest('hex')

    it('is its layers one over the other, and its command the init', async () => {
      const root = await taken(
        file('docker.tar', [
          {
            name: 'manifest.json',
            content: JSON.stringify([{ Config: 'c.json', Layers: ['1.tar', '2.tar', '3.tar'] }]),
          },
          { name: 'c.json', content: config },
          ...Object.values(layers).map((members, index) => ({ name: `${index + 1}.tar`, content: tarOf(members) })),
        ]),
      )
      assert.deepEqual(root.facts.system, {
        init: ['/bin/sh', '-c', 'exec app'],
        haltSignal: 'SIGQUIT',
        process: { environment: ['A=1'], folder: '/data' },
      })
      assert.deepEqual(root.facts.process, { environment: ['A=1'], folder: '/data' })
      assert.equal(root.facts.form, 'oci')
      assert.match(debugfs(kept(root), 'stat /data'), /Type: symlink/)
      assert.match(debugfs(kept(root), 'stat /sh2'), /Links: 3/)
      assert.doesNotMatch(debugfs(kept(root), 'ls /'), /gone|\.wh/)
    })

    it('is found by an OCI index, its layers checked by their digests', async () => {
      const blobs = new Map<string, Buffer | string>()
      const add = (content: Buffer | string) => {
        blobs.set(digestOf(content), content)
        return { digest: `sha256:${digestOf(content)}` }
      }
      const manifest = add(
        JSON.stringify({ config: add(config), layers: [layers.base, layers.middle].map((each) => add(tarOf(each))) }),
      )
      const archive = (damage: boolean) => [
        { name: 'oci-layout', content: '{}' },
        { name: 'index.json', content: JSON.stringify({ manifests: [manifest] }) },
        ...[...blobs].map(([digest, content]) => ({
          name: `blobs/sha256/${digest}`,
          content: damage && content.length > MIB ? Buffer.concat([Buffer.from(content), Buffer.alloc(512)]) : content,
        })),
      ]
      const root = await taken(file('oci.tar', archive(false)))
      assert.match(debugfs(kept(root), 'ls /data'), /new/)
      assert.doesNotMatch(debugfs(kept(root), 'ls /data'), /old|\.wh/)
      await refused(file('oci-damaged.tar', archive(true)), /is damaged/)
    })

    it('is refused when a layer reaches out, or takes away what is not below it', async () => {
      const image = (members: readonly Member[]) =>
        file('layer.tar', [
          { name: 'manifest.json', content: JSON.stringify([{ Config: 'c.json', Layers: ['1', '2'] }]) },
          { name: 'c.json', content: config },
          { name: '1', content: tarOf(SYSTEM) },
          { name: '2', content: tarOf(members) },
        ])
      await refused(image([{ name: '../.wh.x' }]), /names a path out of it/)
      await refused(image([{ name: '.wh...' }]), /takes no file away/)
      await refused(image([{ name: 'sbin/init/x', content: 'x' }]), /behind the symbolic link/)
      await refused(
        file('outside.tar', [
          { name: 'manifest.json', content: JSON.stringify([{ Config: 'c.json', Layers: ['../../etc/passwd'] }]) },
          { name: 'c.json', content: config },
        ]),
        /is not in it/,
      )
    })
  })
})

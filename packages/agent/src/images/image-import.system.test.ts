/** Images of every format, sound and hostile, through the real qemu-img, confined as on a host. */
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
import { ok } from '@stead/core/result.ts'
import { ImageImporter, type ImportRequest } from './image-import.ts'

const MIB = 2 ** 20
const SIZE = 4 * MIB
const NOBODY = { uid: 65534, gid: 65534 }

describe('the import of an image', () => {
  let folder: string
  let importer: ImageImporter
  const path = (name: string) => join(folder, name)
  const qemuImg = (...args: string[]) =>
    execFileSync('qemu-img', args, { stdio: ['ignore', 'pipe', 'pipe'] }).toString()
  const take = (file: string, format: ImportRequest['format'], virtualSizeMax = 64 * MIB) =>
    importer.import({ path: file, format, virtualSizeMax })
  /** Refused with a message that says why, and nothing is left of the attempt. */
  const refused = async (file: string, format: ImportRequest['format'], why: RegExp, code = 'invalid_image') => {
    const answer = await take(file, format)
    assert.ok(!answer.ok, `${file} was taken`)
    assert.equal(answer.error.code, code, answer.error.message)
    assert.match(answer.error.message, why)
    assert.deepEqual(readdirSync(path('work')), [])
  }
  /** A file with a pattern, as another format. */
  const made = (name: string, format: string, ...options: string[]) => {
    qemuImg(
      'convert',
      '-f',
      'raw',
      '-O',
      format,
      ...options.flatMap((option) => ['-o', option]),
      path('source'),
      path(name),
    )
    return path(name)
  }
  const changed = (name: string, from: string, change: (content: Buffer) => void) => {
    const content = readFileSync(from)
    change(content)
    writeFileSync(path(name), content)
    return path(name)
  }

  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'stead-import-'))
    chmodSync(folder, 0o711)
    const pattern = Buffer.alloc(SIZE)
    pattern.fill('stead', MIB, 2 * MIB)
    writeFileSync(path('source'), pattern)
    mkdirSync(path('kept'))
    importer = new ImageImporter({
      workFolder: path('work'),
      user: NOBODY,
      keep: async (from, blob) => {
        renameSync(from, path(`kept/${blob.slice(7)}`))
        return ok()
      },
    })
    await importer.clean()
  })
  after(() => rmSync(folder, { recursive: true, force: true }))

  it('makes the same disk of raw, qcow2, VMDK and VHDX', async () => {
    const files = [
      ['raw', path('source')],
      ['qcow2', made('sound.qcow2', 'qcow2')],
      ['qcow2', made('old.qcow2', 'qcow2', 'compat=0.10')],
      ['vmdk', made('sound.vmdk', 'vmdk', 'subformat=monolithicSparse')],
      ['vmdk', made('stream.vmdk', 'vmdk', 'subformat=streamOptimized')],
      ['vhdx', made('sound.vhdx', 'vhdx')],
    ] as const
    for (const [format, file] of files) {
      const taken = await take(file, format)
      assert.ok(taken.ok, `${file}: ${taken.ok ? '' : taken.error.message}`)
      const [disk] = taken.value.disks
      assert.deepEqual([taken.value.kind, disk?.format, disk?.virtualSizeBytes], ['disk', 'qcow2', SIZE])
      const kept = path(`kept/${disk?.blob.slice(7)}`)
      assert.equal(`sha256:${createHash('sha256').update(readFileSync(kept)).digest('hex')}`, disk?.blob)
      qemuImg('compare', '-f', 'raw', '-F', 'qcow2', path('source'), kept)
    }
  })

  it('refuses a file that is not what it is said to be', async () => {
    await refused(made('sound.qcow2', 'qcow2'), 'raw', /said to be raw, but its content is qcow2/)
    await refused(path('source'), 'vmdk', /said to be vmdk, but it is not/)
    await refused(made('a.vdi', 'vdi'), 'raw', /content is vdi/)
  })

  it('refuses qcow2 that names another file: a backing file, its data, or both in disguise', async () => {
    qemuImg('create', '-q', '-f', 'qcow2', '-b', '/etc/shadow', '-F', 'raw', '-u', path('backed.qcow2'), '4M')
    await refused(path('backed.qcow2'), 'qcow2', /backing file/)
    qemuImg('create', '-q', '-f', 'qcow2', '-o', `data_file=${path('data')},data_file_raw=on`, path('data.qcow2'), '4M')
    await refused(path('data.qcow2'), 'qcow2', /another file/)
  })

  it('refuses an encrypted image, a huge one, a damaged one and one that is cut off', async () => {
    const locked = changed('luks.qcow2', made('open.qcow2', 'qcow2'), (content) => content.writeUInt32BE(2, 32))
    await refused(locked, 'qcow2', /encrypted/)
    qemuImg('create', '-q', '-f', 'qcow2', path('huge.qcow2'), '1P')
    await refused(path('huge.qcow2'), 'qcow2', /largest pool/)
    const sound = made('whole.qcow2', 'qcow2')
    const damaged = changed('damaged.qcow2', sound, (content) => {
      content.writeBigUInt64BE(0x8000_0000_ffff_0000n, Number(content.readBigUInt64BE(40)))
    })
    await refused(damaged, 'qcow2', /./)
    writeFileSync(path('short.qcow2'), readFileSync(sound).subarray(0, 65_536))
    await refused(path('short.qcow2'), 'qcow2', /cut off/)
    const stream = readFileSync(made('stream2.vmdk', 'vmdk', 'subformat=monolithicSparse'))
    writeFileSync(path('short.vmdk'), stream.subarray(0, 128 * 1024))
    await refused(path('short.vmdk'), 'vmdk', /./)
  })

  it('refuses VMDK that describes other files, is a difference, or names a path', async () => {
    const text =
      '# Disk DescriptorFile\nversion=1\nCID=1\nparentCID=ffffffff\ncreateType="monolithicFlat"\nRW 8 FLAT "/etc/shadow" 0\n'
    writeFileSync(path('descriptor.vmdk'), text)
    await refused(path('descriptor.vmdk'), 'vmdk', /only describes other files/)
    const sound = made('kdmv.vmdk', 'vmdk', 'subformat=monolithicSparse')
    const replaced = (name: string, from: string, to: string) =>
      changed(name, sound, (content) => {
        const at = content.indexOf(from)
        assert.ok(at > 0, from)
        content.write(to.padEnd(from.length), at, 'latin1')
      })
    await refused(
      replaced('type.vmdk', 'createType="monolithicSparse"', 'createType="vmfs"'),
      'vmdk',
      /not whole in one file/,
    )
    await refused(replaced('parent.vmdk', 'parentCID=ffffffff', 'parentCID=12345678'), 'vmdk', /differs from another/)
    await refused(replaced('path.vmdk', '"kdmv.vmdk"', '"/etc/pass"'), 'vmdk', /names a path/)
    await refused(
      changed('capacity.vmdk', sound, (content) => content.fill(0, 12, 20)),
      'vmdk',
      /only describes/,
    )
  })

  it('undoes everything when the disk is full in the middle', async () => {
    const small = mkdtempSync(join(tmpdir(), 'stead-full-'))
    const script = `mount -t tmpfs -o size=1m none ${small} && exec ${process.execPath} ${join(import.meta.dirname, 'full-disk-fixture.ts')} ${path('source')} ${small}`
    try {
      const said = execFileSync('unshare', ['--mount', 'sh', '-c', script], { timeout: 60_000 }).toString()
      assert.deepEqual(JSON.parse(said), { code: 'no_capacity', left: [] })
    } finally {
      rmSync(small, { recursive: true, force: true })
    }
  })

  describe('of an OVA', () => {
    const ovf = (href: string, more = '') => `<?xml version="1.0"?>
<Envelope xmlns="http://schemas.dmtf.org/ovf/envelope/1" xmlns:ovf="http://schemas.dmtf.org/ovf/envelope/1" xmlns:rasd="r">
 <References><File ovf:id="f1" ovf:href="${href}"/></References>
 <DiskSection><Disk ovf:diskId="d1" ovf:fileRef="f1" ovf:capacity="4194304"/></DiskSection>
 <VirtualSystem ovf:id="m"><VirtualHardwareSection>
  <Item><rasd:ResourceType>3</rasd:ResourceType><rasd:VirtualQuantity>2</rasd:VirtualQuantity></Item>
  <Item><rasd:AllocationUnits>byte * 2^20</rasd:AllocationUnits><rasd:ResourceType>4</rasd:ResourceType><rasd:VirtualQuantity>512</rasd:VirtualQuantity></Item>
  <Item><rasd:HostResource>ovf:/disk/d1</rasd:HostResource><rasd:ResourceType>17</rasd:ResourceType></Item>
 </VirtualHardwareSection></VirtualSystem>${more}
</Envelope>`
    /** Files in a tar, in this order; `tar` gets further arguments. */
    const ova = (name: string, files: Readonly<Record<string, Buffer | string>>, ...args: string[]) => {
      const source = mkdtempSync(join(folder, 'ova-'))
      for (const [file, content] of Object.entries(files)) writeFileSync(join(source, file), content)
      execFileSync('tar', ['-P', '--format=ustar', '-cf', path(name), '-C', source, ...args, ...Object.keys(files)])
      return path(name)
    }
    const disk = () => readFileSync(made('disk.vmdk', 'vmdk', 'subformat=streamOptimized'))

    it('takes the disks where they lie, and memory and processors', async () => {
      const content = disk()
      const sha = createHash('sha256').update(content).digest('hex')
      const file = ova('sound.ova', { 'm.ovf': ovf('d.vmdk'), 'm.mf': `SHA256(d.vmdk)= ${sha}\n`, 'd.vmdk': content })
      const taken = await take(file, 'ova')
      assert.ok(taken.ok, taken.ok ? '' : taken.error.message)
      assert.deepEqual(taken.value.hardware, { memoryBytes: 512 * MIB, cpus: 2 })
      qemuImg(
        'compare',
        '-f',
        'raw',
        '-F',
        'qcow2',
        path('source'),
        path(`kept/${taken.value.disks[0]?.blob.slice(7)}`),
      )
    })

    it('refuses paths, links, other files and other machines', async () => {
      const files = { 'm.ovf': ovf('d.vmdk'), 'd.vmdk': disk() }
      await refused(ova('up.ova', files, '--transform=s,^d,../../d,'), 'ova', /path/)
      await refused(ova('root.ova', files, '--transform=s,^d,/etc/d,'), 'ova', /path/)
      execFileSync('sh', ['-c', 'ln -sf /etc/shadow d.vmdk && tar -cf link.ova d.vmdk && rm d.vmdk'], { cwd: folder })
      await refused(path('link.ova'), 'ova', /not a plain file/)
      await refused(ova('away.ova', { 'm.ovf': ovf('/etc/shadow') }), 'ova', /not in it/)
      await refused(ova('text.ova', { 'm.ovf': ovf('d.vmdk'), 'd.vmdk': 'hello' }), 'ova', /no VMDK/)
      await refused(
        ova('two.ova', { 'm.ovf': ovf('d.vmdk', '<VirtualSystem/>'), 'd.vmdk': disk() }),
        'ova',
        /several machines/,
      )
      await refused(
        ova('xxe.ova', { 'm.ovf': `<!DOCTYPE x [<!ENTITY e SYSTEM "/etc/passwd">]>${ovf('d.vmdk')}` }),
        'ova',
        /document type/,
      )
    })

    it('refuses one that is damaged or cut off', async () => {
      const files = { 'm.ovf': ovf('d.vmdk'), 'm.mf': `SHA256(d.vmdk)= ${'0'.repeat(64)}\n`, 'd.vmdk': disk() }
      await refused(ova('wrong.ova', files), 'ova', /manifest/)
      writeFileSync(path('short.ova'), readFileSync(path('sound.ova')).subarray(0, 20_000))
      await refused(path('short.ova'), 'ova', /cut off/)
    })
  })
})

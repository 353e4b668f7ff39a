/** CD drives of a real QEMU: the firmware boots from one while the disk is empty, and media come and go. */
import assert from 'node:assert/strict'
import { spawn, type ChildProcess } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import type { GuestLaunch } from '@stead/core/ports/guest-host.ts'
import { bootSector } from './boot-sector.ts'
import { cdromArguments, changedMedium } from './cdrom-drives.ts'
import type { LaunchRecord } from './launch-record.ts'
import { QmpClient } from './qmp.ts'

const SECTOR = 2048
const BOOT_MS_MAX = 60_000

/** The least that a firmware boots ("El Torito", 1995): a boot record that names a catalogue that names a boot sector. */
function bootableCd(): Buffer {
  const image = Buffer.alloc(32 * SECTOR)
  const [bootRecord, catalogue, code] = [17, 19, 20].map((sector) => sector * SECTOR) as [number, number, number]
  image.write('\x01CD001\x01', 16 * SECTOR, 'latin1')
  image.write('\0CD001\x01EL TORITO SPECIFICATION', bootRecord, 'latin1')
  image.writeUInt32LE(catalogue / SECTOR, bootRecord + 0x47)
  image.write('\xffCD001\x01', 18 * SECTOR, 'latin1')
  image[catalogue] = 1
  image.writeUInt16LE(0xaa55, catalogue + 30)
  // The words of the entry add up to zero.
  image.writeUInt16LE(0x10000 - 0xaa55 - 1, catalogue + 28)
  image[catalogue + 32] = 0x88
  image.writeUInt16LE(4, catalogue + 38)
  image.writeUInt32LE(code / SECTOR, catalogue + 40)
  bootSector('idle').copy(image, code)
  return image
}

describe('CD drives', () => {
  const folder = mkdtempSync(join(tmpdir(), 'stead-cd-'))
  const path = (name: string) => join(folder, name)
  let qemu: ChildProcess
  let monitor: QmpClient
  let console = ''
  let record: LaunchRecord

  before(async () => {
    writeFileSync(path('boot.iso'), bootableCd())
    writeFileSync(path('other,1.iso'), Buffer.alloc(64 * SECTOR))
    writeFileSync(path('seed.iso'), Buffer.alloc(32 * SECTOR))
    writeFileSync(path('empty.raw'), Buffer.alloc(1 << 20))
    const cdroms: NonNullable<GuestLaunch['cdroms']> = [
      { id: 'cdrom', bus: 'sata', path: path('boot.iso'), bootIndex: 2 },
      { id: 'seed', bus: 'virtio-scsi', path: path('seed.iso') },
    ]
    record = { version: 1, launch: { name: 'web', cdroms } as unknown as GuestLaunch, disks: [], startedAt: 0 }
    const machine = ['-machine', 'q35', '-accel', 'tcg', '-m', '64', '-nodefaults', '-display', 'none', '-nic', 'none']
    const disk = ['-blockdev', `raw,node-name=d,file.driver=file,file.filename=${path('empty.raw')}`]
    qemu = spawn(
      'qemu-system-x86_64',
      [
        ...machine,
        ...['-serial', 'stdio', '-qmp', `unix:${path('qmp')},server=on,wait=off`],
        ...[...disk, '-device', 'virtio-blk-pci,drive=d,bootindex=1'],
        ...cdromArguments(cdroms),
      ],
      { stdio: ['ignore', 'pipe', 'inherit'], timeout: BOOT_MS_MAX * 2, killSignal: 'SIGKILL' },
    )
    qemu.stdout?.on('data', (text: Buffer) => (console += text.toString('latin1')))
    const connected = await QmpClient.connect(path('qmp'), BOOT_MS_MAX)
    assert.ok(connected.ok)
    monitor = connected.value
  })
  after(() => {
    monitor?.close()
    qemu?.kill('SIGKILL')
    rmSync(folder, { recursive: true, force: true })
  })

  const mediumIn = async (drive: string) => {
    const reply =
      await monitor.execute<{ qdev?: string; tray_open?: boolean; inserted?: { file: string } }[]>('query-block')
    assert.ok(reply.ok)
    const device = reply.value.find(({ qdev }) => qdev === drive)
    return { file: device?.inserted?.file, open: device?.tray_open }
  }
  const change = async (drive: 'cdrom' | 'seed', file: string | undefined) => {
    const changed = await changedMedium(monitor, record, drive, file)
    assert.ok(changed.ok, changed.ok ? '' : changed.error.message)
    record = changed.value
  }

  it('are booted from when the disk before them holds nothing', async () => {
    const deadline = performance.now() + BOOT_MS_MAX
    while (!console.includes('B') && performance.now() < deadline)
      await new Promise((resolve) => setTimeout(resolve, 50))
    assert.match(console, /B/)
  })

  it('take another medium, none, and the first one again, while the guest runs', async () => {
    await change('cdrom', path('other,1.iso'))
    assert.deepEqual(await mediumIn('cdrom'), { file: path('other,1.iso'), open: false })
    await change('cdrom', undefined)
    assert.equal((await mediumIn('cdrom')).file, undefined)
    await change('cdrom', path('boot.iso'))
    await change('cdrom', path('boot.iso'))
    assert.equal((await mediumIn('cdrom')).file, path('boot.iso'))
    assert.equal(record.mediaChanges, 3)
    assert.equal(record.launch.cdroms?.[0]?.path, path('boot.iso'))
    assert.equal((await mediumIn('seed')).file, path('seed.iso'), 'the other drive keeps its own')
  })

  it('refuse a drive that the machine does not have, and a file that is not there', async () => {
    const absent = await changedMedium(monitor, { ...record, launch: { ...record.launch, cdroms: [] } }, 'cdrom', '/x')
    assert.equal(!absent.ok && absent.error.code, 'not_found')
    const missing = await changedMedium(monitor, record, 'cdrom', path('nowhere.iso'))
    assert.ok(!missing.ok)
    assert.deepEqual(await mediumIn('cdrom'), { file: path('boot.iso'), open: false }, 'the drive is as it was')
  })
})

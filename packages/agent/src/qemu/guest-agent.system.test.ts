/** The contract of `GuestAgent` on real QEMU: one guest with Debian's qemu-ga and an ext4 disk, one without either. */
import assert from 'node:assert/strict'
import { spawn, spawnSync, type ChildProcess } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { chmodSync, copyFileSync, mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { GuestId, VolumeId } from '@stead/core/model/ids.ts'
import type { GuestLaunch } from '@stead/core/ports/guest-host.ts'
import type { Log } from '@stead/core/ports/log.ts'
import { START_GUEST_AGENT, buildGuestAgentImage } from '@stead/lab/guest-agent-image.ts'
import { GUEST_APPEND } from '@stead/lab/guest-image.ts'
import { guestAgentContract } from '@stead/sim/contract/guest-agent-contract.ts'
import { must } from '@stead/sim/contract/guest-host-contract.ts'
import { QemuGuestHost } from './qemu-guest-host.ts'

const REPOSITORY = resolve(import.meta.dirname, '../../../..')
const GUEST_USER = process.getuid?.() === 0 ? { uid: 64_055, gid: 64_055 } : undefined
const BOOT_MS_MAX = 60_000
const VOLUME = '0123456789abcdef0123456789abcdef' as VolumeId

const quietLog: Log = { debug() {}, info() {}, warn() {}, error() {}, with: () => quietLog }

guestAgentContract('on QEMU', async () => {
  const built = must(await buildGuestAgentImage(REPOSITORY))
  const folder = mkdtempSync(join(tmpdir(), 'stead-'))
  chmodSync(folder, 0o711)
  const image = { kernel: join(folder, 'kernel'), initrd: join(folder, 'initrd') }
  for (const part of ['kernel', 'initrd'] as const) {
    copyFileSync(built[part], image[part])
    chmodSync(image[part], 0o644)
  }
  const storage = await serveFileSystem(folder)
  const newHost = () =>
    new QemuGuestHost({
      guestsFolder: join(folder, 'guests'),
      helper: join(REPOSITORY, '.native/bin/stead-run-guest'),
      ...(GUEST_USER ? { user: GUEST_USER } : {}),
      log: quietLog,
    })
  let host = newHost()
  const guest = randomUUID() as GuestId
  const silentGuest = randomUUID() as GuestId
  const launch = (id: GuestId, script: string, disks: GuestLaunch['disks']): GuestLaunch => ({
    guest: id,
    name: id.slice(0, 8),
    epoch: 1,
    memoryBytes: 160 << 20,
    cpus: 1,
    boot: {
      kind: 'kernel',
      kernelPath: image.kernel,
      initrdPath: image.initrd,
      append: `${GUEST_APPEND} stead.run=cmd:${Buffer.from(script).toString('base64')}`,
    },
    disks,
    nics: [],
    accelerator: 'tcg',
  })
  const disk = {
    volume: VOLUME,
    sizeBytes: 64 << 20,
    width: 1,
    legs: [{ host: 'a', endpoint: { kind: 'unix' as const, path: storage.socket }, exportName: 'disk' }],
  }
  const script = `mkdir /mnt; disk=/dev/vda; while [ ! -b $disk ]; do sleep 0.1; done; mount $disk /mnt && ${START_GUEST_AGENT}`
  const close = async () => {
    for (const id of [guest, silentGuest]) must(await host.kill(id))
    host.close()
    storage.process.kill('SIGKILL')
    rmSync(folder, { recursive: true, force: true })
  }
  try {
    must(await host.start(launch(guest, script, [disk])))
    must(await host.start(launch(silentGuest, 'true', [])))
    const deadline = performance.now() + BOOT_MS_MAX
    for (const id of [guest, silentGuest])
      while (!/CMD exit/.test(readFileSync(host.consoleLogPath(id), 'latin1'))) {
        assert.ok(performance.now() < deadline, readFileSync(host.consoleLogPath(id), 'latin1'))
        await sleep(50)
      }
    while (!(await host.agent.ping(guest)).ok) {
      assert.ok(performance.now() < deadline, readFileSync(host.consoleLogPath(guest), 'latin1'))
      await sleep(50)
    }
  } catch (error) {
    await close()
    throw error
  }
  return {
    agent: host.agent,
    guest,
    silentGuest,
    restartAgent: async () => {
      host.close()
      host = newHost()
      await host.adopt()
      return host.agent
    },
    close,
  }
})

/** An ext4 file system, served as the storage hosts serve replicas. */
async function serveFileSystem(folder: string): Promise<{ readonly socket: string; readonly process: ChildProcess }> {
  const [file, socket] = [join(folder, 'disk.raw'), join(folder, 'disk.nbd')]
  writeFileSync(file, '')
  truncateSync(file, 64 << 20)
  assert.equal(spawnSync('/usr/sbin/mke2fs', ['-q', '-t', 'ext4', file]).status, 0)
  const daemon = spawn(
    'qemu-storage-daemon',
    [
      ...['--blockdev', `driver=file,node-name=file,filename=${file}`],
      ...['--blockdev', 'driver=raw,node-name=disk,file=file'],
      ...['--nbd-server', `addr.type=unix,addr.path=${socket}`],
      ...['--export', 'type=nbd,id=e,node-name=disk,name=disk,writable=on'],
      ...['--pidfile', join(folder, 'ready')],
    ],
    { stdio: ['ignore', 'inherit', 'inherit'] },
  )
  const deadline = performance.now() + 10_000
  for (;;) {
    try {
      readFileSync(join(folder, 'ready'))
      break
    } catch {
      assert.ok(performance.now() < deadline, 'the storage daemon does not start')
      await sleep(20)
    }
  }
  chmodSync(socket, 0o666)
  return { socket, process: daemon }
}

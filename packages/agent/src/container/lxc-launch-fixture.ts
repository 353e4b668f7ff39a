/** Small containers for contract tests on real LXC, and the roots that they begin from. */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import type { GuestId, VolumeId } from '@stead/core/model/ids.ts'
import type { GuestDisk, GuestLaunch } from '@stead/core/ports/guest-host.ts'
import type { Log } from '@stead/core/ports/log.ts'
import type { GuestBehaviour } from '@stead/sim/contract/guest-host-contract.ts'
import { ID_BASE } from './lxc-fixture.ts'

export const NATIVE = resolve(import.meta.dirname, '../../../../.native/bin')
export const DISK_BYTES = 24 << 20
/** Of the root's file system, and of a record: each record is in a block of its own. */
export const BLOCK_BYTES = 4096
/** Any unprivileged user; nothing needs to know it. */
export const FRONT_USER = { uid: 64_055, gid: 64_055 }

export const quietLog: Log = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
  with: () => quietLog,
}

export function containerLaunch(name: string, root: GuestDisk): GuestLaunch {
  return {
    ...{ guest: randomUUID() as GuestId, name, epoch: 1, memoryBytes: 32 << 20, cpus: 1, boot: { kind: 'container' } },
    ...{ disks: [root], nics: [], accelerator: 'tcg' },
    container: {
      ...{ hostname: name, system: { haltSignal: 'SIGUSR1' }, idBase: ID_BASE, nesting: false },
      ...{ nameservers: [], searchDomains: [], limits: {}, mounts: [] },
    },
  }
}

export function volumeOf(launch: GuestLaunch): VolumeId {
  const disk = launch.disks[0]
  assert.ok(disk)
  return disk.volume
}

/** What init starts, after its own words on the console. */
const DOES: Readonly<Record<GuestBehaviour, string>> = {
  write: 'exec /bin/recorder append /records 2 1024',
  shutdown: 'exec /bin/poweroff',
  reset: 'exec /bin/reboot',
  idle: 'exec /bin/sleep 1000',
  deaf: 'exec /bin/sleep 1000',
}

const roots = new Map<GuestBehaviour, Buffer>()

/** The image of a root, made once for each behaviour. */
export function rootFor(behaviour: GuestBehaviour): Buffer {
  const known = roots.get(behaviour)
  if (known) return known
  const folder = mkdtempSync(join(tmpdir(), 'stead-root-'))
  const root = join(folder, 'root')
  for (const each of ['bin', 'sbin', 'etc', 'proc', 'sys', 'dev', 'tmp', 'run'])
    mkdirSync(join(root, each), { recursive: true })
  copyFileSync('/bin/busybox', join(root, 'bin/busybox'))
  copyFileSync(join(NATIVE, 'recorder'), join(root, 'bin/recorder'))
  execFileSync('sh', ['-c', 'cd "$0" && for p in sh sleep poweroff reboot; do ln -s busybox bin/$p; done', root])
  execFileSync('ln', ['-s', '../bin/busybox', join(root, 'sbin/init')])
  writeFileSync(join(root, 'etc/start'), `#!/bin/sh\nsleep 0.2; echo; ${DOES[behaviour]}\n`, { mode: 0o755 })
  writeFileSync(join(root, 'etc/inittab'), 'console::once:/etc/start\n')
  writeFileSync(join(root, 'records'), Buffer.alloc(4 << 20))
  const image = join(folder, 'image')
  const options = ['-q', '-F', '-m', '0', '-b', String(BLOCK_BYTES), '-E', 'root_owner=0:0', '-d', root]
  execFileSync('mkfs.ext4', [...options, image, String(DISK_BYTES / BLOCK_BYTES)])
  const content = readFileSync(image)
  rmSync(folder, { recursive: true })
  roots.set(behaviour, content)
  return content
}

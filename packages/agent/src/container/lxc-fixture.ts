/** A bare host's bridge, guests' namespace and busybox roots for tests of containers. */
import assert from 'node:assert/strict'
import { execFileSync, spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { lxcPrograms, type LxcSpec } from './lxc-spec.ts'

const NATIVE = join(import.meta.dirname, '../../../../.native/bin')
export const PROGRAMS = lxcPrograms(NATIVE)
export const ID_BASE = 1_000_000

export async function until(what: string, holds: () => boolean | Promise<boolean>, boundMs = 60_000): Promise<void> {
  const deadline = performance.now() + boundMs
  while (!(await holds())) {
    assert.ok(performance.now() < deadline, `${what}: not in ${boundMs} ms`)
    await sleep(5)
  }
}

export class LxcFixture {
  readonly folder = mkdtempSync(join(tmpdir(), 'stead-ct-'))
  deadman: ChildProcess
  namespacePid = 0
  #count = 0

  constructor() {
    execFileSync('sh', [
      '-c',
      'ip link add br0 type bridge && ip link set br0 up && ip address add 10.7.0.1/24 dev br0',
    ])
    this.deadman = spawn(
      join(NATIVE, 'stead-deadman'),
      ['--socket', join(this.folder, 'd.sock'), '--pidfile', join(this.folder, 'd.pid'), '--timeout', '600000'],
      { stdio: 'ignore' },
    )
  }

  async ready(): Promise<void> {
    await until('deadman', () => existsSync(join(this.folder, 'd.pid')))
    this.namespacePid = Number(readFileSync(join(this.folder, 'd.pid'), 'utf8').split(' ')[1])
  }

  /** A container with a root of its own: ext4 on a loop device, as in production. */
  spec(more: Partial<LxcSpec> = {}): LxcSpec {
    this.#count += 1
    const id = `c${this.#count}`
    const folder = join(this.folder, 'guests', id)
    const rootPath = join(folder, 'rootfs')
    mkdirSync(rootPath, { recursive: true })
    const disk = join(folder, 'disk')
    execFileSync('sh', [
      '-c',
      'truncate -s 16M "$0" && mkfs.ext4 -q -F "$0" && mount -o loop "$0" "$1"',
      disk,
      rootPath,
    ])
    fillRoot(rootPath)
    return {
      id,
      name: `box-${this.#count}`,
      folder,
      guestsFolder: join(this.folder, 'guests'),
      rootPath,
      idBase: ID_BASE,
      nesting: false,
      nics: [
        {
          hostEnd: `st${String(this.#count).padStart(8, '0')}0`,
          name: 'eth0',
          mac: `02:00:00:00:00:${String(this.#count).padStart(2, '0')}`,
          bridge: 'br0',
          mtu: 1450,
          addresses: [`10.7.0.1${this.#count}/24`, `fd00:7::1${this.#count}/64`],
          gateways: ['10.7.0.1'],
        },
      ],
      nameservers: ['10.7.0.53'],
      searchDomains: ['example.org'],
      mounts: [],
      devices: [],
      haltSignal: 'SIGUSR1',
      terminalsMax: 5,
      limitLines: ['lxc.cgroup.pids.max = 60', 'lxc.cgroup2.pids.max = 60'],
      namespacePid: this.namespacePid,
      cgroup: `stead-${id}`,
      ...more,
    }
  }

  async close(): Promise<void> {
    const gone =
      this.deadman.exitCode === null && this.deadman.signalCode === null ? once(this.deadman, 'exit') : undefined
    this.deadman.kill('SIGKILL')
    await gone
    for (let left = this.#count; left > 0; left--) {
      execFileSync('sh', [
        '-c',
        'while mountpoint -q "$0"; do umount "$0" || exit 1; done',
        join(this.folder, `guests/c${left}/rootfs`),
      ])
    }
    rmSync(this.folder, { recursive: true })
  }
}

function fillRoot(root: string): void {
  for (const each of ['bin', 'sbin', 'etc', 'proc', 'sys', 'dev', 'tmp', 'root', 'run']) mkdirSync(join(root, each))
  cpSync('/bin/busybox', join(root, 'bin/busybox'))
  const programs = [
    'sh',
    'sleep',
    'echo',
    'cat',
    'id',
    'ip',
    'ping',
    'true',
    'mount',
    'mknod',
    'dd',
    'kill',
    'yes',
    'touch',
    'tty',
    'stty',
    'ps',
    'hostname',
    'reboot',
    'poweroff',
    'nc',
    'date',
    'grep',
  ]
  for (const each of programs) symlinkSync('busybox', join(root, 'bin', each))
  symlinkSync('../bin/busybox', join(root, 'sbin/init'))
  writeFileSync(
    join(root, 'etc/inittab'),
    '::sysinit:/bin/echo up and running\nconsole::respawn:/bin/cat\n::shutdown:/bin/echo going down\n',
  )
}

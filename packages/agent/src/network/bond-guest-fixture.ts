/**
 * A machine with two network cards on one switch and Debian's kernel, which can make bonds: this machine's may not. Its
 * shell is on the serial console; `ip` is this machine's, with its libraries.
 */
import { spawn, spawnSync, type ChildProcess } from 'node:child_process'
import { mkdtempSync, readFileSync, realpathSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { gzipSync } from 'node:zlib'
import { failure } from '@stead/core/errors.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import { cpioArchive, type ArchiveEntry } from '@stead/lab/cpio-archive.ts'
import { buildGuestImage, GUEST_APPEND } from '@stead/lab/guest-image.ts'
import { QmpClient } from '../qemu/qmp.ts'
import type { NetworkShell } from './bond-maker.ts'

const REPOSITORY = fileURLToPath(new URL('../../../../', import.meta.url))
const BOOT_MS_MAX = 120_000
const COMMAND_MS_MAX = 60_000
const END = 'STEAD-END'
/** That neither echoes nor edits what it is sent. */
const SHELL = `stty -F /dev/ttyS0 -echo
echo STEAD-SHELL
while read -r line; do eval "$line"; done </dev/ttyS0`

/** That answers pings: QEMU's own, which lets nothing out. */
export const GATEWAY = '10.0.2.2'

export class BondGuest {
  readonly #qemu: ChildProcess
  readonly #qmp: QmpClient
  readonly #folder: string
  #console = ''
  #heard: (() => void) | undefined

  private constructor(qemu: ChildProcess, qmp: QmpClient, folder: string) {
    this.#qemu = qemu
    this.#qmp = qmp
    this.#folder = folder
    qemu.stdout!.setEncoding('utf8').on('data', (text: string) => {
      this.#console += text
      this.#heard?.()
    })
  }

  static async boot(): Promise<BondGuest> {
    const built = await buildGuestImage(REPOSITORY)
    if (!built.ok) throw new Error(built.error.message)
    const folder = mkdtempSync(join(tmpdir(), 'stead-bond-'))
    const initrd = join(folder, 'initrd')
    // The kernel unpacks one archive after the other.
    writeFileSync(initrd, Buffer.concat([readFileSync(built.value.initrd), gzipSync(cpioArchive(ipEntries()))]))
    const monitor = join(folder, 'qmp')
    const hub = ['n0', 'n1'].flatMap((id, index) => [
      ...['-netdev', `hubport,id=${id},hubid=0`],
      ...[
        '-device',
        `virtio-net-pci,netdev=${id},id=card${index},mac=52:54:00:00:00:0${index + 1},speed=1000,duplex=full`,
      ],
    ])
    const qemu = spawn(
      'qemu-system-x86_64',
      [
        ...['-accel', 'tcg', '-machine', 'q35', '-cpu', 'max', '-m', '192', '-nodefaults', '-display', 'none'],
        ...[
          '-kernel',
          built.value.kernel,
          '-initrd',
          initrd,
          '-append',
          `${GUEST_APPEND} stead.run=cmd:${Buffer.from(SHELL).toString('base64')}`,
        ],
        ...['-netdev', 'user,id=gate,restrict=on', '-netdev', 'hubport,id=uplink,hubid=0,netdev=gate', ...hub],
        ...['-serial', 'stdio', '-qmp', `unix:${monitor},server=on,wait=off`],
      ],
      { stdio: ['pipe', 'pipe', 'inherit'] },
    )
    const qmp = await QmpClient.connect(monitor, BOOT_MS_MAX)
    if (!qmp.ok) {
      qemu.kill('SIGKILL')
      throw new Error(qmp.error.message)
    }
    const guest = new BondGuest(qemu, qmp.value, folder)
    try {
      await guest.#until((text) => text.includes('STEAD-SHELL'), BOOT_MS_MAX)
      for (const module of ['tls', 'bonding'])
        await guest.must(`insmod /modules/${module}.ko${module === 'bonding' ? ' max_bonds=0' : ''}`)
      return guest
    } catch (error) {
      await guest.end()
      throw error
    }
  }

  async end(): Promise<void> {
    this.#qmp.close()
    const ended = new Promise((resolve) => this.#qemu.once('exit', resolve))
    if (this.#qemu.exitCode === null && this.#qemu.signalCode === null) {
      this.#qemu.kill('SIGKILL')
      await ended
    }
    rmSync(this.#folder, { recursive: true, force: true })
  }

  /** The cable of a card, pulled or plugged in. */
  async cable(card: 0 | 1, isIn: boolean): Promise<void> {
    const set = await this.#qmp.execute('set_link', { name: `card${card}`, up: isIn })
    if (!set.ok) throw new Error(set.error.message)
  }

  /** What a command of the guest's shell prints. */
  async run(command: string): Promise<{ readonly status: number; readonly output: string }> {
    const from = this.#console.length
    this.#qemu.stdin!.write(`${command}; echo "${END}"":$?:"\n`)
    await this.#until((text) => new RegExp(`${END}:\\d+:`).test(text.slice(from)), COMMAND_MS_MAX)
    const text = this.#console.slice(from).replaceAll('\r', '')
    const [, output = '', status = ''] = new RegExp(`([\\s\\S]*?)${END}:(\\d+):`).exec(text) ?? []
    return { status: Number(status), output: output.trim() }
  }

  async must(command: string): Promise<string> {
    const { status, output } = await this.run(command)
    if (status !== 0) throw new Error(`${command}: ${output}`)
    return output
  }

  /** The guest as the product's own code sees a host. */
  get shell(): NetworkShell {
    return {
      ip: async (args, input): Promise<Result<string>> => {
        const ip = `/stead/ip ${args.join(' ')}`
        const command = input === undefined ? ip : `echo ${Buffer.from(input).toString('base64')} | base64 -d | ${ip}`
        const { status, output } = await this.run(`${command} 2>/tmp/errors`)
        if (status === 0) return ok(output)
        return fail(failure('internal', `ip failed: ${(await this.run('cat /tmp/errors')).output}`))
      },
      answers: async (address) => (await this.run(`ping -c 1 -W 1 ${address} >/dev/null 2>&1`)).status === 0,
      speedMbits: () => undefined,
    }
  }

  async #until(holds: (console: string) => boolean, limitMs: number): Promise<void> {
    let timer: NodeJS.Timeout | undefined
    const late = new Promise<never>((_resolve, reject) => {
      timer = setTimeout(
        () => reject(new Error(`the guest says nothing more:\n${this.#console.slice(-2_000)}`)),
        limitMs,
      )
    })
    try {
      while (!holds(this.#console)) await Promise.race([new Promise<void>((resolve) => (this.#heard = resolve)), late])
    } finally {
      clearTimeout(timer)
    }
  }
}

function ipEntries(): ArchiveEntry[] {
  const ip = realpathSync(
    spawnSync('sh', ['-c', 'PATH=$PATH:/sbin:/usr/sbin command -v ip'], { encoding: 'utf8' }).stdout.trim(),
  )
  const needed = spawnSync('ldd', [ip], { encoding: 'utf8' }).stdout
  const libraries = [...needed.matchAll(/(?:=> |^\s+)(\/\S+)/gm)].map((match) => match[1] ?? '')
  const folders = new Set<string>()
  for (const path of libraries)
    for (let folder = dirname(path).slice(1); folder !== '' && folder !== '.'; folder = dirname(folder))
      folders.add(folder)
  return [
    ...['stead', ...folders].toSorted().map((path): ArchiveEntry => ({ path, folder: true })),
    { path: 'stead/ip', content: readFileSync(ip), mode: 0o755 },
    ...libraries.map((path): ArchiveEntry => ({ path: path.slice(1), content: readFileSync(path), mode: 0o755 })),
  ]
}

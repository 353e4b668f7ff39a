/**
 * A real lab for system tests: real hosts, etcd, QEMU. It speaks as a user does, through `bin/stead`, and looks
 * into the replicas' files itself, past everything that could be wrong about them.
 */
import assert from 'node:assert/strict'
import { execFile, execFileSync, spawn, spawnSync, type ChildProcess } from 'node:child_process'
import { createHash } from 'node:crypto'
import {
  chmodSync,
  closeSync,
  copyFileSync,
  existsSync,
  mkdtempSync,
  openSync,
  readFileSync,
  readSync,
  readdirSync,
  rmSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { createClient, type Client } from '@stead/api/client.ts'
import { ENDPOINTS } from '@stead/api/endpoints.ts'
import type { GuestView, HostView, VolumeView } from '@stead/api/views.ts'
import { readContext } from '@stead/cli/context.ts'
import { unixTransport } from '@stead/client/node-transport.ts'
import type { ClusterEvent } from '@stead/core/model/event.ts'
import { ok, type Result } from '@stead/core/result.ts'
import { GUEST_APPEND } from '@stead/lab/guest-image.ts'
import { leftovers } from '@stead/lab/leftovers.ts'
import { buildRecorderTemplate, RECORDS_FILE } from '@stead/lab/recorder-template.ts'

export const ROOT = join(import.meta.dirname, '..', '..')
export const STEAD = join(ROOT, 'bin', 'stead')
const RECORDER = join(ROOT, '.native', 'bin', 'recorder')
const GUEST = join(ROOT, '.cache', 'guest')

export interface CommandResult {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

export interface LabOptions {
  readonly hosts?: number
  readonly witness?: boolean
  /** Each host has the pool `fast` too. */
  readonly fastPool?: boolean
  /** Each host has the pool `btrfs` too. */
  readonly btrfsPool?: boolean
  readonly criu?: string
}

let serial = 0

interface CreateOptions {
  readonly replicas?: number
  readonly host?: string
  readonly disk?: string
  readonly start?: boolean
  readonly memory?: string
  /** Further options of `vm create`. */
  readonly more?: readonly string[]
}

export class LabCluster {
  readonly id: string
  readonly #folder: string
  readonly env: NodeJS.ProcessEnv
  readonly #children = new Set<ChildProcess>()

  private constructor() {
    this.id = `t${process.pid.toString(36)}${(serial++).toString(36)}`.slice(0, 15)
    // Short: QEMU's socket paths below it may not exceed 107 characters.
    this.#folder = mkdtempSync(join(tmpdir(), 'stead-'))
    // Guests and storage daemons run as a user of their own, who must get through to his files.
    chmodSync(this.#folder, 0o711)
    this.env = {
      ...process.env,
      STEAD_LAB: this.id,
      STEAD_LAB_ROOT: join(this.#folder, 'lab'),
      STEAD_CONTEXT: join(this.#folder, 'context.json'),
    }
  }

  /** Starts a lab and waits until every host is online. Always end it with `down` (in `after`). */
  static async up(options: LabOptions = {}): Promise<LabCluster> {
    const { hosts = 3, witness = false, fastPool = false, btrfsPool = false, criu } = options
    const lab = new LabCluster()
    if (criu !== undefined) lab.env['STEAD_LAB_CRIU'] = criu
    try {
      await lab.must(
        'lab',
        'up',
        '--hosts',
        String(hosts),
        ...(witness ? ['--witness'] : []),
        ...(fastPool ? ['--fast-pool'] : []),
        ...(btrfsPool ? ['--btrfs-pool'] : []),
      )
      await lab.until('all hosts are online', async () => {
        const listed = await lab.hosts()
        return listed.length === hosts + (witness ? 1 : 0) && listed.every((host) => host.state === 'online')
      })
      return lab
    } catch (error) {
      await lab.down()
      throw error
    }
  }

  /** Hosts that are of no cluster yet. Always end it with `down`. */
  static async empty({ hosts = 3, witness = false }: LabOptions = {}): Promise<LabCluster> {
    const lab = new LabCluster()
    try {
      await lab.must('lab', 'up', '--empty', '--hosts', String(hosts), ...(witness ? ['--witness'] : []))
      return lab
    } catch (error) {
      await lab.down()
      throw error
    }
  }

  /** Removes the lab and says what, against all promises, it left behind. */
  async down(): Promise<void> {
    for (const child of this.#children) child.kill('SIGKILL')
    await this.run('lab', 'down')
    const left = await leftovers(this.id, this.env)
    rmSync(this.#folder, { recursive: true, force: true })
    assert.deepEqual(left, [], 'the lab left something behind')
  }

  /** Runs `stead ...` to its end, at most a minute and a half. */
  run(...args: readonly string[]): Promise<CommandResult> {
    return new Promise((resolve) => {
      execFile(
        STEAD,
        args,
        { env: this.env, timeout: 90_000, killSignal: 'SIGKILL', maxBuffer: 64 << 20 },
        (error, stdout, stderr) => {
          const code = error ? (typeof error.code === 'number' ? error.code : 1) : 0
          resolve({ code, stdout, stderr })
        },
      )
    })
  }

  /** To be run on the host. etcd's socket is a file of its folder, and its client takes no other path. */
  etcdctlCommand(host: string, ...args: readonly string[]): readonly string[] {
    const folder = join(this.hostFolder(host), 'etcd')
    return ['env', '--chdir', folder, 'ETCDCTL_API=3', 'etcdctl', '--endpoints', 'unix://localhost:2379', ...args]
  }

  /** Asks etcd itself, past the agent, by the member on this host. */
  etcdctl(host: string, ...args: readonly string[]): Promise<CommandResult> {
    return this.run('lab', 'exec', host, '--', ...this.etcdctlCommand(host, ...args))
  }

  /** `run`, when it is to succeed. */
  async must(...args: readonly string[]): Promise<string> {
    const result = await this.run(...args)
    assert.equal(result.code, 0, `stead ${args.join(' ')} failed (${result.code}): ${result.stderr}${result.stdout}`)
    return result.stdout
  }

  async json<T>(...args: readonly string[]): Promise<T> {
    return JSON.parse(await this.must(...args, '--json')) as T
  }

  // What tests look at again and again is read without a process of its own for each look: the same client, the same
  // order of hosts as `bin/stead`, a tenth of the processor time.
  async hosts(): Promise<readonly HostView[]> {
    return valueOf(await (await this.#client()).call(ENDPOINTS['host.list'])).items
  }
  async guest(name: string): Promise<GuestView> {
    return valueOf(await (await this.#client()).call(ENDPOINTS['guest.show'], { params: { guest: name } }))
  }
  async volumes(): Promise<readonly VolumeView[]> {
    return valueOf(await (await this.#client()).call(ENDPOINTS['volume.list'])).items
  }
  async events(): Promise<readonly ClusterEvent[]> {
    return valueOf(await (await this.#client()).call(ENDPOINTS['event.list'], {})).items
  }
  /** The console of the guest's present boot, as `stead vm log` prints it; empty when it cannot be had now. */
  async console(name: string): Promise<string> {
    const log = await this.#consoleLog(name)
    return log.ok ? log.value : ''
  }

  async #consoleLog(name: string): Promise<Result<string>> {
    const opened = await (
      await this.#client()
    ).stream(ENDPOINTS['guest.log'], { params: { guest: name }, query: { follow: false, offset: 0 } })
    if (!opened.ok) return opened
    const parts: Uint8Array[] = []
    for await (const part of opened.value.body) parts.push(part)
    return ok(Buffer.concat(parts).toString('latin1'))
  }

  async #client(): Promise<Client> {
    const { endpoints, token } = valueOf(await readContext(this.env))
    return createClient({ targets: endpoints, transport: unixTransport, ...(token === undefined ? {} : { token }) })
  }

  /** A guest that appends numbered, synced records to its disk for ever, one each `intervalMs`. */
  createRecorder(
    name: string,
    {
      intervalMs = 50,
      changingMiB = 0,
      ...options
    }: CreateOptions & {
      readonly intervalMs?: number
      /** So much of its memory changes all the time. */
      readonly changingMiB?: number
    } = {},
  ) {
    const script = Buffer.from(`recorder dirty ${changingMiB * 2} ${changingMiB}`).toString('base64')
    return this.#create(name, `record:${intervalMs}${changingMiB > 0 ? `,cmd:${script}` : ''}`, options)
  }

  /** The template of containers that append numbered, synced records to a file of their root, and tell them on their console. */
  async importRecorderTemplate(): Promise<void> {
    const folder = mkdtempSync(join(this.#folder, 'template-'))
    const archive = await buildRecorderTemplate(folder, RECORDER)
    await this.must('template', 'import', archive, 'recorder', '--version', '1')
    rmSync(folder, { recursive: true })
  }

  /** A container that appends records. */
  async createContainer(name: string, more: readonly string[] = []): Promise<void> {
    const size = ['--memory', '64MiB', '--disk', '64MiB']
    await this.must('ct', 'create', name, '--template', 'recorder', ...size, '--start', ...more)
  }

  /** A guest that appends records and echoes what it is sent over TCP (port 7). */
  createTalker(name: string, address: string, options: CreateOptions = {}) {
    return this.#create(name, `record:50,echo stead.ip=${address}`, options)
  }

  /** A guest that boots and does nothing. */
  createIdle(name: string, options: CreateOptions = {}) {
    return this.#create(name, 'idle', { disk: '16MiB', ...options })
  }

  /** A guest that runs a shell script, of at most 1 KiB: the kernel's command line carries it. */
  createScripted(name: string, script: string, options: CreateOptions = {}) {
    return this.#create(name, `cmd:${Buffer.from(script).toString('base64')}`, { disk: '16MiB', ...options })
  }

  async #create(
    name: string,
    does: string,
    { replicas = 2, host, disk = '96MiB', start = true, memory = '128MiB', more = [] }: CreateOptions,
  ): Promise<CommandResult> {
    const created = await this.run(
      ...['vm', 'create', name, '--memory', memory, '--cpus', '1', '--disk', disk, '--replicas', String(replicas)],
      ...['--kernel', join(GUEST, 'kernel', 'vmlinuz'), '--initrd', join(GUEST, 'initrd.img')],
      ...['--append', `${GUEST_APPEND} stead.run=${does}`],
      ...(host === undefined ? [] : ['--host', host]),
      ...(start ? ['--start'] : []),
      ...more,
    )
    assert.equal(created.code, 0, `${name} could not be created (${created.code}): ${created.stderr}${created.stdout}`)
    return created
  }

  /** The highest record that the guest was told is safe, by its console of the present boot; 0 when none yet. */
  async acknowledged(name: string): Promise<number> {
    const text = await this.console(name)
    const numbers = [...text.matchAll(/^(?:ACK|RESUME) (\d+)\r?$/gm)].map((match) => Number(match[1]))
    return Math.max(0, ...numbers)
  }

  /** Waits until the guest has got past this record. */
  async recordsPast(name: string, record: number, timeoutMs = 90_000): Promise<number> {
    let seen = 0
    await this.until(
      `${name} writes past record ${record}`,
      async () => (seen = await this.acknowledged(name)) > record,
      timeoutMs,
    )
    return seen
  }

  /** The state folder of a host, seen from outside. */
  hostFolder(host: string): string {
    return join(this.env['STEAD_LAB_ROOT'] ?? '', this.id, 'hosts', host)
  }

  /** The API of these hosts only: one that is cut off answers with what it knew before. */
  clientOf(hosts: readonly string[]): Client {
    return createClient({
      targets: hosts.map((host) => ({ host, unix: join(this.hostFolder(host), 'agent.sock') })),
      transport: unixTransport,
    })
  }

  /** Of a replica: which of the records 1..last it lacks (those that the ring has overwritten not counted). */
  async missingRecords(
    volume: string,
    host: string,
    last: number,
    pool = 'default',
  ): Promise<{ readonly missing: readonly number[]; readonly highest: number }> {
    const { path, discard } = recordsOf(join(this.hostFolder(host), 'pools', pool), volume)
    const text = await new Promise<string>((resolve, reject) => {
      execFile(
        RECORDER,
        ['verify', path, '1', String(last)],
        { timeout: 60_000, maxBuffer: 64 << 20 },
        (error, stdout) => {
          if (stdout.trim() === '') reject(new Error(`the recorder could not read ${path}`, { cause: error }))
          else resolve(stdout)
        },
      )
    }).finally(discard)
    return JSON.parse(text) as { missing: number[]; highest: number }
  }

  /** No record that the guest was told is safe may be missing on any replica that the cluster calls in-sync. */
  async assertNothingLost(name: string): Promise<number> {
    const last = await this.acknowledged(name)
    const guest = await this.guest(name)
    // A container's recorder writes to its root alone.
    for (const volume of guest.kind === 'ct' ? guest.volumes.slice(0, 1) : guest.volumes) {
      for (const replica of volume.replicas) {
        if (replica.state !== 'in-sync') continue
        const { missing } = await this.missingRecords(volume.id, replica.host, last, replica.pool)
        assert.deepEqual(missing, [], `${name}: acknowledged records are missing on ${replica.host}`)
      }
    }
    return last
  }

  /** All replicas of the guest are in sync and its protection is whole. */
  async untilProtected(name: string, timeoutMs = 90_000): Promise<void> {
    await this.until(
      `${name} is protected`,
      async () => (await this.guest(name)).protection.level === 'protected',
      timeoutMs,
    )
  }

  /** Polls until the condition holds; its last failure is in the message when it never does. */
  async until(what: string, condition: () => Promise<boolean>, timeoutMs = 60_000): Promise<void> {
    const deadline = performance.now() + timeoutMs
    let last: unknown
    while (performance.now() < deadline) {
      try {
        if (await condition()) return
        last = undefined
      } catch (error) {
        last = error
      }
      await sleep(200)
    }
    const told = await this.run('vm', 'list')
    const events = await this.run('event', 'list')
    const parts = [told.stdout, lastLines(events.stdout, 25), await this.#consolesOf(what)]
    throw new Error(`not within ${timeoutMs} ms: ${what}\n${parts.join('\n')}`, { cause: last })
  }

  /** How the consoles end of the guests that a text names. */
  async #consolesOf(what: string): Promise<string> {
    const words = new Set(what.split(/[^\w-]+/))
    const listed = await (await this.#client()).call(ENDPOINTS['guest.list'])
    const guests = listed.ok ? listed.value.items.filter(({ name }) => words.has(name)) : []
    const ends = guests.map(async ({ name }) => {
      const log = await this.#consoleLog(name)
      return `console of ${name}:\n${log.ok ? lastLines(log.value, 25) : log.error.message}`
    })
    return (await Promise.all(ends)).join('\n')
  }

  /** Pids of the QEMU processes of a guest on all hosts, read from the lab's cgroup: never more than one may serve. */
  qemuProcesses(name: string): readonly { readonly pid: number; readonly exports: readonly string[] }[] {
    const found: { pid: number; exports: string[] }[] = []
    for (const pid of this.processes()) {
      const commandLine = readCommandLine(pid)
      if (
        !commandLine[0]?.includes('qemu-system') ||
        !commandLine.some((argument) => argument.startsWith(`guest=${name},`) || argument === `guest=${name}`)
      )
        continue
      found.push({
        pid,
        exports: [...commandLine.join(' ').matchAll(/"export":"(vol-[0-9a-f]+-e\d+)"/g)].map((match) => match[1] ?? ''),
      })
    }
    return found
  }

  /** All processes of the lab's hosts. */
  processes(): readonly number[] {
    const root =
      readFileSync('/proc/self/mountinfo', 'utf8')
        .split('\n')
        .find((line) => / - cgroup2 /.test(line))
        ?.split(' ')[4] ?? ''
    const folder = join(root, `stead-${this.id}`)
    return processesBelow(folder)
  }

  /** All replicas of a stopped guest hold the same bytes, once one that was lost before its end is brought up to date. */
  async assertReplicasEqual(name: string): Promise<void> {
    await this.until(`the replicas of ${name} are in sync`, async () =>
      (await this.guest(name)).volumes.every(({ replicas }) => replicas.every(({ state }) => state === 'in-sync')),
    )
    for (const volume of (await this.guest(name)).volumes) {
      const digests = volume.replicas.map(({ host, pool }) => {
        const path = join(this.hostFolder(host), 'pools', pool, `${volume.id}.raw`)
        return createHash('sha256').update(readFileSync(path)).digest('hex')
      })
      assert.equal(new Set(digests).size, 1, `the replicas of ${name} differ`)
    }
  }

  spawn(command: string, args: readonly string[], input: 'ignore' | 'pipe' = 'ignore'): ChildProcess {
    const child = spawn(command, args, { env: this.env, stdio: [input, 'pipe', 'pipe'] })
    this.#children.add(child)
    child.once('exit', () => this.#children.delete(child))
    return child
  }
}

function valueOf<T>(result: Result<T>): T {
  if (result.ok) return result.value
  throw new Error(`${result.error.code}: ${result.error.message}`, { cause: result.error })
}

function lastLines(text: string, count: number): string {
  return text.trimEnd().split('\n').slice(-count).join('\n')
}

/** What the recorder can read of a replica: the whole, or, of a container's root, the file that its recorder writes. */
function recordsOf(pool: string, volume: string): { readonly path: string; readonly discard: () => void } {
  const whole = flattened(pool, volume)
  if (!isExt4(whole.path)) return whole
  const folder = mkdtempSync(join(tmpdir(), 'stead-records-'))
  const [copy, records] = [join(folder, 'raw'), join(folder, 'records')]
  const discard = () => (rmSync(folder, { recursive: true, force: true }), whole.discard())
  try {
    copyFileSync(whole.path, copy)
    // What tells where the file lies may still be in the journal alone.
    spawnSync('e2fsck', ['-y', '-E', 'journal_only', copy], { stdio: 'ignore', timeout: 60_000 })
    execFileSync('debugfs', ['-R', `dump ${RECORDS_FILE} ${records}`, copy], { stdio: 'ignore', timeout: 60_000 })
    return { path: records, discard }
  } catch (error) {
    discard()
    throw error
  }
}

function isExt4(path: string): boolean {
  const magic = Buffer.alloc(2)
  const file = openSync(path, 'r')
  readSync(file, magic, 0, magic.length, 1024 + 56)
  closeSync(file)
  return magic.readUInt16LE() === 0xef53
}

/** A replica as one raw file: its own, or, when it consists of layers, a copy of what they hold together. */
function flattened(pool: string, volume: string): { readonly path: string; readonly discard: () => void } {
  const path = join(pool, `${volume}.raw`)
  const list = join(pool, `${volume}.layers.json`)
  if (!existsSync(list)) return { path, discard: () => undefined }
  const { layers } = JSON.parse(readFileSync(list, 'utf8')) as { layers: { file: string; format: string }[] }
  let image: object | undefined
  for (const { file, format } of layers) {
    const opened = { driver: format, file: { driver: 'file', filename: join(pool, file) } }
    image = image ? { ...opened, backing: image } : opened
  }
  const folder = mkdtempSync(join(tmpdir(), 'stead-flat-'))
  const copy = join(folder, 'raw')
  execFileSync('qemu-img', ['convert', '-U', '-O', 'raw', `json:${JSON.stringify(image)}`, copy], { timeout: 60_000 })
  return { path: copy, discard: () => rmSync(folder, { recursive: true, force: true }) }
}

function processesBelow(folder: string): number[] {
  const found: number[] = []
  try {
    found.push(...readFileSync(join(folder, 'cgroup.procs'), 'utf8').split('\n').filter(Boolean).map(Number))
    for (const entry of readdirSync(folder, { withFileTypes: true }))
      if (entry.isDirectory()) found.push(...processesBelow(join(folder, entry.name)))
  } catch (error) {
    // A host that is switched off at this moment takes its folder along.
    if (!['ENOENT', 'ENODEV'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error
  }
  return found
}

function readCommandLine(pid: number): string[] {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0')
  } catch {
    return []
  }
}

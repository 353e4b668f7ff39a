/**
 * The qemu-storage-daemon of one pool. It outlives the agent: a later agent finds it by its pid file and asks it,
 * over QMP, what it serves. QEMU has one NBD server per process; it listens on TCP, for local guests too (measured:
 * a unix socket gives about a fifth more operations per second, a second hop for everybody else costs more).
 */
import {
  chownSync,
  closeSync,
  constants,
  existsSync,
  mkdirSync,
  openSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { failure } from '@stead/core/errors.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import { NbdClient, type NbdConnectOptions } from '../nbd/nbd-client.ts'
import {
  isAlive,
  killDetached,
  readPidFile,
  startDetached,
  waitGone,
  type DetachedProcess,
} from '../process/detached.ts'
import { keepingBuffers } from '../process/kept-buffers.ts'
import { QmpClient } from '../qemu/qmp.ts'
import { DaemonNodes } from './daemon-nodes.ts'
import { HandshakeGate } from './handshake-gate.ts'

export interface PoolConfig {
  readonly name: string
  /** Folder of the replicas; `PATH.qsd` beside it holds the daemon's control socket. */
  readonly path: string
  readonly capacityBytes: number
  /** TCP port of the pool's NBD server. */
  readonly port: number
  /** Default: every address of the host. */
  readonly listenAddress?: string
}

export interface StorageDaemonOptions {
  readonly pool: PoolConfig
  /** Path of `stead-run-guest`. */
  readonly helper: string
  /** Whom the daemon runs as; files belong to it. Absent: the agent's own user. */
  readonly user?: { readonly uid: number; readonly gid: number }
  readonly binary?: string
}

/** Read-only, 4 KiB of zeros, always there: who reads it learns whether the daemon lives. */
export const PROBE_EXPORT = 'probe'

/** A throttle group without any limit: of what QEMU calls a filter, the one that changes nothing. See `VolumeNode`. */
export const NO_LIMIT = 'no-limit'

const START_TIMEOUT_MS = 5_000
const ADOPT_TIMEOUT_MS = 2_000
/** Of a daemon whose monitor has closed; measured: its end follows within milliseconds. */
const END_TIMEOUT_MS = 500
/** How long the end of an export may take; measured: a millisecond or two. */
const EXPORT_END_TIMEOUT_MS = 5_000
/** Node and Linux cut or refuse longer unix socket paths. */
const LONGEST_SOCKET_PATH = 107

export class StorageDaemon {
  readonly pool: PoolConfig
  readonly #options: StorageDaemonOptions
  readonly #control: string
  /** Exports that this agent has made in the daemon that runs, by name. */
  readonly given = new Set<string>()
  /** The topmost nodes of volumes that this agent has opened, or found open, in the daemon that runs. */
  readonly opened = new Set<string>()
  readonly nodes = new DaemonNodes(this)
  readonly #exitListeners = new Set<(reason: string) => void>()
  #monitor: { readonly qmp: QmpClient; readonly process: DetachedProcess } | undefined
  /** How the last one ended that did so by itself; for who asks for it before the next one runs. */
  #lastEnd = ''
  readonly #gate = new HandshakeGate()
  #ensuring: Promise<Result<{ readonly adopted: boolean }>> | undefined
  /** Its monitor has closed, and it is found out whether the daemon has ended. */
  #closing: Promise<void> | undefined

  constructor(options: StorageDaemonOptions) {
    this.#options = options
    this.pool = options.pool
    this.#control = `${options.pool.path}.qsd`
  }

  /** Where clients on this host connect. */
  get loopback(): string {
    const { listenAddress } = this.pool
    return listenAddress === undefined || listenAddress === '0.0.0.0' ? '127.0.0.1' : listenAddress
  }

  /**
   * True when no daemon of this pool exists: then nothing of it is served, and no bitmap exists. A daemon that
   * lives but does not answer is not absent.
   */
  get absent(): boolean {
    return readPidFile(this.#pidFile) === undefined
  }

  get process(): DetachedProcess | undefined {
    return this.#monitor?.process ?? readPidFile(this.#pidFile)
  }

  /** Adopts the living daemon or starts one. A daemon that lives and does not answer is a failure: see `kill`. */
  ensure(): Promise<Result<{ readonly adopted: boolean }>> {
    this.#ensuring ??= this.#ensure().finally(() => (this.#ensuring = undefined))
    return this.#ensuring
  }

  /** QMP, with QEMU's refusals as `storage` failures. Never starts the daemon: that is a decision. */
  call<T = unknown>(command: string, args?: object, timeoutMs?: number): Promise<Result<T>> {
    const isQuestion = /^(query|x-debug-query)-/.test(command)
    const work = () => this.#execute<T>(command, args, timeoutMs)
    return isQuestion ? work() : this.#gate.order(work)
  }

  /** Cuts off all clients of the export and waits until their last request has ended. Absent: harmless. */
  endExport(name: string): Promise<Result<void>> {
    return this.#gate.order(async () => {
      const monitor = this.monitor()
      if (!monitor.ok) return monitor
      const ended = monitor.value.waitFor(
        ({ event, data }) => event === 'BLOCK_EXPORT_DELETED' && data['id'] === name,
        EXPORT_END_TIMEOUT_MS,
      )
      const asked = await this.#execute('block-export-del', { id: name, mode: 'hard' })
      this.given.delete(name)
      if (asked.ok && (await ended)) return ok()
      const left = await this.call<readonly { readonly id: string }[]>('query-block-exports')
      if (!left.ok) return left
      if (!left.value.some(({ id }) => id === name)) return ok()
      // Refused since somebody else has just asked for the same.
      if (!asked.ok && (await ended)) return ok()
      return fail(
        failure('storage', `The export ${name} does not end within ${EXPORT_END_TIMEOUT_MS} ms`, {
          cause: asked.ok ? undefined : asked.error,
          hint: 'The disk under the pool may be stuck; see `dmesg`',
        }),
      )
    })
  }

  /** A client of one of its exports, as this host reaches it. */
  connect(options: Omit<NbdConnectOptions, 'endpoint'>): Promise<Result<NbdClient>> {
    const endpoint = { kind: 'tcp', address: this.loopback, port: this.pool.port } as const
    return this.#gate.handshake(() => NbdClient.connect({ ...options, endpoint }))
  }

  async #execute<T>(command: string, args?: object, timeoutMs?: number): Promise<Result<T>> {
    await this.#closing
    const qmp = this.monitor()
    if (!qmp.ok) return qmp
    const reply = await qmp.value.execute<T>(command, args, timeoutMs)
    if (reply.ok) return reply
    const { message, cause } = reply.error
    const hint = this.absent ? DEAD_HINT : undefined
    return fail(
      failure('storage', `Pool ${this.pool.name}: ${message}`, {
        cause: cause ?? reply.error,
        ...(hint ? { hint } : {}),
      }),
    )
  }

  monitor(): Result<QmpClient> {
    const monitor = this.#monitor
    if (monitor && !monitor.qmp.closed) return ok(monitor.qmp)
    const message = `The storage daemon of pool ${this.pool.name} does not run${this.#lastEnd}`
    return fail(failure('storage', message, { hint: DEAD_HINT }))
  }

  /** Calls back when the daemon has ended by itself. */
  onExit(listener: (reason: string) => void): () => void {
    this.#exitListeners.add(listener)
    return () => this.#exitListeners.delete(listener)
  }

  /** SIGKILL, awaited: afterwards nothing of the pool is served and no late write can come. */
  async kill(): Promise<Result<void>> {
    const found = this.process
    this.release()
    return found ? killDetached(found, this.#pidFile) : ok()
  }

  /** Leaves the daemon alone; another agent may adopt it. */
  release(): void {
    const monitor = this.#monitor
    this.#monitor = undefined
    monitor?.qmp.close()
  }

  async #ensure(): Promise<Result<{ readonly adopted: boolean }>> {
    if (this.#monitor && !this.#monitor.qmp.closed) return ok({ adopted: true })
    const found = readPidFile(this.#pidFile)
    if (!found) return this.#start()
    const connected = await QmpClient.connect(this.#qmpPath, ADOPT_TIMEOUT_MS)
    if (!connected.ok) {
      if (!isAlive(found)) return this.#start()
      const hint = 'If it stays so, kill that process; its replicas are then brought up to date again'
      return fail(
        failure('storage', `The storage daemon of pool ${this.pool.name} (process ${found.pid}) does not answer`, {
          hint,
          cause: connected.error,
        }),
      )
    }
    // One that an older agent started has none yet; a second of that name is refused.
    await connected.value.execute('object-add', { 'qom-type': 'throttle-group', id: NO_LIMIT })
    this.opened.clear()
    this.#watch(connected.value, found)
    return ok({ adopted: true })
  }

  async #start(): Promise<Result<{ readonly adopted: boolean }>> {
    const { user, helper, binary = 'qemu-storage-daemon' } = this.#options
    if (this.#qmpPath.length > LONGEST_SOCKET_PATH) {
      return fail(
        failure('storage', `The path of pool ${this.pool.name} is too long for a socket: ${this.#qmpPath}`, {
          hint: 'Use a shorter state folder',
        }),
      )
    }
    const stderrPath = join(this.#control, 'stderr.log')
    this.given.clear()
    try {
      for (const folder of [this.pool.path, this.#control]) {
        mkdirSync(folder, { recursive: true, mode: 0o700 })
        if (user) chownSync(folder, user.uid, user.gid)
      }
      writeFileSync(probePath(this.pool), Buffer.alloc(PROBE_FILE_BYTES), { mode: 0o600 })
      if (user) chownSync(probePath(this.pool), user.uid, user.gid)
      for (const path of [this.#qmpPath, this.#readyFile]) rmSync(path, { force: true })
    } catch (cause) {
      return fail(
        failure('storage', `The folders of pool ${this.pool.name} cannot be made: ${(cause as Error).message}`, {
          cause,
        }),
      )
    }
    const started = await startDetached(helper, {
      // As a batch process it wakes up once for several requests: measured, 10 % less processor time a write.
      command: 'chrt',
      args: ['--batch', '0', binary, ...daemonArguments(this.pool, this.#qmpPath, this.#readyFile)],
      pidFile: this.#pidFile,
      stdoutPath: join(this.#control, 'stdout.log'),
      stderrPath,
      env: keepingBuffers(),
      ...(user ? { user } : {}),
    })
    if (!started.ok)
      return fail(
        failure('storage', `The storage daemon of pool ${this.pool.name} does not start`, { cause: started.error }),
      )
    const deadline = performance.now() + START_TIMEOUT_MS
    while (!existsSync(this.#readyFile) && isAlive(started.value) && performance.now() < deadline) await sleep(3)
    const connected = await QmpClient.connect(this.#qmpPath, isAlive(started.value) ? START_TIMEOUT_MS : 1)
    if (!connected.ok) {
      await killDetached(started.value, this.#pidFile)
      const said = lastLines(stderrPath)
      return fail(
        failure('storage', `The storage daemon of pool ${this.pool.name} ended at once${said && `: ${said}`}`, {
          cause: connected.error,
        }),
      )
    }
    this.opened.clear()
    this.#watch(connected.value, started.value)
    return ok({ adopted: false })
  }

  #watch(qmp: QmpClient, process: DetachedProcess): void {
    const monitor = { qmp, process }
    this.#monitor = monitor
    // Released on purpose, or replaced meanwhile: not an end of the daemon.
    const isOurs = () => this.#monitor === monitor
    qmp.onClose(() => {
      if (isOurs()) this.#closing = this.#onClosed(process, isOurs).finally(() => (this.#closing = undefined))
    })
  }

  async #onClosed(process: DetachedProcess, isOurs: () => boolean): Promise<void> {
    // On a very busy host a monitor was seen to close while its daemon went on.
    if (!(await waitGone(process, END_TIMEOUT_MS)) && isOurs()) {
      const again = await QmpClient.connect(this.#qmpPath, ADOPT_TIMEOUT_MS, () => isAlive(process))
      if (again.ok && isOurs()) return this.#watch(again.value, process)
      if (again.ok) again.value.close()
    }
    if (!isOurs()) return
    this.#monitor = undefined
    const said = lastLines(join(this.#control, 'stderr.log'))
    const end = `(process ${process.pid}) has ended${said && `: ${said}`}`
    this.#lastEnd = `: the one before it ${end}`
    const reason = `the storage daemon of pool ${this.pool.name} ${end}`
    for (const listener of [...this.#exitListeners]) listener(reason)
  }

  get #pidFile(): string {
    return join(this.#control, 'pid')
  }

  get #qmpPath(): string {
    return join(this.#control, 'qmp.sock')
  }

  /** The daemon's own word that it serves; the other process file is there before it runs. */
  get #readyFile(): string {
    return join(this.#control, 'ready.pid')
  }
}

const DEAD_HINT = 'The agent starts it again by itself; its replicas are brought up to date afterwards'

/**
 * No iothread: with one, QEMU 10.0 hangs for good, monitor and all, when one of two exports of a volume is deleted
 * while the other is connected (it moves the volume to the main thread and never gets its drain). Measured it is no
 * faster, and so the probe answers for the very loop that serves the volumes.
 */
function daemonArguments(pool: PoolConfig, qmpPath: string, readyFile: string): string[] {
  return [
    '--nbd-server',
    `addr.type=inet,addr.host=${pool.listenAddress ?? '0.0.0.0'},addr.port=${pool.port},max-connections=0`,
    '--blockdev',
    `driver=file,node-name=probe,filename=${quoted(probePath(pool))},read-only=on,${pastTheCache(probePath(pool))}`,
    '--export',
    `type=nbd,id=${PROBE_EXPORT},node-name=probe,name=${PROBE_EXPORT}`,
    ...['--object', `throttle-group,id=${NO_LIMIT}`],
    '--chardev',
    `socket,path=${quoted(qmpPath)},server=on,wait=off,id=qmp`,
    '--monitor',
    'chardev=qmp',
    // Written when all is open, just before requests are looked at. Who asks the monitor earlier may never be answered,
    // nor anybody after him (QEMU 10.0.2: 4 of 300).
    '--pidfile',
    readyFile,
  ]
}

/** A comma ends a value in QEMU's options; doubled it stands for itself. */
function quoted(path: string): string {
  return path.replaceAll(',', ',,')
}

/**
 * What the probe reads, past the page cache: so that a disk that no longer answers shows as well as a daemon that does
 * not. Both leave a guest's writes hanging without an error.
 */
function probePath(pool: PoolConfig): string {
  return join(pool.path, 'probe')
}

/** Some file systems (tmpfs) know no direct I/O; the probe then answers for the daemon alone. */
function pastTheCache(path: string): string {
  try {
    closeSync(openSync(path, constants.O_RDONLY | constants.O_DIRECT))
    return 'cache.direct=on,aio=native'
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EINVAL') throw error
    return 'cache.direct=off,aio=threads'
  }
}

const PROBE_FILE_BYTES = 4096

function lastLines(path: string): string {
  try {
    return readFileSync(path, 'utf8').trim().split('\n').slice(-2).join(' ').slice(-400)
  } catch {
    // No log was written: there is nothing to quote.
    return ''
  }
}

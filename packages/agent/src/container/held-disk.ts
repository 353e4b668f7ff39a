/**
 * One disk of a container on its host: a `stead-disk` on the front's export, a loop device on its file and the ext4 file
 * system that is mounted from it. What fails below is held by `stead-disk`; the processes above wait and see no error.
 *
 *   <folder>/disk.json      which loop device it is, once there is one; `disk.pid`, `disk.sock`, `stdout.log`, `stderr.log`
 *   <folder>/fuse/disk      the disk as one file
 *
 * All mounts are in the agent's own mount namespace, also where `stead-disk` runs in the guests' pid namespace.
 */
import { mkdirSync, readFileSync, rmSync } from 'node:fs'
import { stat } from 'node:fs/promises'
import { failure } from '@stead/core/errors.ts'
import type { Log } from '@stead/core/ports/log.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import {
  isAlive,
  killDetached,
  readPidFile,
  signal,
  startDetached,
  waitGone,
  type DetachedProcess,
} from '../process/detached.ts'
import { NotedEnd } from '../process/noted-end.ts'
import { writeRecordFile } from '../process/record-file.ts'
import {
  checkFileSystem,
  freeze,
  growMounted,
  isBlank,
  isMounted,
  makeFileSystem,
  mountFileSystem,
  thaw,
  unmount,
  unmountLazily,
  type NewFileSystem,
} from './container-file-system.ts'
import { DiskControl, type DiskState } from './disk-control.ts'
import { bootId, filesIn, readRecord, type HeldDiskFiles } from './held-disk-files.ts'
import { attachLoop, growLoop, isAttached, loopsOf, releaseLoop, waitDetached, type LoopDevice } from './loop-device.ts'

export type HeldDiskEvent =
  /**
   * Something failed: everything is held from now on. Told once until it is let go, and again to an agent that adopts it.
   * `disconnected`: the connection to the front broke, which is told also of a disk that was held before. To be expected
   * from `ContainerFront.holdDisk` to `takeNewSize`.
   */
  | { readonly kind: 'held'; readonly reason: string; readonly disconnected: boolean }
  /** `stead-disk` is gone without having been asked: every request from now on fails. Only `kill` is left to do. */
  | { readonly kind: 'gone'; readonly reason: string }

export interface HeldDiskOptions {
  /** The disk's own folder. */
  readonly folder: string
  /** Where the file system is mounted; is made when it is not there. */
  readonly mountFolder: string
  /** `ContainerFront.nbdSocket` and `ContainerFront.exportOf`. */
  readonly nbdSocket: string
  readonly exportName: string
  /** Paths of `stead-run-guest` and `stead-disk`. */
  readonly helper: string
  readonly steadDisk: string
  /** Pid of the init of the guests' pid namespace; absent: none. */
  readonly namespacePid?: number
  readonly onEvent: (event: HeldDiskEvent) => void
  readonly log: Log
}

export interface HeldDiskStart {
  /** Makes a new file system, whatever is there. Absent: the volume has one, which is checked and enlarged if need be. */
  readonly make?: NewFileSystem
  /** Makes one when nothing is on the volume yet. */
  readonly makeWhenBlank?: true
}

export interface DiskPace {
  readonly bytesPerSecond?: number | undefined
  readonly operationsPerSecond?: number | undefined
}

const START_TIMEOUT_MS = 15_000
const ADOPT_TIMEOUT_MS = 2_000
const ANSWER_TIMEOUT_MS = 5_000
/** It may have to wait for the front, which may wait for a leg. */
const RECONNECT_TIMEOUT_MS = 10_000
const END_TIMEOUT_MS = 5_000
const DETACH_TIMEOUT_MS = 10_000
const LET_GO_TIMEOUT_MS = 1_000

export class HeldDisk {
  readonly process: DetachedProcess
  readonly #options: HeldDiskOptions
  readonly #files: HeldDiskFiles
  #loop: LoopDevice | undefined
  #control: DiskControl | undefined
  #state: DiskState | undefined
  #told: 'failed' | 'disconnected' | undefined
  readonly #end: NotedEnd
  #isOver = false

  private constructor(options: HeldDiskOptions, process: DetachedProcess, loop?: LoopDevice) {
    this.#options = options
    this.#files = filesIn(options.folder)
    this.process = process
    this.#end = new NotedEnd(process.pid, options.namespacePid)
    this.#loop = loop
  }

  /**
   * Brings the disk up and mounts it; what an earlier run left in this folder is ended first (`clearHeldDisk`). Fails with
   * `storage` for a file system that is damaged beyond e2fsck's own repair. After a failure nothing is left.
   */
  static async start(options: HeldDiskOptions, start: HeldDiskStart = {}): Promise<Result<HeldDisk>> {
    const files = filesIn(options.folder)
    const cleared = await clearHeldDisk(options.folder, options.mountFolder)
    if (!cleared.ok) return cleared
    for (const folder of [files.fuseFolder, options.mountFolder]) mkdirSync(folder, { recursive: true, mode: 0o700 })
    rmSync(files.stderrLog, { force: true })
    const started = await startDetached(options.helper, {
      command: options.steadDisk,
      args: [
        ...['--mount', files.fuseFolder, '--nbd', options.nbdSocket],
        ...['--export', options.exportName, '--control', files.controlSocket],
      ],
      pidFile: files.pidFile,
      stdoutPath: files.stdoutLog,
      stderrPath: files.stderrLog,
      ...(options.namespacePid ? { namespacePid: options.namespacePid } : {}),
    })
    if (!started.ok) return started
    const disk = new HeldDisk(options, started.value)
    const mounted = await disk.#bringUp(start)
    if (mounted.ok) return ok(disk)
    const killed = await disk.kill()
    if (!killed.ok) options.log.error(killed.error.message)
    return mounted
  }

  async #bringUp({ make, makeWhenBlank }: HeldDiskStart): Promise<Result<void>> {
    const { mountFolder } = this.#options
    const connected = await this.#connect(START_TIMEOUT_MS)
    if (!connected.ok) return connected
    const attached = await attachLoop(this.#files.disk)
    if (!attached.ok) return attached
    const loop = (this.#loop = attached.value)
    const noted = writeRecordFile(this.#files.recordFile, { version: 1, bootId: bootId(), loop })
    if (!noted.ok) return noted
    const fresh = make ?? (makeWhenBlank && (await isBlank(loop.path)) ? {} : undefined)
    const ready = fresh ? await makeFileSystem(loop.path, fresh) : await checkFileSystem(loop.path)
    if (!ready.ok) return ready
    const mounted = await mountFileSystem(loop.path, mountFolder)
    // From now on it goes when the last mount goes, whoever is there to see it.
    return mounted.ok ? releaseLoop(loop) : mounted
  }

  /**
   * The disk that an earlier agent started here; undefined when `stead-disk`, its loop device or its mount is gone: what is
   * left is then to be ended by `clearHeldDisk`. Events of what is held already follow after the return.
   */
  static async adopt(options: HeldDiskOptions): Promise<Result<HeldDisk | undefined>> {
    const files = filesIn(options.folder)
    const process = readPidFile(files.pidFile)
    const record = readRecord(files)
    if (!record.ok) return record
    const loop = record.value?.loop
    if (!process || !loop || !isAttached(loop) || !isMounted(options.mountFolder)) return ok(undefined)
    const disk = new HeldDisk(options, process, loop)
    const connected = await disk.#connect(ADOPT_TIMEOUT_MS)
    if (connected.ok) return ok(disk)
    disk.dispose()
    // It was just dying.
    return isAlive(process) ? connected : ok(undefined)
  }

  /** The last that it said. Ask `status` for the present counters. */
  get state(): DiskState | undefined {
    return this.#state
  }

  /** Nothing of this disk is on its way to a replica, and nothing will be until `go`. For `FrontOptions.requireQuiet`. */
  async requireQuiet(): Promise<Result<void>> {
    const state = await this.status()
    if (!state.ok) return isAlive(this.process) ? state : ok()
    return state.value.quiet ? ok() : fail(failure('conflict', 'The container may write; hold its disks first'))
  }

  status(): Promise<Result<DiskState>> {
    return this.#ask('status', ANSWER_TIMEOUT_MS)
  }

  /**
   * Sends nothing more; resolves once nothing is under way any more. Fails with `internal` when that takes longer (a leg
   * hangs: yank it, and ask again); it holds all the same. What asks for the disk waits; the rest of the container runs.
   */
  async hold(timeoutMs: number): Promise<Result<void>> {
    const held = await this.#ask('hold', timeoutMs)
    return held.ok ? ok() : held
  }

  /** Sends again what is held, in its order, and goes on. Fails with `conflict` while there is no connection. */
  async go(): Promise<Result<void>> {
    const gone = await this.#ask('go', ANSWER_TIMEOUT_MS)
    return gone.ok ? ok() : gone
  }

  /** After `disconnected`. It must hold; it goes on holding. */
  async reconnect(): Promise<Result<void>> {
    const connected = await this.#ask('connect', RECONNECT_TIMEOUT_MS)
    return connected.ok ? ok() : connected
  }

  /** From now on, reading and writing apart. What waits already waits by the new ones. Absent: unlimited. */
  async limit({ bytesPerSecond, operationsPerSecond }: DiskPace): Promise<Result<void>> {
    const limited = await this.#ask('limit', ANSWER_TIMEOUT_MS, [bytesPerSecond ?? 0, operationsPerSecond ?? 0])
    return limited.ok ? ok() : limited
  }

  /** After the front's export has grown. It must be quiet. The file system takes the new room by `growFileSystem`, or at its next start. */
  async takeNewSize(): Promise<Result<void>> {
    const resized = await this.#ask('resize', RECONNECT_TIMEOUT_MS)
    if (!resized.ok) return resized
    // The kernel asks for the size anew, which the loop device then finds.
    await stat(this.#files.disk)
    return this.#loop ? growLoop(this.#loop) : ok()
  }

  /** While it is mounted and not held. Fails with `conflict` where the kernel does not let it. */
  growFileSystem(): Promise<Result<void>> {
    return this.#loop ? growMounted(this.#loop.path) : Promise.resolve(ok())
  }

  /** For a snapshot: the file system on the disk is whole and stands still until `thaw`. The disk must not hold. */
  freeze(): Promise<Result<void>> {
    return freeze(this.#options.mountFolder)
  }

  thaw(): Promise<Result<void>> {
    return thaw(this.#options.mountFolder)
  }

  /** False while a process holds on to the file system somewhere; it is mounted still then. True: it is mounted no more. */
  async letGo(): Promise<Result<boolean>> {
    const { mountFolder } = this.#options
    await this.limit({})
    const unmounted = await unmount(mountFolder)
    if (!unmounted.ok) return unmounted
    if (!this.#loop || (await waitDetached(this.#loop, LET_GO_TIMEOUT_MS))) return ok(true)
    const mounted = await mountFileSystem(this.#loop.path, mountFolder)
    return mounted.ok ? ok(false) : mounted
  }

  /**
   * Ends it in order; nothing may use the file system any more, and the disk must not hold. `clean`: all that was ever
   * written has been acknowledged by the front. In any case nothing is left afterwards, except after a failure.
   */
  async close(): Promise<Result<{ readonly clean: boolean }>> {
    const before = await this.status()
    const holds = !before.ok || before.value.mode === 'holding'
    // The last that the file system writes down keeps nobody waiting.
    if (!holds) await this.limit({})
    const unmounted = holds ? fail(failure('conflict', 'The disk holds')) : await unmount(this.#options.mountFolder)
    const free = unmounted.ok && (!this.#loop || (await waitDetached(this.#loop, DETACH_TIMEOUT_MS)))
    const quiet = free ? await this.#ask('hold', ANSWER_TIMEOUT_MS) : undefined
    if (!unmounted.ok) this.#options.log.warn(unmounted.error.message)
    this.#isOver = true
    if (quiet?.ok) signal(this.process, 'SIGTERM')
    const ended = quiet?.ok === true && (await waitGone(this.process, END_TIMEOUT_MS))
    const cleared = await this.kill()
    if (!cleared.ok) return cleared
    return ok({ clean: ended && quiet.value.held === 0 && quiet.value.failures === 0 })
  }

  /**
   * Ends it at once: what waits fails, what the file system had not written is lost. Nothing hangs: the kernel ends the FUSE
   * connection with the process. End what runs on the file system before, or the loop device is free only when that ends.
   */
  async kill(): Promise<Result<void>> {
    this.dispose()
    return clearHeldDisk(this.#options.folder, this.#options.mountFolder, this.#loop)
  }

  /** Lets go of it; it runs on. */
  dispose(): void {
    this.#isOver = true
    this.#control?.close()
  }

  async #connect(timeoutMs: number): Promise<Result<void>> {
    const connected = await DiskControl.connect(
      this.#files.controlSocket,
      { onState: (state) => this.#note(state), onClosed: () => void this.#onClosed() },
      timeoutMs,
      () => isAlive(this.process),
    )
    if (connected.ok) {
      this.#control = connected.value
      return ok()
    }
    if (isAlive(this.process)) return connected
    return fail(failure('storage', `stead-disk ended while starting: ${lastWords(this.#files.stderrLog)}`))
  }

  #ask(...asked: Parameters<DiskControl['ask']>): Promise<Result<DiskState>> {
    if (this.#control) return this.#control.ask(...asked)
    return Promise.resolve(fail(failure('internal', 'stead-disk does not answer')))
  }

  #note(state: DiskState): void {
    this.#state = state
    const trouble = !state.connected ? 'disconnected' : state.failures > 0 ? 'failed' : undefined
    const isNew = trouble !== undefined && trouble !== this.#told && this.#told !== 'disconnected'
    // A connection that is back does not yet let go what failed before it broke.
    if (trouble === undefined ? state.mode === 'running' : isNew) this.#told = trouble
    if (!isNew) return
    const [reason, disconnected] = [failureText(state), !state.connected]
    // After `adopt` has returned, so that its caller knows the disk when the event comes.
    setImmediate(() => {
      if (!this.#isOver) this.#options.onEvent({ kind: 'held', reason, disconnected })
    })
  }

  async #onClosed(): Promise<void> {
    while (!this.#isOver) {
      if (await waitGone(this.process, 500)) {
        const how = await this.#end.describe()
        const reason = `What serves its disk (stead-disk, pid ${this.process.pid}) ended by itself (${how}): ${lastWords(this.#files.stderrLog)}`
        if (!this.#isOver) this.#options.onEvent({ kind: 'gone', reason })
        return
      }
      const connected = await this.#connect(1_000)
      if (connected.ok) return
    }
  }
}

/**
 * Ends and removes whatever is left of a disk in this folder: the process, the mounts, the loop device. For the start after
 * a crash of the agent or the host; also where nothing is left. Never waits for a disk.
 */
export async function clearHeldDisk(folder: string, mountFolder: string, known?: LoopDevice): Promise<Result<void>> {
  const files = filesIn(folder)
  const process = readPidFile(files.pidFile)
  const killed = process ? await killDetached(process, files.pidFile) : ok()
  if (!killed.ok) return killed
  const record = readRecord(files)
  const recorded = record.ok && record.value?.bootId === bootId() ? [record.value.loop] : []
  // A start that was cut short has not noted its device; the kernel still knows its file while that is mounted.
  const loops = [...(known ? [known] : []), ...recorded, ...loopsOf(files.disk)]
  const unmounted = await unmountLazily(mountFolder)
  if (!unmounted.ok) return unmounted
  for (const loop of loops) {
    const released = await releaseLoop(loop)
    if (!released.ok) return released
    if (await waitDetached(loop, DETACH_TIMEOUT_MS)) continue
    return fail(
      failure('internal', `${loop.path} is still in use`, { hint: `See who uses it: fuser -v -m ${loop.path}` }),
    )
  }
  const gone = await unmountLazily(files.fuseFolder)
  if (!gone.ok) return gone
  for (const path of [files.recordFile, files.pidFile, files.controlSocket]) rmSync(path, { force: true })
  return ok()
}

function failureText({ connected, failure: last }: DiskState): string {
  if (!connected) return 'The connection to the front is lost'
  if (!last) return 'A request failed'
  return `A ${last.operation} of ${last.lengthBytes} bytes at ${last.offsetBytes} failed with error ${last.errno}`
}

function lastWords(path: string): string {
  try {
    return readFileSync(path, 'utf8').trim().slice(-600) || 'it said nothing'
  } catch {
    return 'it said nothing'
  }
}

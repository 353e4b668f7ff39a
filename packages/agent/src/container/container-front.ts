/**
 * The QEMU in front of a container's volumes: it has no machine, only the block graph that a VM's QEMU has, and serves each
 * disk by NBD on a unix socket to that disk's `stead-disk`. It outlives the agent and is adopted by the next one.
 */
import { rmSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { failure } from '@stead/core/errors.ts'
import type { VolumeId } from '@stead/core/model/ids.ts'
import type { GuestDisk } from '@stead/core/ports/guest-host.ts'
import type { Log } from '@stead/core/ports/log.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import { isAlive, killDetached, waitGone, type DetachedProcess } from '../process/detached.ts'
import { NotedEnd } from '../process/noted-end.ts'
import { writeRecordFile } from '../process/record-file.ts'
import { attachedDisk, newDiskRecord, nodesOf, topNode, type DiskRecord } from '../qemu/block-graph.ts'
import { DiskLegs } from '../qemu/disk-legs.ts'
import { addDiskNodes, removeDiskNodes } from '../qemu/disk-nodes.ts'
import { findProcess } from '../qemu/guest-process.ts'
import { LegKeys } from '../qemu/leg-keys.ts'
import { lastWords } from '../qemu/launch-record.ts'
import { checkLegs } from '../qemu/leg-probe.ts'
import { drainAndFlushDisk, queryGraph } from '../qemu/mirror-surgery.ts'
import { QmpClient, type QmpEvent } from '../qemu/qmp.ts'
import { startFrontProcess } from './front-process.ts'
import {
  exportName,
  frontFiles,
  newFrontRecord,
  readFrontRecord,
  type FrontFiles,
  type FrontLaunch,
  type FrontRecord,
} from './front-record.ts'

export interface FrontOptions {
  /** The front's own folder. Its user must be able to reach it (execute permission on the way). */
  readonly folder: string
  /** Path of `stead-run-guest`. */
  readonly helper: string
  readonly qemu?: string
  /** Whom QEMU runs as. Absent only where the agent itself is unprivileged. */
  readonly user?: { readonly uid: number; readonly gid: number }
  /** Pid of the init of the guests' pid namespace; absent: none. */
  readonly namespacePid?: number
  /**
   * Fails with `conflict` while requests may be under way: legs are dropped and attached only while every `HeldDisk` of the
   * container is quiet. Asked before each such step.
   */
  readonly requireQuiet: () => Promise<Result<void>>
  /** The process is gone, unless it was `quit`, `kill`ed or let go by `dispose`. `reason`: its last words. */
  readonly onGone: (reason: string) => void
  readonly log: Log
}

const START_TIMEOUT_MS = 15_000
/** Of one that is adopted: it either answers or hangs on a leg. */
const ADOPT_TIMEOUT_MS = 2_000
/** From `quit` to the end of the process, before SIGKILL. */
const QUIT_TIMEOUT_MS = 3_000
/** Of a container that ends: a leg that hangs for longer makes the end an unclean one. */
const LAST_FLUSH_TIMEOUT_MS = 10_000
const EXPORT_TIMEOUT_MS = 5_000

export class ContainerFront {
  readonly launch: FrontLaunch
  readonly process: DetachedProcess
  /** Changes of the disks' legs. The same code as a VM's; see `FrontOptions.requireQuiet`. */
  readonly legs: DiskLegs
  readonly #options: FrontOptions
  readonly #files: FrontFiles
  readonly #keys: LegKeys
  readonly #failing = new Set<string>()
  readonly #end: NotedEnd
  #record: FrontRecord
  #monitor: QmpClient | undefined
  #isOver = false

  private constructor(options: FrontOptions, record: FrontRecord, process: DetachedProcess) {
    this.#options = options
    this.#files = frontFiles(options.folder)
    this.#keys = new LegKeys(this.#files.legKeysFolder, options.user)
    this.#record = record
    this.launch = record.launch
    this.process = process
    this.#end = new NotedEnd(process.pid, options.namespacePid)
    this.legs = new DiskLegs({
      disks: () => this.#record.disks,
      save: (disk) => this.#save(disk),
      monitor: () => this.#connected(),
      requirePaused: options.requireQuiet,
      keys: this.#keys,
      runFolder: this.#files.runFolder,
      ...(options.user ? { user: options.user } : {}),
      log: options.log,
    })
  }

  /**
   * Starts the front with all disks exported, in `waiting` (from `startFrontProcess`) while that lives; any other one in this
   * folder is killed first. Fails with `bad_request` for legs that do not fit, `host_unreachable` when a replica does not
   * answer, `hypervisor` with QEMU's last words. After a failure none is left.
   */
  static async start(
    options: FrontOptions,
    launch: FrontLaunch,
    waiting?: DetachedProcess,
  ): Promise<Result<ContainerFront>> {
    const files = frontFiles(options.folder)
    const [checked, started] = await Promise.all([
      checkLegs(launch.disks),
      waiting && isAlive(waiting) ? ok(waiting) : startFrontProcess(options, launch),
    ])
    if (!started.ok) return started
    const record = newFrontRecord(launch)
    const front = new ContainerFront(options, record, started.value)
    const written = checked.ok ? writeRecordFile(files.recordFile, record) : checked
    const connected = written.ok ? await front.#connect(START_TIMEOUT_MS) : written
    let served = connected.ok ? await front.#serveAll() : connected
    // Seen once on a very busy host: the monitor closes right after its greeting. What was done is not done twice.
    if (connected.ok && front.#monitor?.closed && !(await waitGone(front.process, 200))) {
      const again = await front.#connect(START_TIMEOUT_MS)
      served = again.ok ? await front.#serveAll() : again
    }
    if (served.ok) return ok(front)
    const said = isAlive(front.process) ? '' : lastWords(files)
    await front.kill()
    return said
      ? fail(failure('hypervisor', `The front ended while starting: ${said}`, { cause: served.error }))
      : served
  }

  /**
   * The front that an earlier agent started here, with its exports; undefined when none lives. Fails with `hypervisor` when
   * it does not answer: it hangs on a leg that must be yanked by killing that leg's server, or be ended (`endFront`).
   */
  static async adopt(options: FrontOptions): Promise<Result<ContainerFront | undefined>> {
    const files = frontFiles(options.folder)
    const process = findProcess(files)
    if (!process) return ok(undefined)
    const record = readFrontRecord(files)
    if (!record.ok) return record
    if (!record.value) return fail(failure('internal', `The record of the front in ${options.folder} is lost`))
    const front = new ContainerFront(options, record.value, process)
    const connected = await front.#connect(ADOPT_TIMEOUT_MS)
    const settled = connected.ok ? await front.legs.settleHolds() : connected
    const exported = settled.ok ? await front.#exportAll() : settled
    if (exported.ok) return ok(front)
    front.dispose()
    // It was just dying.
    return isAlive(process) ? exported : ok(undefined)
  }

  /** Where the exports are served, for `HeldDisk`. */
  get nbdSocket(): string {
    return this.#files.nbdSocket
  }

  /** Under which name a volume is exported. */
  exportOf(volume: VolumeId): Result<string> {
    const disk = this.#disk(volume)
    return disk.ok ? ok(exportName(disk.value)) : disk
  }

  /** The disks with the legs that are attached now, in the order of reading. */
  async inspect(): Promise<Result<readonly GuestDisk[]>> {
    const monitor = this.#connected()
    if (!monitor.ok) return monitor
    const graph = await queryGraph(monitor.value)
    return graph.ok ? ok(this.#record.disks.map((disk) => attachedDisk(graph.value, disk))) : graph
  }

  /** Hosts on whose legs a write or flush has failed since `forgetFailures`, which is to be called before each `go`. */
  get failingHosts(): readonly string[] {
    return [...this.#failing]
  }

  forgetFailures(): void {
    this.#failing.clear()
  }

  get disks(): readonly DiskRecord[] {
    return this.#record.disks
  }

  /** One disk more, exported. Its place must be free; nothing is left of a failure. */
  async addDisk(disk: GuestDisk, index: number): Promise<Result<void>> {
    const monitor = this.#connected()
    if (!monitor.ok) return monitor
    const checked = await checkLegs([disk])
    if (!checked.ok) return checked
    const record = newDiskRecord(disk, index)
    // Of an agent that died before it could write the record.
    const cleared = await removeDiskNodes(monitor.value, record)
    const built = cleared.ok ? await addDiskNodes(monitor.value, this.#keys, record) : cleared
    if (!built.ok) {
      await removeDiskNodes(monitor.value, record)
      return built
    }
    const noted = this.#saveAll([...this.#record.disks, record])
    const exported = noted.ok ? await this.#exportAll() : noted
    if (!exported.ok) await this.removePlace(index)
    return exported
  }

  /** Its `HeldDisk` must be gone. `flushed`: all that was acknowledged is on every attached leg. */
  async removeDisk(volume: VolumeId): Promise<Result<{ readonly flushed: boolean }>> {
    const monitor = this.#connected()
    if (!monitor.ok) return monitor
    const disk = this.#record.disks.find((each) => each.volume === volume)
    if (!disk) return ok({ flushed: true })
    const flushed = await drainAndFlushDisk(monitor.value, disk, LAST_FLUSH_TIMEOUT_MS)
    if (!flushed.ok) this.#options.log.warn(flushed.error.message, { volume })
    const removed = await this.removePlace(disk.index)
    return removed.ok ? ok({ flushed: flushed.ok }) : removed
  }

  /** Whatever there is of a disk with this number: its export, its nodes, its record. */
  async removePlace(index: number): Promise<Result<void>> {
    const monitor = this.#connected()
    if (!monitor.ok) return monitor
    const disk = this.#record.disks.find((each) => each.index === index)
    if (!disk) return ok()
    const ended = await this.#endExport(disk)
    const removed = ended.ok ? await removeDiskNodes(monitor.value, disk) : ended
    return removed.ok ? this.#saveAll(this.#record.disks.filter((each) => each.index !== index)) : removed
  }

  /** Flushes the disk, closes its legs and ends its export. Its `HeldDisk` must be quiet; it hears of a broken connection. */
  async holdDisk(volume: VolumeId): Promise<Result<void>> {
    const disk = this.#disk(volume)
    if (!disk.ok) return disk
    const quiet = await this.#options.requireQuiet()
    if (!quiet.ok) return quiet
    const ended = await this.#endExport(disk.value)
    if (!ended.ok) return ended
    const held = await this.legs.hold(volume)
    // As it was: a leg that cannot be flushed is dropped, and the growth tried again.
    if (!held.ok) await this.#exportAll()
    return held
  }

  /** Of a disk that is held: opens its larger legs and exports it anew; then `HeldDisk.takeNewSize` and `go`. */
  async growDisk(grown: GuestDisk): Promise<Result<void>> {
    const done = await this.legs.grow(grown)
    return done.ok ? this.#exportAll() : done
  }

  /** Ends it in order. `flushed`: nothing that was acknowledged is missing on any attached leg. No `HeldDisk` may be left. */
  async quit(): Promise<{ readonly flushed: boolean }> {
    this.#isOver = true
    const monitor = this.#connected()
    let flushed = monitor.ok && this.#failing.size === 0
    if (monitor.ok)
      for (const disk of this.#record.disks) {
        const done = await drainAndFlushDisk(monitor.value, disk, LAST_FLUSH_TIMEOUT_MS)
        if (!done.ok) this.#options.log.warn(done.error.message)
        flushed &&= done.ok
      }
    // A front that could not flush hangs on a leg; it would hang on `quit` too.
    const asked = monitor.ok && flushed ? await monitor.value.execute('quit', undefined, QUIT_TIMEOUT_MS) : undefined
    if (asked?.ok && (await waitGone(this.process, QUIT_TIMEOUT_MS))) this.#forget()
    else await this.kill()
    return { flushed: flushed && this.#failing.size === 0 }
  }

  /** From its return on no write of this container leaves the host any more. */
  async kill(): Promise<Result<void>> {
    this.#isOver = true
    const killed = await killDetached(this.process, this.#files.pidFile)
    if (killed.ok) this.#forget()
    return killed
  }

  /** Lets go of it; it runs on. */
  dispose(): void {
    this.#isOver = true
    this.#monitor?.close()
  }

  #forget(): void {
    this.#monitor?.close()
    for (const path of [this.#files.recordFile, this.#files.pidFile]) rmSync(path, { force: true })
  }

  async #connect(timeoutMs: number): Promise<Result<void>> {
    const connected = await QmpClient.connect(this.#files.qmpSocket, timeoutMs, () => isAlive(this.process))
    if (!connected.ok) {
      // A QEMU that gives up closes its monitor a few milliseconds before it is gone.
      if (!(await waitGone(this.process, 200))) return connected
      const said = lastWords(this.#files) || 'it said nothing'
      return fail(failure('hypervisor', `The front ended while starting: ${said}`, { cause: connected.error }))
    }
    this.#keys.remove()
    this.#monitor = connected.value
    connected.value.onEvent((event) => this.#onEvent(event))
    connected.value.onClose(() => void this.#onMonitorClosed())
    return ok()
  }

  #onEvent({ event, data }: QmpEvent): void {
    // A read that fails on one leg is answered by the next.
    if (event !== 'QUORUM_REPORT_BAD' || data['type'] === 'read') return
    const legs = this.#record.disks.flatMap((disk) => disk.legs)
    const host = legs.find(({ node }) => node === data['node-name'])?.leg.host
    if (host !== undefined) this.#failing.add(host)
  }

  async #onMonitorClosed(): Promise<void> {
    while (!this.#isOver) {
      if (await waitGone(this.process, 1_000)) {
        if (this.#isOver) return
        this.#isOver = true
        const said = lastWords(this.#files) || 'it said nothing'
        const how = await this.#end.describe()
        this.#forget()
        return this.#options.onGone(`The front (pid ${this.process.pid}) ended by itself (${how}): ${said}`)
      }
      if (this.#monitor && !this.#monitor.closed) return
      const connected = await this.#connect(1_000)
      if (connected.ok) return this.#options.log.warn('reconnected to the monitor of the front')
      await sleep(100)
    }
  }

  /** The block nodes of each disk that has none yet, and its export. Can be repeated. */
  async #serveAll(): Promise<Result<void>> {
    const monitor = this.#connected()
    if (!monitor.ok) return monitor
    const graph = await queryGraph(monitor.value)
    if (!graph.ok) return graph
    for (const disk of this.#record.disks) {
      if (nodesOf(graph.value, disk).includes(topNode(disk.index))) continue
      const cleared = await removeDiskNodes(monitor.value, disk)
      const built = cleared.ok ? await addDiskNodes(monitor.value, this.#keys, disk) : cleared
      if (!built.ok) return built
    }
    return this.#exportAll()
  }

  /** Exports what is not exported yet. Can be repeated. */
  async #exportAll(): Promise<Result<void>> {
    const monitor = this.#connected()
    if (!monitor.ok) return monitor
    const addr = { type: 'unix', data: { path: this.#files.nbdSocket } }
    const serving = await monitor.value.execute('nbd-server-start', { addr })
    if (!serving.ok && !/already running/.test(serving.error.message)) return serving
    const exports = await this.#exports()
    if (!exports.ok) return exports
    for (const disk of this.#record.disks.filter((each) => !each.held && !exports.value.has(exportName(each)))) {
      const [id, node] = [exportName(disk), topNode(disk.index)]
      const options = { type: 'nbd', id, 'node-name': node, name: id, writable: true }
      const added = await monitor.value.execute('block-export-add', options)
      if (!added.ok) return added
    }
    return ok()
  }

  async #endExport(disk: DiskRecord): Promise<Result<void>> {
    const monitor = this.#connected()
    if (!monitor.ok) return monitor
    const exports = await this.#exports()
    if (!exports.ok || !exports.value.has(exportName(disk))) return exports.ok ? ok() : exports
    const id = exportName(disk)
    const gone = monitor.value.waitFor(
      ({ event, data }) => event === 'BLOCK_EXPORT_DELETED' && data['id'] === id,
      EXPORT_TIMEOUT_MS,
    )
    const asked = await monitor.value.execute('block-export-del', { id, mode: 'hard' })
    if (!asked.ok) return asked
    return (await gone) ? ok() : fail(failure('hypervisor', `The export of ${disk.volume} does not end`))
  }

  async #exports(): Promise<Result<ReadonlySet<string>>> {
    const monitor = this.#connected()
    if (!monitor.ok) return monitor
    const reply = await monitor.value.execute<readonly { readonly id: string }[]>('query-block-exports')
    return reply.ok ? ok(new Set(reply.value.map(({ id }) => id))) : reply
  }

  #save(disk: DiskRecord): Result<void> {
    return this.#saveAll(this.#record.disks.map((each) => (each.index === disk.index ? disk : each)))
  }

  #saveAll(disks: readonly DiskRecord[]): Result<void> {
    this.#record = { ...this.#record, disks }
    return writeRecordFile(this.#files.recordFile, this.#record)
  }

  #disk(volume: VolumeId): Result<DiskRecord> {
    const disk = this.#record.disks.find((each) => each.volume === volume)
    return disk ? ok(disk) : fail(failure('not_found', `The container has no disk ${volume}`))
  }

  #connected(): Result<QmpClient> {
    if (this.#monitor && !this.#monitor.closed) return ok(this.#monitor)
    return fail(failure('hypervisor', 'The QEMU in front of the disks does not answer on its monitor'))
  }
}

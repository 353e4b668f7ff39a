/**
 * One QEMU process of one run: its monitor, its record, and what it tells about itself. Outlives broken monitor
 * connections; ends when the process is gone.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { failure } from '@stead/core/errors.ts'
import type { GuestCdrom, GuestDisk, GuestEvent, GuestLaunch, RunningGuest } from '@stead/core/ports/guest-host.ts'
import type { Log } from '@stead/core/ports/log.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import { isAlive, killDetached, waitGone, type DetachedProcess } from '../process/detached.ts'
import { attachedDisk, type DiskRecord } from './block-graph.ts'
import { changedMedium } from './cdrom-drives.ts'
import { DiskLegs } from './disk-legs.ts'
import { GuestDevices } from './guest-devices.ts'
import { GuestGrowth } from './guest-growth.ts'
import {
  lastWords,
  removeLaunchRecord,
  writeLaunchRecord,
  type GuestFolder,
  type LaunchRecord,
} from './launch-record.ts'
import { LegKeys } from './leg-keys.ts'
import { AGENT_CHARDEV } from './launch-arguments.ts'
import { GuestTpm } from './guest-tpm.ts'
import { IoErrors } from './io-errors.ts'
import { MigrationDestination } from './migration-destination.ts'
import { MigrationSource } from './migration-source.ts'
import { drainAndFlushDisk, queryGraph } from './mirror-surgery.ts'
import { QmpClient, type QmpEvent } from './qmp.ts'
import { queryStatus } from './run-state.ts'

/** How long QEMU may take from its exec to the monitor's greeting (all disks open). TCG on a busy host is slow. */
const START_TIMEOUT_MS = 15_000
/** `stop` drains all disks; longer than this means a hung leg. */
const STOP_TIMEOUT_MS = 3_000
/** From `quit` to the end of the process, before SIGKILL. */
const QUIT_TIMEOUT_MS = 3_000
/** Of a guest that ends: a leg that hangs for longer makes the end an unclean one. Nobody drops it any more. */
const LAST_FLUSH_TIMEOUT_MS = 10_000

/** A QEMU that gives up says why and is gone a moment later. */
const DYING_TIMEOUT_MS = 1_000

/** What leads to a running guest's screen, keyboard and serial port. */
export interface RunningConsole {
  readonly epoch: number
  readonly name: string
  /** Where one connection at a time may be made to its serial port, and what that has said. */
  readonly serialSocket: string
  readonly consoleLog: string
  /** Absent: it has none. */
  readonly screen?: { readonly folder: GuestFolder; readonly monitor: QmpClient }
}

type ExitCause = (GuestEvent & { kind: 'exited' })['cause']

export class QemuGuest {
  readonly process: DetachedProcess
  readonly folder: GuestFolder
  readonly legs: DiskLegs
  readonly departure: MigrationSource
  readonly arrival: MigrationDestination
  readonly devices: GuestDevices
  readonly growth: GuestGrowth
  readonly #log: Log
  readonly #emit: (event: GuestEvent) => void
  readonly #onGone: () => void
  #record: LaunchRecord
  #monitor: QmpClient | undefined
  #disposed = false
  #gone = false
  #exitCause: ExitCause | undefined
  #exitReason = ''
  #ending: Promise<{ readonly flushed: boolean }> | undefined
  #flushed = false
  readonly #ioErrors = new IoErrors()
  readonly #tpm: GuestTpm | undefined
  readonly #legKeys: LegKeys

  constructor(options: {
    readonly record: LaunchRecord
    readonly process: DetachedProcess
    readonly folder: GuestFolder
    /** Whom QEMU runs as, when not as the agent. */
    readonly user?: { readonly uid: number; readonly gid: number }
    readonly log: Log
    readonly emit: (event: GuestEvent) => void
    readonly onGone: () => void
  }) {
    this.#record = options.record
    this.process = options.process
    this.folder = options.folder
    this.#log = options.log
    this.#emit = options.emit
    this.#onGone = options.onGone
    const monitor = () => this.#connected()
    const disks = () => this.#record.disks
    const user = options.user ? { user: options.user } : {}
    const keys = { folder: this.folder, ...user }
    const { runFolder } = this.folder
    this.#legKeys = new LegKeys(this.folder.legKeysFolder, options.user)
    const save = (disk: DiskRecord) => this.#saveDisk(disk)
    this.legs = new DiskLegs({ disks, save, monitor, keys: this.#legKeys, runFolder, ...user, log: options.log })
    this.departure = new MigrationSource({ ...keys, monitor, disks })
    this.arrival = new MigrationDestination({ ...keys, monitor, memoryBytes: this.#record.launch.memoryBytes })
    const tpmDisk = this.#record.disks.find(({ role }) => role === 'tpm')
    if (tpmDisk) this.#tpm = new GuestTpm({ folder: this.folder, disk: tpmDisk, monitor, log: options.log })
    const saveAll = (record: LaunchRecord) => this.#save(record)
    const machine = { record: () => this.#record, save: saveAll, monitor, keys: this.#legKeys }
    this.devices = new GuestDevices({ ...machine, log: options.log })
    this.growth = new GuestGrowth({ ...machine, log: options.log })
  }

  get epoch(): number {
    return this.#record.launch.epoch
  }

  get guest(): LaunchRecord['launch']['guest'] {
    return this.#record.launch.guest
  }

  /** Connects the monitor; QEMU answers once all its disks are open. Fails at once when the process is gone. */
  async connect(timeoutMs = START_TIMEOUT_MS): Promise<Result<void>> {
    const connected = await QmpClient.connect(this.folder.qmpSocket, timeoutMs, () => isAlive(this.process))
    if (!connected.ok) {
      // A QEMU that gives up closes its monitor a few milliseconds before it is gone.
      if (!(await waitGone(this.process, 200))) return connected
      return fail(
        failure('hypervisor', `QEMU ended while starting: ${lastWords(this.folder) || 'it said nothing'}`, {
          cause: connected.error,
        }),
      )
    }
    this.#legKeys.remove()
    this.#monitor = connected.value
    connected.value.onEvent((event) => this.#onEvent(event))
    connected.value.onClose(() => void this.#onMonitorClosed())
    this.#tpm?.begin()
    void this.growth.begin()
    return ok()
  }

  /** Stops listening; the guest runs on. */
  dispose(): void {
    this.#disposed = true
    this.#tpm?.close()
    this.#monitor?.close()
  }

  /** Keeps trying to reach a QEMU whose monitor did not answer, until it does or the process is gone. */
  async reconnect(): Promise<void> {
    while (!this.#disposed && !this.#gone) {
      if (!isAlive(this.process)) return this.#noteGone()
      const connected = await this.connect(1_000)
      if (connected.ok) {
        this.#log.warn('reconnected to the monitor')
        await this.catchUp()
        return
      }
      await sleep(100)
    }
  }

  async inspect(): Promise<Result<RunningGuest>> {
    const monitor = this.#connected()
    if (!monitor.ok) return monitor
    const [status, graph] = await Promise.all([queryStatus(monitor.value), queryGraph(monitor.value)])
    if (!status.ok) return status
    if (!graph.ok) return graph
    const disks = this.#record.disks.map((disk) => attachedDisk(graph.value, disk))
    const sending = status.value === 'arriving' ? undefined : await this.departure.sending()
    return ok({
      ...this.#identity(),
      ...{ status: status.value, legs: legHosts(disks), disks },
      ...(sending === undefined ? {} : { sending }),
    })
  }

  /** What it was started with, as it is now. */
  async launchOf(): Promise<Result<GuestLaunch>> {
    // A processor that the guest gave back late is in the record from now on.
    const grown = await this.growth.facts()
    if (!grown.ok) return grown
    const { launch, machine } = this.#record
    if (machine === undefined)
      return fail(
        failure('conflict', `${launch.name} was started by an earlier Stead, whose machine no other host can make`, {
          hint: 'Shut it down and start it again; from then on it can move while it runs',
        }),
      )
    const running = await this.inspect()
    if (!running.ok) return running
    // Where a disk was taken out of the middle, the others keep the places that their numbers gave them.
    const disks = running.value.disks.map((disk, position) => {
      const slot = this.#record.disks[position]?.index ?? position
      return slot === position ? disk : { ...disk, slot }
    })
    return ok({ ...launch, machine, disks })
  }

  /** Waits for a guest that comes from another host, then takes it in as it is. */
  async awaitArrival(timeoutMs: number): Promise<Result<RunningGuest>> {
    const arrived = await this.arrival.arrived(timeoutMs)
    if (arrived.ok) {
      // After the caller has the answer: it may have come with an I/O error, or while it was shutting down.
      setImmediate(() => void this.catchUp())
      return this.inspect()
    }
    if (isAlive(this.process) && !this.#monitor?.closed) return arrived
    await waitGone(this.process, DYING_TIMEOUT_MS)
    return fail(failure('hypervisor', `The waiting QEMU gave up: ${lastWords(this.folder) || 'it was killed'}`))
  }

  /** After another agent's death: first finishes or undoes what it had begun to plug in. */
  async settled(): Promise<Result<RunningGuest>> {
    const settled = this.#record.machine === undefined ? ok() : await this.devices.settle()
    if (!settled.ok) this.#log.warn('half-made devices could not be looked after', { error: settled.error })
    const held = await this.legs.settleHolds()
    return held.ok ? this.inspect() : held
  }

  /** What is known of a QEMU that does not answer: nothing about its disks. */
  inspectSilent(): RunningGuest {
    return { ...this.#identity(), status: 'other', legs: new Map(), disks: [] }
  }

  #identity(): Pick<RunningGuest, 'guest' | 'epoch' | 'pid'> {
    return { guest: this.guest, epoch: this.epoch, pid: this.process.pid }
  }

  /** For what speaks to the hypervisor beside this class. */
  hypervisor(): Result<{ readonly folder: GuestFolder; readonly monitor: QmpClient }> {
    const monitor = this.#connected()
    return monitor.ok ? ok({ folder: this.folder, monitor: monitor.value }) : monitor
  }

  console(): Result<RunningConsole> {
    const hypervisor = this.hypervisor()
    if (!hypervisor.ok) return hypervisor
    const { name, display } = this.#record.launch
    const { serialSocket, consoleLog } = this.folder
    const screen = display === 'vga' ? { screen: hypervisor.value } : {}
    return ok({ epoch: this.epoch, name, serialSocket, consoleLog, ...screen })
  }

  /** The power button. */
  requestShutdown(): Promise<Result<void>> {
    return this.#run('system_powerdown')
  }

  /** Whether something in the guest holds its end of the agent's channel open. */
  async isAgentListening(): Promise<Result<boolean>> {
    const monitor = this.#connected()
    if (!monitor.ok) return monitor
    const reply = await monitor.value.execute<readonly CharacterDevice[]>('query-chardev')
    if (!reply.ok) return reply
    return ok(reply.value.some((device) => device.label === AGENT_CHARDEV && device['frontend-open']))
  }

  pause(): Promise<Result<void>> {
    return this.#run('stop', STOP_TIMEOUT_MS)
  }

  resume(): Promise<Result<void>> {
    return this.#run('cont')
  }

  /** Written into the record last: an agent that dies before is followed by one that changes the medium once more. */
  async changeMedium(drive: GuestCdrom['id'], path: string | undefined): Promise<Result<void>> {
    const monitor = this.#connected()
    if (!monitor.ok) return monitor
    // Numbered before anything is done: after a failure half-way the number is spent.
    const before = this.#record
    this.#record = { ...before, mediaChanges: (before.mediaChanges ?? 0) + 1 }
    const changed = await changedMedium(monitor.value, before, drive, path)
    if (!changed.ok) return changed
    this.#record = changed.value
    return writeLaunchRecord(this.folder, this.#record)
  }

  /** Ends QEMU in order. True when nothing acknowledged or pending is missing on any attached leg. */
  quit(): Promise<{ readonly flushed: boolean }> {
    this.#ending ??= this.#end()
    return this.#ending
  }

  async #end(): Promise<{ readonly flushed: boolean }> {
    this.#expectExit('asked', 'asked to quit')
    const paused = await this.pause()
    if (paused.ok) await this.#tpm?.store()
    this.#flushed = paused.ok && (await this.#flushAll())
    // A QEMU that cannot stop its guest hangs on a leg; it would hang on `quit` too.
    const asked = paused.ok ? await this.#run('quit', QUIT_TIMEOUT_MS) : paused
    if (asked.ok && (await waitGone(this.process, QUIT_TIMEOUT_MS))) {
      this.#noteGone()
    } else if (!this.#gone) {
      this.#log.warn('QEMU does not quit', { error: asked.ok ? undefined : asked.error })
      const killed = await this.kill()
      if (!killed.ok) this.#log.error(killed.error.message)
    }
    return { flushed: this.#flushed }
  }

  async kill(): Promise<Result<void>> {
    this.#expectExit('asked', 'killed on request')
    const killed = await killDetached(this.process, this.folder.pidFile)
    if (killed.ok) this.#noteGone()
    return killed
  }

  /** Catches up with what happened while no agent listened: an I/O error, or a guest that shut down. */
  async catchUp(): Promise<void> {
    const monitor = this.#connected()
    if (!monitor.ok) return
    const status = await queryStatus(monitor.value)
    if (!status.ok) return
    if (status.value === 'shutdown') this.#finishShutdown()
    if (status.value !== 'io-error') return
    for (const each of await this.#ioErrors.takeNew(monitor.value, this.#record.disks)) {
      this.#emit({ kind: 'io-error', guest: this.guest, epoch: this.epoch, ...each })
    }
  }

  /** Of a paused guest. False as soon as a write may be on one leg only. */
  async #flushAll(): Promise<boolean> {
    const monitor = this.#connected()
    if (!monitor.ok) return false
    // A write that failed may be on one leg and not on the other, whatever a flush says.
    const status = await queryStatus(monitor.value)
    if (!status.ok || status.value === 'io-error' || !this.#ioErrors.quiet) return false
    for (const disk of this.#record.disks) {
      const flushed = await drainAndFlushDisk(monitor.value, disk, LAST_FLUSH_TIMEOUT_MS)
      if (!flushed.ok) {
        this.#log.warn(flushed.error.message)
        return false
      }
    }
    return true
  }

  #saveDisk(disk: DiskRecord): Result<void> {
    const disks = this.#record.disks.map((each) => (each.index === disk.index ? disk : each))
    return this.#save({ ...this.#record, disks })
  }

  #save(record: LaunchRecord): Result<void> {
    this.#record = record
    return writeLaunchRecord(this.folder, record)
  }

  #connected(): Result<QmpClient> {
    if (this.#monitor && !this.#monitor.closed) return ok(this.#monitor)
    return fail(failure('hypervisor', 'QEMU does not answer on its monitor'))
  }

  async #run(command: string, timeoutMs?: number): Promise<Result<void>> {
    const monitor = this.#connected()
    if (!monitor.ok) return monitor
    const reply = await monitor.value.execute(command, undefined, timeoutMs)
    return reply.ok ? ok() : reply
  }

  #onEvent(qmpEvent: QmpEvent): void {
    const { event, data } = qmpEvent
    if (this.#ioErrors.note(qmpEvent, this.#record.disks)) void this.catchUp()
    switch (event) {
      case 'STOP':
        // By an error, by the guest's shutdown, or only because the agent asked: the state tells.
        void this.catchUp()
        break
      case 'RESUME':
        // The guest was let go and did not get across: QEMU lets it go on here. It is another host's now.
        if (this.departure.relinquished) void this.kill()
        else void Promise.all([this.#tpm?.store(), this.growth.begin()])
        break
      case 'RESET':
        // The host's own reset at machine creation and `quit` are not the guest's.
        if (data['guest'] === true) this.#emit({ kind: 'reset', guest: this.guest, epoch: this.epoch })
        break
      case 'WATCHDOG':
        this.#onWatchdog()
        break
      case 'SHUTDOWN':
        if (data['guest'] === true) this.#finishShutdown()
        else this.#exitReason ||= `QEMU was ended: ${String(data['reason'])}`
        break
    }
  }

  #onWatchdog(): void {
    const action = this.#record.launch.platform?.watchdog ?? 'none'
    this.#emit({ kind: 'watchdog', guest: this.guest, epoch: this.epoch, action })
    if (action !== 'poweroff') return
    this.#expectExit('guest-shutdown', 'its watchdog was not fed in time')
    void this.quit()
  }

  /** QEMU keeps a guest that shut down (`-action shutdown=pause`), so that the last flush can be seen to succeed. */
  #finishShutdown(): void {
    this.#expectExit('guest-shutdown', 'the guest shut down')
    void this.quit()
  }

  async #onMonitorClosed(): Promise<void> {
    if (this.#disposed || this.#gone) return
    // A dying QEMU closes its socket a few milliseconds before it is gone.
    if (await waitGone(this.process, 1_000)) return this.#noteGone()
    this.#log.warn('the monitor closed but QEMU lives')
    await this.reconnect()
  }

  #expectExit(cause: ExitCause, reason: string): void {
    this.#exitCause ??= cause
    this.#exitReason ||= reason
  }

  #noteGone(): void {
    if (this.#gone) return
    this.#gone = true
    this.#tpm?.close()
    this.#monitor?.close()
    removeLaunchRecord(this.folder)
    this.#onGone()
    if (this.#disposed) return
    const reason =
      this.#exitReason ||
      `QEMU (pid ${this.process.pid}) ended by itself: ${lastWords(this.folder) || 'it said nothing'}`
    this.#emit({
      kind: 'exited',
      guest: this.guest,
      epoch: this.epoch,
      cause: this.#exitCause ?? 'killed',
      reason,
      flushed: this.#flushed,
    })
  }
}

function legHosts(disks: readonly GuestDisk[]): RunningGuest['legs'] {
  return new Map(disks.map((disk) => [disk.volume, disk.legs.map((leg) => leg.host)]))
}

interface CharacterDevice {
  readonly label: string
  readonly 'frontend-open': boolean
}

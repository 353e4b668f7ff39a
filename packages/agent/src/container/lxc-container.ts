/**
 * One running LXC container: started, adopted by a later agent, stopped, frozen, entered. Its processes outlive the agent and
 * die with the guests' pid namespace:
 *
 *   stead-container run (the keeper: console, exit record) ── lxc-start ── init ── …
 *
 * A reboot from inside is lxc-start's own affair and the run goes on, as a VM's does with a reset; what was changed in its control
 * groups since the start is lost by it, for LXC makes them anew: set it again at `onReboot`.
 */
import { EventEmitter } from 'node:events'
import { existsSync, readFileSync, rmSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { failure } from '@stead/core/errors.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import { isAlive, killDetached, readPidFile, readStat, waitGone, type DetachedProcess } from '../process/detached.ts'
import type { ControllerFolder } from './cgroups/cgroup-tree.ts'
import { namedCgroups, processesIn, removeCgroups, setFrozen } from './container-cgroup.ts'
import { addressesOf, type ContainerAddress } from './container-links.ts'
import {
  childrenOf,
  execIn,
  LOGIN_SHELL,
  openTerminal,
  type ContainerTerminal,
  type ExecLimits,
  type ExecOutcome,
} from './lxc-attach.ts'
import { describeProcess, programOf, readText, sendSignal, type ContainerProcess } from './lxc-processes.ts'
import { readExit, type ContainerExit } from './lxc-outcome.ts'
import { pidInside } from '../process/noted-end.ts'
import { monitorCgroup } from './lxc-config.ts'
import { endOnceAlone, endsWithItsInit } from './idle-init.ts'
import { HALT_SIGNALS, type HaltSignal, type LxcPrograms } from './lxc-spec.ts'

const KILL_TIMEOUT_MS = 10_000
/** Of other inits nobody knows what they do alone. */
const BUSYBOX_HALT: HaltSignal = 'SIGUSR1'
/** Of USER_HZ, which is 100 on every architecture that Node runs on. */
const TICKS_PER_SECOND = 100

export interface LxcRecord {
  readonly id: string
  readonly cgroup: string
  readonly haltSignal: HaltSignal
  readonly namespacePid: number
}

interface ContainerEvents {
  exited: [ContainerExit]
  rebooted: []
}

/** The container that an earlier agent started in this folder, if it runs. */
export function adoptContainer(programs: LxcPrograms, folder: string): LxcContainer | undefined {
  const keeper = readPidFile(pidFile(folder))
  const record = readRecord(folder)
  return keeper && record ? new LxcContainer(programs, folder, record, keeper) : undefined
}

/** Ends what is left of a container whose keeper died: processes in its control groups, and the groups. */
export function endFolderLeftovers(folder: string): Promise<Result<void>> {
  const record = readRecord(folder)
  return record ? endLeftovers(record) : Promise.resolve(ok())
}

export class LxcContainer {
  readonly id: string
  readonly folder: string
  readonly #programs: LxcPrograms
  readonly #record: LxcRecord
  readonly #keeper: DetachedProcess
  readonly #events = new EventEmitter<ContainerEvents>()
  /** As it was found last. */
  #init: DetachedProcess | undefined
  #starts = 0
  #exit: ContainerExit | undefined
  #watch: Socket | undefined
  #watchClosed = false
  #isHalting = false

  /** Only for `lxc-start.ts` and `adoptContainer`. */
  constructor(programs: LxcPrograms, folder: string, record: LxcRecord, keeper: DetachedProcess) {
    this.id = record.id
    this.folder = folder
    this.#programs = programs
    this.#record = record
    this.#keeper = keeper
    void this.#keepWatching()
  }

  /** Called once; at once when it has ended already. */
  onExit(listener: (exit: ContainerExit) => void): void {
    if (this.#exit) queueMicrotask(() => listener(this.#exit!))
    else this.#events.once('exited', listener)
  }

  onReboot(listener: () => void): void {
    this.#events.on('rebooted', listener)
  }

  get running(): boolean {
    return isAlive(this.#keeper)
  }

  /** The socket of its init's console: one connection at a time, as QEMU's serial port; the log is beside it. */
  get consoleSocket(): string {
    return join(this.folder, 'console.sock')
  }

  get consoleLog(): string {
    return join(this.folder, 'console.log')
  }

  /** Host's pid of its init; undefined while it reboots and after its end. */
  initPid(): number | undefined {
    return this.#initPid()
  }

  /** Host's pids of what runs it: for the pids that limits or an out-of-memory score concern. */
  get keeperPid(): number {
    return this.#keeper.pid
  }

  /** By which name its control groups are found. */
  get cgroup(): string {
    return this.#record.cgroup
  }

  /** Its control groups in every hierarchy. */
  cgroups(): readonly ControllerFolder[] {
    return namedCgroups(this.#namespace(), this.#record.cgroup)
  }

  /** Tells its init to halt, as a power button does. Its end comes as `onExit`. */
  requestShutdown(): Result<void> {
    const told = this.#signalInit(HALT_SIGNALS[this.#record.haltSignal])
    if (told.ok && this.#record.haltSignal === BUSYBOX_HALT && !this.#isHalting) {
      this.#isHalting = true
      const init = this.#initPid()
      void endOnceAlone({
        others: () => (init !== undefined && init === this.#initPid() ? this.processIds().length - 1 : undefined),
        end: () => void (init === this.#initPid() && init !== undefined && sendSignal(init, 'SIGKILL')),
      }).then(() => (this.#isHalting = false))
    }
    return told
  }

  /** Ctrl-Alt-Del: systemd, sysvinit and busybox reboot. */
  requestReboot(): Result<void> {
    return this.#signalInit(HALT_SIGNALS.SIGINT)
  }

  /** True when it has ended within the time. */
  waitExit(timeoutMs: number): Promise<boolean> {
    return waitGone(this.#keeper, timeoutMs)
  }

  /** Every process, frozen or not, and proof that none is left. Also what is left of a run whose keeper died. */
  async kill(): Promise<Result<void>> {
    const init = this.#initPid()
    if (init !== undefined) sendSignal(init, 'SIGKILL')
    // Frozen by the v1 freezer a process does not die before it is thawed.
    const groups = this.cgroups()
    if (groups.length > 0) await setFrozen(groups, false)
    // In order LXC removes its control groups and the network's pairs; if it hangs, the rest is done below.
    if (!(await endsWithItsInit(this.#keeper, () => this.#initPid(), KILL_TIMEOUT_MS / 4))) {
      for (const child of childrenOf(this.#keeper.pid)) sendSignal(child, 'SIGKILL')
      const killed = await killDetached(this.#keeper, pidFile(this.folder), KILL_TIMEOUT_MS / 4)
      if (!killed.ok) return killed
    }
    const ended = await endLeftovers(this.#record)
    if (!ended.ok) return ended
    rmSync(pidFile(this.folder), { force: true })
    return ok()
  }

  freeze(): Promise<Result<void>> {
    return setFrozen(this.cgroups(), true)
  }

  thaw(): Promise<Result<void>> {
    return setFrozen(this.cgroups(), false)
  }

  exec(command: readonly string[], limits: ExecLimits, stdin?: Buffer): Promise<Result<ExecOutcome>> {
    if (!this.running) return Promise.resolve(fail(this.#notRunning()))
    return execIn(this.#attachTarget(), command, limits, stdin)
  }

  /** A shell for a person, on a terminal of its own. */
  enter(size: { readonly columns: number; readonly rows: number }, command = LOGIN_SHELL): Result<ContainerTerminal> {
    return this.running ? ok(openTerminal(this.#attachTarget(), command, size)) : fail(this.#notRunning())
  }

  /** What its interfaces really have. */
  addresses(): Promise<Result<readonly ContainerAddress[]>> {
    const init = this.#initPid()
    return init === undefined ? Promise.resolve(fail(this.#notRunning())) : addressesOf(init)
  }

  processes(): readonly ContainerProcess[] {
    return this.processIds().flatMap((pid) => describeProcess(pid) ?? [])
  }

  /** Host's pids of all that runs in it. */
  processIds(): readonly number[] {
    const folder = this.cgroups()[0]?.folder
    return folder === undefined ? [] : processesIn(folder)
  }

  /** Since its init began; a reboot begins anew. */
  uptimeMs(): number | undefined {
    const init = this.#initPid()
    const begun = init === undefined ? undefined : readStat(init)?.startTime
    if (begun === undefined) return undefined
    const up = Number(readFileSync('/proc/uptime', 'utf8').split(' ')[0])
    return Math.max(0, up * 1_000 - (Number(begun) * 1_000) / TICKS_PER_SECOND)
  }

  /** Lets go of the container, which runs on: for an agent that ends. */
  close(): void {
    this.#events.removeAllListeners()
    this.#watchClosed = true
    this.#watch?.destroy()
  }

  /** Only for `lxc-start.ts`: true once its init has been executed, false when LXC gave up. */
  async waitStarted(timeoutMs: number): Promise<boolean> {
    const deadline = performance.now() + timeoutMs
    while (performance.now() < deadline && this.running) {
      const program = this.#starts > 0 ? programOf(this.#initPid()) : undefined
      if (program !== undefined && program !== programOf(this.#lxcPid())) return this.running
      await sleep(2)
    }
    return false
  }

  async #keepWatching(): Promise<void> {
    while (!this.#watchClosed && this.running) {
      const lost = await this.#watchOnce()
      if (!lost) await sleep(2)
    }
    if (this.#watchClosed) return
    await waitGone(this.#keeper, KILL_TIMEOUT_MS)
    this.#exit = readExit(this.folder)
    this.#events.emit('exited', this.#exit)
  }

  /** Resolves when the connection ended; false when there was none. */
  #watchOnce(): Promise<boolean> {
    return new Promise((resolve) => {
      const socket = connect(join(this.folder, 'watch.sock'))
      this.#watch = socket
      let connected = false
      socket.once('connect', () => (connected = true))
      socket.on('error', () => undefined)
      socket.on('data', (bytes: Buffer) => {
        for (const _ of bytes.toString().split('\n').slice(1)) {
          this.#starts += 1
          if (this.#starts > 1) this.#events.emit('rebooted')
        }
      })
      socket.once('close', () => resolve(connected))
    })
  }

  #signalInit(number: number): Result<void> {
    const init = this.#initPid()
    if (init === undefined) return fail(this.#notRunning())
    sendSignal(init, number)
    return ok()
  }

  #lxcPid(): number | undefined {
    return this.running ? childrenOf(this.#keeper.pid)[0] : undefined
  }

  #initPid(): number | undefined {
    // It is asked for of every container by whoever looks at them all, and seldom is another one.
    if (this.#init && this.running && isAlive(this.#init)) return this.#init.pid
    const lxc = this.#lxcPid()
    // Hooks are children too: init is the one that is 1 in a pid namespace of its own.
    const pid = lxc === undefined ? undefined : childrenOf(lxc).find((child) => pidInside(child) === 1)
    const startTime = pid === undefined ? undefined : readStat(pid)?.startTime
    this.#init = pid === undefined || startTime === undefined ? undefined : { pid, startTime }
    return pid
  }

  #namespace(): number | 'self' {
    return namespaceOf(this.#record)
  }

  #attachTarget() {
    return { programs: this.#programs, id: this.id, keeperPid: this.#keeper.pid }
  }

  #notRunning() {
    return failure('conflict', 'The container does not run', { hint: 'Start it first' })
  }
}

/** LXC puts the groups beside those of process 1 of its own pid namespace. */
function namespaceOf({ namespacePid }: LxcRecord): number | 'self' {
  return namespacePid !== 0 && existsSync(`/proc/${namespacePid}`) ? namespacePid : namespacePid === 0 ? 1 : 'self'
}

export async function endLeftovers(record: LxcRecord): Promise<Result<void>> {
  const groups = [record.cgroup, monitorCgroup(record.cgroup)].flatMap((name) =>
    namedCgroups(namespaceOf(record), name),
  )
  if (groups.length === 0) return ok()
  const deadline = performance.now() + KILL_TIMEOUT_MS
  for (;;) {
    const left = [...new Set(groups.flatMap(({ folder }) => processesIn(folder)))].filter((pid) => pid > 0)
    if (left.length === 0) break
    for (const pid of left) sendSignal(pid, 'SIGKILL')
    await setFrozen(groups, false)
    if (performance.now() > deadline) {
      return fail(
        failure('internal', `Processes of the container do not die: ${left.join(', ')}`, {
          hint: 'They are probably stuck in the kernel on a dead disk; see `dmesg`',
        }),
      )
    }
    await sleep(3)
  }
  return removeCgroups(groups)
}

function readRecord(folder: string): LxcRecord | undefined {
  const text = readText(recordFile(folder))
  return text === '' ? undefined : (JSON.parse(text) as LxcRecord)
}

export function pidFile(folder: string): string {
  return join(folder, 'lxc.pid')
}

export function recordFile(folder: string): string {
  return join(folder, 'lxc.json')
}

/**
 * The guests' processes on one machine: what survives a restart of its agent. A guest writes growing numbers to its
 * disks, one request at a time; a write is done when all attached legs have it, and a flush when all have flushed. A
 * request that fails on a leg stops the guest, as `werror=stop` does, and is tried again when it goes on.
 */
import type { ArrivingMemory } from './memory-arriving.ts'
import { failure } from '@stead/core/errors.ts'
import type { GuestId, VolumeId } from '@stead/core/model/ids.ts'
import type { DiskLimits } from '@stead/core/model/hardware.ts'
import type { GuestDisk, GuestEvent, GuestLaunch, Leg, RunningGuest } from '@stead/core/ports/guest-host.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import type { LegConnection, LegServers } from './leg-servers.ts'
import type { MemoryWriting } from './memory-guest-memory.ts'
import type { MemoryTransfer } from './memory-transfer.ts'
import type { WaitingPlace } from './transfer-places.ts'

export interface Disk {
  readonly volume: VolumeId
  readonly connections: LegConnection[]
  /** Number of the last write that the guest was told is done. */
  acknowledged: number
  /** How many numbers the run leaves out before its first write, so that it begins at a block of its own. */
  skip: number
  /** A request that failed waits to be tried again. */
  failed: boolean
  pending: Request | undefined
  sinceFlush: number
  cancelNext: () => void
}

/** What not all legs have answered yet. */
interface Request {
  readonly kind: 'write' | 'flush'
  readonly waiting: Set<LegConnection>
  readonly failed: Set<LegConnection>
}

export interface Process {
  launch: GuestLaunch
  readonly pid: number
  status: RunningGuest['status']
  /** From another machine, without a boot. */
  cameOver?: boolean
  /** Its agent holds the writes of its file systems back. */
  isFrozen?: boolean
  readonly disks: Map<VolumeId, Disk>
  readonly limits: Map<VolumeId, DiskLimits>
  /** What the balloon leaves of what the guest booted with; all of it when absent. */
  balloonBytes?: number
  /** Of one that began by waiting for its guest from another machine. */
  waiting?: WaitingPlace
  /** Its guest came before all of its memory: without the rest it stands still sooner or later. */
  memory?: ArrivingMemory
  /** The last time that its guest's memory was sent to another machine. */
  transfer?: MemoryTransfer
  /** Its guest's memory is being written into an image. */
  writing?: MemoryWriting
}

/** How often a guest of a simulated cluster writes. Without it guests write only when `runGuests` is called. */
export interface Pace {
  /** How long the guest rests before its next request. */
  readonly restMs: (guest: GuestId) => number
  readonly after: (ms: number, run: () => void) => () => void
  /** A flush follows so many writes. */
  readonly writesPerFlush: () => number
  /** Numbers that a run leaves out at first. */
  readonly skip: () => number
  /** False while the whole machine stands still. */
  readonly isRunning: () => boolean
}

export interface MemoryMachineOptions {
  /** Ends the wait for requests in flight; without it nobody waits for them. */
  readonly patience?: (what: 'stop' | 'flush') => Promise<void>
  readonly firstPid?: number
  readonly pace?: Pace
  readonly onStart?: (process: Process) => void
  readonly onEnd?: (process: Process) => void
  /** The guest was told that this write is done, on all attached legs. */
  readonly onAcknowledged?: (process: Process, disk: Disk) => void
  /** All writes up to this number last from now on. */
  readonly onFlushed?: (process: Process, disk: Disk, upTo: number) => void
}

export type MemoryBehaviour = 'write' | 'shutdown' | 'reset' | 'idle' | 'deaf'

export class MemoryMachine {
  readonly servers: LegServers
  readonly processes = new Map<GuestId, Process>()
  readonly #listeners = new Set<(event: GuestEvent) => void>()
  readonly #arrivalListeners = new Set<(process: Process) => void>()
  readonly #behaviours = new Map<GuestId, MemoryBehaviour>()
  readonly #options: MemoryMachineOptions
  readonly #drained = new Set<() => void>()
  #nextPid: number

  constructor(servers: LegServers, options: MemoryMachineOptions = {}) {
    this.servers = servers
    this.#options = options
    this.#nextPid = options.firstPid ?? 1000
    if (!options.pace) servers.onChange(() => this.runGuests())
  }

  behave(guest: GuestId, behaviour: MemoryBehaviour): void {
    this.#behaviours.set(guest, behaviour)
  }

  /** Every process dies; nobody is left to tell of it. */
  powerOff(): void {
    const processes = [...this.processes.values()]
    this.processes.clear()
    this.#listeners.clear()
    for (const process of processes) this.#close(process)
  }

  acknowledged(guest: GuestId, volume: VolumeId): number {
    return this.processes.get(guest)?.disks.get(volume)?.acknowledged ?? 0
  }

  onEvent(listener: (event: GuestEvent) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** A guest has come from another machine. */
  onArrival(listener: (process: Process) => void): () => void {
    this.#arrivalListeners.add(listener)
    return () => this.#arrivalListeners.delete(listener)
  }

  /**
   * Ends the guest's process of an older epoch, and refuses where there is one of a newer (`stale_epoch`). `arriving`:
   * nothing runs in it until a guest has come from another machine.
   */
  spawn(launch: GuestLaunch, status: 'running' | 'arriving' = 'running'): Result<Process> {
    const earlier = this.processes.get(launch.guest)
    if (earlier && earlier.launch.epoch > launch.epoch)
      return fail(failure('stale_epoch', `${launch.name} already runs at a newer epoch`))
    if (earlier) this.end(earlier, 'asked', 'replaced by a newer epoch')
    const disks = new Map<VolumeId, Disk>()
    const process: Process = { launch, pid: this.#nextPid++, status, disks, limits: new Map() }
    for (const disk of launch.disks) {
      const opened = this.openDisk(process, disk)
      if (opened.ok) continue
      this.#closeDisks(process)
      return opened
    }
    this.processes.set(launch.guest, process)
    if (status === 'arriving') return ok(process)
    this.#options.onStart?.(process)
    const behaviour = this.#behaviours.get(launch.guest)
    if (behaviour === 'shutdown') void this.shutDown(process)
    if (behaviour === 'reset') this.#tell({ kind: 'reset', guest: launch.guest, epoch: launch.epoch })
    this.runGuests()
    return ok(process)
  }

  /** The guest goes on in `process` where it stood still, `from` being what it knew of its disks: with all that it had in its memory. */
  arrive(
    process: Process,
    from: ReadonlyMap<VolumeId, Pick<Disk, 'acknowledged' | 'sinceFlush'>>,
    status: Process['status'],
  ): void {
    for (const [volume, disk] of process.disks) {
      const known = from.get(volume)
      if (known) disk.acknowledged = known.acknowledged
      if (known) disk.sinceFlush = known.sinceFlush
    }
    process.status = status
    process.cameOver = true
    this.#options.onStart?.(process)
    for (const listener of [...this.#arrivalListeners]) listener(process)
    this.runGuests()
  }

  /** Connects the legs of a disk and makes it the guest's. */
  openDisk(process: Process, { volume, legs }: GuestDisk): Result<void> {
    const connected = this.#connectAll(legs, volume)
    if (!connected.ok) return connected
    const connections = connected.value
    const disk: Disk = {
      volume,
      connections,
      acknowledged: 0,
      skip: this.#options.pace?.skip() ?? 0,
      failed: false,
      pending: undefined,
      sinceFlush: 0,
      cancelNext: () => undefined,
    }
    disk.acknowledged = Math.max(...connections.map((connection) => this.servers.lastWrite(connection)))
    process.disks.set(volume, disk)
    return ok()
  }

  /** Puts these legs in the place of all that the disk has. */
  reopenLegs(disk: Disk, legs: readonly Leg[]): Result<void> {
    const connections = this.#connectAll(legs, disk.volume)
    if (!connections.ok) return connections
    for (const old of disk.connections.splice(0, Infinity, ...connections.value)) this.servers.close(old)
    return ok()
  }

  #connectAll(legs: readonly Leg[], volume: VolumeId): Result<LegConnection[]> {
    const connections: LegConnection[] = []
    for (const leg of legs) {
      const connected = this.servers.connect(leg, volume)
      if (!connected.ok) {
        for (const connection of connections) this.servers.close(connection)
        return connected
      }
      connections.push(Object.assign(connected.value, { attached: true }))
    }
    return ok(connections)
  }

  /** The disk is the guest's no more. */
  closeDisk(process: Process, volume: VolumeId): void {
    const disk = process.disks.get(volume)
    if (!disk) return
    disk.cancelNext()
    for (const connection of disk.connections) this.servers.close(connection)
    process.disks.delete(volume)
  }

  /** A guest that gives no device back. */
  isDeaf(guest: GuestId): boolean {
    return this.#behaviours.get(guest) === 'deaf'
  }

  /** The guest's own shutdown: it flushes, then it powers itself off. */
  async shutDown(process: Process): Promise<void> {
    // A guest that stands still does not hear anybody.
    if (process.status !== 'running') return
    process.status = 'shutdown'
    const flushed = await this.flushAll(process)
    if (!flushed && this.processes.get(process.launch.guest) === process) {
      process.status = 'running'
      this.runGuests()
      return
    }
    this.end(process, 'guest-shutdown', 'the guest shut down', flushed)
  }

  /** Waits for what is in flight, then flushes every leg of every disk. True when no leg can miss a write. */
  async flushAll(process: Process): Promise<boolean> {
    if (!(await this.drained(process, 'stop'))) return false
    for (const disk of process.disks.values())
      if (disk.failed || (await this.flush(process, disk, 'stop')) !== undefined) return false
    return true
  }

  /** Flushes every leg of a disk. Returns the first that could not be flushed. */
  async flush(process: Process, disk: Disk, what: 'stop' | 'flush' = 'flush'): Promise<Leg | undefined> {
    const legs = disk.connections.filter((each) => each.attached)
    const upTo = disk.acknowledged
    const over = this.#options.patience?.(what).then(() => false)
    const failed = await Promise.all(
      legs.map(async (connection) => {
        const done = new Promise<boolean>((resolve) => this.servers.flush(connection, resolve))
        return (await (over ? Promise.race([done, over]) : done)) ? undefined : connection.leg
      }),
    )
    const bad = failed.find((leg) => leg !== undefined)
    if (!bad && !disk.failed) this.#options.onFlushed?.(process, disk, upTo)
    return bad
  }

  end(process: Process, cause: (GuestEvent & { kind: 'exited' })['cause'], reason: string, flushed = false): void {
    if (!this.clear(process)) return
    this.#tell({ kind: 'exited', guest: process.launch.guest, epoch: process.launch.epoch, cause, reason, flushed })
  }

  /** Ends it without a word. False: it has ended before. */
  clear(process: Process): boolean {
    if (this.processes.get(process.launch.guest) !== process) return false
    this.processes.delete(process.launch.guest)
    this.#close(process)
    return true
  }

  crash(guest: GuestId, reason = 'it crashed'): void {
    const process = this.processes.get(guest)
    if (process) this.end(process, 'killed', reason)
  }

  /** Every running guest that writes goes on now, and by itself from then on when there is a pace. */
  runGuests(): void {
    for (const process of [...this.processes.values()]) {
      if ((this.#behaviours.get(process.launch.guest) ?? 'write') !== 'write') continue
      for (const disk of process.disks.values()) this.#next(process, disk)
    }
  }

  /** Tells again of a guest that is stopped by an I/O error. */
  repeatIoErrors(process: Process, listener: (event: GuestEvent) => void): void {
    for (const disk of process.disks.values()) if (disk.failed) listener(ioError(process, disk.volume, []))
  }

  /** True when no request is in flight any more; false when they did not end in time. */
  async drained(process: Process, what: 'stop' | 'flush'): Promise<boolean> {
    const { patience } = this.#options
    const isBusy = () => [...process.disks.values()].some((disk) => disk.pending !== undefined)
    if (!patience || !isBusy()) return true
    let isOver = false
    const over = patience(what).then(() => (isOver = true))
    while (isBusy() && !isOver) {
      const ended = new Promise<void>((resolve) => this.#drained.add(resolve))
      await Promise.race([ended, over])
    }
    return !isBusy()
  }

  #next(process: Process, disk: Disk): void {
    const { pace } = this.#options
    if (process.memory?.state === 'interrupted') return
    if (process.status !== 'running' || process.isFrozen || disk.pending || (pace && !pace.isRunning())) return
    disk.cancelNext()
    // What failed is tried again before anything else.
    const isFlush = pace !== undefined && !disk.failed && disk.sinceFlush >= pace.writesPerFlush()
    this.#request(process, disk, isFlush ? 'flush' : 'write')
  }

  #request(process: Process, disk: Disk, kind: Request['kind']): void {
    const legs = disk.connections.filter((connection) => connection.attached)
    if (legs.length === 0) return this.#failed(process, disk, [])
    const next = disk.acknowledged + 1 + disk.skip
    const request: Request = { kind, waiting: new Set(legs), failed: new Set() }
    disk.pending = request
    for (const leg of legs) {
      const onEnd = (done: boolean) => {
        if (!request.waiting.delete(leg)) return
        if (!done) request.failed.add(leg)
        if (request.waiting.size === 0) this.#completed(process, disk, request, next)
      }
      if (kind === 'write') this.servers.write(leg, next, onEnd)
      else this.servers.flush(leg, onEnd)
    }
  }

  #completed(process: Process, disk: Disk, { kind, failed }: Request, value: number): void {
    disk.pending = undefined
    for (const wake of this.#drained) wake()
    this.#drained.clear()
    // Nobody is left who could be told.
    if (this.processes.get(process.launch.guest) !== process) return
    if (failed.size > 0)
      return this.#failed(
        process,
        disk,
        [...failed].map((leg) => leg.leg.host),
      )
    disk.failed = false
    if (kind === 'write') {
      disk.acknowledged = value
      disk.skip = 0
      disk.sinceFlush += 1
      this.#options.onAcknowledged?.(process, disk)
    } else {
      disk.sinceFlush = 0
      this.#options.onFlushed?.(process, disk, disk.acknowledged)
    }
    const { pace } = this.#options
    if (pace) disk.cancelNext = pace.after(pace.restMs(process.launch.guest), () => this.#next(process, disk))
  }

  #failed(process: Process, disk: Disk, hosts: readonly string[]): void {
    if (process.status === 'running') process.status = 'io-error'
    disk.failed = true
    this.#tell(ioError(process, disk.volume, hosts))
  }

  #close(process: Process): void {
    this.#closeDisks(process)
    // What only waited for a guest has never run one.
    if (process.status !== 'arriving') this.#options.onEnd?.(process)
  }

  #closeDisks(process: Process): void {
    for (const disk of process.disks.values()) {
      disk.cancelNext()
      for (const connection of disk.connections) this.servers.close(connection)
    }
  }

  #tell(event: GuestEvent): void {
    for (const listener of [...this.#listeners]) listener(event)
  }
}

function ioError(process: Process, volume: VolumeId, hosts: readonly string[]): GuestEvent {
  const { guest, epoch } = process.launch
  return { kind: 'io-error', guest, epoch, volume, reason: 'A write failed: Input/output error', hosts }
}

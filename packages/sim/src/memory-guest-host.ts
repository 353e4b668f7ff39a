/**
 * `GuestHost` in memory. Guests that write do so whenever something changes around them, so that a lost leg is
 * noticed as QEMU notices it: by the next write. A write is done when all attached legs have it. Deterministic: time
 * and randomness come, if at all, from the servers behind the legs.
 */
import { failure } from '@stead/core/errors.ts'
import type { GuestId, VolumeId } from '@stead/core/model/ids.ts'
import type { GuestEvent, GuestHost, GuestLaunch, Leg, RunningGuest } from '@stead/core/ports/guest-host.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import { breakConnection, type LegConnection, type LegServers } from './leg-servers.ts'

export interface Process {
  readonly launch: GuestLaunch
  readonly pid: number
  status: RunningGuest['status']
  readonly disks: Map<VolumeId, LegConnection[]>
  readonly acknowledged: Map<VolumeId, number>
  /** True while a failed write waits to be tried again. */
  readonly failed: Set<VolumeId>
  readonly pending: Map<VolumeId, PendingWrite>
}

/** A write that not all legs have answered yet. */
interface PendingWrite {
  readonly waiting: Set<LegConnection>
  readonly failed: Set<LegConnection>
}

export interface MemoryMachineOptions {
  /** Ends the wait for requests in flight; without it nobody waits for them. */
  readonly patience?: () => Promise<void>
  readonly firstPid?: number
  readonly onStart?: (process: Process) => void
  /** The guest was told that this write is safe. */
  readonly onAcknowledged?: (guest: GuestId, volume: VolumeId, value: number) => void
}

export type MemoryBehaviour = 'write' | 'shutdown' | 'reset' | 'idle'

/** One machine's processes: what survives a restart of its agent. */
export class MemoryMachine {
  readonly servers: LegServers
  readonly processes = new Map<GuestId, Process>()
  readonly #listeners = new Set<(event: GuestEvent) => void>()
  readonly #behaviours = new Map<GuestId, MemoryBehaviour>()
  readonly #options: MemoryMachineOptions
  readonly #drained = new Set<() => void>()
  #nextPid: number

  constructor(servers: LegServers, options: MemoryMachineOptions = {}) {
    this.servers = servers
    this.#options = options
    this.#nextPid = options.firstPid ?? 1000
    servers.onChange(() => this.runGuests())
  }

  behave(guest: GuestId, behaviour: MemoryBehaviour): void {
    this.#behaviours.set(guest, behaviour)
  }

  /** Every process dies; nobody is left to tell of it. */
  powerOff(): void {
    const processes = [...this.processes.values()]
    this.processes.clear()
    this.#listeners.clear()
    for (const process of processes) this.#closeDisks(process)
  }

  /** Number of the last write that the guest was told is done. */
  acknowledged(guest: GuestId, volume: VolumeId): number {
    return this.processes.get(guest)?.acknowledged.get(volume) ?? 0
  }

  onEvent(listener: (event: GuestEvent) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  spawn(launch: GuestLaunch): Result<Process> {
    const process: Process = {
      launch,
      pid: this.#nextPid++,
      status: 'running',
      disks: new Map(),
      acknowledged: new Map(),
      failed: new Set(),
      pending: new Map(),
    }
    for (const disk of launch.disks) {
      const connections: LegConnection[] = []
      process.disks.set(disk.volume, connections)
      for (const leg of disk.legs) {
        const connected = this.servers.connect(leg, disk.volume)
        if (!connected.ok) {
          this.#closeDisks(process)
          return connected
        }
        connections.push(Object.assign(connected.value, { attached: true }))
      }
      process.acknowledged.set(
        disk.volume,
        Math.max(...connections.map((connection) => this.servers.lastWrite(connection))),
      )
    }
    this.processes.set(launch.guest, process)
    this.#options.onStart?.(process)
    const behaviour = this.#behaviours.get(launch.guest)
    if (behaviour === 'shutdown') this.shutDown(process)
    if (behaviour === 'reset') this.#tell({ kind: 'reset', guest: launch.guest, epoch: launch.epoch })
    this.runGuests()
    return ok(process)
  }

  shutDown(process: Process): void {
    this.end(process, 'guest-shutdown', 'the guest shut down', this.flushed(process))
  }

  /** True when no leg can miss a write. */
  flushed(process: Process): boolean {
    return (
      process.failed.size === 0 &&
      process.pending.size === 0 &&
      [...process.disks.keys()].every((volume) => this.unreachableLeg(process, volume) === undefined)
    )
  }

  unreachableLeg(process: Process, volume: VolumeId): Leg | undefined {
    const legs = process.disks.get(volume)?.filter((each) => each.attached) ?? []
    return legs.find((each) => !this.servers.answers(each))?.leg
  }

  end(process: Process, cause: (GuestEvent & { kind: 'exited' })['cause'], reason: string, flushed = false): void {
    if (this.processes.get(process.launch.guest) !== process) return
    this.processes.delete(process.launch.guest)
    this.#closeDisks(process)
    this.#tell({ kind: 'exited', guest: process.launch.guest, epoch: process.launch.epoch, cause, reason, flushed })
  }

  crash(guest: GuestId): void {
    const process = this.processes.get(guest)
    if (process) this.end(process, 'killed', 'it crashed')
  }

  /** Every running guest that writes tries one more write on each disk. */
  runGuests(): void {
    for (const process of [...this.processes.values()]) {
      if ((this.#behaviours.get(process.launch.guest) ?? 'write') !== 'write') continue
      for (const volume of process.disks.keys()) this.#write(process, volume)
    }
  }

  /** Tells again of a guest that is stopped by an I/O error. */
  repeatIoErrors(process: Process, listener: (event: GuestEvent) => void): void {
    for (const volume of process.failed) listener(ioError(process, volume, []))
  }

  /** True when no request is in flight any more; false when they did not end in time. */
  async drained(process: Process): Promise<boolean> {
    const { patience } = this.#options
    if (!patience) return true
    let isOver = false
    const over = patience().then(() => (isOver = true))
    while (process.pending.size > 0 && !isOver) {
      const ended = new Promise<void>((resolve) => this.#drained.add(resolve))
      await Promise.race([ended, over])
    }
    return process.pending.size === 0
  }

  #write(process: Process, volume: VolumeId): void {
    if (process.status !== 'running' || process.pending.has(volume)) return
    const legs = process.disks.get(volume)?.filter((connection) => connection.attached) ?? []
    const next = (process.acknowledged.get(volume) ?? 0) + 1
    const pending: PendingWrite = { waiting: new Set(legs), failed: new Set() }
    process.pending.set(volume, pending)
    for (const leg of legs) {
      this.servers.write(leg, next, (done) => {
        if (!pending.waiting.delete(leg)) return
        if (!done) pending.failed.add(leg)
        if (pending.waiting.size === 0) this.#completed(process, volume, next, pending)
      })
    }
  }

  #completed(process: Process, volume: VolumeId, value: number, { failed }: PendingWrite): void {
    process.pending.delete(volume)
    for (const wake of this.#drained) wake()
    this.#drained.clear()
    // Nobody is left who could be told.
    if (this.processes.get(process.launch.guest) !== process) return
    if (failed.size === 0) {
      process.acknowledged.set(volume, value)
      this.#options.onAcknowledged?.(process.launch.guest, volume, value)
      return
    }
    if (process.status === 'running') process.status = 'io-error'
    process.failed.add(volume)
    this.#tell(
      ioError(
        process,
        volume,
        [...failed].map((leg) => leg.leg.host),
      ),
    )
  }

  #closeDisks(process: Process): void {
    for (const connection of [...process.disks.values()].flat()) this.servers.close(connection)
  }

  #tell(event: GuestEvent): void {
    for (const listener of [...this.#listeners]) listener(event)
  }
}

function ioError(process: Process, volume: VolumeId, hosts: readonly string[]): GuestEvent {
  const { guest, epoch } = process.launch
  return { kind: 'io-error', guest, epoch, volume, reason: 'A write failed: Input/output error', hosts }
}

export class MemoryGuestHost implements GuestHost {
  readonly #machine: MemoryMachine

  constructor(machine: MemoryMachine) {
    this.#machine = machine
  }

  async start(launch: GuestLaunch): Promise<Result<RunningGuest>> {
    for (const disk of launch.disks) {
      if (disk.legs.length === 0 || disk.legs.length > disk.width)
        return fail(failure('bad_request', `Volume ${disk.volume} has a wrong number of legs`))
    }
    const earlier = this.#machine.processes.get(launch.guest)
    if (earlier && earlier.launch.epoch > launch.epoch)
      return fail(failure('stale_epoch', `${launch.name} already runs at a newer epoch`))
    if (earlier?.launch.epoch === launch.epoch) return ok(describe(earlier))
    if (earlier) this.#machine.end(earlier, 'asked', 'replaced by a newer epoch')
    const spawned = this.#machine.spawn(launch)
    return spawned.ok ? ok(describe(spawned.value)) : spawned
  }

  async requestShutdown(guest: GuestId): Promise<Result<void>> {
    return this.#with(guest, (process) => {
      queueMicrotask(() => this.#machine.shutDown(process))
      return ok()
    })
  }

  async quit(guest: GuestId): Promise<Result<{ readonly flushed: boolean }>> {
    const process = this.#machine.processes.get(guest)
    if (process) await this.#machine.drained(process)
    return this.#with(guest, (found) => {
      const flushed = this.#machine.flushed(found)
      this.#machine.end(found, 'asked', 'asked to quit', flushed)
      return ok({ flushed })
    })
  }

  async kill(guest: GuestId): Promise<Result<void>> {
    const process = this.#machine.processes.get(guest)
    if (process) this.#machine.end(process, 'asked', 'killed on request')
    return ok()
  }

  async adopt(): Promise<readonly RunningGuest[]> {
    const processes = [...this.#machine.processes.values()]
    queueMicrotask(() => {
      for (const process of processes) this.#machine.repeatIoErrors(process, (event) => this.#tell(event))
    })
    return processes.map(describe)
  }

  async inspect(guest: GuestId): Promise<Result<RunningGuest>> {
    return this.#with(guest, (process) => ok(describe(process)))
  }

  async pause(guest: GuestId): Promise<Result<void>> {
    const paused = this.#with(guest, (process) => {
      if (process.status === 'running') process.status = 'paused'
      return ok(process)
    })
    if (!paused.ok) return paused
    if (await this.#machine.drained(paused.value)) return ok()
    return fail(failure('hypervisor', 'The guest does not stop: requests are in flight'))
  }

  async resume(guest: GuestId): Promise<Result<void>> {
    return this.#with(guest, (process) => {
      process.status = 'running'
      process.failed.clear()
      queueMicrotask(() => this.#machine.runGuests())
      return ok()
    })
  }

  async yankLeg(guest: GuestId, volume: VolumeId, host: string): Promise<Result<void>> {
    return this.#withDisk(guest, volume, (_, connections) => {
      const found = connections.filter((each) => each.leg.host === host)
      if (found.length === 0) return fail(failure('not_found', `The disk ${volume} has no leg on ${host}`))
      for (const each of found) breakConnection(each)
      queueMicrotask(() => this.#machine.runGuests())
      return ok()
    })
  }

  async dropLeg(guest: GuestId, volume: VolumeId, host: string): Promise<Result<void>> {
    return this.#withDisk(guest, volume, (process, connections) => {
      const found = connections.filter((each) => each.leg.host === host)
      if (found.length === 0) return ok()
      if (process.status === 'running') return fail(failure('conflict', 'The guest runs'))
      if (!connections.some((each) => each.attached && each.leg.host !== host))
        return fail(failure('conflict', 'The last leg of a disk cannot be dropped'))
      this.#remove(connections, found)
      return ok()
    })
  }

  async prepareLeg(guest: GuestId, volume: VolumeId, leg: Leg): Promise<Result<void>> {
    return this.#withDisk(guest, volume, (process, connections) => {
      if (widthOf(process, volume) === 1)
        return fail(failure('conflict', 'A disk with one replica has no place for another leg'))
      if (connections.some((each) => each.attached && each.leg.host === leg.host))
        return fail(failure('conflict', `The leg on ${leg.host} is attached already`))
      this.#remove(
        connections,
        connections.filter((each) => each.leg.host === leg.host),
      )
      const connected = this.#machine.servers.connect(leg, volume)
      if (!connected.ok) return connected
      connections.push(connected.value)
      return ok()
    })
  }

  async attachLeg(guest: GuestId, volume: VolumeId, host: string): Promise<Result<void>> {
    return this.#withDisk(guest, volume, (process, connections) => {
      const prepared = connections.find((each) => each.leg.host === host)
      if (!prepared) return fail(failure('conflict', `No leg on ${host} was prepared`))
      if (process.status === 'running') return fail(failure('conflict', 'The guest runs'))
      if (prepared.attached) return ok()
      if (connections.filter((each) => each.attached).length >= widthOf(process, volume))
        return fail(failure('conflict', 'All legs of the disk are attached'))
      prepared.attached = true
      connections.splice(connections.indexOf(prepared), 1)
      if (prepared.leg.endpoint.kind === 'unix') connections.unshift(prepared)
      else connections.push(prepared)
      return ok()
    })
  }

  async discardLeg(guest: GuestId, volume: VolumeId, host: string): Promise<Result<void>> {
    return this.#withDisk(guest, volume, (_, connections) => {
      const found = connections.filter((each) => each.leg.host === host)
      if (found.some((each) => each.attached))
        return fail(failure('conflict', `The leg on ${host} is attached; it can only be dropped`))
      this.#remove(connections, found)
      return ok()
    })
  }

  async drainAndFlush(guest: GuestId, volume: VolumeId): Promise<Result<void>> {
    const process = this.#machine.processes.get(guest)
    if (process && !(await this.#machine.drained(process)))
      return fail(failure('storage', `The requests of disk ${volume} do not end`))
    return this.#withDisk(guest, volume, (found) => this.#flush(found, volume))
  }

  consoleLogPath(guest: GuestId): string {
    return `/memory/${guest}/console.log`
  }

  readonly #listeners = new Set<(event: GuestEvent) => void>()

  subscribe(listener: (event: GuestEvent) => void): () => void {
    this.#listeners.add(listener)
    const off = this.#machine.onEvent(listener)
    return () => {
      this.#listeners.delete(listener)
      off()
    }
  }

  #tell(event: GuestEvent): void {
    for (const listener of [...this.#listeners]) listener(event)
  }

  #flush(process: Process, volume: VolumeId): Result<void> {
    const bad = this.#machine.unreachableLeg(process, volume)
    return bad ? fail(failure('storage', `The disk ${volume} could not be flushed on ${bad.host}`)) : ok()
  }

  #remove(connections: LegConnection[], which: readonly LegConnection[]): void {
    for (const each of which) {
      this.#machine.servers.close(each)
      connections.splice(connections.indexOf(each), 1)
    }
  }

  #with<T>(guest: GuestId, work: (process: Process) => Result<T>): Result<T> {
    const process = this.#machine.processes.get(guest)
    return process ? work(process) : fail(failure('not_found', `Guest ${guest} does not run here`))
  }

  #withDisk(
    guest: GuestId,
    volume: VolumeId,
    work: (process: Process, connections: LegConnection[]) => Result<void>,
  ): Result<void> {
    return this.#with(guest, (process) => {
      const connections = process.disks.get(volume)
      return connections ? work(process, connections) : fail(failure('not_found', `The guest has no disk ${volume}`))
    })
  }
}

function describe(process: Process): RunningGuest {
  const { guest, epoch } = process.launch
  const disks = process.launch.disks.map((disk) => ({
    ...disk,
    legs: (process.disks.get(disk.volume) ?? []).filter((each) => each.attached).map((each) => each.leg),
  }))
  const legs = new Map(disks.map((disk) => [disk.volume, disk.legs.map((leg) => leg.host)]))
  return { guest, epoch, pid: process.pid, status: process.status, legs, disks }
}

function widthOf(process: Process, volume: VolumeId): number {
  return process.launch.disks.find((disk) => disk.volume === volume)?.width ?? 1
}

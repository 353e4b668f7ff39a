/**
 * `GuestHost` in memory. Guests that write do so whenever something changes around them, so that a lost leg is
 * noticed as QEMU notices it: by the next write. Deterministic: no time, no randomness.
 */
import { failure } from '@stead/core/errors.ts'
import type { GuestId, VolumeId } from '@stead/core/model/ids.ts'
import type { GuestEvent, GuestHost, GuestLaunch, Leg, RunningGuest } from '@stead/core/ports/guest-host.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import type { MemoryConnection, MemoryStorageServers } from './memory-storage-servers.ts'

interface Process {
  readonly launch: GuestLaunch
  readonly pid: number
  status: RunningGuest['status']
  readonly disks: Map<VolumeId, MemoryConnection[]>
  readonly acknowledged: Map<VolumeId, number>
  /** True while a failed write waits to be tried again. */
  readonly failed: Set<VolumeId>
}

export type MemoryBehaviour = 'write' | 'shutdown' | 'reset' | 'idle'

/** One machine's processes: what survives a restart of its agent. */
export class MemoryMachine {
  readonly servers: MemoryStorageServers
  readonly processes = new Map<GuestId, Process>()
  readonly #listeners = new Set<(event: GuestEvent) => void>()
  readonly #behaviours = new Map<GuestId, MemoryBehaviour>()
  #nextPid = 1000

  constructor(servers: MemoryStorageServers) {
    this.servers = servers
    servers.onChange(() => this.runGuests())
  }

  behave(guest: GuestId, behaviour: MemoryBehaviour): void {
    this.#behaviours.set(guest, behaviour)
  }

  /** Every process dies; nobody is left to tell of it. */
  powerOff(): void {
    for (const process of this.processes.values()) this.#closeDisks(process)
    this.processes.clear()
    this.#listeners.clear()
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
    }
    for (const disk of launch.disks) {
      const connections: MemoryConnection[] = []
      process.disks.set(disk.volume, connections)
      for (const leg of disk.legs) {
        const connected = this.servers.connect(leg)
        if (!connected.ok) {
          this.#closeDisks(process)
          return connected
        }
        connections.push(Object.assign(connected.value, { attached: true }))
      }
      process.acknowledged.set(
        disk.volume,
        Math.max(...disk.legs.map((leg) => this.servers.lastWrite(leg.host, disk.volume))),
      )
    }
    this.processes.set(launch.guest, process)
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
      [...process.disks.keys()].every((volume) => this.unreachableLeg(process, volume) === undefined)
    )
  }

  unreachableLeg(process: Process, volume: VolumeId): Leg | undefined {
    const legs = process.disks.get(volume)?.filter((each) => each.attached) ?? []
    return legs.find((each) => each.broken || this.servers.state(each.leg.host) !== 'up')?.leg
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

  #write(process: Process, volume: VolumeId): void {
    const legs = process.disks.get(volume)?.filter((connection) => connection.attached) ?? []
    // A frozen server's leg neither fails nor answers: the write hangs and the guest with it.
    const hangs = legs.some((leg) => !leg.broken && this.servers.state(leg.leg.host) === 'frozen')
    if (process.status !== 'running' || hangs) return
    const next = (process.acknowledged.get(volume) ?? 0) + 1
    for (const leg of legs) if (!leg.broken) this.servers.write(leg, volume, next)
    const bad = legs.filter((leg) => leg.broken)
    if (bad.length === 0) {
      process.acknowledged.set(volume, next)
      return
    }
    process.status = 'io-error'
    process.failed.add(volume)
    this.#tell(
      ioError(
        process,
        volume,
        bad.map((leg) => leg.leg.host),
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
    return this.#with(guest, (process) => {
      const flushed = this.#machine.flushed(process)
      this.#machine.end(process, 'asked', 'asked to quit', flushed)
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
    return this.#with(guest, (process) => {
      if (process.status === 'running') process.status = 'paused'
      return ok()
    })
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
      for (const each of found) each.broken = true
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
      const connected = this.#machine.servers.connect(leg)
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
    return this.#withDisk(guest, volume, (process) => this.#flush(process, volume))
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

  #remove(connections: MemoryConnection[], which: readonly MemoryConnection[]): void {
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
    work: (process: Process, connections: MemoryConnection[]) => Result<void>,
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

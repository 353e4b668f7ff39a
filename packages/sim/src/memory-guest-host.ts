/**
 * `GuestHost` in memory, over the processes of a `MemoryMachine`: the counterpart of the QEMU driver. Deterministic: time
 * and randomness come, if at all, from the servers behind the legs and from the machine's pace.
 */
import { failure } from '@stead/core/errors.ts'
import type { GuestId, VolumeId } from '@stead/core/model/ids.ts'
import type { GuestCdrom, GuestEvent, GuestHost, GuestLaunch, Leg, RunningGuest } from '@stead/core/ports/guest-host.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import { breakConnection, type LegConnection } from './leg-servers.ts'
import { MemoryHardware } from './memory-hardware.ts'
import type { Disk, MemoryMachine, Process } from './memory-machine.ts'

export class MemoryGuestHost extends MemoryHardware implements GuestHost {
  readonly #machine: MemoryMachine

  constructor(machine: MemoryMachine) {
    super(machine)
    this.#machine = machine
  }

  expect(): () => void {
    return () => undefined
  }

  async start(launch: GuestLaunch): Promise<Result<RunningGuest>> {
    for (const disk of launch.disks) {
      if (disk.legs.length === 0 || disk.legs.length > disk.width)
        return fail(failure('bad_request', `Volume ${disk.volume} has a wrong number of legs`))
    }
    const present = this.#machine.processes.get(launch.guest)
    if (present?.launch.epoch === launch.epoch) return ok(describe(present))
    const spawned = this.#machine.spawn(launch)
    return spawned.ok ? ok(describe(spawned.value)) : spawned
  }

  async requestShutdown(guest: GuestId): Promise<Result<void>> {
    return this.#with(guest, (process) => {
      queueMicrotask(() => void this.#machine.shutDown(process))
      return ok()
    })
  }

  async quit(guest: GuestId): Promise<Result<{ readonly flushed: boolean }>> {
    const process = this.#machine.processes.get(guest)
    if (!process) return fail(failure('not_found', `Guest ${guest} does not run here`))
    if (process.status === 'running') process.status = 'shutdown'
    const flushed = await this.#machine.flushAll(process)
    return this.#with(guest, (found) => {
      if (found !== process) return fail(failure('conflict', `Guest ${guest} was started again meanwhile`))
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
    for (const process of this.#machine.processes.values()) {
      process.transfer?.agentDied()
      // What waits for a container does so in the agent, of which only this is left.
      if (process.launch.container && process.status === 'arriving') this.#machine.clear(process)
    }
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
    if (await this.#machine.drained(paused.value, 'stop')) return ok()
    return fail(failure('hypervisor', 'The guest does not stop: requests are in flight'))
  }

  async changeMedium(guest: GuestId, drive: GuestCdrom['id'], path: string | undefined): Promise<Result<void>> {
    return this.#with(guest, (process) => {
      const cdroms = process.launch.cdroms ?? []
      if (!cdroms.some(({ id }) => id === drive))
        return fail(failure('not_found', `Guest ${guest} has no drive ${drive}`))
      const changed = cdroms.map(({ path: _old, ...rest }) => (path === undefined ? rest : { ...rest, path }))
      process.launch = { ...process.launch, cdroms: changed }
      return ok()
    })
  }

  async resume(guest: GuestId): Promise<Result<void>> {
    return this.#with(guest, (process) => {
      // As QEMU does: only a reset would make it run again.
      if (process.status === 'shutdown') return fail(failure('hypervisor', `${process.launch.name} has shut down`))
      process.status = 'running'
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
      if (prepared.leg.local || prepared.leg.endpoint.kind === 'unix') connections.unshift(prepared)
      else connections.push(prepared)
      return ok()
    })
  }

  async replaceLeg(guest: GuestId, volume: VolumeId, leg: Leg): Promise<Result<void>> {
    return this.#withDisk(guest, volume, (process, connections) => {
      if (process.status === 'running') return fail(failure('conflict', 'The guest runs'))
      if (widthOf(process, volume) === 1)
        return fail(failure('conflict', 'A disk with one replica has no place for another leg'))
      const old = connections.filter((each) => each.leg.host === leg.host)
      if (!old.some((each) => each.attached))
        return fail(failure('conflict', `There is no leg on ${leg.host} to be replaced`))
      const connected = this.#machine.servers.connect(leg, volume)
      if (!connected.ok) return connected
      connections.push(Object.assign(connected.value, { attached: true }))
      this.#remove(connections, old)
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
    const disk = process?.disks.get(volume)
    if (!process || !disk) return fail(failure('not_found', `Guest ${guest} does not run here with the disk ${volume}`))
    if (!(await this.#machine.drained(process, 'flush')))
      return fail(failure('storage', `The requests of disk ${volume} do not end`))
    const bad = await this.#machine.flush(process, disk)
    return bad ? fail(failure('storage', `The disk ${volume} could not be flushed on ${bad.host}`)) : ok()
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
    work: (process: Process, connections: Disk['connections']) => Result<void>,
  ): Result<void> {
    return this.#with(guest, (process) => {
      const connections = process.disks.get(volume)?.connections
      return connections ? work(process, connections) : fail(failure('not_found', `The guest has no disk ${volume}`))
    })
  }
}

export function describe(process: Process): RunningGuest {
  const { guest, epoch } = process.launch
  const disks = process.launch.disks.map((disk) => ({
    ...disk,
    legs: (process.disks.get(disk.volume)?.connections ?? []).filter((each) => each.attached).map((each) => each.leg),
  }))
  const legs = new Map(disks.map((disk) => [disk.volume, disk.legs.map((leg) => leg.host)]))
  const { pid, status, transfer } = process
  const sending = transfer?.isUnderWay ? { sending: transfer.progress().phase } : {}
  return { guest, epoch, pid, status, ...sending, legs, disks }
}

function widthOf(process: Process, volume: VolumeId): number {
  return process.launch.disks.find((disk) => disk.volume === volume)?.width ?? 1
}

/** The part of `GuestHost` that changes a running guest's hardware, in memory. */
import { failure } from '@stead/core/errors.ts'
import type { DiskLimits } from '@stead/core/model/hardware.ts'
import type { GuestId, VolumeId } from '@stead/core/model/ids.ts'
import { BALLOON_MIN_BYTES } from '@stead/core/model/growth.ts'
import type { GuestHardware, GuestMemoryUse, HardwareFacts, NicAddresses } from '@stead/core/ports/guest-hardware.ts'
import type { GuestDisk, LaunchContainer, LaunchNic } from '@stead/core/ports/guest-host.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import type { MemoryMachine, Process } from './memory-machine.ts'

export class MemoryHardware implements GuestHardware {
  readonly #machine: MemoryMachine

  constructor(machine: MemoryMachine) {
    this.#machine = machine
  }

  async hardware(guest: GuestId): Promise<Result<HardwareFacts>> {
    return this.#with(guest, ({ launch, limits, balloonBytes = launch.memoryBytes }) => {
      const { memoryBytes, memoryAddedBytes = 0, memoryMaxBytes, cpus, cpusMax } = launch
      return ok({
        hotPlug: true,
        disks: launch.disks
          .filter(({ role }) => role === undefined)
          .map((disk, position) => ({
            volume: disk.volume,
            slot: disk.slot ?? position,
            sizeBytes: disk.sizeBytes,
            limits: limits.get(disk.volume) ?? {},
          })),
        nics: launch.nics.map(({ slot, mac, addresses = [], gateways = [] }, position) => ({
          ...{ slot: slot ?? position, mac },
          ...(launch.container ? { addresses, gateways } : {}),
        })),
        memoryBytes: memoryBytes + memoryAddedBytes,
        memoryMinBytes: memoryBytes,
        memoryMaxBytes: memoryMaxBytes ?? memoryBytes,
        cpus,
        cpusMin: cpusMax === undefined ? cpus : 1,
        cpusMax: cpusMax ?? cpus,
        ...(memoryMaxBytes === undefined ? {} : { balloonBytes: balloonBytes + memoryAddedBytes }),
        ...(launch.container ? { container: launch.container } : {}),
      })
    })
  }

  async setContainer(guest: GuestId, container: LaunchContainer): Promise<Result<void>> {
    return this.#with(guest, (process) => {
      if (!process.launch.container) return fail(failure('bad_request', 'The guest is a virtual machine, no container'))
      process.launch = { ...process.launch, container }
      return ok()
    })
  }

  async addDisk(guest: GuestId, disk: GuestDisk & { readonly slot: number }): Promise<Result<void>> {
    return this.#with(guest, (process) => {
      const { disks } = process.launch
      if (disks.some((each) => each.volume === disk.volume)) return ok()
      if (disks.some((each, position) => (each.slot ?? position) === disk.slot))
        return fail(failure('conflict', `The place of disk ${disk.slot} is taken`))
      const opened = this.#machine.openDisk(process, disk)
      if (!opened.ok) return opened
      process.launch = { ...process.launch, disks: [...disks, disk] }
      queueMicrotask(() => this.#machine.runGuests())
      return ok()
    })
  }

  async removeDisk(guest: GuestId, volume: VolumeId): Promise<Result<{ readonly flushed: boolean }>> {
    const found = this.#with(guest, (process) => ok(process))
    if (!found.ok) return found
    const process = found.value
    const disk = process.disks.get(volume)
    if (!disk) return ok({ flushed: true })
    if (process.status !== 'running' || this.#machine.isDeaf(guest))
      return fail(failure('conflict', `The guest has not given the disk ${volume} back yet`))
    // The guest stops using it first: what it had begun ends.
    if (!(await this.#machine.drained(process, 'flush')))
      return fail(failure('conflict', `The guest has not given the disk ${volume} back yet`))
    const bad = await this.#machine.flush(process, disk)
    process.limits.delete(volume)
    process.launch = { ...process.launch, disks: process.launch.disks.filter((each) => each.volume !== volume) }
    this.#machine.closeDisk(process, volume)
    return ok({ flushed: bad === undefined })
  }

  async holdDisk(guest: GuestId, volume: VolumeId): Promise<Result<void>> {
    const found = this.#with(guest, (process) => ok(process))
    if (!found.ok) return found
    const disk = found.value.disks.get(volume)
    if (!disk) return fail(failure('not_found', `The guest has no disk ${volume}`))
    if (found.value.status === 'running') return fail(failure('conflict', 'The guest runs'))
    const bad = await this.#machine.flush(found.value, disk)
    if (bad) return fail(failure('storage', `The disk ${volume} could not be flushed on ${bad.host}`))
    return this.#machine.reopenLegs(disk, [])
  }

  async growDisk(guest: GuestId, grown: GuestDisk): Promise<Result<void>> {
    return this.#with(guest, (process) => {
      const disk = process.disks.get(grown.volume)
      const known = process.launch.disks.find((each) => each.volume === grown.volume)
      if (!disk || !known) return fail(failure('not_found', `The guest has no disk ${grown.volume}`))
      if (disk.connections.length > 0) return fail(failure('conflict', 'The disk is in use'))
      const opened = this.#machine.reopenLegs(disk, grown.legs)
      if (!opened.ok) return opened
      const sized = { ...known, sizeBytes: grown.sizeBytes, legs: grown.legs }
      process.launch = {
        ...process.launch,
        disks: process.launch.disks.map((each) => (each === known ? sized : each)),
      }
      return ok()
    })
  }

  async growFileSystem(guest: GuestId, volume: VolumeId): Promise<Result<void>> {
    return this.#with(guest, (process) =>
      process.disks.has(volume) ? ok() : fail(failure('not_found', `The guest has no disk ${volume}`)),
    )
  }

  async limitDisk(guest: GuestId, volume: VolumeId, limits: DiskLimits): Promise<Result<void>> {
    return this.#with(guest, (process) => {
      if (!process.disks.has(volume)) return fail(failure('not_found', `The guest has no disk ${volume}`))
      process.limits.set(volume, limits)
      return ok()
    })
  }

  async addNic(guest: GuestId, nic: LaunchNic & { readonly slot: number }): Promise<Result<void>> {
    return this.#with(guest, (process) => {
      const nics = process.launch.nics.map((each, position) => ({ ...each, slot: each.slot ?? position }))
      const present = nics.find((each) => each.slot === nic.slot)
      if (present)
        return present.mac === nic.mac ? ok() : fail(failure('conflict', `The place of NIC ${nic.slot} is taken`))
      process.launch = { ...process.launch, nics: [...nics, nic] }
      return ok()
    })
  }

  async removeNic(guest: GuestId, slot: number): Promise<Result<void>> {
    return this.#with(guest, (process) => {
      const nics = process.launch.nics.map((each, position) => ({ ...each, slot: each.slot ?? position }))
      if (!nics.some((each) => each.slot === slot)) return ok()
      if (process.status !== 'running' || this.#machine.isDeaf(guest))
        return fail(failure('conflict', `The guest has not given NIC ${slot} back yet`))
      process.launch = { ...process.launch, nics: nics.filter((each) => each.slot !== slot) }
      return ok()
    })
  }

  async setAddresses(guest: GuestId, slot: number, wanted: NicAddresses): Promise<Result<void>> {
    return this.#with(guest, (process) => {
      const { container, nics } = process.launch
      if (!container) return fail(failure('bad_request', 'The guest is a virtual machine, no container'))
      const changed = nics.map((nic, position) => ((nic.slot ?? position) === slot ? { ...nic, ...wanted } : nic))
      process.launch = { ...process.launch, nics: changed }
      return ok()
    })
  }

  /** What is plugged in is there at once; what is asked back needs a guest that gives it. */
  async setCpus(guest: GuestId, cpus: number): Promise<Result<void>> {
    return this.#with(guest, (process) => {
      const { launch } = process
      if (launch.cpusMax === undefined || cpus < 1 || cpus > launch.cpusMax) return outOfReach()
      if (cpus < launch.cpus && !this.#gives(process)) return notYet('a processor')
      process.launch = { ...launch, cpus }
      return ok()
    })
  }

  async setMemory(guest: GuestId, memoryBytes: number): Promise<Result<void>> {
    return this.#with(guest, (process) => {
      const { launch } = process
      const most = launch.memoryMaxBytes ?? launch.memoryBytes
      if (memoryBytes < launch.memoryBytes || memoryBytes > most) return outOfReach()
      if (!this.#gives(process)) return notYet('memory')
      process.launch = { ...launch, memoryAddedBytes: memoryBytes - launch.memoryBytes }
      return ok()
    })
  }

  async setBalloon(guest: GuestId, leaveBytes: number | undefined): Promise<Result<void>> {
    return this.#with(guest, (process) => {
      const { memoryBytes, memoryMaxBytes, memoryAddedBytes = 0 } = process.launch
      if (memoryMaxBytes === undefined) return outOfReach()
      if (!this.#gives(process)) return notYet('memory')
      const left = leaveBytes === undefined ? memoryBytes : leaveBytes - memoryAddedBytes
      process.balloonBytes = Math.min(memoryBytes, Math.max(left, BALLOON_MIN_BYTES))
      return ok()
    })
  }

  async memoryUse(guest: GuestId): Promise<Result<GuestMemoryUse | undefined>> {
    return this.#with(guest, (process) => {
      const { memoryBytes, memoryMaxBytes, memoryAddedBytes = 0 } = process.launch
      if (memoryMaxBytes === undefined || !this.#gives(process)) return ok(undefined)
      const totalBytes = (process.balloonBytes ?? memoryBytes) + memoryAddedBytes
      return ok({ totalBytes, freeBytes: totalBytes / 2, availableBytes: totalBytes / 2 })
    })
  }

  /** Whether the guest's system does its part. */
  #gives(process: Process): boolean {
    return process.status === 'running' && !this.#machine.isDeaf(process.launch.guest)
  }

  #with<T>(guest: GuestId, work: (process: Process) => Result<T>): Result<T> {
    const process = this.#machine.processes.get(guest)
    return process ? work(process) : fail(failure('not_found', `Guest ${guest} does not run here`))
  }
}

function outOfReach(): Result<never> {
  return fail(failure('conflict', 'The guest was not started for that'))
}

function notYet(what: string): Result<never> {
  return fail(failure('conflict', `The guest has not done its part about ${what} yet`))
}

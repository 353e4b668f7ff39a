/** The part of `GuestHost` that changes a running guest's hardware, in memory. */
import { failure } from '@stead/core/errors.ts'
import type { DiskLimits } from '@stead/core/model/hardware.ts'
import type { GuestId, VolumeId } from '@stead/core/model/ids.ts'
import type { GuestHardware, HardwareFacts } from '@stead/core/ports/guest-hardware.ts'
import type { GuestDisk, LaunchNic } from '@stead/core/ports/guest-host.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import type { MemoryMachine, Process } from './memory-machine.ts'

export class MemoryHardware implements GuestHardware {
  readonly #machine: MemoryMachine

  constructor(machine: MemoryMachine) {
    this.#machine = machine
  }

  async hardware(guest: GuestId): Promise<Result<HardwareFacts>> {
    return this.#with(guest, ({ launch, limits }) =>
      ok({
        hotPlug: true,
        disks: launch.disks
          .filter(({ role }) => role === undefined)
          .map((disk, position) => ({
            volume: disk.volume,
            slot: disk.slot ?? position,
            sizeBytes: disk.sizeBytes,
            limits: limits.get(disk.volume) ?? {},
          })),
        nics: launch.nics.map((nic, position) => ({ slot: nic.slot ?? position, mac: nic.mac })),
        memoryBytes: launch.memoryBytes,
        memoryMaxBytes: launch.memoryBytes,
        cpus: launch.cpus,
        cpusMax: launch.cpus,
      }),
    )
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

  #with<T>(guest: GuestId, work: (process: Process) => Result<T>): Result<T> {
    const process = this.#machine.processes.get(guest)
    return process ? work(process) : fail(failure('not_found', `Guest ${guest} does not run here`))
  }
}

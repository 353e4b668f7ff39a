/**
 * Devices that come and go in one running QEMU: disks and network cards, and the limits of disks. The launch record is
 * changed with the machine, so that a later agent, or a migration's destination, finds the same in both.
 *
 * A disk that is being built or taken down stands in the record's `unfinished` list: whatever moment an agent died at,
 * `settle` sees whether the device is there, and finishes or removes the rest.
 */
import { failure } from '@stead/core/errors.ts'
import type { VolumeId } from '@stead/core/model/ids.ts'
import type { DiskLimits } from '@stead/core/model/hardware.ts'
import type { HardwareFacts } from '@stead/core/ports/guest-hardware.ts'
import type { GuestDisk, LaunchNic } from '@stead/core/ports/guest-host.ts'
import type { DiskReading } from '@stead/core/ports/host-meters.ts'
import type { Log } from '@stead/core/ports/log.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import { deviceId, newDiskRecord, topNode, type DiskRecord } from './block-graph.ts'
import { pluggedDevices, unplugDevice } from './device-unplug.ts'
import { addDiskNodes, removeDiskNodes } from './disk-nodes.ts'
import { diskReadings } from './disk-statistics.ts'
import type { LaunchRecord } from './launch-record.ts'
import type { LegKeys } from './leg-keys.ts'
import { diskDevice, nicDevice, nicDeviceId, nicNetdev, netdevId } from './launch-arguments.ts'
import { limitsFrom, throttleArguments, type BlockDeviceInfo } from './disk-throttle.ts'
import { drainAndFlushDisk } from './mirror-surgery.ts'
import type { QmpClient } from './qmp.ts'

export interface GuestDevicesOptions {
  readonly record: () => LaunchRecord
  /** Puts a changed record on disk. */
  readonly save: (record: LaunchRecord) => Result<void>
  readonly keys: LegKeys
  /** Fails while QEMU does not answer. */
  readonly monitor: () => Result<QmpClient>
  readonly log: Log
}

export class GuestDevices {
  readonly #options: GuestDevicesOptions

  constructor(options: GuestDevicesOptions) {
    this.#options = options
  }

  async facts(): Promise<Result<Pick<HardwareFacts, 'hotPlug' | 'disks' | 'nics'>>> {
    const monitor = this.#options.monitor()
    if (!monitor.ok) return monitor
    const blocks = await monitor.value.execute<readonly BlockDeviceInfo[]>('query-block')
    if (!blocks.ok) return blocks
    const { launch, disks, machine } = this.#options.record()
    return ok({
      hotPlug: machine !== undefined,
      disks: disks
        .filter(({ role }) => role === undefined)
        .map((disk) => {
          const block = blocks.value.find((each) => each.inserted?.['node-name'] === topNode(disk.index))
          return {
            volume: disk.volume,
            slot: disk.index,
            // As the guest sees it.
            sizeBytes: block?.inserted?.image?.['virtual-size'] ?? disk.sizeBytes,
            limits: limitsFrom(block),
          }
        }),
      nics: launch.nics.map((nic, position) => ({ slot: nic.slot ?? position, mac: nic.mac })),
    })
  }

  async diskReadings(): Promise<Result<readonly DiskReading[]>> {
    const monitor = this.#options.monitor()
    return monitor.ok ? diskReadings(monitor.value, this.#options.record().disks) : monitor
  }

  async addDisk(disk: GuestDisk & { readonly slot: number }): Promise<Result<void>> {
    const settled = await this.settle()
    if (!settled.ok) return settled
    const monitor = settled.value
    const { disks } = this.#options.record()
    if (disks.some((each) => each.volume === disk.volume)) return ok()
    if (disks.some((each) => each.index === disk.slot))
      return fail(failure('conflict', `The place of disk ${disk.slot} is taken`))
    const record = newDiskRecord(disk, disk.slot)
    const noted = this.#change((launch) => ({ ...launch, unfinished: [...(launch.unfinished ?? []), record] }))
    if (!noted.ok) return noted
    const built = await this.#build(monitor, record)
    if (!built.ok) {
      await this.settle()
      return built
    }
    return this.#finished(record, disk)
  }

  async #build(monitor: QmpClient, disk: DiskRecord): Promise<Result<void>> {
    const built = await addDiskNodes(monitor, this.#options.keys, disk)
    if (!built.ok) return built
    const added = await monitor.execute('device_add', diskDevice(disk))
    return added.ok ? ok() : added
  }

  #finished(record: DiskRecord, disk: GuestDisk): Result<void> {
    return this.#change((launch) => ({
      ...launch,
      launch: { ...launch.launch, disks: [...launch.launch.disks, disk] },
      disks: [...launch.disks, record],
      unfinished: (launch.unfinished ?? []).filter((each) => each !== record),
    }))
  }

  /** Asks the guest for the disk and waits. Everything else may be done to the guest meanwhile. */
  async unplugDisk(volume: VolumeId): Promise<Result<void>> {
    const disk = this.#options.record().disks.find((each) => each.volume === volume)
    return disk ? this.#unplug(deviceId(disk.index), `disk ${disk.index}`) : ok()
  }

  /** Closes the legs of a disk that the guest has given back. True when all of them were flushed. */
  async takeDownDisk(volume: VolumeId): Promise<Result<{ readonly flushed: boolean }>> {
    const monitor = this.#options.monitor()
    if (!monitor.ok) return monitor
    const disk = this.#options.record().disks.find((each) => each.volume === volume)
    if (!disk) return ok({ flushed: true })
    const plugged = await pluggedDevices(monitor.value)
    if (!plugged.ok) return plugged
    if (plugged.value.has(deviceId(disk.index))) return fail(failure('conflict', 'The guest has the disk again'))
    const flushed = await drainAndFlushDisk(monitor.value, disk)
    if (!flushed.ok) this.#options.log.warn(flushed.error.message, { volume })
    const settled = await this.settle()
    return settled.ok ? ok({ flushed: flushed.ok }) : settled
  }

  async limitDisk(volume: VolumeId, limits: DiskLimits): Promise<Result<void>> {
    const monitor = this.#options.monitor()
    if (!monitor.ok) return monitor
    const disk = this.#options.record().disks.find((each) => each.volume === volume)
    if (!disk) return fail(failure('not_found', `The guest has no disk ${volume}`))
    const set = await monitor.value.execute('block_set_io_throttle', throttleArguments(disk.index, limits))
    return set.ok ? ok() : set
  }

  async addNic(nic: LaunchNic & { readonly slot: number }): Promise<Result<void>> {
    const settled = await this.settle()
    if (!settled.ok) return settled
    const monitor = settled.value
    const present = this.#options.record().launch.nics.find((each, position) => (each.slot ?? position) === nic.slot)
    if (present)
      return present.mac === nic.mac ? ok() : fail(failure('conflict', `The place of NIC ${nic.slot} is taken`))
    const noted = this.#changeNics((nics) => [...nics, nic])
    if (!noted.ok) return noted
    const backed = await monitor.execute('netdev_add', nicNetdev(nic, nic.slot))
    const added = backed.ok ? await monitor.execute('device_add', nicDevice(nic, nic.slot)) : backed
    if (added.ok) return ok()
    await this.settle()
    return added
  }

  /** Asks the guest for the card and waits; `settle` removes the rest. */
  unplugNic(slot: number): Promise<Result<void>> {
    return this.#unplug(nicDeviceId(slot), `NIC ${slot}`)
  }

  /**
   * Makes record and machine agree after work that was cut short, by an agent's death or by a refusal: the device
   * decides. Returns the monitor, since nothing can be done without it.
   */
  async settle(): Promise<Result<QmpClient>> {
    const monitor = this.#options.monitor()
    if (!monitor.ok) return monitor
    const { disks, unfinished = [], launch, machine } = this.#options.record()
    if (machine === undefined)
      return fail(
        failure('conflict', 'The guest runs on a machine without places for further devices', {
          hint: 'They appear at its next start',
        }),
      )
    const plugged = await pluggedDevices(monitor.value)
    if (!plugged.ok) return plugged
    // What is no disk of the guest has another device, which is always there.
    const has = (disk: DiskRecord) => disk.role !== undefined || plugged.value.has(deviceId(disk.index))
    const nics = launch.nics.filter((nic, position) => plugged.value.has(nicDeviceId(nic.slot ?? position)))
    for (const [position, nic] of launch.nics.entries()) {
      if (nics.includes(nic)) continue
      const removed = await monitor.value.execute('netdev_del', { id: netdevId(nic.slot ?? position) })
      if (!removed.ok && !/not found/.test(removed.error.message)) return removed
    }
    const gone = [...disks, ...unfinished].filter((disk) => !has(disk))
    const there = [...disks, ...unfinished].filter(has)
    if (gone.length === 0 && there.length === disks.length && nics.length === launch.nics.length) return monitor
    const known = new Set(there.map((disk) => disk.volume))
    const noted = this.#change((record) => ({
      ...record,
      launch: {
        ...record.launch,
        disks: [
          ...record.launch.disks.filter((disk) => known.has(disk.volume)),
          ...unfinished.filter(has).map(launchDisk),
        ],
        nics: record.launch.nics.map(withSlot).filter((nic) => nics.some((each) => each.mac === nic.mac)),
      },
      disks: there,
      unfinished: gone,
    }))
    if (!noted.ok) return noted
    for (const disk of gone) {
      const removed = await removeDiskNodes(monitor.value, disk)
      if (!removed.ok) return removed
    }
    const done = this.#change((record) => ({ ...record, unfinished: [] }))
    return done.ok ? monitor : done
  }

  async #unplug(device: string, what: string): Promise<Result<void>> {
    const monitor = this.#options.monitor()
    return monitor.ok ? unplugDevice(monitor.value, device, what) : monitor
  }

  #changeNics(change: (nics: readonly LaunchNic[]) => readonly LaunchNic[]): Result<void> {
    return this.#change((record) => ({
      ...record,
      launch: { ...record.launch, nics: change(record.launch.nics.map(withSlot)) },
    }))
  }

  #change(change: (record: LaunchRecord) => LaunchRecord): Result<void> {
    return this.#options.save(change(this.#options.record()))
  }
}

/** Written out, since a card's position changes when one before it goes. */
function withSlot(nic: LaunchNic, position: number): LaunchNic {
  return { ...nic, slot: nic.slot ?? position }
}

function launchDisk({ volume, sizeBytes, width, legs, index, role }: DiskRecord): GuestDisk {
  const place = role === undefined ? { slot: index } : { role }
  return { volume, sizeBytes, width, legs: legs.map(({ leg }) => leg), ...place }
}

/**
 * Disks and network cards of one running container: what comes, goes and grows while it runs. A disk that comes is the record's
 * only once the container has it, one that goes is first noted as `leaving`: whatever moment an agent dies at, `settle` knows
 * what to finish.
 */
import { failure, type Failure } from '@stead/core/errors.ts'
import type { VolumeId } from '@stead/core/model/ids.ts'
import type { GuestDisk, LaunchNic } from '@stead/core/ports/guest-host.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import { addLink, changeAddresses, removeLink } from './container-links.ts'
import { deviceOf, hideMount, inUse, showMount } from './container-mounts.ts'
import {
  clearDisk,
  linkOf,
  mountFolder,
  type ContainerBuilding,
  type ContainerParts,
  type ContainerPlace,
} from './container-parts.ts'
import type { RunRecord } from './run-record.ts'

export interface ContainerDevicesOptions {
  readonly place: ContainerPlace
  readonly building: ContainerBuilding
  readonly parts: ContainerParts
  readonly record: RunRecord
  /** Its disks are held, or are on the way to it. */
  readonly standsStill: () => boolean
}

type PlacedDisk = GuestDisk & { readonly slot: number }
type PlacedNic = LaunchNic & { readonly slot: number }

export class ContainerDevices {
  readonly #options: ContainerDevicesOptions
  /** Why their file systems do not grow while they are mounted: asking again would not change it. */
  readonly #refusals = new Map<VolumeId, Failure>()
  readonly #growing = new Set<Promise<unknown>>()

  constructor(options: ContainerDevicesOptions) {
    this.#options = options
  }

  /** Mounted where the container's settings say; one that is blank gets a file system. */
  async addDisk(disk: PlacedDisk): Promise<Result<void>> {
    const { parts, building, record, place } = this.#options
    const { disks } = record.launch
    if (parts.disks.has(disk.volume)) return ok()
    if (disks.some(({ slot }, position) => (slot ?? position) === disk.slot))
      return fail(failure('conflict', `The place of disk ${disk.slot} is taken`))
    if (this.#options.standsStill()) return fail(standsStill())
    const cleared = await this.#clear(disk.slot)
    if (!cleared.ok) return cleared
    const added = await parts.front.addDisk(disk, disk.slot)
    if (!added.ok) return added
    const opened = await building.open(parts.front, disk, disk.slot)
    const shown = opened.ok ? await this.#show(disk) : opened
    if (!shown.ok || !opened.ok) {
      // By itself, so that its end is no surprise.
      if (opened.ok) await opened.value.kill()
      const undone = await this.#clear(disk.slot)
      if (!undone.ok) place.log.error(undone.error.message)
      return shown
    }
    parts.disks.set(disk.volume, opened.value)
    // A disk was lost meanwhile: this one waits with the others.
    if (this.#options.standsStill()) await opened.value.hold(HOLD_TIMEOUT_MS)
    return record.change({ launch: { ...record.launch, disks: [...disks.map(withSlot), disk] } })
  }

  async #show({ volume, slot }: PlacedDisk): Promise<Result<void>> {
    const { place, parts, record } = this.#options
    const mount = record.launch.container?.mounts.find((each) => each.volume === volume)
    if (!mount) return ok()
    const init = parts.lxc.initPid()
    if (init === undefined) return fail(notRunning())
    return showMount(place.nativeDir, { init, source: mountFolder(place.folder, slot), target: mount.path })
  }

  /** `conflict` while a process of the container uses it. `flushed`: nothing that was written is missing on a leg. */
  async removeDisk(volume: VolumeId): Promise<Result<{ readonly flushed: boolean }>> {
    const { parts, record, place } = this.#options
    const [held, slot] = [parts.disks.get(volume), this.#slotOf(volume)]
    if (!held || slot === undefined) return ok({ flushed: true })
    if (record.launch.disks[0]?.volume === volume) return fail(failure('conflict', 'It is the root of the container'))
    if (this.#options.standsStill() || this.#growing.size > 0) return fail(standsStill())
    const device = deviceOf(mountFolder(place.folder, slot))
    const noted = record.change({ leaving: [...record.leaving, volume] })
    if (!noted.ok) return noted
    const hidden = await hideMount(place.nativeDir, this.#users(device))
    // A file that is open behind a mount which the container has taken away itself is seen only by `letGo`.
    const free = hidden.ok ? await held.letGo() : hidden
    if (!free.ok || !free.value) {
      const stays = record.change({ leaving: record.leaving.filter((each) => each !== volume) })
      return free.ok ? fail(inUse()) : stays.ok ? free : stays
    }
    const closed = await held.close()
    if (!closed.ok) return closed
    parts.disks.delete(volume)
    const gone = await this.#drop(volume)
    return gone.ok ? ok({ flushed: closed.value.clean && gone.value.flushed }) : gone
  }

  /** Closes its legs and forgets it. */
  async #drop(volume: VolumeId): Promise<Result<{ readonly flushed: boolean }>> {
    const { parts, record } = this.#options
    const removed = await parts.front.removeDisk(volume)
    if (!removed.ok) return removed
    const others = (volumes: readonly VolumeId[]) => volumes.filter((each) => each !== volume)
    const disks = record.launch.disks.map(withSlot).filter((disk) => disk.volume !== volume)
    const changed = record.change({
      launch: { ...record.launch, disks },
      leaving: others(record.leaving),
      smaller: others(record.smaller),
    })
    return changed.ok ? removed : changed
  }

  /** Finishes what an agent that died had begun. */
  async settle(): Promise<Result<void>> {
    const { parts, record } = this.#options
    for (const volume of record.leaving) {
      if (parts.disks.has(volume)) {
        // It had not gone yet: it stays until it is asked for again.
        const kept = record.change({ leaving: record.leaving.filter((each) => each !== volume) })
        if (!kept.ok) return kept
        continue
      }
      const slot = this.#slotOf(volume)
      const cleared = slot === undefined ? ok() : await this.#clearFolder(slot)
      const dropped = cleared.ok ? await this.#drop(volume) : cleared
      if (!dropped.ok) return dropped
    }
    const known = new Set(record.launch.disks.map(({ volume }) => volume))
    for (const { volume, index } of parts.front.disks) {
      if (known.has(volume)) continue
      const cleared = await this.#clear(index)
      if (!cleared.ok) return cleared
    }
    return ok()
  }

  /** Of the disk that is held: more of it, from now on. Its file system takes it by `growFileSystem`, else at its next start. */
  async growDisk(disk: GuestDisk): Promise<Result<void>> {
    const { parts, record } = this.#options
    const held = parts.disks.get(disk.volume)
    if (!held) return fail(noDisk(disk.volume))
    const grown = await parts.front.growDisk(disk)
    if (!grown.ok) return grown
    const taken = await held.takeNewSize()
    if (!taken.ok) return taken
    const disks = record.launch.disks.map((each) =>
      each.volume === disk.volume ? { ...each, sizeBytes: disk.sizeBytes } : each,
    )
    this.#refusals.delete(disk.volume)
    const smaller = [...new Set([...record.smaller, disk.volume])]
    return record.change({ launch: { ...record.launch, disks }, smaller })
  }

  /** Of a disk that has grown. The container runs on meanwhile. */
  async growFileSystem(volume: VolumeId): Promise<Result<void>> {
    const { parts, record } = this.#options
    const disk = parts.disks.get(volume)
    if (!disk) return fail(noDisk(volume))
    if (!record.smaller.includes(volume)) return ok()
    const refused = this.#refusals.get(volume)
    if (refused) return fail(refused)
    if (this.#options.standsStill()) return fail(standsStill())
    const growing = disk.growFileSystem()
    this.#growing.add(growing)
    const grown = await growing
    this.#growing.delete(growing)
    if (!grown.ok) {
      this.#refusals.set(volume, grown.error)
      return grown
    }
    return record.change({ smaller: record.smaller.filter((each) => each !== volume) })
  }

  /** No file system is being enlarged any more: such a one could not be unmounted. */
  async grown(): Promise<void> {
    await Promise.all(this.#growing)
  }

  /** Its port is filtered already. */
  async addNic(nic: PlacedNic): Promise<Result<void>> {
    const { parts, place, record } = this.#options
    const nics = record.launch.nics.map(withSlot)
    const present = nics.find(({ slot }) => slot === nic.slot)
    if (present)
      return present.mac === nic.mac ? ok() : fail(failure('conflict', `The place of NIC ${nic.slot} is taken`))
    const init = parts.lxc.initPid()
    if (init === undefined) return fail(notRunning())
    const added = await addLink(init, linkOf(nic, nic.slot, place.bridge))
    return added.ok ? record.change({ launch: { ...record.launch, nics: [...nics, nic] } }) : added
  }

  async removeNic(slot: number): Promise<Result<void>> {
    const { record } = this.#options
    const nics = record.launch.nics.map(withSlot)
    const nic = nics.find((each) => each.slot === slot)
    if (!nic) return ok()
    const removed = await removeLink(nic.tap)
    if (!removed.ok) return removed
    return record.change({ launch: { ...record.launch, nics: nics.filter((each) => each !== nic) } })
  }

  /** Addresses that it was given and is to have no more go; those that the container has given itself are left alone. */
  async setAddresses(slot: number, wanted: Pick<LaunchNic, 'addresses' | 'gateways'>): Promise<Result<void>> {
    const { parts, place, record } = this.#options
    const nics = record.launch.nics.map(withSlot)
    const nic = nics.find((each) => each.slot === slot)
    const init = parts.lxc.initPid()
    if (!nic) return fail(failure('not_found', `The container has no network card ${slot}`))
    if (init === undefined) return fail(notRunning())
    const { addresses: _addresses, gateways: _gateways, ...rest } = nic
    const next = { ...rest, ...wanted }
    const changed = await changeAddresses(init, linkOf(nic, slot, place.bridge), linkOf(next, slot, place.bridge))
    if (!changed.ok) return changed
    return record.change({ launch: { ...record.launch, nics: nics.map((each) => (each === nic ? next : each)) } })
  }

  /** Whatever there is of a disk that the container has not. */
  async #clear(slot: number): Promise<Result<void>> {
    const cleared = await this.#clearFolder(slot)
    return cleared.ok ? this.#options.parts.front.removePlace(slot) : cleared
  }

  async #clearFolder(slot: number): Promise<Result<void>> {
    const { folder, nativeDir } = this.#options.place
    return clearDisk(folder, slot, (device) => hideMount(nativeDir, this.#users(device)))
  }

  #users(device: string) {
    const { lxc } = this.#options.parts
    return { device, keeper: lxc.keeperPid, processes: lxc.processIds() }
  }

  #slotOf(volume: VolumeId): number | undefined {
    return this.#options.record.launch.disks.map(withSlot).find((disk) => disk.volume === volume)?.slot
  }
}

/** As long as `pause` may take. */
const HOLD_TIMEOUT_MS = 3_000

/** Written out, since a position changes when something before it goes. */
function withSlot<T extends { readonly slot?: number }>(device: T, position: number): T & { readonly slot: number } {
  return { ...device, slot: device.slot ?? position }
}

function noDisk(volume: VolumeId): Failure {
  return failure('not_found', `The container has no disk ${volume}`)
}

function standsStill(): Failure {
  return failure('conflict', 'its disks stand still just now')
}

function notRunning(): Failure {
  return failure('conflict', 'The container does not run', { hint: 'Start it first' })
}

/**
 * `HostDevices` on sysfs and vfio. Who holds what is said by the launch records of the guests that run here, so that a
 * restarted agent knows it too. Mediated devices and vGPU types that were made for a guest are undone when the next
 * claim finds that it has ended.
 */
import { createHash } from 'node:crypto'
import { chownSync, existsSync, readFileSync, readdirSync, readlinkSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { failure } from '@stead/core/errors.ts'
import { isForVms } from '@stead/core/model/host-shares.ts'
import type { GuestId } from '@stead/core/model/ids.ts'
import type { ClaimedDevice, HostDevices } from '@stead/core/ports/host-devices.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import type { LaunchRecord } from '../qemu/launch-record.ts'
import { cpuList } from './host-inventory.ts'
import { readDevices } from './sysfs-devices.ts'

export interface SysfsHostDevicesOptions {
  /** `/`, or a tree of a test. */
  readonly root: string
  readonly guestsFolder: string
  /** Whom the hypervisor runs as: gets the vfio groups. */
  readonly user?: { readonly uid: number; readonly gid: number }
  /** Keeps what was made for guests. */
  readonly notesFile: string
}

interface Holding {
  readonly paths: readonly string[]
  readonly cpus: readonly number[]
}
const NOTHING: Holding = { paths: [], cpus: [] }

export class SysfsHostDevices implements HostDevices {
  readonly #options: SysfsHostDevicesOptions
  /** Claims of guests that are about to start. */
  readonly #claims = new Map<GuestId, Holding>()

  constructor(options: SysfsHostDevicesOptions) {
    this.#options = options
  }

  async claim(guest: GuestId, classes: Readonly<Record<string, number>>): Promise<Result<readonly ClaimedDevice[]>> {
    const taken = new Set(this.#held(guest).flatMap(({ paths }) => paths))
    this.#undoUnused(taken)
    const claimed: ClaimedDevice[] = []
    for (const [name, count] of Object.entries(classes))
      for (let made = 0; made < count; made++) {
        const path = this.#claimOne(guest, name, new Set([...taken, ...claimed.map((device) => device.path)]))
        if (!path.ok) return path
        claimed.push(path.value)
      }
    for (const { path } of claimed) this.#openTo(path)
    this.#note(guest, { paths: claimed.map(({ path }) => path) })
    return ok(claimed)
  }

  async claimCpus(guest: GuestId, count: number): Promise<Result<readonly number[]>> {
    const taken = new Set(this.#held(guest).flatMap(({ cpus }) => cpus))
    const allowed = /^Cpus_allowed_list:\s*(\S+)$/m.exec(this.#read('proc/self/status'))?.[1] ?? ''
    const free = cpuList(allowed).filter((cpu) => !taken.has(cpu))
    if (free.length < count)
      return fail(
        failure('no_capacity', `Of ${count} processors that it needs for itself ${free.length} are free here`),
      )
    const cpus = free.slice(0, count)
    this.#note(guest, { cpus })
    return ok(cpus)
  }

  settle(guest: GuestId): void {
    this.#claims.delete(guest)
  }

  async memoryNodes(): Promise<readonly number[]> {
    const names = list(join(this.#options.root, 'sys/devices/system/node'))
    return names
      .flatMap((name) => /^node(\d+)$/.exec(name)?.[1] ?? [])
      .map(Number)
      .toSorted((a, b) => a - b)
  }

  #claimOne(guest: GuestId, name: string, taken: ReadonlySet<string>): Result<ClaimedDevice> {
    const instances = readDevices(this.#options.root, '').filter((each) => each.class === name && isForVms(each.kind))
    for (const { kind, address, type, free } of instances) {
      const pci = `bus/pci/devices/${address}`
      if (kind === 'mdev') {
        if (free === 0) continue
        const uuid = uuidOf(`${guest} ${address} ${type} ${taken.size}`)
        this.#make(`bus/mdev/devices/${uuid}`, `${pci}/mdev_supported_types/${type}/create`, uuid)
        return ok({ class: name, kind, path: `bus/mdev/devices/${uuid}` })
      }
      if (taken.has(pci)) continue
      if (kind === 'vgpu' && free > 0) this.#make(pci, `${pci}/nvidia/current_vgpu_type`, type ?? '')
      return ok({ class: name, kind, path: pci })
    }
    const hint = `\`stead host show\` tells which devices the hosts have`
    return fail(failure('no_capacity', `No ${name} is free on this host`, { hint }))
  }

  #make(path: string, file: string, content: string): void {
    writeFileSync(join(this.#options.root, 'sys', file), content)
    this.#writeNotes([...this.#notes(), path])
  }

  /** What was made for a guest that runs no more, and that another class may need the room of. */
  #undoUnused(taken: ReadonlySet<string>): void {
    const [kept, unused] = [
      this.#notes().filter((path) => taken.has(path)),
      this.#notes().filter((path) => !taken.has(path)),
    ]
    for (const path of unused) {
      const folder = join(this.#options.root, 'sys', path)
      const [file, content] = path.includes('/mdev/') ? ['remove', '1'] : ['nvidia/current_vgpu_type', '0']
      if (existsSync(join(folder, file))) writeFileSync(join(folder, file), content)
    }
    if (unused.length > 0) this.#writeNotes(kept)
  }

  /** The hypervisor has no rights of its own: it is given the group of the device. */
  #openTo(path: string): void {
    const { root, user } = this.#options
    const link = join(root, 'sys', path, 'iommu_group')
    if (!user || !existsSync(link)) return
    chownSync(join(root, 'dev/vfio', basename(readlinkSync(link))), user.uid, user.gid)
  }

  #note(guest: GuestId, part: Partial<Holding>): void {
    const earlier = this.#claims.get(guest) ?? NOTHING
    this.#claims.set(guest, { ...earlier, ...part })
  }

  /** What all other guests hold. */
  #held(except: GuestId): Holding[] {
    const running = list(this.#options.guestsFolder)
      .filter((guest) => guest !== except)
      .map((guest) => holdingIn(join(this.#options.guestsFolder, guest, 'launch.json')))
    const claimed = [...this.#claims].filter(([guest]) => guest !== except)
    return [...running, ...claimed.map(([, holding]) => holding)]
  }

  #notes(): readonly string[] {
    try {
      return JSON.parse(readFileSync(this.#options.notesFile, 'utf8')) as string[]
    } catch {
      // Nothing was ever made.
      return []
    }
  }

  #writeNotes(paths: readonly string[]): void {
    writeFileSync(this.#options.notesFile, JSON.stringify([...new Set(paths)]))
  }

  #read(path: string): string {
    return readFileSync(join(this.#options.root, path), 'utf8')
  }
}

/** The record is there while the guest runs. */
function holdingIn(launchFile: string): Holding {
  try {
    const { launch } = JSON.parse(readFileSync(launchFile, 'utf8')) as LaunchRecord
    const { devices = [], cpus = [] } = launch.platform ?? {}
    return { paths: devices.map(({ path }) => path), cpus }
  } catch {
    return NOTHING
  }
}

function list(folder: string): readonly string[] {
  try {
    return readdirSync(folder)
  } catch {
    return []
  }
}

/** The same for the same guest and device, in the form of a UUID. */
function uuidOf(name: string): string {
  const digits = createHash('sha256').update(name).digest('hex')
  return [
    digits.slice(0, 8),
    digits.slice(8, 12),
    `5${digits.slice(13, 16)}`,
    `8${digits.slice(17, 20)}`,
    digits.slice(20, 32),
  ].join('-')
}

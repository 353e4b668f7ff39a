/**
 * The parts of a container's run: started one after the other, found again by a later agent, or cleared away.
 *
 *   <folder>/front/        `ContainerFront`
 *   <folder>/disks/<slot>/ `HeldDisk`
 *   <folder>/rootfs        the root, mounted; <folder>/mounts/<slot> the other disks
 *   <folder>/lxc.json …    `LxcContainer`, and `console.log`
 */
import { chmodSync, existsSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { effectiveLimits, type ContainerLimits } from '@stead/core/model/container-limits.ts'
import type { VolumeId } from '@stead/core/model/ids.ts'
import type { GuestDisk, GuestLaunch, LaunchContainer, LaunchNic } from '@stead/core/ports/guest-host.ts'
import type { Log } from '@stead/core/ports/log.ts'
import { ok, type Result } from '@stead/core/result.ts'
import { startLines } from './cgroups/cgroup-limits.ts'
import { cgroupMounts } from './cgroups/cgroup-tree.ts'
import { isMounted } from './container-file-system.ts'
import { ContainerFront } from './container-front.ts'
import { deviceOf } from './container-mounts.ts'
import type { DetachedProcess } from '../process/detached.ts'
import { NoFront, type ContainerDisk, type DiskFront } from './disk-front.ts'
import { FolderRoot, type FolderRootOptions } from './folder-root.ts'
import { endFront } from './front-process.ts'
import { clearHeldDisk, HeldDisk, type HeldDiskEvent } from './held-disk.ts'
import { adoptContainer, endFolderLeftovers, type LxcContainer } from './lxc-container.ts'
import { restoreContainer, startContainer } from './lxc-start.ts'
import { lxcPrograms, SHOWN_MOUNTS, type HaltSignal, type LxcNic, type LxcSpec } from './lxc-spec.ts'

/** Where a container is, and with what it is run. */
export interface ContainerPlace {
  /** The container's own folder; its last part is the guest's id. */
  readonly folder: string
  /** Folder of the native helpers. */
  readonly nativeDir: string
  /** Whom the front runs as. Absent only where the agent itself is unprivileged. */
  readonly user?: { readonly uid: number; readonly gid: number }
  /** Pid of the init of the guests' pid namespace; 0: the agent's own. */
  readonly namespacePid: number
  readonly bridge: { readonly name: string; readonly mtu: number }
  readonly log: Log
}

/** What hears what the parts tell. */
export interface PartsListener {
  readonly launch: GuestLaunch
  onDisk(volume: VolumeId, event: HeldDiskEvent): void
  onFrontGone(reason: string): void
  requireQuiet(): Promise<Result<void>>
}

export interface ContainerParts {
  readonly front: DiskFront
  readonly lxc: LxcContainer
  /** Those that come and go are put in and taken out by `ContainerDevices` alone. */
  readonly disks: Map<VolumeId, ContainerDisk>
}

export interface ArrivingParts {
  readonly front: ContainerFront
  /** Path of the program. */
  readonly criu: string
}

/** What of a run is there before it is built. */
export interface BegunParts {
  /** Its front waits already, and its processes come from another host. */
  readonly arriving?: ArrivingParts
  /** Of its front, from `startFrontProcess`. */
  readonly frontProcess?: DetachedProcess
}

/** The parts of a run, one after the other. What they tell before the run is there is told to it then. */
export class ContainerBuilding {
  readonly #options: ContainerPlace
  readonly #launch: GuestLaunch
  readonly #disks = new Map<VolumeId, ContainerDisk>()
  #run: PartsListener | undefined
  #onFrontGone: () => void = () => undefined
  readonly #early: (() => void)[] = []

  constructor(options: ContainerPlace, launch: GuestLaunch) {
    this.#options = options
    this.#launch = launch
  }

  hand(run: PartsListener): void {
    this.#run = run
    for (const tell of this.#early.splice(0)) tell()
  }

  /** `process`: from `startFrontProcess`. `onGone`: for who waits with it for the other parts. */
  startFront(process?: DetachedProcess, onGone = this.#onFrontGone): Promise<Result<ContainerFront>> {
    this.#onFrontGone = onGone
    const { guest, name, epoch, disks } = this.#launch
    return ContainerFront.start(this.#frontOptions(), { guest, name, epoch, disks }, process)
  }

  async build({ arriving, frontProcess }: BegunParts = {}): Promise<Result<ContainerParts>> {
    const { disks } = this.#launch
    const front = await (arriving
      ? ok(arriving.front)
      : this.#subvolume
        ? ok(this.#noFront())
        : this.startFront(frontProcess))
    if (!front.ok) return front
    const mounts = join(this.#options.folder, 'mounts')
    mkdirSync(mounts, { recursive: true })
    // The container's root user has to be able to walk through it.
    chmodSync(mounts, 0o711)
    const opened = await Promise.all(
      disks.map((disk, position) =>
        position === 0 ? this.#openRoot(front.value, disk) : this.open(front.value, disk, disk.slot ?? position),
      ),
    )
    for (const [position, disk] of opened.entries()) {
      if (!disk.ok) return disk
      this.#disks.set(disks[position]!.volume, disk.value)
    }
    const programs = lxcPrograms(this.#options.nativeDir)
    const lxc = arriving
      ? await restoreContainer(programs, this.#spec(), { criu: arriving.criu })
      : await startContainer(programs, this.#spec())
    return lxc.ok ? ok({ front: front.value, lxc: lxc.value, disks: this.#disks }) : lxc
  }

  async #openRoot(front: DiskFront, disk: GuestDisk): Promise<Result<ContainerDisk>> {
    const folder = this.#folderRoot
    if (folder) return FolderRoot.start(folder)
    const options = this.#diskOptions(front, disk, { slot: disk.slot ?? 0, isRoot: true })
    return options.ok ? HeldDisk.start(options.value) : options
  }

  /** A disk that is not the root: mounted on the host, with a new file system where it is blank. */
  async open(front: DiskFront, disk: GuestDisk, slot: number): Promise<Result<ContainerDisk>> {
    const options = this.#diskOptions(front, disk, { slot, isRoot: false })
    return options.ok ? HeldDisk.start(options.value, { makeWhenBlank: true }) : options
  }

  /** `mayMiss`: disks that may be gone already. */
  async adopt(mayMiss: readonly VolumeId[]): Promise<Result<ContainerParts | undefined>> {
    const front = this.#subvolume ? ok(this.#noFront()) : await ContainerFront.adopt(this.#frontOptions())
    if (!front.ok || !front.value) return front as Result<undefined>
    const lxc = adoptContainer(lxcPrograms(this.#options.nativeDir), this.#options.folder)
    const disks = await Promise.all(
      this.#launch.disks.map(async (disk, position) => {
        const place = { slot: disk.slot ?? position, isRoot: position === 0 }
        const adopted = await this.#adoptDisk(front.value!, disk, place)
        if (adopted.ok && adopted.value) this.#disks.set(disk.volume, adopted.value)
        return this.#disks.has(disk.volume) || mayMiss.includes(disk.volume)
      }),
    )
    if (lxc && disks.every(Boolean)) return ok({ front: front.value, lxc, disks: this.#disks })
    front.value.dispose()
    lxc?.close()
    for (const disk of this.#disks.values()) disk.dispose()
    return ok(undefined)
  }

  async #adoptDisk(front: DiskFront, disk: GuestDisk, place: { readonly slot: number; readonly isRoot: boolean }) {
    const folder = place.isRoot ? this.#folderRoot : undefined
    if (folder) return ok(FolderRoot.adopt(folder))
    const options = this.#diskOptions(front, disk, place)
    return options.ok ? HeldDisk.adopt(options.value) : options
  }

  /** The folder that its root is; undefined: a disk that is served. */
  get #subvolume(): string | undefined {
    return this.#launch.disks[0]?.legs[0]?.folder
  }

  get #folderRoot(): FolderRootOptions | undefined {
    const { folder } = this.#options
    const source = this.#subvolume
    return source === undefined
      ? undefined
      : { source, mountFolder: rootFolder(folder), diskFolder: diskFolder(folder, 0) }
  }

  /** As it is now: its size changes while it runs. */
  #noFront(): NoFront {
    return new NoFront(() => this.#run?.launch.disks[0] ?? this.#launch.disks[0]!)
  }

  #frontOptions() {
    return {
      ...frontPlace(this.#options),
      requireQuiet: async () => (this.#run ? this.#run.requireQuiet() : ok()),
      onGone: (reason: string) => {
        this.#onFrontGone()
        this.#tell((run) => run.onFrontGone(reason))
      },
      log: this.#options.log,
    }
  }

  #diskOptions(front: DiskFront, { volume }: GuestDisk, { slot, isRoot }: { slot: number; isRoot: boolean }) {
    const { folder, nativeDir, namespacePid, log } = this.#options
    const exported = front.exportOf(volume)
    if (!exported.ok) return exported
    return ok({
      folder: diskFolder(folder, slot),
      mountFolder: isRoot ? rootFolder(folder) : mountFolder(folder, slot),
      nbdSocket: front.nbdSocket,
      exportName: exported.value,
      helper: join(nativeDir, 'stead-run-guest'),
      steadDisk: join(nativeDir, 'stead-disk'),
      ...(namespacePid === 0 ? {} : { namespacePid }),
      onEvent: (event: HeldDiskEvent) => this.#tell((run) => run.onDisk(volume, event)),
      log,
    })
  }

  #tell(what: (run: PartsListener) => void): void {
    if (this.#run) what(this.#run)
    else this.#early.push(() => what(this.#run!))
  }

  #spec(): LxcSpec {
    const { folder, namespacePid, bridge } = this.#options
    const { guest, container, nics, disks } = this.#launch
    const settings = container as LaunchContainer
    const places = new Map(disks.map(({ volume, slot }, position) => [volume, slot ?? position]))
    const mounts = cgroupMounts()
    const limits = limitsOf(this.#launch)
    return {
      id: guest,
      name: settings.hostname,
      folder,
      guestsFolder: join(folder, '..'),
      rootPath: rootFolder(folder),
      idBase: settings.idBase ?? 'privileged',
      nesting: settings.nesting,
      nics: nics.map((nic, position) => linkOf(nic, nic.slot ?? position, bridge)),
      nameservers: settings.nameservers,
      searchDomains: settings.searchDomains,
      mounts: settings.mounts.flatMap(({ volume, path }) => {
        const slot = places.get(volume)
        return slot === undefined ? [] : [{ source: join(SHOWN_MOUNTS, String(slot)), target: path, readOnly: false }]
      }),
      devices: [],
      haltSignal: settings.system.haltSignal as HaltSignal,
      ...(settings.system.init ? { init: settings.system.init } : {}),
      ...(settings.system.process ? { process: settings.system.process } : {}),
      ...(limits.numpty?.limit === undefined ? {} : { terminalsMax: limits.numpty.limit }),
      limitLines: mounts.ok ? startLines(mounts.value, limits) : [],
      namespacePid,
      cgroup: cgroupName(guest),
      ...(this.#subvolume === undefined ? {} : { rootIsSubvolume: true }),
    }
  }
}

/** Where the front of a container is, and as whom it runs. */
export function frontPlace({ folder, nativeDir, user, namespacePid }: ContainerPlace) {
  return {
    folder: join(folder, 'front'),
    helper: join(nativeDir, 'stead-run-guest'),
    ...(user ? { user } : {}),
    ...(namespacePid === 0 ? {} : { namespacePid }),
  }
}

/** A network card as LXC, or the kernel, is told of it. */
export function linkOf(
  { tap, mac, addresses = [], gateways = [] }: LaunchNic,
  slot: number,
  { name: bridge, mtu }: ContainerPlace['bridge'],
): LxcNic {
  return { hostEnd: tap, name: interfaceOf(slot), mac, bridge, mtu, addresses, gateways }
}

/** How a card is called inside. */
export function linkName({ slot }: LaunchNic, position: number): string {
  return interfaceOf(slot ?? position)
}

const interfaceOf = (slot: number): string => `eth${slot}`

/** What memory and processors come to, and its own limits, which win. */
export function limitsOf({ memoryBytes, cpus, container }: GuestLaunch): ContainerLimits {
  return effectiveLimits(container?.limits ?? {}, { memoryBytes, cpus })
}

/** Ends whatever is left of a run in this folder, known or not. Never waits for a disk. */
export async function clearParts(folder: string): Promise<Result<void>> {
  const front = await endFront(join(folder, 'front'))
  // At a time with the disks, for which they may wait.
  const processes = endFolderLeftovers(folder)
  const done: Result<void>[] = [front]
  for (let slot = 0; slot < SLOTS_MAX; slot++) {
    const disk = diskFolder(folder, slot)
    if (!existsSync(disk)) continue
    for (const mount of [rootFolder(folder), mountFolder(folder, slot)]) done.push(await clearHeldDisk(disk, mount))
  }
  return [...done, await processes].find((each) => !each.ok) ?? ok()
}

/** What is left of a disk beside those of a container that runs. `hide`: out of the container, where it may be seen already. */
export async function clearDisk(
  folder: string,
  slot: number,
  hide: (device: string) => Promise<Result<void>>,
): Promise<Result<void>> {
  const [disk, mount] = [diskFolder(folder, slot), mountFolder(folder, slot)]
  if (!existsSync(disk)) return ok()
  const hidden = isMounted(mount) ? await hide(deviceOf(mount)) : ok()
  return hidden.ok ? clearHeldDisk(disk, mount) : hidden
}

/** As many disks as any guest may have. */
const SLOTS_MAX = 16

export const cgroupName = (guest: string): string => `stead-${guest}`
export const rootFolder = (folder: string): string => join(folder, 'rootfs')
export const mountFolder = (folder: string, slot: number): string => join(folder, 'mounts', String(slot))
const diskFolder = (folder: string, slot: number): string => join(folder, 'disks', String(slot))

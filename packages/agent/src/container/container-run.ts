/**
 * One run of a container: the front, its disks and LXC's processes, from the start to the end. What each of them is, is in
 * docs/internals/containers.md. `<folder>/launch.json` says what was started, as it is now.
 */
import { join } from 'node:path'
import { failure } from '@stead/core/errors.ts'
import type { ContainerLimits } from '@stead/core/model/container-limits.ts'
import type { VolumeId } from '@stead/core/model/ids.ts'
import type { GuestDisk, GuestEvent, GuestLaunch, LaunchContainer, RunningGuest } from '@stead/core/ports/guest-host.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import { checkLegs } from '../qemu/leg-probe.ts'
import type { ContainerCgroup } from './cgroups/cgroup-files.ts'
import { containerCgroup } from './cgroups/cgroup-limits.ts'
import { cgroupSettings } from './cgroups/cgroup-settings.ts'
import { limitsOfProcesses, setProcessLimits } from './cgroups/process-limits.ts'
import { ContainerDevices } from './container-devices.ts'
import { changeIdentity } from './container-files.ts'
import type { ContainerDisk, DiskFront } from './disk-front.ts'
import {
  clearParts,
  ContainerBuilding,
  limitsOf,
  mountFolder,
  rootFolder,
  type BegunParts,
  type ContainerParts,
  type ContainerPlace,
  type PartsListener,
} from './container-parts.ts'
import type { HeldDiskEvent } from './held-disk.ts'
import type { LxcContainer } from './lxc-container.ts'
import { forgetRecord, RunRecord } from './run-record.ts'
import { blockDeviceOf } from './root-mount.ts'

export interface ContainerRunOptions extends ContainerPlace {
  readonly emit: (event: GuestEvent) => void
  /** It has ended by itself, and all of it is gone. */
  readonly onGone: (run: ContainerRun) => void
}

/** `stop` of a VM may take as long. */
const HOLD_TIMEOUT_MS = 3_000
/** Of a container that ends, as a VM's last flush: a leg that hangs for longer makes the end an unclean one. */
const LAST_ANSWER_TIMEOUT_MS = 10_000
/** What its processes had not finished when they were killed is written to the disk. */
const KILL_TO_EXIT_MS = 5_000

export class ContainerRun implements PartsListener {
  readonly front: DiskFront
  readonly lxc: LxcContainer
  /** Disks and cards that come, go and grow. */
  readonly devices: ContainerDevices
  readonly #options: ContainerRunOptions
  readonly #disks: ReadonlyMap<VolumeId, ContainerDisk>
  readonly #record: RunRecord
  #isPaused = false
  #isHeld = new Set<VolumeId>()
  #ending: Promise<{ readonly flushed: boolean }> | undefined
  #isGone = false

  private constructor(
    options: ContainerRunOptions,
    record: RunRecord,
    building: ContainerBuilding,
    parts: ContainerParts,
  ) {
    this.#options = options
    this.#record = record
    this.front = parts.front
    this.lxc = parts.lxc
    this.#disks = parts.disks
    const standsStill = () => this.#isPaused || this.#isHeld.size > 0 || this.#ending !== undefined
    this.devices = new ContainerDevices({ place: options, building, parts, record, standsStill })
    this.lxc.onExit(({ how }) => {
      if (how === 'halted') void this.#finish('guest-shutdown', 'the container shut down')
      else this.#collapse('its init was killed')
    })
    // LXC begins it again by itself, but with a root that is not mapped to its ids any more (5.0.2: nothing of it can be
    // written) and without the limits of the run. A new run has all that, and what waited for one.
    this.lxc.onReboot(() => void this.#finish('guest-shutdown', 'the container reboots'))
  }

  /** Everything that an earlier run has left must have been ended. Of a failed start nothing is left. `building`: if it arrives. */
  static async start(
    options: ContainerRunOptions,
    launch: GuestLaunch,
    begun: BegunParts & { readonly building?: ContainerBuilding } = {},
  ): Promise<Result<ContainerRun>> {
    const { container, disks } = launch
    if (!container || disks.length === 0) return fail(failure('internal', `${launch.name} has no root`))
    const record = RunRecord.begin(options.folder, launch)
    if (!record.ok) return record
    const building = begun.building ?? new ContainerBuilding(options, launch)
    const parts = await building.build(begun)
    if (parts.ok) {
      const run = new ContainerRun(options, record.value, building, parts.value)
      building.hand(run)
      const limited = await run.#applyLimits()
      if (limited.ok) return ok(run)
      await run.kill()
      return limited
    }
    const cleared = await clearRun(options.folder)
    if (!cleared.ok) options.log.error(cleared.error.message)
    return parts
  }

  /** The run that an earlier agent began here, when all of it lives; otherwise what is left is for `clearRun`. */
  static async adopt(options: ContainerRunOptions): Promise<Result<ContainerRun | undefined>> {
    const record = RunRecord.read(options.folder)
    if (!record.ok) return record
    if (!record.value) return ok(undefined)
    const building = new ContainerBuilding(options, record.value.launch)
    const parts = await building.adopt(record.value.leaving)
    if (!parts.ok || !parts.value) return parts as Result<undefined>
    const run = new ContainerRun(options, record.value, building, parts.value)
    building.hand(run)
    const settled = await run.devices.settle()
    if (!settled.ok) options.log.warn(settled.error.message)
    return ok(run)
  }

  get launch(): GuestLaunch {
    return this.#record.launch
  }

  get rootFolder(): string {
    return rootFolder(this.#options.folder)
  }

  /** Where one of its disks is mounted on the host. */
  folderOf(volume: VolumeId): string | undefined {
    if (!this.#disks.has(volume)) return undefined
    const position = this.launch.disks.findIndex((disk) => disk.volume === volume)
    const slot = this.launch.disks[position]?.slot ?? position
    return position <= 0 ? this.rootFolder : mountFolder(this.#options.folder, slot)
  }

  /** Where is kept what was counted of this run. */
  get countersFile(): string {
    return join(this.#options.folder, 'counters.json')
  }

  async inspect(): Promise<Result<RunningGuest>> {
    const disks = await this.front.inspect()
    if (!disks.ok) return disks
    return ok({
      guest: this.launch.guest,
      epoch: this.launch.epoch,
      pid: this.lxc.keeperPid,
      status: this.#isHeld.size > 0 ? 'io-error' : this.#isPaused ? 'paused' : 'running',
      legs: new Map(disks.value.map((disk) => [disk.volume, disk.legs.map(({ host }) => host)])),
      disks: disks.value,
    })
  }

  /** Its processes run on; what asks for a disk waits. */
  async pause(): Promise<Result<void>> {
    this.#isPaused = true
    return this.#eachDisk((disk) => disk.hold(HOLD_TIMEOUT_MS))
  }

  async resume(): Promise<Result<void>> {
    this.front.forgetFailures()
    const gone = await this.#eachDisk(async (disk) => {
      const connected = disk.state?.connected === false ? await disk.reconnect() : ok()
      return connected.ok ? disk.go() : connected
    })
    if (!gone.ok) return gone
    this.#isPaused = false
    this.#isHeld.clear()
    return ok()
  }

  async addDisk(disk: GuestDisk & { readonly slot: number }): Promise<Result<void>> {
    const added = await this.devices.addDisk(disk)
    return added.ok ? this.#applyLimits() : added
  }

  async removeDisk(volume: VolumeId): Promise<Result<{ readonly flushed: boolean }>> {
    const removed = await this.devices.removeDisk(volume)
    // One that stays was let write down what it had, as fast as it could.
    if (!removed.ok) await this.#applyLimits()
    return removed
  }

  /** Disks whose file systems have not taken their size yet. */
  get smaller(): readonly VolumeId[] {
    return this.#record.smaller
  }

  /** Memory, processors, limits: at once. What only a start can change is noted for it. */
  async change(change: Partial<Pick<GuestLaunch, 'memoryBytes' | 'cpus' | 'container'>>): Promise<Result<void>> {
    const before = this.launch
    const saved = this.#save({ ...before, ...change })
    if (!saved.ok) return saved
    const applied = await this.#applyLimits()
    if (!applied.ok) {
      this.#save(before)
      // What was written before the one that was refused.
      await this.#applyLimits()
      return applied
    }
    const named = await this.#identify(before)
    if (!named.ok) {
      this.#save(withIdentity(this.launch, before))
      return named
    }
    const cgroup = this.#cgroup()
    const raised = await setProcessLimits(() => cgroup.processes(), this.limits, limitsOf(before))
    // The others hold; what the processes have is told as it is, so that the wish stays pending.
    if (!raised.ok) this.#save(withProcessLimits(this.launch, before))
    return raised
  }

  /** Every limit, with memory and processors among them. */
  get limits(): ContainerLimits {
    return limitsOf(this.launch)
  }

  /** All disks stand still, whole, as their file systems see them. */
  freeze(): Promise<Result<void>> {
    return this.#eachDisk((disk) => disk.freeze())
  }

  thaw(): Promise<Result<void>> {
    return this.#eachDisk((disk) => disk.thaw())
  }

  get diskCount(): number {
    return this.#disks.size
  }

  /** Ends it in order, killing what still runs. True when nothing that it ever wrote is missing on any attached leg. */
  quit(): Promise<{ readonly flushed: boolean }> {
    this.#ending ??= this.#end()
    return this.#ending
  }

  async #end(): Promise<{ readonly flushed: boolean }> {
    if (!(await this.#disksAnswer())) {
      const ended = await this.kill()
      if (!ended.ok) this.#options.log.error(ended.error.message)
      return { flushed: false }
    }
    const killed = await this.lxc.kill()
    await this.devices.grown()
    await this.lxc.waitExit(KILL_TO_EXIT_MS)
    let clean = killed.ok
    // What is mounted inside another disk comes first: there is no such thing, so all at once.
    const closed = await Promise.all([...this.#disks.values()].map((disk) => disk.close()))
    for (const each of closed) {
      if (!each.ok) this.#options.log.error(each.error.message)
      clean &&= each.ok && each.value.clean
    }
    const { flushed } = await this.front.quit()
    this.#forget()
    return { flushed: clean && flushed }
  }

  /**
   * Of a disk that is held or hangs nothing in order can be had: processes do not die, the file system is not unmounted. Legs
   * are asked themselves, since one that hangs shows only when something is sent to it.
   */
  async #disksAnswer(): Promise<boolean> {
    if (this.#isPaused || this.#isHeld.size > 0) return false
    const disks = await this.front.inspect()
    const answered = disks.ok ? await checkLegs(disks.value, LAST_ANSWER_TIMEOUT_MS) : disks
    const quiet = answered.ok ? await this.#eachDisk((disk) => disk.hold(LAST_ANSWER_TIMEOUT_MS)) : answered
    if ([...this.#disks.values()].some(({ state }) => (state?.failures ?? 0) > 0)) return false
    const gone = quiet.ok ? await this.#eachDisk((disk) => disk.go()) : quiet
    if (!gone.ok) this.#options.log.warn(gone.error.message)
    return gone.ok
  }

  /** At once: the front first, so that nothing of it reaches a replica any more. */
  async kill(): Promise<Result<void>> {
    this.#isGone = true
    const front = await this.front.kill()
    // At a time: a process that waits for a held disk dies only when the disk does, and the disk's device is free only then.
    const [lxc, disks] = await Promise.all([this.lxc.kill(), this.#eachDisk((disk) => disk.kill())])
    this.#forget()
    return [front, lxc, disks].find((each) => !each.ok) ?? ok()
  }

  /** Lets go of it; it runs on. */
  dispose(): void {
    this.#isGone = true
    this.front.dispose()
    this.lxc.close()
    for (const disk of this.#disks.values()) disk.dispose()
  }

  onDisk(volume: VolumeId, event: HeldDiskEvent): void {
    if (event.kind === 'gone') return this.#collapse(event.reason)
    this.#isHeld.add(volume)
    this.#emit({ kind: 'io-error', volume, reason: event.reason, hosts: this.front.failingHosts })
  }

  onFrontGone(reason: string): void {
    this.#collapse(reason)
  }

  requireQuiet(): Promise<Result<void>> {
    return this.#eachDisk((disk) => disk.requireQuiet())
  }

  async #finish(cause: 'guest-shutdown', reason: string): Promise<void> {
    if (this.#isGone || this.#ending) return
    const { flushed } = await this.quit()
    this.#options.emit({ ...this.#named(), kind: 'exited', cause, reason, flushed })
    this.#options.onGone(this)
  }

  /** A part of it is gone: the rest is of no use. */
  #collapse(reason: string): void {
    if (this.#isGone || this.#ending) return
    void this.kill().then((killed) => {
      if (!killed.ok) this.#options.log.error(killed.error.message)
      this.#options.emit({ ...this.#named(), kind: 'exited', cause: 'killed', reason, flushed: false })
      this.#options.onGone(this)
    })
  }

  #named() {
    return { guest: this.launch.guest, epoch: this.launch.epoch }
  }

  #emit(event: EventOfRun): void {
    if (!this.#isGone) this.#options.emit({ ...this.#named(), ...event } as GuestEvent)
  }

  async #eachDisk(work: (disk: ContainerDisk) => Promise<Result<void>>): Promise<Result<void>> {
    const done = await Promise.all([...this.#disks.values()].map(work))
    return done.find((each) => !each.ok) ?? ok()
  }

  /** Of the container as a whole. */
  async #applyLimits(): Promise<Result<void>> {
    const settings = cgroupSettings(this.limits, { device: blockDeviceOf(this.rootFolder) })
    const { ioBytesPerSecond: bytesPerSecond, ioOperationsPerSecond: operationsPerSecond } = settings
    const grouped = this.#cgroup().set(settings)
    return grouped.ok ? this.#eachDisk((disk) => disk.limit({ bytesPerSecond, operationsPerSecond })) : grouped
  }

  /** Its name and its name servers, as its processes see them from now on. */
  async #identify(before: GuestLaunch): Promise<Result<void>> {
    const { container } = this.launch
    const init = this.lxc.initPid()
    if (!container || init === undefined || identityOf(container) === identityOf(before.container)) return ok()
    const { hostname: name, nameservers, searchDomains } = container
    return changeIdentity(this.#options.nativeDir, init, {
      rootPath: this.rootFolder,
      name,
      nameservers,
      searchDomains,
    })
  }

  #cgroup(): ContainerCgroup {
    return containerCgroup(this.lxc.cgroups())
  }

  #save(launch: GuestLaunch): Result<void> {
    return this.#record.change({ launch })
  }

  #forget(): void {
    this.#isGone = true
    this.#record.forget()
  }
}

type EventOfRun = GuestEvent extends infer Each ? (Each extends unknown ? Omit<Each, 'guest' | 'epoch'> : never) : never

/** Ends and forgets whatever is left of a run in this folder, known or not. */
export async function clearRun(folder: string): Promise<Result<void>> {
  const cleared = await clearParts(folder)
  if (cleared.ok) forgetRecord(folder)
  return cleared
}

function identityOf(container: LaunchContainer | undefined): string {
  return JSON.stringify([container?.hostname, container?.nameservers, container?.searchDomains])
}

/** The launch, but for name and name servers, which are those of the other. */
function withIdentity(launch: GuestLaunch, { container: other }: GuestLaunch): GuestLaunch {
  if (!launch.container || !other) return launch
  const { hostname, nameservers, searchDomains } = other
  return { ...launch, container: { ...launch.container, hostname, nameservers, searchDomains } }
}

/** The launch, but for the limits of processes, which are those of the other. */
function withProcessLimits(launch: GuestLaunch, other: GuestLaunch): GuestLaunch {
  const { container } = launch
  if (!container) return launch
  const ofProcesses = limitsOfProcesses(container.limits)
  const others = Object.entries(container.limits).filter(([name]) => !Object.hasOwn(ofProcesses, name))
  const limits = { ...Object.fromEntries(others), ...limitsOfProcesses(other.container?.limits ?? {}) }
  return { ...launch, container: { ...container, limits } }
}

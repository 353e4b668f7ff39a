/**
 * `GuestHost` on QEMU. Each guest has a folder (`launch-record.ts`) and at most one QEMU, which the next agent adopts.
 */
import { readdirSync, rmSync } from 'node:fs'
import { failure } from '@stead/core/errors.ts'
import type { DiskLimits } from '@stead/core/model/hardware.ts'
import type { GuestId, VolumeId } from '@stead/core/model/ids.ts'
import type { GuestMemoryUse } from '@stead/core/ports/guest-hardware.ts'
import type {
  GuestCdrom,
  GuestDisk,
  GuestEvent,
  GuestHost,
  GuestLaunch,
  Leg,
  RunningGuest,
} from '@stead/core/ports/guest-host.ts'
import type { Log } from '@stead/core/ports/log.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import { killDetached, startDetached, type DetachedProcess } from '../process/detached.ts'
import { KeyedLock } from '../storage/keyed-lock.ts'
import { findProcess } from './guest-process.ts'
import { pinVcpus } from '../devices/vcpu-pinning.ts'
import { launchArguments } from './launch-arguments.ts'
import {
  guestFolder,
  newLaunchRecord,
  prepareFolder,
  readLaunchRecord,
  removeLaunchRecord,
  writeLaunchRecord,
  type GuestFolder,
  type LaunchRecord,
} from './launch-record.ts'
import { newestMachineType } from './machine-type.ts'
import { startTpm } from './guest-tpm.ts'
import { QemuGuestAgent } from './qemu-guest-agent.ts'
import { QemuGuestMigration, type GuestProcesses } from './qemu-guest-migration.ts'
import { LegKeys } from './leg-keys.ts'
import { checkLegs } from './leg-probe.ts'
import { QemuGuest, type RunningConsole } from './running-guest.ts'

export interface QemuGuestHostOptions {
  /** Holds one folder a guest. The guests' user must be able to reach it (execute permission on the way). */
  readonly guestsFolder: string
  /** Path of `stead-run-guest`. */
  readonly helper: string
  readonly qemu?: string
  /** Whom QEMU runs as. Absent only where the agent itself is unprivileged. */
  readonly user?: { readonly uid: number; readonly gid: number }
  /** Pid of the init of the guests' pid namespace, so that the deadman reaches every QEMU; undefined: none. */
  readonly namespacePid?: () => Promise<number | undefined>
  /** Before a guest is awaited that may come before all of its memory. */
  readonly preparePostCopy?: () => Promise<void>
  readonly log: Log
}

const NOT_RUNNING_HINT = 'It may be on its way to another host; try again in a moment, or start it'

export class QemuGuestHost implements GuestHost {
  readonly agent: QemuGuestAgent
  readonly migration: QemuGuestMigration
  /** For what speaks to the guests' processes beside this port. */
  readonly processes: GuestProcesses
  readonly #options: QemuGuestHostOptions
  readonly #running = new Map<GuestId, QemuGuest>()
  readonly #listeners = new Set<(event: GuestEvent) => void>()
  readonly #quiet = new Set<GuestId>()
  /** Steps of one guest run one after the other. */
  readonly #turns = new KeyedLock()

  constructor(options: QemuGuestHostOptions) {
    this.#options = options
    this.agent = new QemuGuestAgent({
      folder: (guest) => this.#folder(guest),
      isListening: (guest) => this.#with(guest, (running) => running.isAgentListening()),
      log: options.log,
    })
    this.processes = {
      await: (launch, moreArguments) => this.#replace(launch, moreArguments),
      kill: (guest) => this.#killNow(guest),
      with: (guest, work) => this.#with(guest, work),
      inTurn: (guest, work) => this.#inTurn(guest, work),
      quietly: (guest, work) => {
        this.#quiet.add(guest)
        return work().finally(() => this.#quiet.delete(guest))
      },
    }
    this.migration = new QemuGuestMigration(this.processes, options.preparePostCopy)
  }

  /** Of each guest that runs here, its QEMU. */
  get pids(): ReadonlyMap<GuestId, number> {
    return new Map([...this.#running].map(([guest, { process }]) => [guest, process.pid]))
  }

  /** All that QEMU is started with needs the disks. */
  expect(): () => void {
    return () => undefined
  }

  start(launch: GuestLaunch): Promise<Result<RunningGuest>> {
    return this.#inTurn(launch.guest, async () => {
      const same = this.#running.get(launch.guest)
      return same?.epoch === launch.epoch ? same.inspect() : this.#replace(launch)
    })
  }

  /** Also a process of this very epoch that nobody adopted: it cannot be known what became of its disks. */
  async #replace(launch: GuestLaunch, moreArguments: readonly string[] = []): Promise<Result<RunningGuest>> {
    const folder = this.#folder(launch.guest)
    const earlier = readLaunchRecord(folder)
    const epoch = this.#running.get(launch.guest)?.epoch ?? (earlier.ok ? earlier.value?.launch.epoch : undefined)
    const process = this.#running.get(launch.guest)?.process ?? findProcess(folder)
    if (process && epoch !== undefined && epoch > launch.epoch)
      return fail(failure('stale_epoch', `${launch.name} already runs at epoch ${epoch}, newer than ${launch.epoch}`))
    const killed = await this.#killNow(launch.guest)
    return killed.ok ? this.#launch(launch, folder, moreArguments) : killed
  }

  async #launch(
    launch: GuestLaunch,
    folder: GuestFolder,
    moreArguments: readonly string[],
  ): Promise<Result<RunningGuest>> {
    const log = this.#options.log.with({ guest: launch.guest, name: launch.name, epoch: launch.epoch })
    const began = performance.now()
    const checked = await checkLegs(launch.disks)
    if (!checked.ok) return checked
    const prepared = prepareFolder(folder, this.#options.user)
    if (!prepared.ok) return prepared
    const machine = launch.machine ? ok(launch.machine) : await newestMachineType(this.#options.qemu)
    if (!machine.ok) return machine
    const record = newLaunchRecord(launch, machine.value, Date.now())
    const written = writeLaunchRecord(folder, record)
    if (!written.ok) return written
    const namespacePid = await this.#options.namespacePid?.()
    const tpm = await this.#startTpm(launch, folder, namespacePid, moreArguments.length > 0)
    if (!tpm.ok) return tpm
    const keyed = new LegKeys(folder.legKeysFolder, this.#options.user).argumentsFor(record.disks)
    if (!keyed.ok) return keyed
    const started = await startDetached(this.#options.helper, {
      command: this.#options.qemu ?? 'qemu-system-x86_64',
      args: [...keyed.value, ...launchArguments(record, folder), ...moreArguments],
      pidFile: folder.pidFile,
      stdoutPath: folder.stdoutLog,
      stderrPath: folder.stderrLog,
      ...(namespacePid ? { namespacePid } : {}),
      ...(this.#options.user ? { user: this.#options.user } : {}),
    })
    if (!started.ok) {
      removeLaunchRecord(folder)
      return started
    }
    const guest = this.#track(record, started.value, folder, log)
    const connected = await guest.connect()
    const running = connected.ok ? await guest.inspect() : connected
    if (!running.ok) {
      // The caller gets the failure as the answer; an event about a guest that never ran would only confuse.
      guest.dispose()
      await guest.kill()
      return running
    }
    const pinned = await pinVcpus(started.value.pid, launch.platform?.cpus ?? [])
    if (!pinned.ok) {
      guest.dispose()
      await guest.kill()
      return pinned
    }
    log.info('QEMU runs', {
      pid: started.value.pid,
      accelerator: launch.accelerator,
      ms: Math.round(performance.now() - began),
    })
    return running
  }

  /** `arrives`: the state of the TPM comes with the guest. */
  async #startTpm(
    { platform, disks }: GuestLaunch,
    folder: GuestFolder,
    namespacePid: number | undefined,
    arrives: boolean,
  ): Promise<Result<void>> {
    if (!platform?.tpm) return ok()
    const disk = arrives ? undefined : disks.find(({ role }) => role === 'tpm')
    const { helper, user } = this.#options
    return startTpm(folder, disk, { helper, ...(user ? { user } : {}), ...(namespacePid ? { namespacePid } : {}) })
  }

  /** By the agent inside the guest where there is one, which also hears when nobody heeds the power button. */
  async requestShutdown(guest: GuestId): Promise<Result<void>> {
    const asked = await this.agent.shutdown(guest)
    return asked.ok ? asked : this.#with(guest, (running) => running.requestShutdown())
  }

  quit(guest: GuestId): Promise<Result<{ readonly flushed: boolean }>> {
    return this.#inTurn(guest, () => this.#with(guest, async (running) => ok(await running.quit())))
  }

  async kill(guest: GuestId): Promise<Result<void>> {
    // At once, not in turn: a step that hangs on this QEMU ends when it dies. Then once more in turn, for a QEMU
    // that a queued start has just begun.
    const killed = await this.#killNow(guest)
    return killed.ok ? this.#inTurn(guest, () => this.#killNow(guest)) : killed
  }

  async adopt(): Promise<readonly RunningGuest[]> {
    const adopted: RunningGuest[] = []
    for (const name of listFolders(this.#options.guestsFolder)) {
      const found = await this.#inTurn(name as GuestId, () => this.#adoptOne(name as GuestId))
      if (found) adopted.push(found)
    }
    return adopted
  }

  async #adoptOne(id: GuestId): Promise<RunningGuest | undefined> {
    const already = this.#running.get(id)
    if (already) {
      const inspected = await already.inspect()
      return inspected.ok ? inspected.value : already.inspectSilent()
    }
    const folder = this.#folder(id)
    const log = this.#options.log.with({ guest: id })
    const record = readLaunchRecord(folder)
    const process = findProcess(folder)
    if (!process) {
      removeLaunchRecord(folder)
      return undefined
    }
    if (!record.ok || !record.value) {
      log.error('killing a QEMU whose launch record is lost', {
        pid: process.pid,
        error: record.ok ? undefined : record.error,
      })
      const killed = await killDetached(process, folder.pidFile)
      if (!killed.ok) log.error(killed.error.message)
      return undefined
    }
    const guest = this.#track(record.value, process, folder, log)
    const connected = await guest.connect(2_000)
    const inspected = connected.ok ? await guest.settled() : connected
    if (!inspected.ok) {
      log.warn('an adopted QEMU does not answer', { pid: process.pid, error: inspected.error })
      void guest.reconnect()
      return guest.inspectSilent()
    }
    // After adopt() has returned, so that its caller knows the guest when the event comes.
    setImmediate(() => void guest.catchUp())
    void this.agent.thawLeftover(id)
    return inspected.value
  }

  async inspect(guest: GuestId): Promise<Result<RunningGuest>> {
    return this.#with(guest, (running) => running.inspect())
  }

  async pause(guest: GuestId): Promise<Result<void>> {
    return this.#with(guest, (running) => running.pause())
  }

  async resume(guest: GuestId): Promise<Result<void>> {
    return this.#with(guest, (running) => running.resume())
  }

  /** Not in turn: it is what frees a step that hangs. */
  async yankLeg(guest: GuestId, volume: VolumeId, host: string): Promise<Result<void>> {
    return this.#with(guest, (running) => running.legs.yank(volume, host))
  }

  dropLeg(guest: GuestId, volume: VolumeId, host: string): Promise<Result<void>> {
    return this.#inTurn(guest, () => this.#with(guest, (running) => running.legs.drop(volume, host)))
  }

  prepareLeg(guest: GuestId, volume: VolumeId, leg: Leg): Promise<Result<void>> {
    return this.#inTurn(guest, () => this.#with(guest, (running) => running.legs.prepare(volume, leg)))
  }

  attachLeg(guest: GuestId, volume: VolumeId, host: string): Promise<Result<void>> {
    return this.#inTurn(guest, () => this.#with(guest, (running) => running.legs.attach(volume, host)))
  }

  replaceLeg(guest: GuestId, volume: VolumeId, leg: Leg): Promise<Result<void>> {
    return this.#inTurn(guest, () => this.#with(guest, (running) => running.legs.replace(volume, leg)))
  }

  discardLeg(guest: GuestId, volume: VolumeId, host: string): Promise<Result<void>> {
    return this.#inTurn(guest, () => this.#with(guest, (running) => running.legs.discard(volume, host)))
  }

  hardware(guest: GuestId) {
    return this.#with(guest, async ({ devices, growth }) => {
      const facts = await devices.facts()
      if (!facts.ok) return facts
      const grown = await growth.facts()
      return grown.ok ? ok({ ...facts.value, ...grown.value }) : grown
    })
  }

  async addDisk(guest: GuestId, disk: Parameters<GuestHost['addDisk']>[1]): Promise<Result<void>> {
    const checked = await checkLegs([disk])
    if (!checked.ok) return checked
    return this.#inTurn(guest, () => this.#with(guest, (running) => running.devices.addDisk(disk)))
  }

  async removeDisk(guest: GuestId, volume: VolumeId): Promise<Result<{ readonly flushed: boolean }>> {
    // Not in turn while it waits for the guest: a leg that fails meanwhile must be dealt with.
    const unplugged = await this.#with(guest, (running) => running.devices.unplugDisk(volume))
    if (!unplugged.ok) return unplugged
    return this.#inTurn(guest, () => this.#with(guest, (running) => running.devices.takeDownDisk(volume)))
  }

  holdDisk(guest: GuestId, volume: VolumeId): Promise<Result<void>> {
    return this.#inTurn(guest, () => this.#with(guest, (running) => running.legs.hold(volume)))
  }

  growDisk(guest: GuestId, disk: GuestDisk): Promise<Result<void>> {
    return this.#inTurn(guest, () => this.#with(guest, (running) => running.legs.grow(disk)))
  }

  growFileSystem(guest: GuestId): Promise<Result<void>> {
    return this.#with(guest, async () => ok())
  }

  limitDisk(guest: GuestId, volume: VolumeId, limits: DiskLimits): Promise<Result<void>> {
    return this.#with(guest, (running) => running.devices.limitDisk(volume, limits))
  }

  async setContainer(): Promise<Result<void>> {
    return fail(failure('bad_request', 'The guest is a virtual machine, no container'))
  }

  setAddresses(): Promise<Result<void>> {
    return this.setContainer()
  }

  addNic(guest: GuestId, nic: Parameters<GuestHost['addNic']>[1]): Promise<Result<void>> {
    return this.#inTurn(guest, () => this.#with(guest, (running) => running.devices.addNic(nic)))
  }

  async removeNic(guest: GuestId, slot: number): Promise<Result<void>> {
    const unplugged = await this.#with(guest, (running) => running.devices.unplugNic(slot))
    if (!unplugged.ok) return unplugged
    const settled = await this.#inTurn(guest, () => this.#with(guest, (running) => running.devices.settle()))
    return settled.ok ? ok() : settled
  }

  // Not in turn: a guest may take its time, and nothing else of it changes meanwhile.

  setCpus(guest: GuestId, cpus: number): Promise<Result<void>> {
    return this.#with(guest, (running) => running.growth.setCpus(cpus))
  }

  setMemory(guest: GuestId, memoryBytes: number): Promise<Result<void>> {
    return this.#with(guest, (running) => running.growth.setMemory(memoryBytes))
  }

  setBalloon(guest: GuestId, leaveBytes: number | undefined): Promise<Result<void>> {
    return this.#with(guest, (running) => running.growth.setBalloon(leaveBytes))
  }

  memoryUse(guest: GuestId): Promise<Result<GuestMemoryUse | undefined>> {
    return this.#with(guest, (running) => running.growth.memoryUse())
  }

  drainAndFlush(guest: GuestId, volume: VolumeId): Promise<Result<void>> {
    return this.#inTurn(guest, () => this.#with(guest, (running) => running.legs.drainAndFlush(volume)))
  }

  /** What leads to a running guest's screen, keyboard and serial port. */
  consoleOf(guest: GuestId): Result<RunningConsole> {
    const running = this.#running.get(guest)
    if (!running) return fail(failure('conflict', 'The guest does not run there', { hint: NOT_RUNNING_HINT }))
    return running.console()
  }

  changeMedium(guest: GuestId, drive: GuestCdrom['id'], path: string | undefined): Promise<Result<void>> {
    return this.#inTurn(guest, () => this.#with(guest, (running) => running.changeMedium(drive, path)))
  }

  consoleLogPath(guest: GuestId): string {
    return this.#folder(guest).consoleLog
  }

  subscribe(listener: (event: GuestEvent) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** Removes what a deleted guest left behind (console logs); refuses while it runs. */
  forget(guest: GuestId): Promise<Result<void>> {
    return this.#inTurn(guest, async () => {
      const folder = this.#folder(guest)
      if (this.#running.has(guest) || findProcess(folder)) return fail(failure('conflict', `Guest ${guest} still runs`))
      rmSync(folder.path, { recursive: true, force: true })
      return ok()
    })
  }

  /** Disconnects from every QEMU; the guests run on. */
  close(): void {
    this.agent.close()
    for (const guest of this.#running.values()) guest.dispose()
    this.#running.clear()
  }

  async #killNow(id: GuestId): Promise<Result<void>> {
    const running = this.#running.get(id)
    if (running) return running.kill()
    const folder = this.#folder(id)
    const process = findProcess(folder)
    const killed = process ? await killDetached(process, folder.pidFile) : ok()
    if (killed.ok) removeLaunchRecord(folder)
    return killed
  }

  #track(record: LaunchRecord, process: DetachedProcess, folder: GuestFolder, log: Log): QemuGuest {
    const id = record.launch.guest
    const emit = (event: GuestEvent) => {
      if (!this.#quiet.has(id)) for (const listener of [...this.#listeners]) listener(event)
    }
    const onGone = () => {
      if (this.#running.get(id) === guest) this.#running.delete(id)
    }
    const guest: QemuGuest = new QemuGuest({
      ...{ record, process, folder, log, emit, onGone },
      ...(this.#options.user ? { user: this.#options.user } : {}),
    })
    this.#running.set(id, guest)
    return guest
  }

  #with<T>(id: GuestId, work: (guest: QemuGuest) => Promise<Result<T>>): Promise<Result<T>> {
    const running = this.#running.get(id)
    if (!running) return Promise.resolve(fail(failure('not_found', `Guest ${id} does not run here`)))
    return work(running)
  }

  #inTurn<T>(id: GuestId, work: () => Promise<T>): Promise<T> {
    return this.#turns.run(id, work)
  }

  #folder(guest: string): GuestFolder {
    return guestFolder(this.#options.guestsFolder, guest)
  }
}

function listFolders(path: string): readonly string[] {
  try {
    return readdirSync(path, { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map((entry) => entry.name)
  } catch (error) {
    // Before the first guest there is no folder.
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return []
    throw error
  }
}

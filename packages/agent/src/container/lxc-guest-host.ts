/**
 * `GuestHost` on LXC. Each container has a folder and at most one run (`ContainerRun`), whose processes outlive the agent
 * and are adopted by the next one.
 */
import { existsSync, mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { totalmem } from 'node:os'
import { failure } from '@stead/core/errors.ts'
import type { GuestId, VolumeId } from '@stead/core/model/ids.ts'
import type { GuestMemoryUse, HardwareFacts, NicAddresses } from '@stead/core/ports/guest-hardware.ts'
import type {
  ExpectedStart,
  GuestDisk,
  GuestEvent,
  GuestHost,
  GuestLaunch,
  LaunchContainer,
  LaunchNic,
  Leg,
  RunningGuest,
} from '@stead/core/ports/guest-host.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import type { RunningConsole } from '../qemu/running-guest.ts'
import type { DetachedProcess } from '../process/detached.ts'
import { KeyedLock } from '../storage/keyed-lock.ts'
import { ContainerAgent } from './container-agent.ts'
import { shareMountsBelow } from './container-file-system.ts'
import { startFrontProcess } from './front-process.ts'
import { frontPlace } from './container-parts.ts'
import { clearRun, ContainerRun, type ContainerRunOptions } from './container-run.ts'
import { CRIU_PATH, foldersIn, mtuOf, type LxcGuestHostOptions } from './container-surroundings.ts'
import { changeMedium, limitDisk, setBalloon } from './lacking-hardware.ts'
import { LxcGuestMigration } from './live-move/lxc-guest-migration.ts'
import type { LxcContainer } from './lxc-container.ts'

/** Of a run; without name and epoch where it is not known yet. */
type RunName = Pick<GuestLaunch, 'guest'> & Partial<Pick<GuestLaunch, 'name' | 'epoch'>>

/** Nobody has so many; the host's own number is what counts in the end. */
const CPUS_MAX = 4096

export class LxcGuestHost implements GuestHost {
  readonly agent: ContainerAgent
  readonly migration: LxcGuestMigration
  readonly #options: LxcGuestHostOptions
  readonly #runs = new Map<GuestId, ContainerRun>()
  /** Runs that are soon to be started. */
  readonly #expected = new Map<GuestId, { readonly epoch: number; readonly frontProcess: DetachedProcess }>()
  readonly #listeners = new Set<(event: GuestEvent) => void>()
  readonly #quiet = new Set<GuestId>()
  readonly #turns = new KeyedLock()

  constructor(options: LxcGuestHostOptions) {
    this.#options = options
    this.agent = new ContainerAgent((guest) => this.#run(guest))
    this.migration = new LxcGuestMigration({
      criu: options.criu ?? CRIU_PATH,
      nativeDir: options.nativeDir,
      log: options.log,
      runOf: (guest) => this.#runs.get(guest),
      folder: (guest) => this.#folder(guest),
      clear: (launch) => this.#clearFor(launch),
      end: (guest) => this.#killNow(guest),
      came: (guest, run) => void this.#runs.set(guest, run),
      inTurn: (guest, work) => this.#turns.run(guest, work),
    })
  }

  /** Whether the guest is, or was, a container of this host. */
  has(guest: GuestId): boolean {
    return this.#runs.has(guest) || existsSync(this.#folder(guest))
  }

  runOf(guest: GuestId): Result<ContainerRun> {
    return this.#run(guest)
  }

  containerOf(guest: GuestId): Result<LxcContainer> {
    const run = this.#run(guest)
    return run.ok ? ok(run.value.lxc) : run
  }

  consoleOf(guest: GuestId): Result<RunningConsole> {
    const run = this.#run(guest)
    if (!run.ok) return run
    const { launch, lxc } = run.value
    const { consoleSocket: serialSocket, consoleLog } = lxc
    return ok({ epoch: launch.epoch, name: launch.name, serialSocket, consoleLog })
  }

  get running(): readonly GuestId[] {
    return [...this.#runs.keys()]
  }

  /** The QEMU of its front, which takes longest to be there. */
  expect({ guest, name, epoch }: ExpectedStart): () => void {
    const { log } = this.#options
    const inTurn = (work: () => Promise<Result<unknown>>) =>
      void this.#turns.run(guest, work).then(
        (done) => done.ok || log.warn('the front of a container that is expected', { guest, cause: done.error }),
        (error: unknown) => log.error('the front of a container that is expected', { guest, error }),
      )
    inTurn(async () => {
      if (this.#runs.has(guest)) return ok()
      const cleared = await this.#clearFor({ guest, name, epoch })
      const process = cleared.ok ? await startFrontProcess(frontPlace(cleared.value), { guest, name, epoch }) : cleared
      if (process.ok) this.#expected.set(guest, { epoch, frontProcess: process.value })
      return process
    })
    return () => inTurn(async () => (this.#expected.get(guest)?.epoch === epoch ? this.#killNow(guest) : ok()))
  }

  start(launch: GuestLaunch): Promise<Result<RunningGuest>> {
    return this.#turns.run(launch.guest, async () => {
      const same = this.#runs.get(launch.guest)
      if (same?.launch.epoch === launch.epoch) return same.inspect()
      if (same && same.launch.epoch > launch.epoch)
        return fail(
          failure(
            'stale_epoch',
            `${launch.name} already runs at epoch ${same.launch.epoch}, newer than ${launch.epoch}`,
          ),
        )
      const began = performance.now()
      const expected = this.#expected.get(launch.guest)
      const isExpected = expected?.epoch === launch.epoch
      // What is expected has found an empty place.
      const options = isExpected ? await this.#runOptions(launch) : await this.#clearFor(launch)
      if (!options.ok) return options
      this.#expected.delete(launch.guest)
      const started = await ContainerRun.start(options.value, launch, isExpected ? expected : {})
      if (!started.ok) return started
      this.#runs.set(launch.guest, started.value)
      options.value.log.info('the container runs', { ms: Math.round(performance.now() - began) })
      return started.value.inspect()
    })
  }

  async #clearFor(run: RunName): Promise<Result<ContainerRunOptions>> {
    const ended = await this.#killNow(run.guest)
    return ended.ok ? this.#runOptions(run) : ended
  }

  async adopt(): Promise<readonly RunningGuest[]> {
    const shared = await shareMountsBelow(this.#options.containersFolder)
    if (!shared.ok) this.#options.log.error(shared.error.message)
    const adopted: RunningGuest[] = []
    for (const guest of foldersIn(this.#options.containersFolder) as GuestId[]) {
      const found = await this.#turns.run(guest, () => this.#adoptOne(guest))
      if (found) adopted.push(found)
    }
    return adopted
  }

  async #adoptOne(guest: GuestId): Promise<RunningGuest | undefined> {
    const known = this.#runs.get(guest)
    const place = await this.#runOptions({ guest })
    const found = known ? ok(known) : place.ok ? await ContainerRun.adopt(place.value) : place
    // An agent that died in the middle of a dump has left it suspended.
    if (!known && found.ok && found.value) await found.value.lxc.thaw()
    const settled = known !== undefined || (await this.migration.settle(guest, found.ok ? found.value : undefined))
    const inspected = found.ok && found.value && settled ? await this.#inspect(found.value) : undefined
    if (found.ok && found.value && inspected?.ok) {
      this.#runs.set(guest, found.value)
      return inspected.value
    }
    if (found.ok && found.value) found.value.dispose()
    const { log } = this.#options
    if (!found.ok) log.warn('what is left of a container cannot be adopted', { guest, cause: found.error })
    const cleared = await clearRun(this.#folder(guest))
    if (!cleared.ok) log.error(cleared.error.message, { guest })
    return undefined
  }

  async requestShutdown(guest: GuestId): Promise<Result<void>> {
    return this.#with(guest, async (run) => run.lxc.requestShutdown())
  }

  quit(guest: GuestId): Promise<Result<{ readonly flushed: boolean }>> {
    return this.#turns.run(guest, () =>
      this.#with(guest, async (run) => {
        const ended = await run.quit()
        this.#runs.delete(guest)
        this.#ended(run, 'asked to quit', ended.flushed)
        return ok(ended)
      }),
    )
  }

  async kill(guest: GuestId): Promise<Result<void>> {
    // At once, not in turn: a step that hangs ends with what it waits for.
    const killed = await this.#killNow(guest)
    return killed.ok ? this.#turns.run(guest, () => this.#killNow(guest)) : killed
  }

  /** Lets go of every container; they run on. */
  close(): void {
    this.migration.dispose()
    for (const run of this.#runs.values()) run.dispose()
    this.#runs.clear()
    this.#listeners.clear()
  }

  async #killNow(guest: GuestId): Promise<Result<void>> {
    const run = this.#runs.get(guest)
    this.#expected.delete(guest)
    this.#quiet.add(guest)
    const killed = run ? await run.kill() : existsSync(this.#folder(guest)) ? await clearRun(this.#folder(guest)) : ok()
    await this.migration.forget(guest)
    this.#quiet.delete(guest)
    if (killed.ok && run && this.#runs.delete(guest)) this.#ended(run, 'killed on request', false)
    return killed
  }

  #ended({ launch: { guest, epoch } }: ContainerRun, reason: string, flushed: boolean): void {
    for (const listener of this.#listeners) listener({ kind: 'exited', guest, epoch, cause: 'asked', reason, flushed })
  }

  inspect(guest: GuestId): Promise<Result<RunningGuest>> {
    const waiting = this.migration.arriving(guest)
    return waiting ?? this.#with(guest, (run) => this.#inspect(run))
  }

  async #inspect(run: ContainerRun): Promise<Result<RunningGuest>> {
    const found = await run.inspect()
    return found.ok ? ok({ ...found.value, ...this.migration.leaving(run.launch.guest) }) : found
  }

  pause(guest: GuestId): Promise<Result<void>> {
    return this.#with(guest, (run) => run.pause())
  }

  resume(guest: GuestId): Promise<Result<void>> {
    return this.#with(guest, (run) => run.resume())
  }

  /** Not in turn: it is what frees a step that hangs. */
  yankLeg(guest: GuestId, volume: VolumeId, host: string): Promise<Result<void>> {
    return this.#with(guest, (run) => run.front.legs.yank(volume, host))
  }

  dropLeg(guest: GuestId, volume: VolumeId, host: string): Promise<Result<void>> {
    return this.#inTurn(guest, (run) => run.front.legs.drop(volume, host))
  }

  prepareLeg(guest: GuestId, volume: VolumeId, leg: Leg): Promise<Result<void>> {
    return this.#inTurn(guest, (run) => run.front.legs.prepare(volume, leg))
  }

  attachLeg(guest: GuestId, volume: VolumeId, host: string): Promise<Result<void>> {
    return this.#inTurn(guest, (run) => run.front.legs.attach(volume, host))
  }

  replaceLeg(guest: GuestId, volume: VolumeId, leg: Leg): Promise<Result<void>> {
    return this.#inTurn(guest, (run) => run.front.legs.replace(volume, leg))
  }

  discardLeg(guest: GuestId, volume: VolumeId, host: string): Promise<Result<void>> {
    return this.#inTurn(guest, (run) => run.front.legs.discard(volume, host))
  }

  drainAndFlush(guest: GuestId, volume: VolumeId): Promise<Result<void>> {
    return this.#inTurn(guest, (run) => run.front.legs.drainAndFlush(volume))
  }

  holdDisk(guest: GuestId, volume: VolumeId): Promise<Result<void>> {
    return this.#inTurn(guest, (run) => run.front.holdDisk(volume))
  }

  growDisk(guest: GuestId, disk: GuestDisk): Promise<Result<void>> {
    return this.#inTurn(guest, (run) => run.devices.growDisk(disk))
  }

  /** Not in turn: a leg that is lost meanwhile is dropped, and only then does it end. */
  growFileSystem(guest: GuestId, volume: VolumeId): Promise<Result<void>> {
    return this.#with(guest, (run) => run.devices.growFileSystem(volume))
  }

  hardware(guest: GuestId): Promise<Result<HardwareFacts>> {
    return this.#with(guest, async ({ launch, smaller }) =>
      ok({
        hotPlug: true,
        disks: launch.disks.map(({ volume, slot, sizeBytes }, position) => ({
          ...{ volume, slot: slot ?? position, sizeBytes, limits: {} },
          ...(smaller.includes(volume) ? { fileSystemIsSmaller: true as const } : {}),
        })),
        nics: launch.nics.map(({ slot, mac, addresses = [], gateways = [] }, position) => ({
          ...{ slot: slot ?? position, mac, addresses, gateways },
        })),
        memoryBytes: launch.memoryBytes,
        memoryMinBytes: 1,
        memoryMaxBytes: totalmem(),
        cpus: launch.cpus,
        cpusMin: 1,
        cpusMax: CPUS_MAX,
        ...(launch.container ? { container: launch.container } : {}),
      }),
    )
  }

  setCpus(guest: GuestId, cpus: number): Promise<Result<void>> {
    return this.#inTurn(guest, (run) => run.change({ cpus }))
  }

  setMemory(guest: GuestId, memoryBytes: number): Promise<Result<void>> {
    return this.#inTurn(guest, (run) => run.change({ memoryBytes }))
  }

  setContainer(guest: GuestId, container: LaunchContainer): Promise<Result<void>> {
    return this.#inTurn(guest, (run) => run.change({ container }))
  }

  memoryUse(guest: GuestId): Promise<Result<GuestMemoryUse | undefined>> {
    return this.#with(guest, async () => ok(undefined))
  }

  addDisk(guest: GuestId, disk: GuestDisk & { readonly slot: number }): Promise<Result<void>> {
    return this.#inTurn(guest, (run) => run.addDisk(disk))
  }

  removeDisk(guest: GuestId, volume: VolumeId): Promise<Result<{ readonly flushed: boolean }>> {
    return this.#inTurn(guest, (run) => run.removeDisk(volume))
  }

  addNic(guest: GuestId, nic: LaunchNic & { readonly slot: number }): Promise<Result<void>> {
    return this.#inTurn(guest, (run) => run.devices.addNic(nic))
  }

  removeNic(guest: GuestId, slot: number): Promise<Result<void>> {
    return this.#inTurn(guest, (run) => run.devices.removeNic(slot))
  }

  setAddresses(guest: GuestId, slot: number, wanted: NicAddresses): Promise<Result<void>> {
    return this.#inTurn(guest, (run) => run.devices.setAddresses(slot, wanted))
  }

  readonly limitDisk = limitDisk
  readonly setBalloon = setBalloon
  readonly changeMedium = changeMedium

  consoleLogPath(guest: GuestId): string {
    return join(this.#folder(guest), 'console.log')
  }

  subscribe(listener: (event: GuestEvent) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** Removes the folder of a guest that the cluster does not know any more. */
  forget(guest: GuestId): Promise<Result<void>> {
    return this.#turns.run(guest, async () => {
      const ended = await this.#killNow(guest)
      if (ended.ok) rmSync(this.#folder(guest), { recursive: true, force: true })
      return ended
    })
  }

  #inTurn<T>(guest: GuestId, work: (run: ContainerRun) => Promise<Result<T>>): Promise<Result<T>> {
    return this.#turns.run(guest, () => this.#with(guest, work))
  }

  async #with<T>(guest: GuestId, work: (run: ContainerRun) => Promise<Result<T>>): Promise<Result<T>> {
    const run = this.#runs.get(guest)
    return run ? work(run) : fail(failure('not_found', `Container ${guest} does not run here`))
  }

  /** For who asks on a user's behalf: it may run elsewhere, or soon. */
  #run(guest: GuestId): Result<ContainerRun> {
    const run = this.#runs.get(guest)
    if (run) return ok(run)
    return fail(
      failure('conflict', 'The container does not run here', { hint: 'Start it, or wait until it has moved' }),
    )
  }

  async #runOptions({ guest, ...run }: RunName): Promise<Result<ContainerRunOptions>> {
    const { nativeDir, user, log, bridge: name } = this.#options
    const mtu = mtuOf(name)
    if (run.epoch !== undefined) mkdirSync(this.#folder(guest), { recursive: true, mode: 0o755 })
    if (mtu === undefined)
      return fail(
        failure('internal', `The host has no bridge ${name}`, { hint: 'The network of this host is not set up' }),
      )
    return ok({
      folder: this.#folder(guest),
      nativeDir,
      ...(user ? { user } : {}),
      namespacePid: (await this.#options.namespacePid()) ?? 0,
      bridge: { name, mtu },
      log: log.with({ guest, ...run }),
      emit: (event: GuestEvent) => {
        if (!this.#quiet.has(guest)) for (const listener of this.#listeners) listener(event)
      },
      // A newer run may have begun while the last of this one was put away.
      onGone: (run: ContainerRun) => {
        if (this.#runs.get(guest) === run && this.#runs.delete(guest)) this.migration.runEnded(guest)
      },
    })
  }

  #folder(guest: GuestId): string {
    return join(this.#options.containersFolder, guest)
  }
}

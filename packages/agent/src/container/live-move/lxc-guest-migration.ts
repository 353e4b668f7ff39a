/** `GuestMigration` of containers, by CRIU. Its steps are those of a VM's move; the memory goes over while the container stands still. */
import { existsSync } from 'node:fs'
import { failure } from '@stead/core/errors.ts'
import type { GuestId } from '@stead/core/model/ids.ts'
import type { GuestLaunch, RunningGuest } from '@stead/core/ports/guest-host.ts'
import type {
  ArrivalEndpoint,
  GuestMigration,
  MemoryState,
  MigrationProgress,
  SentGuest,
} from '@stead/core/ports/guest-migration.ts'
import type { Log } from '@stead/core/ports/log.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import type { ContainerRun, ContainerRunOptions } from '../container-run.ts'
import { ContainerArrival } from './container-arrival.ts'
import { callBack, clearDeparture, ContainerDeparture, NOTHING_SENT } from './container-departure.ts'
import { clearImageFolder, readStopped, scriptsFolder } from './image-folder.ts'

/** Of a restore that an agent before this one began. */
const RESTORED_TIMEOUT_MS = 10_000

/** What it needs of the host's containers. */
export interface ContainerRuns {
  readonly criu: string
  readonly nativeDir: string
  readonly runOf: (guest: GuestId) => ContainerRun | undefined
  readonly folder: (guest: GuestId) => string
  /** Ends what the guest had here, at an older epoch or waiting. */
  readonly clear: (launch: GuestLaunch) => Promise<Result<ContainerRunOptions>>
  /** Ends all that there is of the guest here. */
  readonly end: (guest: GuestId) => Promise<Result<void>>
  readonly came: (guest: GuestId, run: ContainerRun) => void
  readonly log: Log
  readonly inTurn: <T>(guest: GuestId, work: () => Promise<T>) => Promise<T>
}

export class LxcGuestMigration implements GuestMigration {
  readonly #runs: ContainerRuns
  readonly #arrivals = new Map<GuestId, ContainerArrival>()
  readonly #departures = new Map<GuestId, ContainerDeparture>()

  constructor(runs: ContainerRuns) {
    this.#runs = runs
  }

  receive(
    launch: GuestLaunch,
    at: { readonly address: string; readonly secret: string },
  ): Promise<Result<ArrivalEndpoint>> {
    const { guest, epoch, name } = launch
    return this.#runs.inTurn(guest, async () => {
      const { launch: here } = this.#arrivals.get(guest) ?? this.#runs.runOf(guest) ?? {}
      if (here && here.epoch > epoch)
        return fail(failure('stale_epoch', `${name} is here at epoch ${here.epoch}, newer than ${epoch}`))
      const options = await this.#runs.clear(launch)
      if (!options.ok) return options
      const onOver = () => this.#endArrival(guest, epoch)
      const prepared = await ContainerArrival.prepare(
        { options: options.value, launch, criu: this.#runs.criu, onOver },
        at,
      )
      if (!prepared.ok) return prepared
      this.#arrivals.set(guest, prepared.value.arrival)
      return ok(prepared.value.endpoint)
    })
  }

  /** Of its own accord, as a QEMU ends that waits in vain. */
  #endArrival(guest: GuestId, epoch: number): void {
    void this.#runs.inTurn(guest, async () => {
      if (this.#arrivals.get(guest)?.launch.epoch !== epoch) return
      const ended = await this.#runs.end(guest)
      if (!ended.ok) this.#runs.log.error(ended.error.message, { guest })
    })
  }

  async awaitArrival(guest: GuestId, timeoutMs: number): Promise<Result<RunningGuest>> {
    const arrival = this.#arrivals.get(guest)
    if (!arrival) return fail(failure('not_found', 'The container is not awaited here'))
    const run = await arrival.arrived(timeoutMs)
    if (!run.ok) return run
    // It may have been ended meanwhile.
    if (this.#arrivals.get(guest) !== arrival) {
      await run.value.kill()
      return fail(failure('conflict', 'The container is not awaited here any more'))
    }
    this.#arrivals.delete(guest)
    this.#runs.came(guest, run.value)
    return run.value.inspect()
  }

  async launchOf(guest: GuestId): Promise<Result<GuestLaunch>> {
    const run = this.#run(guest)
    return run.ok ? ok(run.value.launch) : run
  }

  /** The limit of the stream is not for containers: all of it goes while the container stands still. */
  async send(guest: GuestId, to: ArrivalEndpoint): Promise<Result<void>> {
    const run = this.#run(guest)
    if (!run.ok) return run
    const { criu, nativeDir, folder, log } = this.#runs
    const of = { run: run.value, folder: folder(guest), criu, nativeDir, log: log.with({ guest }) }
    if (this.#departures.get(guest)?.isUnderWay || readStopped(of.folder))
      return fail(failure('conflict', 'The container is already on its way to a host'))
    const departure = new ContainerDeparture(of)
    this.#departures.set(guest, departure)
    return departure.send(to)
  }

  awaitStandstill(guest: GuestId, signal: AbortSignal): Promise<Result<void>> {
    return this.#leaving(guest, (departure) => departure.awaitStandstill(signal))
  }

  async progress(guest: GuestId): Promise<Result<MigrationProgress>> {
    const run = this.#run(guest)
    return run.ok ? ok(this.#departures.get(guest)?.progress() ?? NOTHING_SENT) : run
  }

  relinquishDisks(guest: GuestId): Promise<Result<void>> {
    return this.#leaving(guest, (departure) => departure.relinquishDisks())
  }

  async complete(guest: GuestId): Promise<Result<SentGuest>> {
    const sent = await this.#leaving(guest, (departure) => departure.complete())
    if (sent.ok || !this.#departures.get(guest)?.relinquished) return sent
    // It has no disks any more, and never runs here again.
    const ended = await this.#runs.end(guest)
    return ended.ok ? sent : ended
  }

  async cancel(guest: GuestId): Promise<Result<void>> {
    const departure = this.#departures.get(guest)
    const run = this.#run(guest)
    if (!run.ok) return run
    // Without one, an earlier agent may have stopped it.
    const cancelled = departure ? await departure.cancel() : await callBack(run.value, this.#runs.folder(guest))
    if (cancelled.ok) this.#departures.delete(guest)
    return cancelled
  }

  // A container has all of its memory from the beginning.

  async startPostCopy(): Promise<Result<void>> {
    return fail(failure('conflict', 'A container moves while it stands still'))
  }

  async awaitSent(): Promise<Result<SentGuest>> {
    return fail(failure('conflict', 'Nothing of a container is sent after it has gone'))
  }

  async receiveRest(): Promise<Result<never>> {
    return fail(failure('conflict', 'Nothing of a container comes after it has arrived'))
  }

  async resume(): Promise<Result<void>> {
    return fail(failure('conflict', 'Nothing of a container is sent after it has gone'))
  }

  async awaitMemory(): Promise<Result<MemoryState>> {
    return ok('here')
  }

  /** As `GuestHost.inspect` tells of one that waits here; undefined when none does. */
  arriving(guest: GuestId): Promise<Result<RunningGuest>> | undefined {
    const arrival = this.#arrivals.get(guest)
    if (!arrival) return undefined
    const { front, launch } = arrival
    return front.inspect().then((disks) => {
      if (!disks.ok) return disks
      const legs = new Map(disks.value.map((disk) => [disk.volume, disk.legs.map(({ host }) => host)]))
      return ok({ guest, epoch: launch.epoch, pid: front.process.pid, status: 'arriving', legs, disks: disks.value })
    })
  }

  /** What a move makes of what `inspect` tells. */
  leaving(guest: GuestId): Partial<Pick<RunningGuest, 'status' | 'sending'>> {
    const departure = this.#departures.get(guest)
    if (!departure) return readStopped(this.#runs.folder(guest)) ? { sending: 'standing-still' } : {}
    const { phase, relinquished } = departure
    if (phase === 'completed' || relinquished) return { status: 'departed', sending: phase }
    return phase === 'setup' || phase === 'copying' || phase === 'standing-still' ? { sending: phase } : {}
  }

  /**
   * What a move under an agent that died has left with the guest: one that was just being restored comes to its end, and the
   * images go. False: it did not come. One that was stopped here is called back with the hand-over, which needs them.
   */
  async settle(guest: GuestId, run: ContainerRun | undefined): Promise<boolean> {
    const folder = this.#runs.folder(guest)
    if (run && readStopped(folder)) return true
    const isComing = run !== undefined && existsSync(scriptsFolder(folder))
    const came = !isComing || (await run.lxc.waitStarted(RESTORED_TIMEOUT_MS))
    const cleared = await clearDeparture(folder)
    if (!cleared.ok) this.#runs.log.error(cleared.error.message, { guest })
    return came
  }

  /** Its run has ended by itself. */
  runEnded(guest: GuestId): void {
    const departure = this.#departures.get(guest)
    if (!departure) return
    departure.hangUp()
    void this.#runs.inTurn(guest, async () => {
      if (this.#departures.get(guest) !== departure) return
      this.#departures.delete(guest)
      await departure.forget()
    })
  }

  /** Lets go of all that comes and goes: for an agent that ends. */
  dispose(): void {
    for (const arrival of this.#arrivals.values()) arrival.dispose()
    for (const departure of this.#departures.values()) departure.hangUp()
    this.#arrivals.clear()
    this.#departures.clear()
  }

  /** The guest is being ended here, come or not. */
  async forget(guest: GuestId): Promise<void> {
    const [arrival, departure] = [this.#arrivals.get(guest), this.#departures.get(guest)]
    this.#arrivals.delete(guest)
    this.#departures.delete(guest)
    await arrival?.end()
    await departure?.forget()
    await clearImageFolder(this.#runs.folder(guest))
  }

  async #leaving<T>(guest: GuestId, work: (departure: ContainerDeparture) => Promise<Result<T>>): Promise<Result<T>> {
    const run = this.#run(guest)
    if (!run.ok) return run
    const departure = this.#departures.get(guest)
    return departure ? work(departure) : fail(failure('conflict', 'The container is on no way to a host'))
  }

  #run(guest: GuestId): Result<ContainerRun> {
    const run = this.#runs.runOf(guest)
    return run ? ok(run) : fail(failure('not_found', 'The container does not run here'))
  }
}

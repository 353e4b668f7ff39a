/**
 * The end of a live move that has the container and lets it go: its cards down, its processes stopped and written down, its disks
 * written and quiet, and all of that on the other host, before anybody decides whose it is. docs/internals/containers.md.
 */
import { failure } from '@stead/core/errors.ts'
import type { ArrivalEndpoint, MigrationProgress, SentGuest } from '@stead/core/ports/guest-migration.ts'
import type { Log } from '@stead/core/ports/log.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import { runProgram } from '../../process/run-program.ts'
import type { ContainerRun } from '../container-run.ts'
import { linkName } from '../container-parts.ts'
import { goOn, stoppedProcesses, takeCheckpoint, type Interface } from './checkpoint.ts'
import { clearImageFolder, imagesFolder, makeImageFolder, noteStopped, readStopped } from './image-folder.ts'
import { connectForImages, type ImageSocket } from './image-socket.ts'
import { dropEmptyCredentials, lookBefore } from './look-before.ts'

const READY_TIMEOUT_MS = 5_000
/** For the images, of which most has gone by then. */
const RECEIVED_TIMEOUT_MS = 60_000
const WRITE_DOWN_TIMEOUT_MS = 30_000
/** Of the restore there: `GuestRun` gives it as long. */
const RUNNING_TIMEOUT_MS = 20_000

export const NOTHING_SENT: MigrationProgress = {
  ...{ phase: 'none', totalBytes: 0, transferredBytes: 0, remainingBytes: 0, passes: 0 },
  ...{ dirtyBytesPerSecond: 0, bandwidthBytesPerSecond: 0, throttlePercent: 0, expectedDowntimeMs: 0 },
}

export interface DepartingContainer {
  readonly run: ContainerRun
  /** The container's own. */
  readonly folder: string
  readonly criu: string
  readonly nativeDir: string
  readonly log: Log
}

export class ContainerDeparture {
  readonly #of: DepartingContainer
  #socket: ImageSocket | undefined
  #stand: Promise<Result<void>> | undefined
  #phase: MigrationProgress['phase'] = 'none'
  #error: string | undefined
  #stoppedAtMs = 0
  #sentBytes = 0
  #relinquished = false
  #cancelled = false

  constructor(of: DepartingContainer) {
    this.#of = of
  }

  get phase(): MigrationProgress['phase'] {
    return this.#phase
  }

  /** Nobody else may send it meanwhile. */
  get isUnderWay(): boolean {
    return this.#phase !== 'none' && this.#phase !== 'failed'
  }

  /** Its disks are given up: nothing of it may run here any more. */
  get relinquished(): boolean {
    return this.#relinquished
  }

  /** Everything that can be found out and made before it is stopped; then it is. */
  async send(to: ArrivalEndpoint): Promise<Result<void>> {
    const { run, folder } = this.#of
    this.#phase = 'setup'
    const links = await lookBefore(run.lxc, run.launch.nics.map(linkName))
    if (!links.ok) return this.#failed(links)
    await dropEmptyCredentials(run.lxc, this.#of.nativeDir)
    const place = await makeImageFolder(folder, run.launch.memoryBytes)
    if (!place.ok) return this.#failed(place)
    const connected = await connectForImages(to, to.secret)
    if (!connected.ok) return this.#failed(connected)
    this.#socket = connected.value
    const ready = await connected.value.next('ready', READY_TIMEOUT_MS)
    if (!ready.ok) return this.#failed(ready)
    if (this.#cancelled) return fail(failure('conflict', 'The move was called off'))
    this.#phase = 'copying'
    this.#stand = this.#standStill(connected.value, links.value)
    return ok()
  }

  /** `signal` ends only the waiting. */
  async awaitStandstill(signal: AbortSignal): Promise<Result<void>> {
    if (!this.#stand) return fail(failure('conflict', 'The container is on no way to a host'))
    const aborted = new Promise<Result<void>>((resolve) => {
      const abort = () => resolve(fail(failure('timeout', 'Nobody waits for the container any more')))
      signal.addEventListener('abort', abort, { once: true })
      if (signal.aborted) abort()
    })
    return Promise.race([this.#stand, aborted])
  }

  async #standStill(socket: ImageSocket, links: readonly Interface[]): Promise<Result<void>> {
    const { run, folder, criu } = this.#of
    const noted = noteStopped(folder, { stoppedBefore: stoppedProcesses(run.lxc) })
    if (!noted.ok) return this.#failed(noted)
    this.#stoppedAtMs = performance.now()
    const images = imagesFolder(folder)
    const taken = await takeCheckpoint(run.lxc, { criu, images, hostEnds: hostEndsOf(run), links })
    if (!taken.ok) return this.#failed(taken)
    const takenMs = performance.now() - this.#stoppedAtMs
    const [sent, written] = await Promise.all([this.#sendImages(socket, images), this.#writeDisks()])
    const broken = [sent, written].find((each) => !each.ok)
    if (broken) return this.#failed(broken)
    this.#phase = 'standing-still'
    const ms = { checkpoint: Math.round(takenMs), all: Math.round(performance.now() - this.#stoppedAtMs) }
    this.#of.log.info('the container stands still', { ms, bytes: this.#sentBytes })
    return ok()
  }

  async #sendImages(socket: ImageSocket, images: string): Promise<Result<void>> {
    const sent = await socket.sendFolder(images)
    if (!sent.ok) return sent
    this.#sentBytes = sent.value
    return socket.next('received', RECEIVED_TIMEOUT_MS)
  }

  /** All that the container has written is on every replica, and nothing more goes there until `resume`. */
  async #writeDisks(): Promise<Result<void>> {
    const { run } = this.#of
    const written = await runProgram('sync', ['--file-system', run.rootFolder], WRITE_DOWN_TIMEOUT_MS)
    const held = written.ok ? await run.pause() : written
    if (!held.ok) return held
    for (const { volume } of run.launch.disks) {
      const flushed = await run.front.legs.drainAndFlush(volume)
      if (!flushed.ok) return flushed
    }
    return ok()
  }

  progress(): MigrationProgress {
    // A break while it stands still is told, and it stands on until somebody calls it back.
    const broken = this.#phase === 'standing-still' ? this.#socket?.over : undefined
    const error = this.#error ?? broken
    return {
      ...NOTHING_SENT,
      phase: broken === undefined ? this.#phase : 'failed',
      ...{ totalBytes: this.#of.run.launch.memoryBytes, transferredBytes: this.#sentBytes },
      ...(error === undefined ? {} : { error }),
    }
  }

  async relinquishDisks(): Promise<Result<void>> {
    if (this.#phase !== 'standing-still')
      return fail(failure('conflict', 'The container runs; it would lose its disks'))
    this.#relinquished = true
    const { run } = this.#of
    const disks = await run.front.inspect()
    if (!disks.ok) return disks
    const legs = disks.value.flatMap(({ volume, legs }) => legs.map(({ host }) => ({ volume, host })))
    const done = await Promise.all(legs.map(({ volume, host }) => run.front.legs.yank(volume, host)))
    return done.find((each) => !each.ok) ?? ok()
  }

  async complete(): Promise<Result<SentGuest>> {
    if (this.#phase !== 'standing-still' || !this.#socket)
      return fail(failure('conflict', 'The container does not stand still for a move'))
    this.#socket.tell({ kind: 'go' })
    const running = await this.#socket.next('running', RUNNING_TIMEOUT_MS)
    if (!running.ok) return running
    this.#phase = 'completed'
    return ok({ ...this.progress(), downtimeMs: performance.now() - this.#stoppedAtMs })
  }

  /** It runs on here; impossible once its disks are given up. */
  async cancel(): Promise<Result<void>> {
    if (this.#relinquished) return fail(failure('conflict', 'The container has been let go; it cannot be called back'))
    this.#cancelled = true
    this.#socket?.close()
    // CRIU has to be through with the processes before they are told to go on.
    await this.#stand
    this.#phase = 'failed'
    return callBack(this.#of.run, this.#of.folder)
  }

  /** The destination hears nothing more of it. */
  hangUp(): void {
    this.#socket?.close()
  }

  /** The container is ended; what is left of the move goes too. */
  async forget(): Promise<void> {
    this.hangUp()
    await this.#stand
    await clearDeparture(this.#of.folder)
  }

  #failed<T>(why: Result<T>): Result<never> {
    const error = why.ok ? failure('internal', 'The move failed') : why.error
    this.#phase = 'failed'
    this.#error = error.message
    return fail(error)
  }
}

/** Also of a container that an earlier agent had stopped. */
export async function callBack(run: ContainerRun, folder: string): Promise<Result<void>> {
  const stopped = readStopped(folder)
  if (stopped) {
    const resumed = await run.resume()
    if (!resumed.ok) return resumed
    const gone = await goOn(run.lxc, stopped, hostEndsOf(run))
    if (!gone.ok) return gone
  }
  return clearDeparture(folder)
}

function hostEndsOf({ launch }: ContainerRun): readonly string[] {
  return launch.nics.map(({ tap }) => tap)
}

export async function clearDeparture(folder: string): Promise<Result<void>> {
  const cleared = await clearImageFolder(folder)
  return cleared.ok ? noteStopped(folder, undefined) : cleared
}

/**
 * One move of a guest's memory between two machines, as QEMU does it: it takes the time that the memory and the link
 * need, it breaks with either process or with the link at any moment, and it knows no more than the two could know.
 */
import { failure } from '@stead/core/errors.ts'
import type { MigrationLimits, MigrationProgress, SentGuest } from '@stead/core/ports/guest-migration.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import { ArrivingMemory } from './memory-arriving.ts'
import { breakConnection } from './leg-servers.ts'
import type { MoveStep } from './guest-faults.ts'
import type { Process } from './memory-machine.ts'
import { giveUp, isAlive, type Place, type TransferRoutes, type WaitingPlace } from './transfer-places.ts'

const TICK_MS = 20
const SETUP_MS = 5
/** What a link takes when nobody limits it. */
const LINK_BYTES_PER_SECOND = 1e9
/** Of a guest that runs; less when its processors are slowed down. */
const DIRTY_BYTES_PER_SECOND = 1e6
const OUTRUN = 1.1
const THROTTLE = { initial: 20, increment: 15, max: 95, afterMs: 500 } as const
/** The devices' state, and the last of the memory. */
const SWITCH_MS = 8
const ANSWER_MS = 2
/** TCP sends again for so long before it gives a connection up. */
const TCP_GIVES_UP_MS = 7_000

export class MemoryTransfer {
  readonly #source: Place
  readonly #destination: WaitingPlace | undefined
  readonly #secret: string
  readonly #limits: MigrationLimits
  readonly #routes: TransferRoutes
  readonly #isContainer: boolean
  readonly #totalBytes: number
  readonly #waiting = new Set<() => void>()
  #phase: MigrationProgress['phase'] = 'setup'
  #error: string | undefined
  #remainingBytes: number
  #transferredBytes = 0
  #throttlePercent = 0
  #ranMs = 0
  #silentMs = 0
  #stoodStillMs = 0
  #relinquished = false
  #isLetGo = false
  #postCopy = false
  #hasArrived = false
  #isFlushed = false
  /** How the guest was when it came to stand still. */
  #before: Process['status'] | undefined

  constructor(
    source: Place,
    destination: WaitingPlace | undefined,
    secret: string,
    limits: MigrationLimits,
    routes: TransferRoutes,
  ) {
    this.#source = source
    this.#destination = destination
    this.#secret = secret
    this.#limits = limits
    this.#routes = routes
    this.#isContainer = source.process.launch.container !== undefined
    this.#totalBytes = source.process.launch.memoryBytes
    this.#remainingBytes = this.#totalBytes
    routes.after(SETUP_MS, () => this.#connect())
  }

  /** False once it has come to nothing; a completed one is still a way out. */
  get isUnderWay(): boolean {
    return this.#phase !== 'failed'
  }

  progress(): MigrationProgress {
    // A break while the guest stands still is noted, and the guest stands on until somebody calls it back.
    const phase = this.#error === undefined ? this.#phase : 'failed'
    return {
      phase,
      totalBytes: this.#totalBytes,
      transferredBytes: Math.round(this.#transferredBytes),
      remainingBytes: Math.round(this.#remainingBytes),
      dirtyBytesPerSecond: this.#dirtyBytesPerSecond,
      bandwidthBytesPerSecond: this.#bandwidth,
      throttlePercent: this.#throttlePercent,
      expectedDowntimeMs: Math.round((this.#remainingBytes / this.#bandwidth) * 1000),
      passes: 1 + Math.floor(this.#transferredBytes / this.#totalBytes),
      ...(this.#error === undefined ? {} : { error: this.#error }),
    }
  }

  async awaitStandstill(signal: AbortSignal): Promise<Result<void>> {
    for (;;) {
      if (signal.aborted) return fail(failure('timeout', 'Nobody waits for the migration any more'))
      if (this.#error !== undefined) return fail(failure('hypervisor', this.#error))
      if (this.#phase === 'standing-still') return ok()
      if (this.#phase === 'completed') return fail(failure('hypervisor', 'The guest has gone'))
      await this.#changed(signal)
    }
  }

  /** What is missing follows the guest; it stands still for that as soon as it can. */
  startPostCopy(): Result<void> {
    if (!this.#limits.postCopy || this.#destination?.postCopy !== true)
      return fail(failure('conflict', 'Post-copy cannot be done: it was not asked for when the copy began'))
    if (this.#phase !== 'copying') return fail(failure('hypervisor', 'Nothing is being copied'))
    this.#postCopy = true
    void this.#standStill()
    return ok()
  }

  /** The rest goes on to where the guest is; who waits there is the same process at another port. */
  resume(place: WaitingPlace | undefined): Result<void> {
    const { host } = this.#source
    if (this.#phase !== 'interrupted') return fail(failure('conflict', 'Nothing of the guest is left to be sent'))
    if (!place || place.process !== this.#destination?.process || !this.#routes.linked(host, place.host))
      return fail(failure('hypervisor', 'Nobody waits for the rest there'))
    this.#silentMs = 0
    this.#phase = 'post-copy'
    place.process.memory?.set('coming')
    place.machine.runGuests()
    this.#tickLater()
    return ok()
  }

  relinquish(): Result<void> {
    const { process } = this.#source
    if (process.status === 'running' || (this.#isContainer && !this.#is('standing-still')))
      return fail(failure('conflict', 'The guest runs; it would lose its disks'))
    this.#relinquished = true
    for (const { connections } of process.disks.values()) for (const each of connections) breakConnection(each)
    return ok()
  }

  async complete(): Promise<Result<SentGuest>> {
    if (this.#phase !== 'standing-still' || this.#isLetGo)
      return fail(failure('hypervisor', 'The guest does not stand still for the switch'))
    this.#isLetGo = true
    this.#routes.after(SWITCH_MS, () => this.#hand())
    return this.awaitSent()
  }

  async awaitSent(): Promise<Result<SentGuest>> {
    while (this.#error === undefined && !this.#is('completed') && !this.#is('interrupted')) await this.#changed()
    if (this.#error !== undefined) return fail(failure('hypervisor', `The guest did not get across: ${this.#error}`))
    return ok({ ...this.progress(), downtimeMs: this.#stoodStillMs + SWITCH_MS + ANSWER_MS })
  }

  /** Of a container: the agents themselves are the ends of the connection, and the source's has died. */
  agentDied(): void {
    const destination = this.#destination
    if (!this.#isContainer || !this.isUnderWay || this.#isLetGo || !destination) return
    if (this.#routes.linked(this.#source.host, destination.host)) giveUp(destination)
    this.#note('The connection has ended with the agent')
  }

  cancel(): Result<void> {
    if (!this.isUnderWay) return ok()
    if (this.#isLetGo || this.#relinquished)
      return fail(failure('conflict', 'The guest has been let go; it cannot be called back'))
    this.#end('The migration was cancelled')
    return ok()
  }

  get #bandwidth(): number {
    return this.#limits.bandwidthBytesPerSecond || LINK_BYTES_PER_SECOND
  }

  get #dirtyBytesPerSecond(): number {
    const isRunning = this.#source.process.status === 'running'
    // Who may be sent by post-copy is a guest that it was made for: the link alone never catches up with it.
    const ofMemory = this.#limits.postCopy ? OUTRUN * this.#bandwidth : DIRTY_BYTES_PER_SECOND
    return isRunning ? ofMemory * (1 - this.#throttlePercent / 100) : 0
  }

  /** The compiler believes that a phase cannot change while somebody waits. */
  #is(phase: MigrationProgress['phase']): boolean {
    return this.#phase === phase
  }

  #connect(): void {
    const { process, host } = this.#source
    if (!this.isUnderWay || !isAlive(this.#source)) return
    const destination = this.#destination
    if (!destination || !isAlive(destination) || !this.#routes.linked(host, destination.host))
      return this.#end('Nobody waits for the guest there')
    if (destination.secret !== this.#secret) return this.#end('TLS handshake failed')
    if (destination.process.launch.guest !== process.launch.guest) return this.#end('Another guest is awaited there')
    this.#phase = 'copying'
    this.#notify()
    if (this.#isContainer) void this.#standStill()
    this.#tickLater()
  }

  #tickLater(): void {
    this.#routes.after(TICK_MS, () => this.#tick())
  }

  #tick(): void {
    if (!this.isUnderWay) return
    if (this.#hasArrived) return this.#sendRest()
    const broken = this.#look()
    if (broken === 'over') return
    if (broken !== undefined) {
      if (this.#phase === 'standing-still' && !this.#isLetGo) this.#note(broken)
      else return this.#end(broken)
    } else if (this.#silentMs === 0 && this.#bothRun()) {
      if (this.#phase === 'copying' && (this.#before === undefined || this.#isContainer)) this.#copy()
      if (this.#phase === 'standing-still') this.#stoodStillMs += TICK_MS
    }
    this.#tickLater()
  }

  /** After the switch to post-copy: nothing ends the guest but the end of one of the two. */
  #sendRest(): void {
    const destination = this.#destination as WaitingPlace
    if (this.#phase !== 'post-copy') return
    const isLinked = this.#routes.linked(this.#source.host, destination.host)
    if (!isLinked) this.#silentMs += TICK_MS
    const isClosed =
      !isAlive(this.#source) || !isAlive(destination) || destination.process.memory?.state === 'interrupted'
    const isLost = isLinked ? isClosed : this.#silentMs > TCP_GIVES_UP_MS
    if (isLost) {
      this.#phase = 'interrupted'
      destination.process.memory?.set('interrupted')
      return this.#notify()
    }
    if (isLinked && this.#bothRun()) {
      this.#silentMs = 0
      const sent = Math.min((this.#bandwidth * TICK_MS) / 1000, this.#remainingBytes)
      this.#transferredBytes += sent
      this.#remainingBytes -= sent
    }
    if (this.#remainingBytes > 0) return this.#tickLater()
    this.#phase = 'completed'
    this.#source.process.status = 'departed'
    destination.process.memory?.set('here')
    this.#notify()
  }

  /** Why the connection is broken, as the source can know it; `over` when there is no source any more. */
  #look(): string | undefined {
    const { host } = this.#source
    const destination = this.#destination as WaitingPlace
    const isLinked = this.#routes.linked(host, destination.host)
    if (!isAlive(this.#source)) {
      // The kernel of a machine that still runs closes the connection; from one without power nothing is heard.
      if (isLinked) giveUp(destination)
      return 'over'
    }
    if (isLinked) {
      this.#silentMs = 0
      return isAlive(destination) ? undefined : 'Connection reset by peer'
    }
    if (this.#routes.runs(host)) this.#silentMs += TICK_MS
    return this.#silentMs > TCP_GIVES_UP_MS ? 'Connection timed out' : undefined
  }

  #bothRun(): boolean {
    return [this.#source, this.#destination].every((place) => place !== undefined && this.#routes.runs(place.host))
  }

  #copy(): void {
    const sent = Math.min((this.#bandwidth * TICK_MS) / 1000, this.#remainingBytes)
    const dirtied = (this.#dirtyBytesPerSecond * TICK_MS) / 1000
    this.#transferredBytes += sent
    this.#remainingBytes = Math.min(this.#totalBytes, this.#remainingBytes - sent + dirtied)
    this.#ranMs += TICK_MS
    if (this.#isContainer) return this.#standsWritten()
    if (this.#remainingBytes <= (this.#bandwidth * this.#limits.downtimeMs) / 1000) return void this.#standStill()
    if (this.#dirtyBytesPerSecond > this.#bandwidth / 2 && this.#ranMs % THROTTLE.afterMs === 0)
      this.#throttlePercent = Math.min(
        THROTTLE.max,
        Math.max(THROTTLE.initial, this.#throttlePercent + THROTTLE.increment),
      )
  }

  /** The guest stops, its requests end and its disks are flushed. */
  async #standStill(): Promise<void> {
    const { machine, process } = this.#source
    this.#before = process.status
    if (process.status === 'running') process.status = 'other'
    if (this.#failsAt('dump', this.#source)) return this.#end('CRIU could not write down its processes')
    const flushed = await machine.flushAll(process)
    if (!this.isUnderWay || !isAlive(this.#source)) return
    if (!flushed) return this.#end('Error in migration completion: Input/output error')
    this.#isFlushed = true
    this.#standsWritten()
  }

  /** Of a container nothing is sent before it stands still: then all that CRIU has written down. */
  #standsWritten(): void {
    if (!this.#isFlushed || (this.#isContainer && this.#remainingBytes > 0)) return
    this.#phase = 'standing-still'
    this.#notify()
  }

  /** The last of the guest arrives, if it does; what the source hears of it is another matter. */
  #hand(): void {
    const { host, process } = this.#source
    const destination = this.#destination as WaitingPlace
    if (!this.isUnderWay || !isAlive(this.#source) || !isAlive(destination)) return
    if (!this.#routes.linked(host, destination.host) || !this.#bothRun())
      return void this.#routes.after(TICK_MS, () => this.#hand())
    if (this.#failsAt('restore', destination)) {
      giveUp(destination)
      return this.#end('CRIU did not restore its processes')
    }
    this.#hasArrived = true
    if (this.#postCopy) destination.process.memory = new ArrivingMemory()
    if (process.balloonBytes !== undefined) destination.process.balloonBytes = process.balloonBytes
    destination.machine.arrive(destination.process, process.disks, this.#before ?? process.status)
    if (!this.#postCopy) return void this.#routes.after(ANSWER_MS, () => this.#answer())
    // The source waits for nobody's word before it sends the rest.
    this.#phase = 'post-copy'
    this.#notify()
    this.#tickLater()
  }

  #failsAt(step: MoveStep, { host, process }: Place): boolean {
    return this.#isContainer && this.#routes.fails(step, process.launch.guest, host)
  }

  #answer(): void {
    const { host, process } = this.#source
    const destination = this.#destination as WaitingPlace
    if (!isAlive(this.#source)) return
    if (this.#routes.linked(host, destination.host)) {
      process.status = 'departed'
      this.#phase = 'completed'
      return this.#notify()
    }
    this.#silentMs += TICK_MS
    if (this.#silentMs > TCP_GIVES_UP_MS) return this.#end('Connection timed out')
    this.#routes.after(TICK_MS, () => this.#answer())
  }

  #note(error: string): void {
    if (this.#error !== undefined) return
    this.#error = error
    this.#notify()
  }

  /** It comes to nothing: QEMU lets the guest go on where it was, unless that may not be any more. */
  #end(error: string): void {
    const { machine, process, host } = this.#source
    this.#phase = 'failed'
    this.#error = error
    const destination = this.#destination
    // Who did not get in has not been noticed.
    if (destination && destination.secret === this.#secret && !this.#hasArrived)
      if (this.#routes.linked(host, destination.host)) giveUp(destination)
    if (this.#relinquished) machine.end(process, 'asked', 'killed on request')
    else if (this.#before !== undefined) {
      const failed = [...process.disks.values()].some((disk) => disk.failed)
      process.status = failed ? 'io-error' : this.#before
      this.#before = undefined
      machine.runGuests()
    }
    this.#notify()
  }

  #notify(): void {
    for (const wake of [...this.#waiting]) wake()
  }

  #changed(signal?: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const { machine, process } = this.#source
      const off = machine.onEvent(({ kind, guest }) => {
        // A process that is gone answers nobody.
        if (kind === 'exited' && guest === process.launch.guest) this.#note('the process ended before it answered')
      })
      const wake = () => {
        off()
        this.#waiting.delete(wake)
        signal?.removeEventListener('abort', wake)
        resolve()
      }
      this.#waiting.add(wake)
      signal?.addEventListener('abort', wake)
    })
  }
}

/**
 * Keeps the disks of one running guest mirrored: drops a leg that fails (after the record says so, never before),
 * brings stale replicas back, and moves the sync point on so that little has to be copied after a crash.
 * The state machine is drawn in docs/internals/mirror.md.
 */
import { failure, type Failure } from '../errors.ts'
import { canChangePool, isKeptBySnapshots, type ChangingVolume } from '../ha/storage-move.ts'
import type { GuestId, HostId, VolumeId } from '../model/ids.ts'
import { inSync, isFillable, isResized, isWhole, replicaOn, withCurrent } from '../model/records.ts'
import type { Volume } from '../model/volume.ts'
import type { GuestDisk, Leg } from '../ports/guest-host.ts'
import { fail, ok, type Result } from '../result.ts'
import type { HostContext } from './host-context.ts'
import { findDeadLegs, KeptLeg, untoldDetours, withLegPaths } from './kept-leg.ts'
import { exchangeLeg, type Exchanged } from './leg-exchange.ts'
import { growLive, hasRoomToGrow } from './live-growth.ts'
import { ANSWER_MS_MAX, answeringPaths, isReachable, type LegPath } from './leg-paths.ts'
import { changePool } from './pool-change.ts'
import { letReplicasGo, mustLetGo } from './replica-departure.ts'
import { dropOldBitmaps, resync } from './resync.ts'
import { mayGoOnWith, type Recorded, type RunRecords } from './run-records.ts'
import { SerialQueue } from './serial-queue.ts'
import { legMoved, replicaStale, resyncFinished } from './storage-events.ts'
import { moveSyncPoint } from './sync-point.ts'

const RESYNC_RETRY_MS = [500, 1_000, 2_000, 5_000, 10_000] as const
const ROTATE_CHECK_MS = 5_000
const HOLD_LOOK_MS = 5

export interface DiskKeeperOptions {
  readonly context: HostContext
  readonly guest: GuestId
  readonly name: string
  readonly epoch: number
  readonly records: RunRecords
  readonly disks: readonly GuestDisk[]
  /** The run cannot go on: this host is deposed, or no current leg is left. */
  readonly onEnd: (reason: string, deposed: boolean) => void
  readonly onPhase: (phase: 'running' | 'paused', reason: string) => void
  /** Before anything is done about a failing disk: resolves once no move of the guest is in the way of it. */
  readonly interruptMove?: (reason: string) => Promise<void>
}

interface Disk {
  readonly volume: VolumeId
  readonly legs: Map<HostId, KeptLeg>
  /** As the guest knows it; its record may be ahead. */
  sizeBytes: number
  /** A replica is brought back, the sync point moves or a leg goes another way: one thing at a time. */
  resyncing: boolean
  /** What the record says of redirected legs is being changed. */
  noting: boolean
  resyncTries: number
  notBeforeMs: number
  rotatedMs: number
}

export class DiskKeeper {
  readonly #options: DiskKeeperOptions
  readonly #disks = new Map<VolumeId, Disk>()
  readonly #surgery = new SerialQueue()
  readonly #ended = new AbortController()
  /** Aborted while the guest is about to move: nothing may become current that its destination does not have. */
  #held = new AbortController()

  constructor(options: DiskKeeperOptions) {
    this.#options = options
    for (const disk of options.disks) this.add(disk)
  }

  /** A disk that the guest has from now on. */
  add(disk: GuestDisk): void {
    if (this.#ended.signal.aborted || this.#disks.has(disk.volume)) return
    const kept: Disk = {
      volume: disk.volume,
      legs: new Map(),
      sizeBytes: disk.sizeBytes,
      resyncing: false,
      noting: false,
      resyncTries: 0,
      notBeforeMs: 0,
      rotatedMs: this.#options.context.clock.monotonicMs(),
    }
    this.#disks.set(disk.volume, kept)
    for (const leg of disk.legs) this.#keepLeg(kept, leg)
    const record = this.#options.context.mirror.state.volumes.get(disk.volume)?.value
    for (const { host, path, reason } of untoldDetours(record, kept.legs)) this.#tellPath(kept, host, path, reason, 0)
  }

  /** A disk that the guest has no more. */
  remove(volume: VolumeId): void {
    const disk = this.#disks.get(volume)
    this.#disks.delete(volume)
    for (const leg of disk?.legs.values() ?? []) leg.stopWatch()
  }

  end(): void {
    this.#ended.abort()
    for (const disk of this.#disks.values()) for (const leg of disk.legs.values()) leg.stopWatch()
  }

  /** The replicas that the disk writes to now. */
  legsOf(volume: VolumeId): readonly HostId[] {
    return [...(this.#disks.get(volume)?.legs.keys() ?? [])]
  }

  /** From here until `release` no replica is brought back and no sync point moves; what was under way has ended. */
  async hold(): Promise<void> {
    this.#held.abort('the guest is about to move')
    const { clock } = this.#options.context
    while (
      [...this.#disks.values()].some(({ resyncing, noting }) => resyncing || noting) &&
      !this.#ended.signal.aborted
    )
      await clock.sleep(HOLD_LOOK_MS)
    // A surgery that had begun ends too; one that begins now is the loss of a leg, which interrupts the move.
    await this.#surgery.run(async () => undefined)
  }

  release(): void {
    this.#held = new AbortController()
  }

  /** QEMU stopped the guest because a request failed. `suspects` are the legs that QEMU blamed. */
  async ioError(volume: VolumeId, reason: string, suspects: readonly HostId[]): Promise<void> {
    const disk = this.#disks.get(volume)
    if (!disk || this.#ended.signal.aborted) return
    // Before anything is waited for: a leg that has found another way meanwhile is not the one that was blamed.
    const blamed = suspects.flatMap((host) => disk.legs.get(host) ?? [])
    await this.#options.interruptMove?.(reason)
    if (this.#ended.signal.aborted) return
    const failing = blamed.length > 0 ? blamed : await findDeadLegs(this.#options.context, disk.volume, disk.legs)
    if (failing.length === 0) {
      // Nothing is wrong any more (a transient error): the guest's request is simply tried again.
      const resumed = await this.#surgery.run(() => this.#options.context.guests.resume(this.#options.guest))
      if (resumed.ok) return this.#options.onPhase('running', '')
      const { guest } = this.#options
      return this.#options.context.log.warn('the guest could not be resumed', { guest, cause: resumed.error })
    }
    for (const leg of failing) await this.#legTrouble(disk, leg, reason, true)
  }

  /** Gives the disk the size of its record, with the guest standing still for a moment. */
  async grow(volume: Volume): Promise<Result<void>> {
    const disk = this.#disks.get(volume.id)
    const isOver = () => this.#ended.signal.aborted || this.#held.signal.aborted || this.#disks.get(volume.id) !== disk
    if (!disk || isOver()) return fail(failure('conflict', 'the guest is about to move or to end'))
    if (!isResized(volume, disk.sizeBytes) && disk.legs.size > 0) return ok()
    if (disk.resyncing) return fail(failure('conflict', 'its replicas are being brought up to date'))
    disk.resyncing = true
    try {
      // Found held by an earlier agent it has no legs; then its record knows who was in sync.
      const hosts = disk.legs.size > 0 ? [...disk.legs.keys()] : inSync(volume).map(({ host }) => host)
      const room = disk.legs.size > 0 ? await hasRoomToGrow(this.#options.context, volume, hosts) : ok()
      if (!room.ok) return room
      const grown = await this.#surgery.run(async (): Promise<Result<unknown>> => {
        const left = disk.legs.size > 0 ? hosts.filter((host) => disk.legs.has(host)) : hosts
        return isOver() ? fail(failure('conflict', 'the guest is about to end')) : this.#reopen(disk, volume, left)
      })
      // Of a guest that writes nothing, the flush may be the first to find a leg dead.
      const dead = grown.ok || isOver() ? [] : await findDeadLegs(this.#options.context, volume.id, disk.legs)
      for (const leg of dead) void this.#legTrouble(disk, leg, 'its leg could not be flushed', true)
      return grown.ok ? ok() : grown
    } finally {
      disk.resyncing = false
    }
  }

  /** Opens the disk anew, as the record says. Resolves to how long the guest stood still for it, in ms. */
  async #reopen(
    disk: Disk,
    volume: Volume,
    hosts: readonly HostId[],
    whileHeld?: () => Promise<Volume | undefined>,
  ): Promise<Result<number>> {
    const { context, guest, epoch, records, onEnd } = this.#options
    const startedMs = context.clock.monotonicMs()
    const paused = await context.guests.pause(guest)
    if (!paused.ok) return paused
    const onLost = async (host: HostId, { message }: Failure) => {
      const reason = `${host} did not serve it with its new size: ${message}`
      const stale = { sinceEpoch: epoch, since: context.clock.wallMs(), reason, cause: 'leg-lost' as const }
      const recorded = await records.markStale(volume.id, host, stale)
      if (recorded.kind === 'deposed') onEnd('another host was granted the guest', true)
      else context.events.tell(replicaStale(volume.id, host, reason))
      return recorded.kind === 'recorded'
    }
    const grown = await growLive(context, {
      ...{ guest, volume, epoch, hosts, onLost },
      ...(whileHeld ? { whileHeld } : {}),
    })
    if (grown.kind === 'broken') {
      this.#giveUp(`its disk ${volume.name} could not be opened anew: ${grown.error.message}`)
      return fail(grown.error)
    }
    if (grown.kind === 'grown') {
      for (const leg of disk.legs.values()) leg.stopWatch()
      disk.legs.clear()
      for (const leg of grown.disk.legs) this.#keepLeg(disk, leg)
      disk.sizeBytes = grown.disk.sizeBytes
    }
    const pauseMs = await this.#goOn(startedMs)
    context.log.info('a disk was opened anew while its guest ran', { volume: volume.id, pauseMs, outcome: grown.kind })
    return grown.kind === 'grown' ? ok(pauseMs ?? 0) : fail(grown.error)
  }

  /** A leg that the record does not call current: it goes. */
  async dropUnrecorded(volume: VolumeId, host: HostId, reason: string): Promise<void> {
    const disk = this.#disks.get(volume)
    const leg = disk?.legs.get(host)
    if (disk && leg) await this.#legTrouble(disk, leg, reason, false)
  }

  /** A leg is dead or silent: give it another way to its replica, or record, replace by the filler; go on. */
  async #legTrouble(disk: Disk, leg: KeptLeg, reason: string, mayRedirect: boolean): Promise<void> {
    const { context, guest, onPhase } = this.#options
    const host = leg.leg.host as HostId
    const isKept = () => this.#disks.get(disk.volume)?.legs.get(host) === leg && !this.#ended.signal.aborted
    // Before this waits for its turn: what is under way on the guest (a flush, which has 30 s) may hang on that very leg.
    if (isKept()) await context.guests.yankLeg(guest, disk.volume, host)
    await this.#options.interruptMove?.(`its replica on ${host} failed: ${reason}`)
    await this.#surgery.run(async () => {
      if (!isKept()) return
      const startedMs = context.clock.monotonicMs()
      // Out of band first: while a request hangs on the leg, QEMU may not answer anything else.
      await context.guests.yankLeg(guest, disk.volume, host)
      const paused = await context.guests.pause(guest)
      if (!paused.ok) return this.#giveUp(`QEMU does not answer: ${paused.error.message}`)
      onPhase('paused', `the replica on ${host} failed: ${reason}`)
      if (!mayRedirect || !(await this.#redirect(disk, leg, reason, startedMs)))
        await this.#lose(disk, leg, reason, startedMs)
    })
  }

  /** The guest is paused, and the leg is dead for good. */
  async #lose(disk: Disk, leg: KeptLeg, reason: string, startedMs: number): Promise<void> {
    const { context, guest, name, epoch, records, onEnd, onPhase } = this.#options
    const { volume } = disk
    const host = leg.leg.host as HostId
    if (disk.legs.size === 1) {
      onPhase('paused', `the last current replica, on ${host}, does not answer: ${reason}`)
      return this.#giveUp(`its last current replica, on ${host}, failed: ${reason}`)
    }
    const stale = { sinceEpoch: epoch, since: context.clock.wallMs(), reason, cause: 'leg-lost' as const }
    const left = [...disk.legs.keys()].filter((each) => each !== host)
    const recorded = await records.markStale(volume, host, stale, left)
    if (recorded.kind === 'deposed') return onEnd('another host was granted the guest', true)
    if (!mayGoOnWith(recorded.value, left))
      return this.#giveUp(`its last current replica, on ${host}, failed: ${reason}`)
    const dropped = await context.guests.dropLeg(guest, volume, host)
    if (!dropped.ok) return this.#giveUp(`the leg to ${host} could not be removed: ${dropped.error.message}`)
    leg.stopWatch()
    disk.legs.delete(host)
    const pauseMs = await this.#goOn(startedMs)
    if (pauseMs === undefined) return
    disk.notBeforeMs = context.clock.monotonicMs() + RESYNC_RETRY_MS[0]
    context.events.tell({
      kind: 'replica.stale',
      subject: `volume/${volume}`,
      message: `${name} goes on without its replica on ${host}: ${reason}`,
      details: { host, epoch, pauseMs },
    })
  }

  /** Only where it is the path that fails, and not the server or its disk: those fail by every other path too. */
  async #redirect(disk: Disk, leg: KeptLeg, reason: string, startedMs: number): Promise<boolean> {
    const { context } = this.#options
    const others = leg.paths().filter(({ network }) => network !== leg.network)
    if (others.length > 0 && leg.health !== 'unresponsive')
      leg.health = await context.legWatch.ask(leg.leg.endpoint, ANSWER_MS_MAX)
    if (others.length === 0 || leg.health !== 'unresponsive') return false
    const exchanged = await this.#exchange(disk, leg, others)
    if (exchanged.kind !== 'exchanged') {
      context.log.info('a leg found no other way', { volume: disk.volume, host: leg.leg.host, cause: exchanged.error })
      return false
    }
    const pauseMs = await this.#goOn(startedMs)
    if (pauseMs !== undefined) this.#tellPath(disk, leg.leg.host, exchanged.path, reason, pauseMs)
    return true
  }

  /** The preferred network is whole again: the leg returns to it, with the guest standing still for a moment. */
  async #returnToDirect(disk: Disk, leg: KeptLeg): Promise<void> {
    const { context, guest } = this.#options
    const [direct] = leg.paths()
    const current = leg.paths().find(({ network }) => network === leg.network)
    disk.resyncing = true
    const isWholeNow = direct && (await answeringPaths(context, leg.leg.host as HostId, [direct])).length > 0
    if (!isWholeNow || !current) leg.holdAgain()
    else
      await this.#surgery.run(async () => {
        const isOver = this.#ended.signal.aborted || this.#held.signal.aborted
        if (this.#disks.get(disk.volume)?.legs.get(leg.leg.host as HostId) !== leg || isOver) return
        const startedMs = context.clock.monotonicMs()
        const paused = await context.guests.pause(guest)
        const exchanged = paused.ok ? await this.#exchange(disk, leg, [direct, current]) : undefined
        if (exchanged?.kind === 'broken')
          return this.#lose(disk, leg, `its way back came to nothing: ${exchanged.error.message}`, startedMs)
        if (exchanged?.kind !== 'exchanged') leg.holdAgain()
        const pauseMs = await this.#goOn(startedMs)
        if (exchanged?.kind === 'exchanged' && pauseMs !== undefined)
          this.#tellPath(disk, leg.leg.host, exchanged.path, `${direct.network} is whole again`, pauseMs)
      })
    disk.resyncing = false
  }

  async #exchange(disk: Disk, leg: KeptLeg, paths: readonly LegPath[]): Promise<Exchanged> {
    const { context, guest, epoch } = this.#options
    const { host, exportName } = leg.leg
    const { volume } = disk
    const exchanged = await exchangeLeg(context, { guest, volume, epoch, host: host as HostId, exportName, paths })
    if (exchanged.kind !== 'exchanged') return exchanged
    this.#keepLeg(disk, exchanged.leg)
    return exchanged
  }

  /** Resumes the guest. Returns how long it stood still, in ms. */
  async #goOn(startedMs: number): Promise<number | undefined> {
    const { context, guest, onPhase } = this.#options
    const resumed = await context.guests.resume(guest)
    if (!resumed.ok) return void this.#giveUp(`QEMU does not go on: ${resumed.error.message}`)
    onPhase('running', '')
    return Math.round((context.clock.monotonicMs() - startedMs) * 10) / 10
  }

  #tellPath(disk: Disk, host: string, { network }: LegPath, reason: string, pauseMs: number): void {
    const { context, name } = this.#options
    const isDirect = disk.legs.get(host as HostId)?.redirected === undefined
    context.events.tell(legMoved(disk.volume, { name, host, network, isDirect, reason, pauseMs }))
  }

  /** The record says, for people, by which network a leg goes that does not take the preferred one. */
  async #note(disk: Disk, volume: Volume): Promise<void> {
    if (disk.noting || withLegPaths(volume, disk.legs) === volume) return
    disk.noting = true
    const signal = AbortSignal.any([this.#ended.signal, this.#held.signal])
    await this.#options.records.changeVolume(volume.id, (record) => withLegPaths(record, disk.legs), signal)
    disk.noting = false
  }

  /** Called now and then: starts what is due. */
  tick(): void {
    const nowMs = this.#options.context.clock.monotonicMs()
    for (const disk of this.#disks.values()) {
      if (disk.resyncing || this.#ended.signal.aborted || this.#held.signal.aborted) continue
      const volume = this.#options.context.mirror.state.volumes.get(disk.volume)?.value
      if (!volume) continue
      void this.#note(disk, volume)
      // Not the last one: nothing may be risked for a better way.
      const returning = disk.legs.size > 1 ? [...disk.legs.values()].find((leg) => leg.mayReturn) : undefined
      if (returning) void this.#returnToDirect(disk, returning)
      if (returning) continue
      const isLeaving = mustLetGo(this.#options.context.mirror.state, volume, disk.legs)
      if (isLeaving && nowMs >= disk.notBeforeMs) void this.#letGo(disk)
      if (isLeaving) continue
      const target = volume.replicas.find(
        (replica) =>
          replica.state !== 'in-sync' &&
          isFillable(replica) &&
          !disk.legs.has(replica.host) &&
          isReachable(this.#options.context, replica.host),
      )
      // A replica that comes back has the size of the record, and does not fit before the others have it too.
      const isBehind = disk.sizeBytes < volume.sizeBytes
      if (isBehind) continue
      if (target && nowMs >= disk.notBeforeMs) void this.#bringBack(disk, volume, target.host)
      const isWholeHere = disk.legs.size === volume.replicas.length && isWhole(volume)
      const isChanging =
        isWholeHere && canChangePool(volume) && !isKeptBySnapshots(this.#options.context.mirror.state, volume)
      if (isChanging && nowMs >= disk.notBeforeMs) void this.#changePool(disk, volume)
      // Of a single replica nothing is ever copied to one that comes back: its sync point bounds nothing.
      else if (isWholeHere && volume.replicas.length > 1 && nowMs - disk.rotatedMs >= ROTATE_CHECK_MS)
        void this.#rotate(disk, volume)
    }
  }

  /** While nothing else is done to the guest's disks: no leg is dropped, brought back or flushed meanwhile. */
  exclusively<T>(task: () => Promise<T>): Promise<T> {
    return this.#surgery.run(task)
  }

  #keepLeg(disk: Disk, leg: Leg): void {
    const kept = new KeptLeg(this.#options.context, disk.volume, leg, (about, health) => {
      const what = health === 'refused' ? 'its storage daemon is gone' : 'its storage daemon does not answer'
      void this.#legTrouble(disk, about, what, true)
    })
    if (this.#ended.signal.aborted) kept.stopWatch()
    disk.legs.get(leg.host as HostId)?.stopWatch()
    disk.legs.set(leg.host as HostId, kept)
  }

  #giveUp(reason: string): void {
    this.#options.onEnd(reason, false)
  }

  async #letGo(disk: Disk): Promise<void> {
    const { context, guest, name, records } = this.#options
    disk.resyncing = true
    disk.notBeforeMs = context.clock.monotonicMs() + RESYNC_RETRY_MS[0]
    // No leg is lost meanwhile: what the record has given up is not what the guest goes on with.
    await this.#surgery.run(() =>
      letReplicasGo({
        ...{ context, guest, name, records, volume: disk.volume, legs: disk.legs },
        signal: AbortSignal.any([this.#ended.signal, this.#held.signal]),
        giveUp: (reason) => this.#giveUp(reason),
        goOn: (startedMs) => this.#goOn(startedMs),
      }),
    )
    disk.resyncing = false
  }

  async #bringBack(disk: Disk, volume: Volume, host: HostId): Promise<void> {
    disk.resyncing = true
    const error = await this.#resyncOnce(disk, volume, host)
    this.#noteOutcome(disk, volume, error, host, 'be brought up to date')
    disk.resyncing = false
  }

  #noteOutcome(disk: Disk, volume: Volume, error: Failure | undefined, host: HostId, what: string): void {
    const { context, name } = this.#options
    if (error && !this.#ended.signal.aborted) {
      const waitMs = RESYNC_RETRY_MS[Math.min(disk.resyncTries++, RESYNC_RETRY_MS.length - 1)] ?? 10_000
      disk.notBeforeMs = context.clock.monotonicMs() + waitMs
      context.events.tell({
        kind: 'resync.failed',
        subject: `volume/${volume.id}`,
        message: `the replica of ${name} on ${host} could not ${what}: ${error.message}`,
        details: { host },
      })
    } else disk.resyncTries = 0
  }

  async #changePool(disk: Disk, volume: ChangingVolume): Promise<void> {
    disk.resyncing = true
    const { context, guest, epoch, records } = this.#options
    const error = await changePool({
      ...{ context, guest, epoch, records, volume },
      signal: AbortSignal.any([this.#ended.signal, this.#held.signal]),
      isWhole: () => volume.replicas.every(({ host }) => disk.legs.has(host)),
      exclusively: (task) => this.#surgery.run(task),
      reopen: (whileHeld) => this.#reopen(disk, volume, [...disk.legs.keys()], whileHeld),
    })
    this.#noteOutcome(disk, volume, error, volume.move.incoming.host, 'change its pool')
    disk.resyncing = false
  }

  /** The replica to copy from: a leg, and if it can be the local one. */
  #sourceIn({ legs }: Disk, volume: Volume): Volume['replicas'][number] | undefined {
    const usable = inSync(volume).filter(({ host }) => legs.has(host))
    return usable.find(({ host }) => host === this.#options.context.self) ?? usable[0]
  }

  async #resyncOnce(disk: Disk, known: Volume, host: HostId): Promise<Failure | undefined> {
    const { context, guest, name, epoch, records } = this.#options
    if (!this.#sourceIn(disk, known)) return undefined
    // From now on the replica may become a leg at any moment; the record must not promise less doubt than there is.
    const marked = await records.setReplica(known.id, host, (replica) =>
      isFillable(replica) ? { ...replica, state: 'syncing' } : replica,
    )
    if (marked.kind === 'deposed') return undefined
    // As the store has it: this host's copy may not know yet that no bitmap tells what the replica missed.
    const volume = marked.value
    const [source, target] = [this.#sourceIn(disk, volume), replicaOn(volume, host)]
    if (target?.state !== 'syncing') return undefined
    const callStale = () =>
      records.setReplica(volume.id, host, (replica) =>
        replica.state === 'syncing' ? { ...replica, state: 'stale' } : replica,
      )
    if (!source) {
      await callStale()
      return failure('conflict', 'no current replica is a leg of it')
    }
    context.events.tell({
      kind: 'resync.started',
      subject: `volume/${volume.id}`,
      message: `the replica of ${name} on ${host} is brought up to date from ${source.host}`,
      details: { host },
    })
    const said: { joined?: Recorded<Volume> } = {}
    const done = await resync({
      context,
      volume,
      epoch,
      source,
      target,
      signal: AbortSignal.any([this.#ended.signal, this.#held.signal]),
      run: {
        guest,
        isCurrent: () => disk.legs.has(source.host),
        exclusively: (task) => this.#surgery.run(task),
        onAttached: (leg) => this.#keepLeg(disk, leg),
        onJoined: async (syncPoint) => {
          said.joined = await records.changeVolume(volume.id, (record) =>
            // It may have been taken back meanwhile, and even have been asked for once more.
            replicaOn(record, host)?.state === 'syncing' ? withCurrent(record, host, syncPoint) : record,
          )
        },
        onBroken: (reason) => this.#giveUp(reason),
      },
    })
    if (!done.ok) {
      await callStale()
      return done.error
    }
    const recorded = said.joined
    if (recorded?.kind !== 'recorded') return undefined
    if (replicaOn(recorded.value, host)?.state !== 'in-sync') {
      await this.dropUnrecorded(volume.id, host, 'it was taken back while it became a leg')
      return undefined
    }
    if (isWhole(recorded.value)) await dropOldBitmaps(context, recorded.value, epoch)
    const replica = `the replica of ${name} on ${host}`
    const stood = `the guest stood still for ${done.value.pauseMs.toFixed(1)} ms`
    context.events.tell(...resyncFinished(volume.id, host, replica, stood, done.value))
    return undefined
  }

  async #rotate(disk: Disk, volume: Volume): Promise<void> {
    const { context, guest, records, epoch } = this.#options
    disk.rotatedMs = context.clock.monotonicMs()
    disk.resyncing = true
    const flush = () => this.#surgery.run(() => context.guests.drainAndFlush(guest, volume.id))
    await moveSyncPoint({ context, records, epoch, volume, flush, legs: () => disk.legs.size })
    disk.resyncing = false
  }
}

export function exportNameOf(volume: VolumeId, epoch: number): string {
  return `vol-${volume}-e${epoch}`
}

/**
 * Keeps the disks of one running guest mirrored: drops a leg that fails (after the record says so, never before),
 * brings stale replicas back, and moves the sync point on so that little has to be copied after a crash.
 * The state machine is drawn in docs/internals/mirror.md.
 */
import type { Failure } from '../errors.ts'
import type { GuestId, HostId, VolumeId } from '../model/ids.ts'
import { inSync, isWhole, replicaOn, withCurrent } from '../model/records.ts'
import type { Volume } from '../model/volume.ts'
import type { GuestDisk } from '../ports/guest-host.ts'
import type { LegHealth } from '../ports/leg-watch.ts'
import type { HostContext } from './host-context.ts'
import { dropOldBitmaps, nextSyncPoint, resync } from './resync.ts'
import type { RunRecords } from './run-records.ts'
import { SerialQueue } from './serial-queue.ts'
import { resyncFinished } from './storage-events.ts'

const RESYNC_RETRY_MS = [500, 1_000, 2_000, 5_000, 10_000] as const
/** The sync point moves on when this much is dirty since the last one: what a crash may make us copy is bounded. */
const ROTATE_BYTES = 64 << 20
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
  readonly legs: Map<HostId, { readonly health: LegHealth | undefined; readonly stopWatch: () => void }>
  resyncing: boolean
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
      resyncing: false,
      resyncTries: 0,
      notBeforeMs: 0,
      rotatedMs: this.#options.context.clock.monotonicMs(),
    }
    this.#disks.set(disk.volume, kept)
    for (const leg of disk.legs) this.#watchLeg(kept, leg.host as HostId, leg.endpoint)
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
    while ([...this.#disks.values()].some(({ resyncing }) => resyncing) && !this.#ended.signal.aborted)
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
    await this.#options.interruptMove?.(reason)
    if (this.#ended.signal.aborted) return
    const blamed = suspects.filter((host) => disk.legs.has(host))
    const lost = blamed.length > 0 ? blamed : await this.#findDeadLegs(disk)
    if (lost.length === 0) {
      // Nothing is wrong any more (a transient error): the guest's request is simply tried again.
      const resumed = await this.#surgery.run(() => this.#options.context.guests.resume(this.#options.guest))
      if (!resumed.ok)
        this.#options.context.log.warn('the guest could not be resumed', {
          guest: this.#options.guest,
          cause: resumed.error,
        })
      else this.#options.onPhase('running', '')
      return
    }
    for (const host of lost) await this.legTrouble(volume, host, reason)
  }

  /** A leg is dead or silent: record, replace by the filler, go on. */
  async legTrouble(volume: VolumeId, host: HostId, reason: string): Promise<void> {
    // Before this waits for its turn: what is under way on the guest (a flush, which has 30 s) may hang on that very leg.
    if (this.#disks.get(volume)?.legs.has(host) && !this.#ended.signal.aborted)
      await this.#options.context.guests.yankLeg(this.#options.guest, volume, host)
    await this.#options.interruptMove?.(`its replica on ${host} failed: ${reason}`)
    await this.#surgery.run(async () => {
      const disk = this.#disks.get(volume)
      if (!disk || !disk.legs.has(host) || this.#ended.signal.aborted) return
      const { context, guest, name, epoch, records, onEnd, onPhase } = this.#options
      const startedMs = context.clock.monotonicMs()
      // Out of band first: while a request hangs on the leg, QEMU may not answer anything else.
      await context.guests.yankLeg(guest, volume, host)
      const paused = await context.guests.pause(guest)
      if (!paused.ok) return this.#giveUp(`QEMU does not answer: ${paused.error.message}`)
      if (disk.legs.size === 1) {
        onPhase('paused', `the last current replica, on ${host}, does not answer: ${reason}`)
        return this.#giveUp(`its last current replica, on ${host}, failed: ${reason}`)
      }
      onPhase('paused', `the replica on ${host} failed: ${reason}`)
      const stale = { sinceEpoch: epoch, since: context.clock.wallMs(), reason, cause: 'leg-lost' as const }
      const recorded = await records.markStale(volume, host, stale)
      if (recorded.kind === 'deposed') return onEnd('another host was granted the guest', true)
      const dropped = await context.guests.dropLeg(guest, volume, host)
      if (!dropped.ok) return this.#giveUp(`the leg to ${host} could not be removed: ${dropped.error.message}`)
      disk.legs.get(host)?.stopWatch()
      disk.legs.delete(host)
      const resumed = await context.guests.resume(guest)
      if (!resumed.ok) return this.#giveUp(`QEMU does not go on: ${resumed.error.message}`)
      const pauseMs = Math.round((context.clock.monotonicMs() - startedMs) * 10) / 10
      disk.notBeforeMs = context.clock.monotonicMs() + RESYNC_RETRY_MS[0]
      context.events.tell({
        kind: 'replica.stale',
        subject: `volume/${volume}`,
        message: `${name} goes on without its replica on ${host}: ${reason}`,
        details: { host, epoch, pauseMs },
      })
      onPhase('running', '')
    })
  }

  /** Called now and then: starts what is due. */
  tick(): void {
    const nowMs = this.#options.context.clock.monotonicMs()
    for (const disk of this.#disks.values()) {
      if (disk.resyncing || this.#ended.signal.aborted || this.#held.signal.aborted) continue
      const volume = this.#options.context.mirror.state.volumes.get(disk.volume)?.value
      if (!volume) continue
      const target = volume.replicas.find(
        (replica) => replica.state !== 'in-sync' && !disk.legs.has(replica.host) && this.#isReachable(replica.host),
      )
      if (target && nowMs >= disk.notBeforeMs) void this.#bringBack(disk, volume, target.host)
      const isWholeHere = disk.legs.size === volume.replicas.length && isWhole(volume)
      if (isWholeHere && nowMs - disk.rotatedMs >= ROTATE_CHECK_MS) void this.#rotate(disk, volume)
    }
  }

  /** While nothing else is done to the guest's disks: no leg is dropped, brought back or flushed meanwhile. */
  exclusively<T>(task: () => Promise<T>): Promise<T> {
    return this.#surgery.run(task)
  }

  #watchLeg(disk: Disk, host: HostId, endpoint: Parameters<HostContext['legWatch']['watch']>[0]): void {
    const stopWatch = this.#options.context.legWatch.watch(endpoint, (health) => {
      const leg = disk.legs.get(host)
      if (!leg) return
      disk.legs.set(host, { ...leg, health })
      if (health !== 'alive')
        void this.legTrouble(
          disk.volume,
          host,
          health === 'refused' ? 'its storage daemon is gone' : 'its storage daemon does not answer',
        )
    })
    disk.legs.set(host, { health: undefined, stopWatch })
  }

  async #findDeadLegs(disk: Disk): Promise<HostId[]> {
    const { context, epoch } = this.#options
    const volume = context.mirror.state.volumes.get(disk.volume)?.value
    const verdicts = await Promise.all(
      [...disk.legs].map(async ([host, leg]) => {
        if (leg.health !== undefined && leg.health !== 'alive') return host
        const pool = volume && replicaOn(volume, host)?.pool
        if (pool === undefined) return undefined
        const info = await context.volumesOn(host).inspect(disk.volume, pool)
        return info.ok && info.value.exports.includes(exportNameOf(disk.volume, epoch)) ? undefined : host
      }),
    )
    return verdicts.filter((host) => host !== undefined)
  }

  #giveUp(reason: string): void {
    this.#options.onEnd(reason, false)
  }

  #isReachable(host: HostId): boolean {
    const { context } = this.#options
    if (host === context.self) return true
    if (context.mirror.state.statuses.get(host)?.value.state !== 'online') return false
    const ages = context.fence.view()?.peers[host]?.ageMs ?? {}
    const detectionMs = context.mirror.state.settings?.value.detectionMs ?? 1_000
    return (ages['san'] ?? ages['lan'] ?? Infinity) < detectionMs
  }

  async #bringBack(disk: Disk, volume: Volume, host: HostId): Promise<void> {
    disk.resyncing = true
    const { context, name } = this.#options
    const error = await this.#resyncOnce(disk, volume, host)
    if (error && !this.#ended.signal.aborted) {
      const waitMs = RESYNC_RETRY_MS[Math.min(disk.resyncTries++, RESYNC_RETRY_MS.length - 1)] ?? 10_000
      disk.notBeforeMs = context.clock.monotonicMs() + waitMs
      context.events.tell({
        kind: 'resync.failed',
        subject: `volume/${volume.id}`,
        message: `the replica of ${name} on ${host} could not be brought up to date: ${error.message}`,
        details: { host },
      })
    } else disk.resyncTries = 0
    disk.resyncing = false
  }

  async #resyncOnce(disk: Disk, volume: Volume, host: HostId): Promise<Failure | undefined> {
    const { context, guest, name, epoch, records } = this.#options
    const source =
      inSync(volume).find((replica) => replica.host === context.self && disk.legs.has(replica.host)) ??
      inSync(volume).find((replica) => disk.legs.has(replica.host))
    const target = replicaOn(volume, host)
    if (!source || !target) return undefined
    // From now on the replica may become a leg at any moment; the record must not promise less doubt than there is.
    const marked = await records.setReplica(volume.id, host, (replica) => ({ ...replica, state: 'syncing' }))
    if (marked.kind === 'deposed') return undefined
    context.events.tell({
      kind: 'resync.started',
      subject: `volume/${volume.id}`,
      message: `the replica of ${name} on ${host} is brought up to date from ${source.host}`,
      details: { host },
    })
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
        onAttached: (leg) => this.#watchLeg(disk, host, leg.endpoint),
        onBroken: (reason) => this.#giveUp(reason),
      },
    })
    if (!done.ok) {
      await records.setReplica(volume.id, host, (replica) =>
        replica.state === 'syncing' ? { ...replica, state: 'stale' } : replica,
      )
      return done.error
    }
    // One after the other with the loss of legs: a replica that has just been dropped again must not be called current.
    const recorded = await this.#surgery.run(async () =>
      disk.legs.has(host)
        ? records.changeVolume(volume.id, (record) => withCurrent(record, host, done.value.syncPoint))
        : undefined,
    )
    if (recorded?.kind !== 'recorded') return undefined
    if (isWhole(recorded.value)) await dropOldBitmaps(context, recorded.value)
    const replica = `the replica of ${name} on ${host}`
    const stood = `the guest stood still for ${done.value.pauseMs.toFixed(1)} ms`
    context.events.tell(...resyncFinished(volume.id, host, replica, stood, done.value))
    return undefined
  }

  /** Moves the sync point on: new bitmaps on all legs, wait for all requests in flight, flush, forget the old ones. */
  async #rotate(disk: Disk, volume: Volume): Promise<void> {
    const { context, guest, records } = this.#options
    disk.rotatedMs = context.clock.monotonicMs()
    disk.resyncing = true
    try {
      const replicas = inSync(volume)
      // All have the same bitmap; the one of this host needs no question to another one.
      const asked = replicas.find((replica) => replica.host === context.self) ?? replicas[0]
      if (!asked) return
      const info = await context.volumesOn(asked.host).inspect(volume.id, asked.pool)
      const dirtyBytes = info.ok
        ? (info.value.bitmaps.find((bitmap) => bitmap.name === volume.syncPoint)?.dirtyBytes ?? 0)
        : 0
      if (dirtyBytes < ROTATE_BYTES) return
      const point = nextSyncPoint(context)
      for (const replica of replicas)
        if (!(await context.volumesOn(replica.host).addBitmap(volume.id, replica.pool, point)).ok) return
      const flushed = await this.#surgery.run(() => context.guests.drainAndFlush(guest, volume.id))
      if (!flushed.ok || disk.legs.size !== replicas.length) return
      const recorded = await records.changeVolume(volume.id, (record) =>
        inSync(record).length === replicas.length ? { ...record, syncPoint: point } : record,
      )
      if (recorded.kind === 'recorded' && recorded.value.syncPoint === point)
        await dropOldBitmaps(context, recorded.value)
    } finally {
      disk.resyncing = false
    }
  }
}

export function exportNameOf(volume: VolumeId, epoch: number): string {
  return `vol-${volume}-e${epoch}`
}

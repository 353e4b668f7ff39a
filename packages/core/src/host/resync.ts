/**
 * Brings a stale replica up to date while the guest runs. Only blocks that the source's bitmaps name are copied,
 * pass after pass, each pass covering what the guest wrote during the one before; then the guest is paused for the
 * last few blocks, and the replica becomes a leg of its disk again. See docs/internals/mirror.md.
 */
import { failure } from '../errors.ts'
import type { GuestId } from '../model/ids.ts'
import { inSync } from '../model/records.ts'
import type { Replica, Volume } from '../model/volume.ts'
import type { Leg } from '../ports/guest-host.ts'
import type { ByteRange, CopyRequest, ExportAddress, ReplicaInfo, VolumeHost } from '../ports/volume-host.ts'
import { fail, ok, type Result } from '../result.ts'
import type { HostContext } from './host-context.ts'
import { copyTarget, legEndpoint } from './leg-paths.ts'

/** Passes with the guest running stop when one moved less than this, or after `PASSES_MAX`. */
const SMALL_PASS_BYTES = 1 << 20
const PASSES_MAX = 6
/** The guest stands still for the last pass; normally for some tens of milliseconds. */
const JOIN_MS_MAX = 1_500

export interface ResyncReport {
  readonly copiedBytes: number
  readonly passes: number
  /** How long the guest stood still for the last pass; 0 when it did not run. */
  readonly pauseMs: number
  readonly compared: boolean
  /** The new sync point, on both replicas since the moment they were equal. */
  readonly syncPoint: string
}

export interface ResyncJob {
  readonly context: HostContext
  readonly volume: Volume
  readonly epoch: number
  readonly source: Replica
  readonly target: Replica
  /** Present when the guest runs here: it is paused for the last pass and gets the replica as a leg. */
  readonly run?: {
    readonly guest: GuestId
    /** Whether the source is still a leg of the guest: one that was lost meanwhile must not be copied from. */
    readonly isCurrent: () => boolean
    /** Keeps other surgery on the guest away while the task runs. */
    readonly exclusively: <T>(task: () => Promise<T>) => Promise<T>
    /** The replica has just become a leg. */
    readonly onAttached: (leg: Leg) => void
    /**
     * The guest goes on with it: the record is to say so before anything else is done to its disks. Else another leg that
     * is lost at this moment would leave the volume without a current replica.
     */
    readonly onJoined: (syncPoint: string) => Promise<void>
    /**
     * Attaching has failed half-way: nobody knows which legs the guest has, so it must not go on. (To put a local leg
     * first, a current one is taken out for a moment.)
     */
    readonly onBroken: (reason: string) => void
    /**
     * The target takes the source's place instead of becoming one more leg. Copies the last blocks when nothing can be
     * written to the disk any more, and resolves to how long the guest stood still, in ms.
     */
    readonly takePlace?: (lastPass: () => Promise<Result<void>>) => Promise<Result<number>>
  }
  readonly signal: AbortSignal
}

/**
 * Runs the whole copy. The record is the caller's: `syncing` must be written before, `in-sync` with the new sync
 * point after. On failure everything that was dirty is dirty still, so that a later job misses nothing.
 */
export async function resync(job: ResyncJob): Promise<Result<ResyncReport>> {
  return new Resync(job).run()
}

/** Name of the next sync point. Recognisable as one of this volume's, unique for ever. */
export function nextSyncPoint(context: HostContext): string {
  return `sp-${context.random.uuid().replaceAll('-', '').slice(0, 12)}`
}

class Resync {
  readonly #job: ResyncJob
  readonly #source: VolumeHost
  readonly #target: VolumeHost
  readonly #nextPoint: string
  readonly #late = new AbortController()
  #copiedBytes = 0
  #passes = 0

  constructor(job: ResyncJob) {
    this.#job = job
    this.#source = job.context.volumesOn(job.source.host)
    this.#target = job.context.volumesOn(job.target.host)
    this.#nextPoint = nextSyncPoint(job.context)
  }

  async run(): Promise<Result<ResyncReport>> {
    const { volume, source, target, epoch } = this.#job
    const sourceInfo = await this.#source.inspect(volume.id, source.pool)
    if (!sourceInfo.ok) return sourceInfo
    const targetInfo = await this.#target.inspect(volume.id, target.pool)
    if (!targetInfo.ok) return targetInfo
    const freed = this.#job.run ? ok() : await this.#freeSmaller(sourceInfo.value)
    if (!freed.ok) return freed
    const full = mustCompare(volume, target, sourceInfo.value, targetInfo.value)
    const extra = full ? ok<readonly ByteRange[]>([]) : await this.#writesOnlyTheTargetHas(targetInfo.value)
    if (!extra.ok) return extra
    const exported = await this.#target.exportAsTarget({
      volume: volume.id,
      pool: target.pool,
      epoch,
      sizeBytes: volume.sizeBytes,
    })
    if (!exported.ok) return exported
    const dirty = await this.#copyWhileRunning(sourceInfo.value, extra.value, full, exported.value)
    if (!dirty.ok) return dirty
    const joined = await this.#join(dirty.value)
    if (!joined.ok) return joined
    return ok({
      copiedBytes: this.#copiedBytes,
      passes: this.#passes,
      pauseMs: joined.value,
      compared: full,
      syncPoint: this.#nextPoint,
    })
  }

  /** The volume was enlarged since the last run, whose export keeps its replica from following. */
  async #freeSmaller({ sizeBytes, exports }: ReplicaInfo): Promise<Result<void>> {
    const { volume, source } = this.#job
    for (const name of sizeBytes < volume.sizeBytes ? exports : []) {
      const revoked = await this.#source.revokeExport(volume.id, source.pool, name)
      if (!revoked.ok) return revoked
    }
    return ok()
  }

  async #writesOnlyTheTargetHas(info: ReplicaInfo): Promise<Result<readonly ByteRange[]>> {
    const { volume, target } = this.#job
    if (target.stale?.cause !== 'run-lost') return ok([])
    const ranges: ByteRange[] = []
    for (const bitmap of info.bitmaps) {
      const found = await this.#target.dirtyRanges(volume.id, target.pool, bitmap.name)
      if (!found.ok) return found
      ranges.push(...found.value)
    }
    return ok(ranges)
  }

  /** Returns the name of the bitmap that records now: what the last pass has to look at. */
  async #copyWhileRunning(
    info: ReplicaInfo,
    extra: readonly ByteRange[],
    full: boolean,
    address: ExportAddress,
  ): Promise<Result<string>> {
    const { volume, source, signal, epoch } = this.#job
    let recording = info.bitmaps.find((bitmap) => bitmap.recording)?.name
    // What an earlier job or an interrupted rotation has left also names what the target lacks, recording or not.
    const older = info.bitmaps.filter((bitmap) => bitmap.name !== recording)
    const pending: ByteRange[] = [...extra]
    for (const bitmap of full ? [] : older) {
      const found = await this.#source.dirtyRanges(volume.id, source.pool, bitmap.name)
      if (!found.ok) return found
      pending.push(...found.value)
    }
    let everything = full
    for (;;) {
      if (signal.aborted) return fail(failure('conflict', 'The resync was called off'))
      const next = `${this.#nextPoint}-${this.#passes + 1}`
      const turned = await this.#source.addBitmap(volume.id, source.pool, next, recording, epoch)
      if (!turned.ok) return turned
      const select: CopyRequest['select'] =
        everything || recording === undefined ? 'all' : { bitmap: recording, extra: pending.splice(0) }
      const copied = await this.#copy(select, everything, address)
      if (!copied.ok) return copied
      everything = false
      recording = next
      if (copied.value < SMALL_PASS_BYTES || this.#passes >= PASSES_MAX) return ok(recording)
    }
  }

  async #copy(select: CopyRequest['select'], compare: boolean, address: ExportAddress): Promise<Result<number>> {
    const { volume, source, target, epoch, signal, context } = this.#job
    const copied = await this.#source.copy(
      {
        volume: volume.id,
        pool: source.pool,
        epoch,
        select,
        compare,
        sizeBytes: volume.sizeBytes,
        target: copyTarget(context.mirror.state, source.host, target, address),
      },
      () => undefined,
      AbortSignal.any([signal, this.#late.signal]),
    )
    if (!copied.ok) return copied
    this.#passes += 1
    this.#copiedBytes += copied.value.copiedBytes
    return ok(copied.value.copiedBytes)
  }

  /** The last pass, with the guest standing still. Returns the pause in ms. */
  async #join(dirty: string): Promise<Result<number>> {
    const { volume, target, epoch, run, context, signal } = this.#job
    const exported = await this.#target.exportToGuest({
      volume: volume.id,
      pool: target.pool,
      epoch,
      // Of what takes its source's place the others' sync point stays.
      syncPoint: run?.takePlace ? volume.syncPoint : this.#nextPoint,
      rejoining: true,
      sizeBytes: volume.sizeBytes,
    })
    if (!exported.ok) return exported
    if (signal.aborted) return fail(failure('conflict', 'The resync was called off'))
    if (!run) {
      const passed = await this.#lastPass(dirty, exported.value)
      // What an ended run had not flushed would be lost with the source's power, and the target has it for good.
      const flushed = passed.ok ? await this.#source.flush(volume.id, this.#job.source.pool) : passed
      return flushed.ok ? ok(0) : flushed
    }
    if (run.takePlace) return this.#takePlace(run, run.takePlace, dirty, exported.value)
    const { guest } = run
    const { guests, clock } = context
    const leg = {
      host: target.host,
      endpoint: await legEndpoint(context, target.host, exported.value),
      exportName: exported.value.exportName,
      local: target.host === context.self,
    }
    const prepared = await guests.prepareLeg(guest, volume.id, leg)
    if (!prepared.ok) return prepared
    const joined = await run.exclusively(async (): Promise<Result<number>> => {
      if (!run.isCurrent()) return fail(failure('conflict', 'The source was lost meanwhile'))
      const startedMs = clock.monotonicMs()
      // A target that hangs now must not hold the guest for long.
      void clock.sleep(JOIN_MS_MAX).then(() => this.#late.abort())
      const paused = await guests.pause(guest)
      if (!paused.ok) return paused
      // The sync point moves on with this pass: what the other legs have not flushed by then no bitmap would name.
      const flushed = await guests.drainAndFlush(guest, volume.id)
      const passed = flushed.ok ? await this.#lastPass(dirty, exported.value) : flushed
      const attached = passed.ok ? await guests.attachLeg(guest, volume.id, target.host) : passed
      if (passed.ok && !attached.ok) {
        run.onBroken(`the replica on ${target.host} could not be attached: ${attached.error.message}`)
        return attached
      }
      if (attached.ok) run.onAttached(leg)
      const resumed = await guests.resume(guest)
      if (!attached.ok) return attached
      if (!resumed.ok) return resumed
      const pauseMs = clock.monotonicMs() - startedMs
      await run.onJoined(this.#nextPoint)
      return ok(pauseMs)
    })
    if (!joined.ok) {
      await guests.discardLeg(guest, volume.id, target.host)
      await this.#target.revokeExport(volume.id, target.pool, exported.value.exportName)
    }
    return joined
  }

  async #takePlace(
    run: NonNullable<ResyncJob['run']>,
    takePlace: NonNullable<NonNullable<ResyncJob['run']>['takePlace']>,
    dirty: string,
    exported: ExportAddress,
  ): Promise<Result<number>> {
    return run.exclusively(async () => {
      void this.#job.context.clock.sleep(JOIN_MS_MAX).then(() => this.#late.abort())
      const lastPass = () => this.#lastPass(dirty, exported)
      return run.isCurrent() ? takePlace(lastPass) : fail(failure('conflict', 'A replica was lost meanwhile'))
    })
  }

  async #lastPass(dirty: string, address: ExportAddress): Promise<Result<void>> {
    const { volume, source, epoch } = this.#job
    const turned = await this.#source.addBitmap(volume.id, source.pool, this.#nextPoint, dirty, epoch)
    if (!turned.ok) return turned
    const copied = await this.#copy({ bitmap: dirty, extra: [] }, false, address)
    return copied.ok ? ok() : copied
  }
}

/** Forgets all bitmaps of an in-sync volume but the sync point's, once the record names it. */
export async function dropOldBitmaps(context: HostContext, volume: Volume, epoch: number): Promise<void> {
  for (const { host, pool } of inSync(volume)) {
    const volumes = context.volumesOn(host)
    const info = await volumes.inspect(volume.id, pool)
    for (const bitmap of info.ok ? info.value.bitmaps : []) {
      if (bitmap.name === volume.syncPoint) continue
      const removed = await volumes.removeBitmap(volume.id, pool, bitmap.name, epoch)
      // A bitmap too many costs a little memory and makes the next resync copy more; it harms nothing.
      if (!removed.ok)
        context.log.warn('an old bitmap stays', { volume: volume.id, bitmap: bitmap.name, cause: removed.error })
    }
  }
}

/** True when no bitmap can tell all that the target lacks or has too much. */
function mustCompare(volume: Volume, target: Replica, sourceInfo: ReplicaInfo, targetInfo: ReplicaInfo): boolean {
  const has = (info: ReplicaInfo) => info.bitmaps.some((bitmap) => bitmap.name === volume.syncPoint)
  if (!has(sourceInfo)) return true
  switch (target.stale?.cause) {
    case 'leg-lost':
      return false
    case 'run-lost':
      return !has(targetInfo)
    default:
      return true
  }
}

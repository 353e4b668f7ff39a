/**
 * The port `VolumeHost` in memory: epochs, exports, bitmaps and content as the real one has them, without
 * processes. What a guest or a resync does through an export is done here by `writeThrough`.
 */
import { failure } from '@stead/core/errors.ts'
import {
  isBesideRun,
  isStillServed,
  objectionToOpening,
  notServedSince,
  objectionToServed,
  objectionToTurning,
  type Purpose,
  type ReplicaGrant,
} from '@stead/core/ha/export-gate.ts'
import type { BlobId, VolumeId } from '@stead/core/model/ids.ts'
import type { SnapshotId } from '@stead/core/model/snapshot.ts'
import type {
  BitmapInfo,
  ByteRange,
  CopyProgress,
  CopyRequest,
  ExportAddress,
  ReplicaInfo,
  ReplicaSpec,
  VolumeHost,
} from '@stead/core/ports/volume-host.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import {
  forgetPrepared,
  forgetUnsealed,
  isLayered,
  MemorySnapshots,
  type Kept,
  type SnapshottedReplica,
} from './memory-snapshots.ts'
import { equalBlocks, rangesOf, ReplicaContent } from './replica-content.ts'

/** Of the first pool; each has one of its own. */
export const FIRST_PORT = 10_809

/** Granularity of bitmaps and digests, as in the real one. */
export const BLOCK_BYTES = 64 * 1024

/** How a copy reaches the other host's replica: over a network that may be slow, cut or gone. Blocks end where zeros begin. */
/** A copy is connected to one export: after it was made again, what is still on its way is lost. */
export interface CopyTarget {
  instanceOf(volume: VolumeId, pool: string, exportName: string): number | undefined
  write(
    volume: VolumeId,
    pool: string,
    exportName: string,
    block: number,
    bytes: Uint8Array,
    instance: number,
  ): Promise<Result<void>>
  read(volume: VolumeId, pool: string, block: number): Promise<Result<Uint8Array>>
  flush(volume: VolumeId, pool: string, exportName: string): Promise<Result<void>>
}

export interface MemoryVolumeHostOptions {
  readonly host: string
  /** Names of the pools. */
  readonly pools: readonly string[]
  readonly capacityBytes: number
  /** What one bit of a dirty bitmap stands for; `BLOCK_BYTES` when absent. */
  readonly blockBytes?: number
  /** The granted epoch of the volume's guest and whether the record calls this replica in-sync, read linearizably. */
  /** The snapshot that the volume's record wants it rolled back to. Absent: none ever. */
  readonly readRollBack?: (volume: VolumeId) => Promise<Result<SnapshotId | undefined>>
  readonly readEpoch: (volume: VolumeId, pool: string) => Promise<Result<ReplicaGrant>>
  readonly copyTarget: (host: string) => CopyTarget | undefined
  /** The raw content of a blob that new replicas may start from. */
  readonly blob?: (id: BlobId) => Uint8Array | undefined
  /** SHA-256, base64; `sim` has no cryptography of its own. */
  readonly digest: (bytes: Uint8Array) => Promise<string>
}

interface Bitmap {
  readonly dirty: Set<number>
  recording: boolean
}

interface Export {
  readonly epoch: number
  readonly sync: boolean
  /** Tells it from an earlier one of the same name: connections to that one are dead. */
  readonly instance: number
}

interface Replica extends SnapshottedReplica {
  /** Beyond its size. */
  reservedBytes?: number
  readonly bitmaps: Map<string, Bitmap>
  /** Export name to the epoch it carries. */
  readonly exports: Map<string, Export>
}

export class MemoryVolumeHost implements VolumeHost {
  readonly #options: MemoryVolumeHostOptions
  readonly #blockBytes: number
  /** By pool, then by volume: asked for so often that a key made of both would cost more than two look-ups. */
  readonly #pools: ReadonlyMap<string, Map<VolumeId, Replica>>
  readonly #snapshots: MemorySnapshots
  #nextInstance = 1

  constructor(options: MemoryVolumeHostOptions) {
    this.#options = options
    this.#blockBytes = options.blockBytes ?? BLOCK_BYTES
    this.#pools = new Map(options.pools.map((pool) => [pool, new Map()]))
    this.#snapshots = new MemorySnapshots({
      find: (volume, pool) => this.#find(volume, pool),
      pools: this.#pools,
      hasRoom: (bytes) => this.#hasRoom(bytes),
      revokeAll: (volume, pool) => {
        const replica = this.#pools.get(pool)?.get(volume)
        replica?.exports.clear()
        replica?.bitmaps.clear()
      },
      readTarget: async (volume) => options.readRollBack?.(volume) ?? ok(undefined),
    })
  }

  /**
   * The storage daemon ends: exports and bitmaps are gone, the content stays. Of a replica with layers the daemon had in its
   * memory where they hold what; it was written down with the last flush. Returns the volumes that have layers.
   */
  loseDaemon(isKept: () => boolean): readonly VolumeId[] {
    const layered: VolumeId[] = []
    for (const replicas of this.#pools.values())
      for (const [volume, replica] of replicas) {
        if (isLayered(replica)) {
          replica.content.losePower(isKept)
          layered.push(volume)
        }
        replica.bitmaps.clear()
        replica.exports.clear()
        forgetPrepared(replica)
      }
    return layered
  }

  /** Which export of that name it is; undefined when there is none. */
  exportInstance(volume: VolumeId, pool: string, exportName: string): number | undefined {
    return this.#pools.get(pool)?.get(volume)?.exports.get(exportName)?.instance
  }

  /** What a client of the export writes; `storage` once the export is revoked. */
  writeThrough(volume: VolumeId, pool: string, exportName: string, offset: number, bytes: Uint8Array): Result<void> {
    const replica = this.#served(volume, pool, exportName)
    if (!replica.ok) return replica
    if (offset < 0 || offset + bytes.length > replica.value.sizeBytes)
      return fail(failure('storage', 'The write is beyond the end'))
    replica.value.content.write(offset, bytes)
    const last = Math.floor((offset + Math.max(bytes.length, 1) - 1) / this.#blockBytes)
    for (let block = Math.floor(offset / this.#blockBytes); block <= last; block++) markDirty(replica.value, block)
    return ok()
  }

  /** Which of the exports that had this name it is; undefined when there is none. */
  instanceOf(volume: VolumeId, pool: string, exportName: string): number | undefined {
    const found = this.#find(volume, pool)
    return found.ok ? found.value.exports.get(exportName)?.instance : undefined
  }

  /** A whole block, as a resync writes it: the bytes, then zeros. */
  writeBlockThrough(
    volume: VolumeId,
    pool: string,
    exportName: string,
    block: number,
    bytes: Uint8Array,
    instance?: number,
  ): Result<void> {
    const replica = this.#served(volume, pool, exportName)
    if (!replica.ok) return replica
    if (instance !== undefined && this.instanceOf(volume, pool, exportName) !== instance)
      return fail(failure('storage', `The connection to ${exportName} is dead`))
    if (block * this.#blockBytes >= replica.value.sizeBytes)
      return fail(failure('storage', 'The write is beyond the end'))
    replica.value.content.setBlock(block, bytes)
    markDirty(replica.value, block)
    return ok()
  }

  /** What a client of the export flushes: all that the replica has been sent lasts from now on. */
  flushThrough(volume: VolumeId, pool: string, exportName: string): Result<void> {
    const replica = this.#served(volume, pool, exportName)
    if (!replica.ok) return replica
    replica.value.content.flush()
    return ok()
  }

  /** What a client of the export reads. */
  readThrough(volume: VolumeId, pool: string, exportName: string, range: ByteRange): Result<Uint8Array> {
    const replica = this.#served(volume, pool, exportName)
    return replica.ok ? ok(replica.value.content.slice(range.offset, range.offset + range.length)) : replica
  }

  /** What the replica holds, not copied: for those who only look. Undefined when there is none. */
  contentOf(volume: VolumeId, pool: string): ReplicaContent | undefined {
    return this.#pools.get(pool)?.get(volume)?.content
  }

  /** What a snapshot holds, for those who only look. Undefined when it is not here, or not yet for good. */
  snapshotOf(volume: VolumeId, pool: string, snapshot: SnapshotId): ReplicaContent | undefined {
    const kept = this.keptOf(volume, pool, snapshot)
    return kept?.sealed ? kept.content : undefined
  }

  /** What the replica keeps of a snapshot, whatever state that is in. */
  keptOf(volume: VolumeId, pool: string, snapshot: SnapshotId): Kept | undefined {
    const replica = this.#pools.get(pool)?.get(volume)
    return replica?.kept.find((each) => each.snapshot === snapshot)
  }

  /** The host loses its power: what was not flushed is kept or not, as chance has it. */
  losePower(isKept: () => boolean): void {
    this.loseDaemon(isKept)
    for (const replica of this.#all()) {
      replica.content.losePower(isKept)
      replica.keptEpochs = []
      forgetUnsealed(replica)
    }
  }

  async createReplica(
    spec: ReplicaSpec,
    content?: { readonly blob: BlobId; readonly format: 'raw' | 'qcow2' },
  ): Promise<Result<void>> {
    const replicas = this.#pools.get(spec.pool)
    if (!replicas) return fail(failure('not_found', `There is no pool ${spec.pool}`))
    const present = replicas.get(spec.volume)
    if (present?.sizeBytes === spec.sizeBytes) return ok()
    if (present) return fail(failure('conflict', `Volume ${spec.volume} exists with ${present.sizeBytes} bytes`))
    if (!this.#hasRoom(spec.sizeBytes)) return fail(failure('no_capacity', 'The pool is full'))
    const start = content?.format === 'raw' ? this.#options.blob?.(content.blob) : undefined
    if (content && !start)
      return fail(failure('invalid_image', `${this.#options.host} has no raw blob ${content.blob}`))
    if (start && start.length > spec.sizeBytes)
      return fail(failure('invalid_image', 'The image is larger than the disk'))
    const bytes = new ReplicaContent(spec.sizeBytes, this.#blockBytes)
    if (start) bytes.write(0, start)
    bytes.flush()
    this.adopt(spec.volume, spec.pool, bytes)
    return ok()
  }

  /** What is on disk already becomes a replica. */
  protected adopt(volume: VolumeId, pool: string, content: ReplicaContent): void {
    const empty = { bitmaps: new Map(), exports: new Map(), kept: [], keptEpochs: [], debtBytes: 0 }
    this.#pools.get(pool)?.set(volume, { sizeBytes: content.sizeBytes, content, ...empty })
  }

  async reserveReplica({ volume, pool, sizeBytes }: ReplicaSpec): Promise<Result<void>> {
    const found = this.#find(volume, pool)
    if (!found.ok) return found
    const replica = found.value
    replica.reservedBytes = 0
    if (sizeBytes <= replica.sizeBytes) return ok()
    if (!this.#hasRoom(sizeBytes - replica.sizeBytes)) return fail(failure('no_capacity', 'The pool is full'))
    replica.reservedBytes = sizeBytes - replica.sizeBytes
    return ok()
  }

  async removeReplica(volume: VolumeId, pool: string): Promise<Result<void>> {
    this.#pools.get(pool)?.get(volume)?.exports.clear()
    this.#pools.get(pool)?.delete(volume)
    return ok()
  }

  async exportToGuest(
    request: Parameters<VolumeHost['exportToGuest']>[0],
  ): Promise<Result<ExportAddress & { readonly bitmapIsNew: boolean; readonly revoked: readonly string[] }>> {
    const { volume, epoch, syncPoint, rejoining } = request
    const found = await this.#openAt(request, rejoining ? 'rejoin' : 'serve')
    if (!found.ok) return found
    const { replica, granted } = found.value
    const exportName = `vol-${volume}-e${epoch}`
    const isServed = replica.exports.has(exportName)
    const revoked = revoke(replica, (_, carried) => carried.sync || !isStillServed(granted, carried.epoch))
    const isKept = isBesideRun(granted, epoch) || (isServed && replica.bitmaps.has(syncPoint))
    const bitmapIsNew = !isKept && ensureRecording(replica, syncPoint)
    const isInUse = [...replica.exports.values()].some(({ sync }) => !sync)
    if (!isInUse) grow(replica, request.sizeBytes)
    if (!isServed) {
      replica.content.flush()
      replica.keptEpochs = isLayered(replica) ? [] : [...replica.keptEpochs.filter(isServedAt(replica)), epoch]
      replica.exports.set(exportName, { epoch, sync: false, instance: this.#nextInstance++ })
    }
    return ok({ ...this.#address(exportName, request.pool), bitmapIsNew, revoked })
  }

  async serveAnew(request: Parameters<VolumeHost['serveAnew']>[0]): Promise<Result<ExportAddress>> {
    const { volume, epoch } = request
    const found = await this.#openAt(request, 'serve')
    if (!found.ok) return found
    const { replica } = found.value
    const exportName = `vol-${volume}-e${epoch}`
    if (!replica.exports.has(exportName)) return fail(notServedSince(volume, epoch))
    replica.content.flush()
    grow(replica, request.sizeBytes)
    replica.exports.set(exportName, { epoch, sync: false, instance: this.#nextInstance++ })
    return ok(this.#address(exportName, request.pool))
  }

  async exportAsTarget(request: Parameters<VolumeHost['exportAsTarget']>[0]): Promise<Result<ExportAddress>> {
    const found = await this.#openAt(request, request.forSnapshots ? 'give-snapshots' : 'overwrite')
    if (!found.ok) return found
    const exportName = `vol-${request.volume}-e${request.epoch}-sync`
    const { replica } = found.value
    revoke(replica, () => true)
    grow(replica, request.sizeBytes)
    replica.exports.set(exportName, { epoch: request.epoch, sync: true, instance: this.#nextInstance++ })
    return ok(this.#address(exportName, request.pool))
  }

  async revokeBelow(volume: VolumeId, pool: string, epoch: number): Promise<Result<readonly string[]>> {
    const replica = this.#pools.get(pool)?.get(volume)
    return ok(replica ? revoke(replica, (_, older) => older.epoch < epoch) : [])
  }

  async revokeExport(volume: VolumeId, pool: string, exportName: string): Promise<Result<void>> {
    this.#pools.get(pool)?.get(volume)?.exports.delete(exportName)
    return ok()
  }

  async inspect(volume: VolumeId, pool: string): Promise<Result<ReplicaInfo>> {
    const found = this.#find(volume, pool)
    if (!found.ok) return found
    const { sizeBytes, bitmaps, exports, keptEpochs } = found.value
    const infos = [...bitmaps].map(([name, bitmap]): BitmapInfo => ({
      name,
      dirtyBytes: bitmap.dirty.size * this.#blockBytes,
      recording: bitmap.recording,
    }))
    return ok({ volume, pool, sizeBytes, bitmaps: infos, exports: [...exports.keys()], keptEpochs })
  }

  async dirtyBytes(volume: VolumeId, pool: string, bitmap: string): Promise<Result<number>> {
    const info = await this.inspect(volume, pool)
    if (!info.ok) return info
    return ok(info.value.bitmaps.find(({ name }) => name === bitmap)?.dirtyBytes ?? 0)
  }

  async addBitmap(
    volume: VolumeId,
    pool: string,
    name: string,
    disable?: string,
    epoch?: number,
  ): Promise<Result<void>> {
    const found = this.#turnable(volume, pool, epoch)
    if (!found.ok) return found
    const { bitmaps } = found.value
    const old = disable === undefined ? undefined : bitmaps.get(disable)
    const isDone = bitmaps.get(name)?.recording === true && (disable === undefined || old?.recording === false)
    if (isDone) return ok()
    if (bitmaps.has(name)) return fail(failure('storage', `The bitmap ${name} exists already`))
    if (disable !== undefined && !old) return fail(failure('storage', `There is no bitmap ${disable}`))
    if (old && !old.recording) return fail(failure('conflict', `The bitmap ${disable} was turned by somebody else`))
    if (old) old.recording = false
    bitmaps.set(name, { dirty: new Set(), recording: true })
    return ok()
  }

  async removeBitmap(volume: VolumeId, pool: string, name: string, epoch?: number): Promise<Result<void>> {
    const found = this.#turnable(volume, pool, epoch)
    if (found.ok) found.value.bitmaps.delete(name)
    return found.ok ? ok() : found
  }

  #turnable(volume: VolumeId, pool: string, epoch: number | undefined): Result<Replica> {
    const found = this.#find(volume, pool)
    if (!found.ok) return found
    const served = [...found.value.exports.values()].map((each) => each.epoch)
    const objection = objectionToTurning(volume, epoch, served)
    return objection ? fail(objection) : found
  }

  async dirtyRanges(volume: VolumeId, pool: string, bitmap: string): Promise<Result<readonly ByteRange[]>> {
    const found = this.#find(volume, pool)
    if (!found.ok) return found
    const dirty = found.value.bitmaps.get(bitmap)?.dirty
    return dirty
      ? ok(rangesOf(dirty, found.value.sizeBytes, this.#blockBytes))
      : fail(failure('storage', `There is no bitmap ${bitmap}`))
  }

  /** Stops at once when it is told to, though a block may be under way and still arrive. */
  async copy(
    request: CopyRequest,
    onProgress: (progress: CopyProgress) => void,
    signal: AbortSignal,
  ): Promise<Result<CopyProgress>> {
    const stopped = new Promise<Result<never>>((resolve) => {
      const stop = () => resolve(fail(failure('conflict', 'The copy was stopped', { cause: signal.reason })))
      if (signal.aborted) stop()
      else signal.addEventListener('abort', stop, { once: true })
    })
    return Promise.race([this.#copyBlocks(request, onProgress, signal), stopped])
  }

  async #copyBlocks(
    request: CopyRequest,
    onProgress: (progress: CopyProgress) => void,
    signal: AbortSignal,
  ): Promise<Result<CopyProgress>> {
    const { volume, pool, epoch, select, compare, target, snapshot } = request
    const isPresent = snapshot === undefined
    const opened = isPresent ? await this.#openAt({ volume, pool, epoch }, 'copy-from') : ok()
    const found = opened.ok ? this.#find(volume, pool) : opened
    if (!found.ok) return found
    const replica = found.value
    const content = isPresent ? replica.content : this.snapshotOf(volume, pool, snapshot)
    if (!content) return fail(failure('not_found', `Pool ${pool} has no such snapshot`))
    const peer = this.#options.copyTarget(target.host)
    if (!peer) return fail(failure('host_unreachable', `The host ${target.host} cannot be reached`))
    const instance = peer.instanceOf(volume, target.pool, target.exportName)
    if (instance === undefined) return fail(failure('storage', `The export ${target.exportName} does not exist`))
    if (isPresent && replica.exports.size === 0) grow(replica, request.sizeBytes)
    const selected = this.#selected(replica, select)
    if (!selected.ok) return selected
    const blocks: number[] = []
    for (const block of [...selected.value].sort((a, b) => a - b)) {
      if (compare) {
        const theirs = await peer.read(volume, target.pool, block)
        if (!theirs.ok) return theirs
        if (equalBlocks(theirs.value, content.block(block))) continue
      }
      blocks.push(block)
    }
    const lengthOf = (block: number) => Math.min(this.#blockBytes, content.sizeBytes - block * this.#blockBytes)
    const totalBytes = blocks.reduce((sum, block) => sum + lengthOf(block), 0)
    let copiedBytes = 0
    for (const block of blocks) {
      if (signal.aborted) return fail(failure('conflict', 'The copy was stopped', { cause: signal.reason }))
      const written = await peer.write(volume, target.pool, target.exportName, block, content.block(block), instance)
      if (!written.ok) return written
      copiedBytes += lengthOf(block)
      onProgress({ copiedBytes, totalBytes })
    }
    const flushed = await peer.flush(volume, target.pool, target.exportName)
    if (!flushed.ok) return flushed
    return signal.aborted ? fail(failure('conflict', 'The copy was stopped')) : ok({ copiedBytes, totalBytes })
  }

  async flush(volume: VolumeId, pool: string): Promise<Result<void>> {
    const found = this.#find(volume, pool)
    if (found.ok) found.value.content.flush()
    return found.ok ? ok() : found
  }

  async digests(volume: VolumeId, pool: string, range: ByteRange): Promise<Result<readonly string[]>> {
    const found = this.#find(volume, pool)
    if (!found.ok) return found
    if (range.offset < 0 || range.offset % BLOCK_BYTES !== 0 || range.offset >= found.value.sizeBytes)
      return fail(failure('bad_request', `A range starts at a multiple of ${BLOCK_BYTES} inside the volume`))
    const end = Math.min(found.value.sizeBytes, range.offset + range.length)
    const digests: string[] = []
    for (let offset = range.offset; offset < end; offset += BLOCK_BYTES) {
      digests.push(await this.#options.digest(found.value.content.slice(offset, Math.min(end, offset + BLOCK_BYTES))))
    }
    return ok(digests)
  }

  prepareSnapshot(...request: Parameters<VolumeHost['prepareSnapshot']>): ReturnType<VolumeHost['prepareSnapshot']> {
    return this.#snapshots.prepareSnapshot(...request)
  }

  cutSnapshot(...request: Parameters<VolumeHost['cutSnapshot']>): ReturnType<VolumeHost['cutSnapshot']> {
    return this.#snapshots.cutSnapshot(...request)
  }

  sealSnapshot(...request: Parameters<VolumeHost['sealSnapshot']>): ReturnType<VolumeHost['sealSnapshot']> {
    return this.#snapshots.sealSnapshot(...request)
  }

  releaseSnapshot(...request: Parameters<VolumeHost['releaseSnapshot']>): ReturnType<VolumeHost['releaseSnapshot']> {
    return this.#snapshots.releaseSnapshot(...request)
  }

  mergeLayers(...request: Parameters<VolumeHost['mergeLayers']>): ReturnType<VolumeHost['mergeLayers']> {
    return this.#snapshots.mergeLayers(...request)
  }

  rollBackReplica(...request: Parameters<VolumeHost['rollBackReplica']>): ReturnType<VolumeHost['rollBackReplica']> {
    return this.#snapshots.rollBackReplica(...request)
  }

  heldSnapshots(...request: Parameters<VolumeHost['heldSnapshots']>): ReturnType<VolumeHost['heldSnapshots']> {
    return this.#snapshots.heldSnapshots(...request)
  }

  /** Each snapshot may come to take as much as its volume. */
  #hasRoom(bytes: number): boolean {
    let taken = 0
    for (const { sizeBytes, kept, reservedBytes } of this.#all())
      taken += sizeBytes * (1 + kept.length) + (reservedBytes ?? 0)
    return taken + bytes <= this.#options.capacityBytes
  }

  #selected(replica: Replica, select: CopyRequest['select']): Result<ReadonlySet<number>> {
    const blocks = new Set<number>()
    if (select === 'all') {
      for (let block = 0; block * this.#blockBytes < replica.sizeBytes; block++) blocks.add(block)
      return ok(blocks)
    }
    const bitmap = replica.bitmaps.get(select.bitmap)
    if (!bitmap) return fail(failure('not_found', `There is no bitmap ${select.bitmap}`))
    if (bitmap.recording) return fail(failure('conflict', `The bitmap ${select.bitmap} still records`))
    for (const block of bitmap.dirty) blocks.add(block)
    for (const { offset, length } of select.extra) {
      for (let at = Math.floor(offset / this.#blockBytes); at * this.#blockBytes < offset + length; at++) blocks.add(at)
    }
    return ok(blocks)
  }

  async #openAt(
    request: { readonly volume: VolumeId; readonly pool: string; readonly epoch: number },
    purpose: Purpose,
  ): Promise<Result<{ readonly replica: Replica; readonly granted: ReplicaGrant }>> {
    const { volume, pool, epoch } = request
    // The volume must be here before and after the store was asked: a daemon may end meanwhile.
    const before = this.#find(volume, pool)
    if (!before.ok) return before
    const granted = await this.#options.readEpoch(volume, pool)
    if (!granted.ok) return granted
    const objection = objectionToOpening(volume, granted.value, epoch, purpose)
    if (objection) return fail(objection)
    const found = this.#find(volume, pool)
    if (!found.ok) return found
    // The real one asks under a lock that the removal and a new making take as well.
    if (found.value !== before.value)
      return fail(failure('not_found', `Pool ${pool} has no replica of volume ${volume}`))
    const served = [...found.value.exports.values()].map((each) => each.epoch)
    const outdated = objectionToServed(volume, granted.value, epoch, served)
    return outdated ? fail(outdated) : ok({ replica: found.value, granted: granted.value })
  }

  #served(volume: VolumeId, pool: string, exportName: string): Result<Replica> {
    const replica = this.#pools.get(pool)?.get(volume)
    return replica?.exports.has(exportName)
      ? ok(replica)
      : fail(failure('storage', `The export ${exportName} does not exist`))
  }

  #find(volume: VolumeId, pool: string): Result<Replica> {
    const replicas = this.#pools.get(pool)
    if (!replicas) return fail(failure('not_found', `There is no pool ${pool}`))
    const replica = replicas.get(volume)
    return replica
      ? ok(replica)
      : fail(failure('not_found', `${this.#options.host} has no replica of ${volume} in ${pool}`))
  }

  *#all(): Generator<Replica> {
    for (const replicas of this.#pools.values()) yield* replicas.values()
  }

  #address(exportName: string, pool: string): ExportAddress {
    return { exportName, loopback: '127.0.0.1', port: FIRST_PORT + this.#options.pools.indexOf(pool) }
  }
}

/**
 * Makes the bitmap record. True when it holds no history, so that older changes are unknown. One that a resync had
 * disabled takes over what its successors recorded: they begin where it ended.
 */
function ensureRecording({ bitmaps }: Replica, name: string): boolean {
  const present = bitmaps.get(name)
  if (present?.recording) return false
  const others = [...bitmaps].filter(([other]) => other !== name)
  if (present && others.some(([, bitmap]) => bitmap.recording)) {
    present.recording = true
    for (const [other, { dirty }] of others) {
      for (const block of dirty) present.dirty.add(block)
      bitmaps.delete(other)
    }
    return false
  }
  bitmaps.set(name, { dirty: new Set(), recording: true })
  return true
}

function grow(replica: Replica, sizeBytes: number | undefined): void {
  if (sizeBytes === undefined || sizeBytes <= replica.sizeBytes) return
  replica.sizeBytes = sizeBytes
  replica.content.sizeBytes = sizeBytes
  replica.reservedBytes = 0
}

function revoke(replica: Replica, which: (name: string, carried: Export) => boolean): readonly string[] {
  const names = [...replica.exports].filter(([name, carried]) => which(name, carried)).map(([name]) => name)
  for (const name of names) replica.exports.delete(name)
  return names
}

function isServedAt({ exports }: Replica): (epoch: number) => boolean {
  const served = new Set([...exports.values()].map(({ epoch }) => epoch))
  return (epoch) => served.has(epoch)
}

function markDirty({ bitmaps }: Replica, block: number): void {
  for (const bitmap of bitmaps.values()) if (bitmap.recording) bitmap.dirty.add(block)
}

/** The port `VolumeHost` on this host's own pools, each served by one qemu-storage-daemon. */
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
import type { VolumeContent } from '@stead/core/model/volume.ts'
import type { SnapshotId } from '@stead/core/model/snapshot.ts'
import type {
  ByteRange,
  CopyProgress,
  CopyRequest,
  ExportAddress,
  ReplicaInfo,
  ReplicaSpec,
  VolumeHost,
} from '@stead/core/ports/volume-host.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import { NbdClient } from '../nbd/nbd-client.ts'
import { BITMAP_DIRTY } from '../nbd/nbd-protocol.ts'
import { ALLOCATION, blockDigests } from './block-digests.ts'
import { BLOCK_BYTES, normalizeRanges } from './byte-ranges.ts'
import { cleanAfterDeadAgent } from './dead-agent-leftovers.ts'
import { layerHolding } from './layer-files.ts'
import { keptEpochs, noteKeptRun } from './kept-runs.ts'
import { KeyedLock } from './keyed-lock.ts'
import { MemoryImages } from './memory-images.ts'
import { sealedClone } from './replica-clones.ts'
import { LocalReplicaSnapshots } from './replica-snapshots.ts'
import { copyBlocks } from './replica-copy.ts'
import { flushReplica, NBD_TIMEOUTS, syncLayers } from './replica-flush.ts'
import { linkReplica, replicaBytes, sweepBases } from './linked-replica.ts'
import { revokeBelow } from './export-revocation.ts'
import { growTo, reserveRoom } from './replica-growth.ts'
import { allocate, discard, fill, publish, removeFiles, replicaPath } from './replica-files.ts'
import { withClone, withLayer, type BlockSource } from './snapshot-source.ts'
import { StorageDaemon, type PoolConfig } from './storage-daemon.ts'
import { VolumeNode } from './volume-node.ts'

/** A linearizable read of what the cluster has granted for this host's replica in the pool. */
export type EpochReader = (volume: VolumeId, pool: string) => Promise<Result<ReplicaGrant>>

export interface QsdVolumeHostOptions {
  readonly pools: readonly PoolConfig[]
  /** Path of `stead-run-guest`. */
  readonly helper: string
  readonly user?: { readonly uid: number; readonly gid: number }
  /** Changes with each boot of the host. */
  readonly bootId: string
  readonly readEpoch: EpochReader
  /**
   * Whether the volume's record still names a replica in this pool, read linearizably. A create's request may arrive after
   * the volume was deleted or moved away and its removal done; the file that it made would never be removed. Absent: every
   * one is wanted.
   */
  readonly isWanted?: (volume: VolumeId, pool: string) => Promise<Result<boolean>>
  /** The snapshot that the volume's record wants it rolled back to, read linearizably. Absent: none ever. */
  readonly readRollBack?: (volume: VolumeId) => Promise<Result<SnapshotId | undefined>>
  /** Path of a blob on this host. */
  readonly blobPath: (blob: BlobId) => Promise<Result<string>>
  /** `digests` of the replica on another host. */
  readonly remoteDigests: (
    host: string,
    volume: VolumeId,
    pool: string,
    range: ByteRange,
  ) => Promise<Result<readonly string[]>>
}

export class QsdVolumeHost implements VolumeHost {
  readonly #options: QsdVolumeHostOptions
  readonly #daemons: ReadonlyMap<string, StorageDaemon>
  readonly #lock = new KeyedLock()
  /** Of the memories of snapshotted guests. */
  readonly images: MemoryImages
  readonly #freshPaths = new Set<string>()
  readonly #cleaned = new WeakSet<StorageDaemon>()
  readonly #snapshots: LocalReplicaSnapshots

  constructor(options: QsdVolumeHostOptions) {
    this.#options = options
    const { helper, user } = options
    this.images = new MemoryImages(options.pools, this.#lock)
    this.#daemons = new Map(
      options.pools.map((pool) => [pool.name, new StorageDaemon({ pool, helper, ...(user ? { user } : {}) })]),
    )
    this.#snapshots = new LocalReplicaSnapshots({
      pools: options.pools,
      ...(user ? { user } : {}),
      lock: this.#lock,
      readTarget: async (volume) => options.readRollBack?.(volume) ?? ok(undefined),
      inTurn: (volume, pool, task) =>
        this.#lock.run(volume, async () => {
          const place = this.#place(volume, pool)
          return place.ok ? task(place.value) : place
        }),
      withPlace: (volume, pool, task) =>
        this.#withReplica(volume, pool, async (place) => {
          const opened = await place.node.open()
          if (!opened.ok) return opened
          const size = await this.#sizeOf(place.pool, volume)
          return size.ok ? task({ ...place, sizeBytes: size.value }) : size
        }),
    })
  }

  /** Adopts or starts the pool's daemon. After a start its exports and bitmaps are gone. */
  async ensureDaemon(pool: string): Promise<Result<{ readonly adopted: boolean }>> {
    const daemon = this.daemon(pool)
    if (!daemon.ok) return daemon
    const ensured = await daemon.value.ensure()
    if (!ensured.ok) return ensured
    const cleaned = await this.#cleanOnce(daemon.value, ensured.value.adopted)
    return cleaned.ok ? ensured : cleaned
  }

  /** Of a pool: where its NBD server is, its process, its end by force. `not_found` for a name that is not configured. */
  daemon(pool: string): Result<StorageDaemon> {
    const daemon = this.#daemons.get(pool)
    return daemon ? ok(daemon) : fail(failure('not_found', `This host has no pool ${pool}`))
  }

  /** Calls back when a daemon has ended by itself; its exports and bitmaps are gone then. */
  onDaemonExit(listener: (pool: string, reason: string) => void): () => void {
    const offs = [...this.#daemons].map(([pool, daemon]) => daemon.onExit((reason) => listener(pool, reason)))
    return () => offs.forEach((off) => off())
  }

  /** Leaves the daemons alone; the next agent adopts them. */
  release(): void {
    for (const daemon of this.#daemons.values()) daemon.release()
  }

  /** Kills the daemons. */
  async shutdown(): Promise<Result<void>> {
    for (const daemon of this.#daemons.values()) {
      const killed = await daemon.kill()
      if (!killed.ok) return killed
    }
    return ok()
  }

  createReplica(spec: ReplicaSpec, content?: VolumeContent): Promise<Result<void>> {
    return this.#lock.run(`create ${spec.volume}`, async () => {
      const place = this.#place(spec.volume, spec.pool)
      if (!place.ok) return place
      const { pool, path } = place.value
      const present = await replicaBytes(pool, spec.volume)
      if (!present.ok) return present
      if (present.value === spec.sizeBytes) return ok()
      // Asked under the lock that a removal takes as well: what is deleted from now on is removed after this.
      const wanted = (await this.#options.isWanted?.(spec.volume, spec.pool)) ?? ok(true)
      if (!wanted.ok) return wanted
      if (!wanted.value) return fail(failure('conflict', `Volume ${spec.volume} was deleted meanwhile`))
      if (present.value !== undefined)
        return fail(
          failure('conflict', `Volume ${spec.volume} exists with ${present.value} bytes, not ${spec.sizeBytes}`),
        )
      const image = content ? await this.#options.blobPath(content.blob) : undefined
      if (image && !image.ok) return image
      if (image && content?.linked && content.format === 'qcow2') {
        const base = { path: image.value, blob: content.blob }
        return this.#lock.run(`pool ${spec.pool}`, () => linkReplica(pool, spec, base, this.#options.user))
      }
      const allocated = await this.#lock.run(`pool ${spec.pool}`, () => allocate(pool, spec.volume, spec.sizeBytes))
      if (!allocated.ok) return allocated
      if (image && content) {
        const filled = await fill(allocated.value, spec.sizeBytes, { path: image.value, format: content.format })
        if (!filled.ok) {
          await discard(allocated.value)
          return filled
        }
      }
      const published = await publish(allocated.value, pool, spec.volume, this.#options.user)
      if (!published.ok) return published
      this.#freshPaths.add(path)
      // The kernel takes 30 ms to open it, nearly all of them waiting (QEMU tries `aio=native`), while its guest is decided about.
      void this.#lock.run(spec.volume, () => place.value.node.open())
      return published
    })
  }

  reserveReplica({ volume, pool, sizeBytes }: ReplicaSpec): Promise<Result<void>> {
    return this.#lock.run(volume, async () => {
      const place = this.#place(volume, pool)
      return place.ok ? this.#lock.run(`pool ${pool}`, () => reserveRoom(place.value.pool, volume, sizeBytes)) : place
    })
  }

  removeReplica(volume: VolumeId, pool: string): Promise<Result<void>> {
    return this.#lock.run(`create ${volume}`, () =>
      this.#lock.run(volume, async () => {
        const place = this.#place(volume, pool)
        if (!place.ok) return place
        const { node, daemon } = place.value
        const ended = daemon.absent ? ok() : await this.#snapshots.endAll(volume, daemon, node)
        if (!ended.ok) return ended
        const removed = await removeFiles(place.value.pool, volume)
        await sweepBases(place.value.pool)
        return removed
      }),
    )
  }

  exportToGuest(request: Parameters<VolumeHost['exportToGuest']>[0]): ReturnType<VolumeHost['exportToGuest']> {
    const { volume, pool, epoch, syncPoint, rejoining, sizeBytes } = request
    return this.#withReplica(volume, pool, async (place) => {
      const { node, daemon } = place
      const allowed = await this.#authorize(request, rejoining ? 'rejoin' : 'serve')
      if (!allowed.ok) return allowed
      const exports = await node.exports()
      if (!exports.ok) return exports
      const outdated = objectionToServed(volume, allowed.value, epoch, epochsOf(exports.value))
      if (outdated) return fail(outdated)
      const exportName = node.guestExport(epoch)
      const revoked = await node.deleteExports(
        exports.value.filter(
          (each) => each.role === 'sync' || (each.role === 'guest' && !isStillServed(allowed.value, each.epoch ?? 0)),
        ),
      )
      if (!revoked.ok) return revoked
      const opened = await node.open()
      if (!opened.ok) return opened
      const settled = await this.#snapshots.settleCollapse(volume, daemon, node)
      if (!settled.ok) return settled
      const isServed = exports.value.some(({ name }) => name === exportName)
      // Not under the hands of a run: a live move's destination sees the disk as its source does.
      const isInUse = exports.value.some(({ name, role }) => role === 'guest' && !revoked.value.includes(name))
      const grown = isInUse ? ok() : await this.#grow(place, volume, sizeBytes)
      if (!grown.ok) return grown
      const bitmaps = place.isFresh ? ok([]) : await node.bitmaps.all()
      if (!bitmaps.ok) return bitmaps
      const isPresent = bitmaps.value.some(({ name }) => name === syncPoint)
      // Asked again for the run that is being served: a resync may be rotating the bitmaps just now.
      const isKept = isBesideRun(allowed.value, epoch) || (isServed && isPresent)
      const bitmapIsNew = isKept ? ok(false) : await node.bitmaps.ensureRecording(syncPoint, bitmaps.value)
      if (!bitmapIsNew.ok) return bitmapIsNew
      const others = epochsOf(exports.value.filter(({ name }) => !revoked.value.includes(name)))
      const noted = isServed ? ok() : await noteKeptRun(place.pool, volume, this.#options.bootId, epoch, others)
      if (!noted.ok) return noted
      const added = isServed ? ok() : await node.addExport(exportName, { writable: true })
      if (!added.ok) return added
      // The run's own flushes say nothing of what earlier ones have left.
      const flushed = isServed || place.isFresh ? ok() : await flushReplica(daemon, volume, exportName)
      if (!flushed.ok) return flushed
      return ok({ ...addressOf(daemon, exportName), bitmapIsNew: bitmapIsNew.value, revoked: revoked.value })
    })
  }

  serveAnew(request: Parameters<VolumeHost['serveAnew']>[0]): Promise<Result<ExportAddress>> {
    const { volume, pool, epoch, sizeBytes } = request
    return this.#withReplica(volume, pool, async (place) => {
      const { node, daemon } = place
      const allowed = await this.#authorize(request, 'serve')
      if (!allowed.ok) return allowed
      const exports = daemon.absent ? ok([]) : await node.exports()
      if (!exports.ok) return exports
      const outdated = objectionToServed(volume, allowed.value, epoch, epochsOf(exports.value))
      if (outdated) return fail(outdated)
      const exportName = node.guestExport(epoch)
      if (!exports.value.some(({ name }) => name === exportName)) return fail(notServedSince(volume, epoch))
      const ended = await daemon.endExport(exportName)
      if (!ended.ok) return ended
      const grown = await this.#grow(place, volume, sizeBytes)
      if (!grown.ok) return grown
      const added = await node.addExport(exportName, { writable: true })
      if (!added.ok) return added
      // A guest's new connection knows of no writes yet, and its first flush would be left out (QEMU sends none then).
      const flushed = await flushReplica(daemon, volume, exportName)
      return flushed.ok ? ok(addressOf(daemon, exportName)) : flushed
    })
  }

  exportAsTarget(request: Parameters<VolumeHost['exportAsTarget']>[0]): Promise<Result<ExportAddress>> {
    const { volume, pool, epoch, sizeBytes, forSnapshots } = request
    return this.#withReplica(volume, pool, async (place) => {
      const { node, daemon } = place
      const allowed = await this.#authorize(request, forSnapshots ? 'give-snapshots' : 'overwrite')
      if (!allowed.ok) return allowed
      const exports = await node.exports()
      if (!exports.ok) return exports
      const outdated = objectionToServed(volume, allowed.value, epoch, epochsOf(exports.value))
      if (outdated) return fail(outdated)
      // One of the same name too: an earlier copy may still have requests in flight.
      const revoked = await node.deleteExports(exports.value)
      if (!revoked.ok) return revoked
      const opened = await node.open()
      if (!opened.ok) return opened
      const settled = await this.#snapshots.settleCollapse(volume, daemon, node)
      if (!settled.ok) return settled
      const grown = await this.#grow(place, volume, sizeBytes)
      if (!grown.ok) return grown
      const exportName = node.syncExport(epoch)
      const added = await node.addExport(exportName, { writable: true })
      return added.ok ? ok(addressOf(daemon, exportName)) : added
    })
  }

  /** Of a replica that a run may have: then it has the size that the run knows. */
  async #growIdle(volume: VolumeId, pool: string, sizeBytes: number): Promise<Result<void>> {
    const daemon = this.daemon(pool)
    const present = daemon.ok ? await this.#sizeOf(daemon.value.pool, volume) : daemon
    if (!present.ok || present.value >= sizeBytes) return present.ok ? ok() : present
    return this.#withReplica(volume, pool, async (place) => {
      const exports = await place.node.exports()
      if (!exports.ok) return exports
      if (exports.value.some(({ role }) => role !== 'read')) return ok()
      const opened = await place.node.open()
      return opened.ok ? this.#grow(place, volume, sizeBytes) : opened
    })
  }

  /** Looked at first: most starts need nothing, and the pool may be busy with a large new replica for long. */
  async #grow(place: Place, volume: VolumeId, sizeBytes: number | undefined): Promise<Result<void>> {
    const { pool, node, daemon } = place
    const present = await this.#sizeOf(pool, volume)
    if (!present.ok) return present
    if (sizeBytes === undefined || present.value >= sizeBytes) return ok()
    // QEMU does not resize what a merge works on.
    const settled = await this.#snapshots.settleMerge(volume, daemon, node)
    if (!settled.ok) return settled
    return this.#lock.run(`pool ${pool.name}`, () => growTo(pool, volume, node, sizeBytes))
  }

  revokeBelow(volume: VolumeId, pool: string, epoch: number): Promise<Result<readonly string[]>> {
    return this.#lock.run(volume, async () => {
      const place = this.#place(volume, pool)
      if (!place.ok) return place
      if (place.value.daemon.absent) return ok([])
      return revokeBelow(place.value.node, epoch)
    })
  }

  revokeExport(volume: VolumeId, pool: string, exportName: string): Promise<Result<void>> {
    return this.#lock.run(volume, async () => {
      const place = this.#place(volume, pool)
      if (!place.ok) return place
      if (!exportName.startsWith(`vol-${volume}-`))
        return fail(failure('bad_request', `${exportName} is no export of volume ${volume}`))
      return place.value.daemon.absent ? ok() : place.value.daemon.endExport(exportName)
    })
  }

  async inspect(volume: VolumeId, pool: string): Promise<Result<ReplicaInfo>> {
    const place = this.#place(volume, pool)
    if (!place.ok) return place
    const size = await this.#sizeOf(place.value.pool, volume)
    if (!size.ok) return size
    const kept = await keptEpochs(place.value.pool, volume, this.#options.bootId)
    const found = { volume, pool, sizeBytes: size.value, keptEpochs: kept }
    if (place.value.daemon.absent) return ok({ ...found, bitmaps: [], exports: [] })
    const bitmaps = await place.value.node.bitmaps.all()
    if (!bitmaps.ok) return bitmaps
    const exports = await place.value.node.exports()
    if (!exports.ok) return exports
    return ok({ ...found, bitmaps: bitmaps.value, exports: exports.value.map(({ name }) => name) })
  }

  async dirtyBytes(volume: VolumeId, pool: string, bitmap: string): Promise<Result<number>> {
    const place = this.#place(volume, pool)
    if (!place.ok) return place
    const bitmaps = await place.value.node.bitmaps.lately()
    return bitmaps.ok ? ok(bitmaps.value.find(({ name }) => name === bitmap)?.dirtyBytes ?? 0) : bitmaps
  }

  addBitmap(volume: VolumeId, pool: string, name: string, disable?: string, epoch?: number): Promise<Result<void>> {
    return this.#turning(volume, pool, epoch, (node) => node.bitmaps.add(name, disable))
  }

  removeBitmap(volume: VolumeId, pool: string, name: string, epoch?: number): Promise<Result<void>> {
    return this.#turning(volume, pool, epoch, async (node) => {
      const present = await node.bitmaps.all()
      if (!present.ok) return present
      return present.value.some((each) => each.name === name) ? node.bitmaps.remove(name) : ok()
    })
  }

  /** A change of the bitmaps by the run of this epoch; refused once a newer one is served. */
  #turning(
    volume: VolumeId,
    pool: string,
    epoch: number | undefined,
    change: (node: VolumeNode) => Promise<Result<void>>,
  ): Promise<Result<void>> {
    return this.#withNode(volume, pool, async (node) => {
      const exports = await node.exports()
      if (!exports.ok) return exports
      const objection = objectionToTurning(volume, epoch, epochsOf(exports.value))
      return objection ? fail(objection) : change(node)
    })
  }

  dirtyRanges(volume: VolumeId, pool: string, bitmap: string): Promise<Result<readonly ByteRange[]>> {
    return this.#reading(volume, pool, { bitmap }, dirtyExtents)
  }

  /**
   * The store is asked while the blocks already move, since a guest may be standing still: what a source that was not
   * allowed has written to the target counts for nothing, because the copy then fails and the target stays stale.
   */
  async copy(
    request: CopyRequest,
    onProgress: (progress: CopyProgress) => void,
    signal: AbortSignal,
  ): Promise<Result<CopyProgress>> {
    if (request.snapshot !== undefined)
      return this.#copySnapshot({ ...request, snapshot: request.snapshot }, onProgress, signal)
    const refused = new AbortController()
    const allowing = this.#authorize(request, 'copy-from')
    void allowing.then((allowed) => (allowed.ok ? undefined : refused.abort(new Error(allowed.error.message))))
    const copied = await this.#copyBlocks(request, onProgress, AbortSignal.any([signal, refused.signal]))
    const allowed = await allowing
    return allowed.ok ? copied : allowed
  }

  /** What it holds does not change any more: whoever may write to the target may have it. */
  async #copySnapshot(
    { volume, pool, snapshot, target }: CopyRequest & { readonly snapshot: SnapshotId },
    onProgress: (progress: CopyProgress) => void,
    signal: AbortSignal,
  ): Promise<Result<CopyProgress>> {
    const copyFrom = async (source: BlockSource): Promise<Result<CopyProgress>> => {
      const endpoint = targetEndpoint(target)
      const writer = await NbdClient.connect({ endpoint, exportName: target.exportName, ...NBD_TIMEOUTS, signal })
      if (!writer.ok) return writer
      const targetDigests = (range: ByteRange) => this.#options.remoteDigests(target.host, volume, target.pool, range)
      const ranges = [{ offset: 0, length: source.sizeBytes }]
      const copied = await copyBlocks({ source, target: writer.value, ranges, targetDigests, onProgress, signal })
      await writer.value.disconnect()
      return copied
    }
    const daemon = this.daemon(pool)
    const clone = daemon.ok ? await sealedClone(daemon.value.pool, volume, snapshot) : undefined
    if (clone !== undefined) return withClone(clone, copyFrom)
    return this.withReadingExport(volume, pool, (from) => withLayer(from, copyFrom), snapshot)
  }

  async #copyBlocks(
    request: CopyRequest,
    onProgress: (progress: CopyProgress) => void,
    signal: AbortSignal,
  ): Promise<Result<CopyProgress>> {
    const { volume, pool, select, compare, target } = request
    const bitmap = select === 'all' ? undefined : select.bitmap
    const frozen = bitmap === undefined ? ok() : await this.#requireFrozen(volume, pool, bitmap)
    if (!frozen.ok) return frozen
    const grown = request.sizeBytes === undefined ? ok() : await this.#growIdle(volume, pool, request.sizeBytes)
    if (!grown.ok) return grown
    const endpoint = targetEndpoint(target)
    const connecting = NbdClient.connect({ endpoint, exportName: target.exportName, ...NBD_TIMEOUTS, signal })
    try {
      return await this.#reading(volume, pool, { bitmap }, async (source, context) => {
        const dirty =
          bitmap === undefined ? ok([{ offset: 0, length: source.sizeBytes }]) : await dirtyExtents(source, context)
        if (!dirty.ok) return dirty
        const writer = await connecting
        if (!writer.ok)
          return signal.aborted ? fail(failure('conflict', 'The copy was stopped', { cause: signal.reason })) : writer
        if (writer.value.sizeBytes !== source.sizeBytes) {
          return fail(
            failure(
              'conflict',
              `The target of volume ${volume} has ${writer.value.sizeBytes} bytes, not ${source.sizeBytes}`,
            ),
          )
        }
        const extra = select === 'all' ? [] : select.extra
        const ranges = normalizeRanges([...dirty.value, ...extra], source.sizeBytes)
        const targetDigests = (range: ByteRange) => this.#options.remoteDigests(target.host, volume, target.pool, range)
        return copyBlocks({
          source,
          target: writer.value,
          ranges,
          onProgress,
          signal,
          ...(compare ? { targetDigests } : {}),
        })
      })
    } finally {
      // Nobody waits for the good-byes: a guest may be standing still until this pass is over.
      void connecting.then((writer) => (writer.ok ? writer.value.disconnect() : undefined))
    }
  }

  async flush(volume: VolumeId, pool: string): Promise<Result<void>> {
    const daemon = this.daemon(pool)
    if (!daemon.ok) return daemon
    const flushed = await this.#reading(volume, pool, {}, (client) => client.flush())
    return flushed.ok ? syncLayers(daemon.value.pool, volume) : flushed
  }

  async digests(volume: VolumeId, pool: string, range: ByteRange): Promise<Result<readonly string[]>> {
    return this.#reading(volume, pool, {}, async (client): Promise<Result<readonly string[]>> => {
      const length = Math.min(range.length, client.sizeBytes - range.offset)
      if (range.offset < 0 || range.offset % BLOCK_BYTES !== 0 || length <= 0) {
        return fail(
          failure(
            'bad_request',
            `No digests of ${range.offset}+${range.length}: a range starts at a multiple of ${BLOCK_BYTES} inside the volume`,
          ),
        )
      }
      return blockDigests(client, { offset: range.offset, length })
    })
  }

  prepareSnapshot(...[volume, pool, snapshot]: Parameters<VolumeHost['prepareSnapshot']>): Promise<Result<void>> {
    return this.#snapshots.prepareSnapshot(volume, pool, snapshot)
  }

  cutSnapshot(...[volume, pool, snapshot]: Parameters<VolumeHost['cutSnapshot']>): Promise<Result<void>> {
    return this.#snapshots.cutSnapshot(volume, pool, snapshot)
  }

  sealSnapshot(...[volume, pool, snapshot]: Parameters<VolumeHost['sealSnapshot']>): Promise<Result<void>> {
    return this.#snapshots.sealSnapshot(volume, pool, snapshot)
  }

  releaseSnapshot(...[volume, pool, snapshot]: Parameters<VolumeHost['releaseSnapshot']>): Promise<Result<void>> {
    return this.#snapshots.releaseSnapshot(volume, pool, snapshot)
  }

  mergeLayers(volume: VolumeId, pool: string): Promise<Result<void>> {
    return this.#snapshots.mergeLayers(volume, pool)
  }

  rollBackReplica(...[volume, pool, snapshot]: Parameters<VolumeHost['rollBackReplica']>): Promise<Result<void>> {
    return this.#snapshots.rollBackReplica(volume, pool, snapshot)
  }

  heldSnapshots(): ReturnType<VolumeHost['heldSnapshots']> {
    return this.#snapshots.heldSnapshots()
  }

  async #requireFrozen(volume: VolumeId, pool: string, bitmap: string): Promise<Result<void>> {
    const found = await this.#withNode(volume, pool, (node) => node.bitmaps.all())
    if (!found.ok) return found
    const present = found.value.find(({ name }) => name === bitmap)
    if (!present) return fail(failure('not_found', `Volume ${volume} has no bitmap ${bitmap}`))
    return present.recording
      ? fail(failure('conflict', `The bitmap ${bitmap} of volume ${volume} still records`))
      : ok()
  }

  /**
   * Reads the replica through an export of its own; `context` is what the bitmap's block status is called there.
   * Only its opening and its end hold the volume's lock.
   */
  async #reading<T>(
    volume: VolumeId,
    pool: string,
    what: { readonly bitmap?: string | undefined },
    task: (client: NbdClient, context: string) => Promise<Result<T>>,
  ): Promise<Result<T>> {
    const opened = await this.#withNode(volume, pool, (node) => node.openForReading(what.bitmap))
    if (!opened.ok) return opened
    const { exportName, context, close } = opened.value
    let clientDone: Promise<unknown> = Promise.resolve()
    try {
      const daemon = this.daemon(pool)
      if (!daemon.ok) return daemon
      const client = await daemon.value.connect({
        exportName,
        metaContexts: [ALLOCATION, ...(context ? [context] : [])],
        ...NBD_TIMEOUTS,
      })
      if (!client.ok) return client
      try {
        return await task(client.value, context ?? '')
      } finally {
        clientDone = client.value.disconnect()
      }
    } finally {
      // The result is there already; whatever comes next for this volume waits for the lock, its caller does not.
      void this.#lock.run(volume, async () => {
        await clientDone
        await close()
      })
    }
  }

  /**
   * Serves the replica read-only as long as the task takes, as a snapshot shows it where one is named. Without, somebody
   * may write it meanwhile.
   */
  async withReadingExport<T>(
    volume: VolumeId,
    pool: string,
    task: (from: ReadingExport) => Promise<Result<T>>,
    snapshot?: SnapshotId,
  ): Promise<Result<T>> {
    const opened = await this.#withReplica(volume, pool, async (place) => {
      const size = await this.#sizeOf(place.pool, volume)
      // QEMU lets nobody read what a merge works on; it is begun again, and refused until this has been read.
      const settled = await this.#snapshots.settleMerge(volume, place.daemon, place.node)
      if (!settled.ok) return settled
      const layer = snapshot === undefined ? ok(undefined) : await layerHolding(place.pool, volume, snapshot)
      if (!layer.ok) return layer
      const there = size.ok ? await place.node.open() : size
      const reading = there.ok ? await place.node.openForReading(undefined, layer.value) : there
      return size.ok && reading.ok ? ok({ ...reading.value, place, sizeBytes: size.value }) : (reading as Result<never>)
    })
    if (!opened.ok) return opened
    const { exportName, close, place, sizeBytes } = opened.value
    try {
      return await task({ address: place.daemon.loopback, port: place.pool.port, exportName, sizeBytes })
    } finally {
      void this.#lock.run(volume, close)
    }
  }

  /** Serialised with every other call for the volume. The daemon must run and the file exist. */
  #withReplica<T>(volume: VolumeId, pool: string, task: (place: Place) => Promise<Result<T>>): Promise<Result<T>> {
    return this.#lock.run(volume, async () => {
      const place = this.#place(volume, pool)
      if (!place.ok) return place
      const size = await this.#sizeOf(place.value.pool, volume)
      return size.ok ? task(place.value) : size
    })
  }

  #withNode<T>(volume: VolumeId, pool: string, task: (node: VolumeNode) => Promise<Result<T>>): Promise<Result<T>> {
    return this.#withReplica(volume, pool, async ({ node }) => {
      const opened = await node.open()
      return opened.ok ? task(node) : opened
    })
  }

  async #authorize(asked: Parameters<VolumeHost['serveAnew']>[0], purpose: Purpose): Promise<Result<ReplicaGrant>> {
    const granted = await this.#options.readEpoch(asked.volume, asked.pool)
    if (!granted.ok) return granted
    const objection = objectionToOpening(asked.volume, granted.value, asked.epoch, purpose)
    return objection ? fail(objection) : granted
  }

  #place(volume: VolumeId, poolName: string): Result<Place> {
    if (!/^[A-Za-z0-9][A-Za-z0-9_]*$/.test(volume)) return fail(failure('bad_request', `${volume} is no volume id`))
    const daemon = this.daemon(poolName)
    if (!daemon.ok) return daemon
    const { value } = daemon
    const path = replicaPath(value.pool, volume)
    const isFresh = this.#freshPaths.delete(path)
    return ok({ daemon: value, pool: value.pool, path, node: new VolumeNode(value, volume, path), isFresh })
  }

  async #sizeOf(pool: PoolConfig, volume: VolumeId): Promise<Result<number>> {
    const size = await replicaBytes(pool, volume)
    if (!size.ok) return size
    return size.value === undefined
      ? fail(failure('not_found', `Pool ${pool.name} has no replica of volume ${volume}`))
      : ok(size.value)
  }

  /** Only when this object meets the daemon for the first time: later reading exports are its own. */
  async #cleanOnce(daemon: StorageDaemon, adopted: boolean): Promise<Result<void>> {
    const cleaned = adopted && !this.#cleaned.has(daemon) ? await cleanAfterDeadAgent(daemon) : ok()
    if (cleaned.ok) this.#cleaned.add(daemon)
    return cleaned
  }
}

/** Where a replica can be read over NBD. */
export interface ReadingExport {
  readonly address: string
  readonly port: number
  readonly exportName: string
  readonly sizeBytes: number
}

interface Place {
  /** Published, and with that synchronized, just before: nobody has opened it since. */
  readonly isFresh: boolean
  readonly daemon: StorageDaemon
  readonly pool: PoolConfig
  readonly path: string
  readonly node: VolumeNode
}

async function dirtyExtents(client: NbdClient, context: string): Promise<Result<readonly ByteRange[]>> {
  const extents = await client.blockStatus(0, client.sizeBytes, context)
  return extents.ok
    ? ok(
        normalizeRanges(
          extents.value.filter(({ flags }) => flags & BITMAP_DIRTY),
          client.sizeBytes,
        ),
      )
    : extents
}

function epochsOf(exports: readonly { readonly epoch?: number | undefined }[]): number[] {
  return exports.flatMap(({ epoch }) => epoch ?? [])
}

function addressOf(daemon: StorageDaemon, exportName: string): ExportAddress {
  return { exportName, loopback: daemon.loopback, port: daemon.pool.port }
}

function targetEndpoint({ address, port, key }: CopyRequest['target']) {
  return { kind: 'tcp', address, port, ...(key ? { key } : {}) } as const
}

/**
 * The port `VolumeHost` in memory: epochs, exports, bitmaps and content as the real one has them, without
 * processes. What a guest or a resync does through an export is done here by `writeThrough`.
 */
import { failure } from '@stead/core/errors.ts'
import type { BlobId, VolumeId } from '@stead/core/model/ids.ts'
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

/** Granularity of bitmaps and digests, as in the real one. */
export const BLOCK_BYTES = 64 * 1024

/** How a copy reaches the other host's replica: over a network that may be slow, cut or gone. */
export interface CopyTarget {
  write(volume: VolumeId, pool: string, exportName: string, offset: number, bytes: Uint8Array): Promise<Result<void>>
  read(volume: VolumeId, pool: string, range: ByteRange): Promise<Result<Uint8Array>>
}

export interface MemoryVolumeHostOptions {
  readonly host: string
  /** Names of the pools. */
  readonly pools: readonly string[]
  readonly capacityBytes: number
  /** The granted epoch of the volume's guest and whether the record calls this replica in-sync, read linearizably. */
  readonly readEpoch: (volume: VolumeId) => Promise<Result<{ readonly epoch: number; readonly inSync: boolean }>>
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

interface Replica {
  readonly sizeBytes: number
  readonly content: Uint8Array
  readonly bitmaps: Map<string, Bitmap>
  /** Export name to the epoch it carries. */
  readonly exports: Map<string, { readonly epoch: number; readonly sync: boolean }>
}

type Purpose = 'serve' | 'rejoin' | 'overwrite' | 'copy-from'

export class MemoryVolumeHost implements VolumeHost {
  readonly #options: MemoryVolumeHostOptions
  readonly #replicas = new Map<string, Replica>()

  constructor(options: MemoryVolumeHostOptions) {
    this.#options = options
  }

  /** The storage daemon ends: exports and bitmaps are gone, the content stays. */
  loseDaemon(): void {
    for (const replica of this.#replicas.values()) {
      replica.bitmaps.clear()
      replica.exports.clear()
    }
  }

  hasExport(volume: VolumeId, pool: string, exportName: string): boolean {
    return this.#replicas.get(`${pool}/${volume}`)?.exports.has(exportName) ?? false
  }

  /** What a client of the export writes; `storage` once the export is revoked. */
  writeThrough(volume: VolumeId, pool: string, exportName: string, offset: number, bytes: Uint8Array): Result<void> {
    const replica = this.#served(volume, pool, exportName)
    if (!replica.ok) return replica
    if (offset < 0 || offset + bytes.length > replica.value.sizeBytes)
      return fail(failure('storage', 'The write is beyond the end'))
    replica.value.content.set(bytes, offset)
    const last = Math.floor((offset + Math.max(bytes.length, 1) - 1) / BLOCK_BYTES)
    for (const bitmap of replica.value.bitmaps.values()) {
      if (!bitmap.recording) continue
      for (let block = Math.floor(offset / BLOCK_BYTES); block <= last; block++) bitmap.dirty.add(block)
    }
    return ok()
  }

  /** What a client of the export reads. */
  readThrough(volume: VolumeId, pool: string, exportName: string, range: ByteRange): Result<Uint8Array> {
    const replica = this.#served(volume, pool, exportName)
    return replica.ok ? ok(replica.value.content.slice(range.offset, range.offset + range.length)) : replica
  }

  /** What the replica holds, not copied: for those who only look. Undefined when there is none. */
  contentOf(volume: VolumeId, pool: string): Uint8Array | undefined {
    return this.#replicas.get(`${pool}/${volume}`)?.content
  }

  async createReplica(
    spec: ReplicaSpec,
    content?: { readonly blob: BlobId; readonly format: 'raw' | 'qcow2' },
  ): Promise<Result<void>> {
    const key = `${spec.pool}/${spec.volume}`
    const present = this.#replicas.get(key)
    if (present?.sizeBytes === spec.sizeBytes) return ok()
    if (present) return fail(failure('conflict', `Volume ${spec.volume} exists with ${present.sizeBytes} bytes`))
    const taken = [...this.#replicas.values()].reduce((sum, replica) => sum + replica.sizeBytes, 0)
    if (taken + spec.sizeBytes > this.#options.capacityBytes) return fail(failure('no_capacity', 'The pool is full'))
    const start = content?.format === 'raw' ? this.#options.blob?.(content.blob) : undefined
    if (content && !start)
      return fail(failure('invalid_image', `${this.#options.host} has no raw blob ${content.blob}`))
    if (start && start.length > spec.sizeBytes)
      return fail(failure('invalid_image', 'The image is larger than the disk'))
    const bytes = new Uint8Array(spec.sizeBytes)
    if (start) bytes.set(start)
    this.#replicas.set(key, { sizeBytes: spec.sizeBytes, content: bytes, bitmaps: new Map(), exports: new Map() })
    return ok()
  }

  async removeReplica(volume: VolumeId, pool: string): Promise<Result<void>> {
    this.#replicas.get(`${pool}/${volume}`)?.exports.clear()
    this.#replicas.delete(`${pool}/${volume}`)
    return ok()
  }

  async exportToGuest(
    request: Parameters<VolumeHost['exportToGuest']>[0],
  ): Promise<Result<ExportAddress & { readonly bitmapIsNew: boolean; readonly revoked: readonly string[] }>> {
    const { volume, epoch, syncPoint, rejoining } = request
    const found = await this.#openAt(request, rejoining ? 'rejoin' : 'serve')
    if (!found.ok) return found
    const replica = found.value
    const exportName = `vol-${volume}-e${epoch}`
    const isServed = replica.exports.has(exportName)
    const revoked = revoke(replica, (name) => name !== exportName)
    const bitmapIsNew = !(isServed && replica.bitmaps.has(syncPoint)) && ensureRecording(replica, syncPoint)
    replica.exports.set(exportName, { epoch, sync: false })
    return ok({ ...this.#address(exportName), bitmapIsNew, revoked })
  }

  async exportAsTarget(request: Parameters<VolumeHost['exportAsTarget']>[0]): Promise<Result<ExportAddress>> {
    const found = await this.#openAt(request, 'overwrite')
    if (!found.ok) return found
    const exportName = `vol-${request.volume}-e${request.epoch}-sync`
    revoke(found.value, () => true)
    found.value.exports.set(exportName, { epoch: request.epoch, sync: true })
    return ok(this.#address(exportName))
  }

  async revokeBelow(volume: VolumeId, pool: string, epoch: number): Promise<Result<readonly string[]>> {
    const replica = this.#replicas.get(`${pool}/${volume}`)
    return ok(replica ? revoke(replica, (_, older) => older.epoch < epoch) : [])
  }

  async revokeExport(volume: VolumeId, pool: string, exportName: string): Promise<Result<void>> {
    this.#replicas.get(`${pool}/${volume}`)?.exports.delete(exportName)
    return ok()
  }

  async inspect(volume: VolumeId, pool: string): Promise<Result<ReplicaInfo>> {
    const found = this.#find(volume, pool)
    if (!found.ok) return found
    const { sizeBytes, bitmaps, exports } = found.value
    const infos = [...bitmaps].map(([name, bitmap]): BitmapInfo => ({
      name,
      dirtyBytes: bitmap.dirty.size * BLOCK_BYTES,
      recording: bitmap.recording,
    }))
    return ok({ volume, pool, sizeBytes, bitmaps: infos, exports: [...exports.keys()] })
  }

  async addBitmap(volume: VolumeId, pool: string, name: string, disable?: string): Promise<Result<void>> {
    const found = this.#find(volume, pool)
    if (!found.ok) return found
    const { bitmaps } = found.value
    const old = disable === undefined ? undefined : bitmaps.get(disable)
    const isDone = bitmaps.get(name)?.recording === true && (disable === undefined || old?.recording === false)
    if (isDone) return ok()
    if (bitmaps.has(name)) return fail(failure('storage', `The bitmap ${name} exists already`))
    if (disable !== undefined && !old) return fail(failure('storage', `There is no bitmap ${disable}`))
    if (old) old.recording = false
    bitmaps.set(name, { dirty: new Set(), recording: true })
    return ok()
  }

  async removeBitmap(volume: VolumeId, pool: string, name: string): Promise<Result<void>> {
    const found = this.#find(volume, pool)
    if (found.ok) found.value.bitmaps.delete(name)
    return found.ok ? ok() : found
  }

  async mergeBitmap(volume: VolumeId, pool: string, from: string, into: string): Promise<Result<void>> {
    const found = this.#find(volume, pool)
    if (!found.ok) return found
    const source = found.value.bitmaps.get(from)
    const target = found.value.bitmaps.get(into)
    if (!source) return fail(failure('not_found', `There is no bitmap ${from}`))
    if (source.recording) return fail(failure('conflict', `The bitmap ${from} still records`))
    if (!target) return fail(failure('storage', `There is no bitmap ${into}`))
    for (const block of source.dirty) target.dirty.add(block)
    found.value.bitmaps.delete(from)
    return ok()
  }

  async dirtyRanges(volume: VolumeId, pool: string, bitmap: string): Promise<Result<readonly ByteRange[]>> {
    const found = this.#find(volume, pool)
    if (!found.ok) return found
    const dirty = found.value.bitmaps.get(bitmap)?.dirty
    return dirty ? ok(rangesOf(dirty, found.value.sizeBytes)) : fail(failure('storage', `There is no bitmap ${bitmap}`))
  }

  async copy(
    request: CopyRequest,
    onProgress: (progress: CopyProgress) => void,
    signal: AbortSignal,
  ): Promise<Result<CopyProgress>> {
    const { volume, pool, epoch, select, compare, target } = request
    const found = await this.#openAt({ volume, pool, epoch }, 'copy-from')
    if (!found.ok) return found
    const peer = this.#options.copyTarget(target.host)
    if (!peer) return fail(failure('host_unreachable', `The host ${target.host} cannot be reached`))
    const selected = this.#selected(found.value, select)
    if (!selected.ok) return selected
    const blocks = new Set<number>()
    for (const block of selected.value) {
      if (!compare) blocks.add(block)
      else {
        const range = rangesOf(new Set([block]), found.value.sizeBytes)[0]
        if (!range) continue
        const theirs = await peer.read(volume, target.pool, range)
        if (!theirs.ok) return theirs
        if (!equalBytes(theirs.value, found.value.content, range.offset)) blocks.add(block)
      }
    }
    const ranges = rangesOf(blocks, found.value.sizeBytes)
    const totalBytes = ranges.reduce((sum, range) => sum + range.length, 0)
    let copiedBytes = 0
    for (const range of ranges) {
      if (signal.aborted) return fail(failure('conflict', 'The copy was stopped', { cause: signal.reason }))
      const bytes = found.value.content.slice(range.offset, range.offset + range.length)
      const written = await peer.write(volume, target.pool, target.exportName, range.offset, bytes)
      if (!written.ok) return written
      copiedBytes += range.length
      onProgress({ copiedBytes, totalBytes })
    }
    return signal.aborted ? fail(failure('conflict', 'The copy was stopped')) : ok({ copiedBytes, totalBytes })
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

  #selected(replica: Replica, select: CopyRequest['select']): Result<ReadonlySet<number>> {
    const blocks = new Set<number>()
    if (select === 'all') {
      for (let block = 0; block * BLOCK_BYTES < replica.sizeBytes; block++) blocks.add(block)
      return ok(blocks)
    }
    const bitmap = replica.bitmaps.get(select.bitmap)
    if (!bitmap) return fail(failure('not_found', `There is no bitmap ${select.bitmap}`))
    if (bitmap.recording) return fail(failure('conflict', `The bitmap ${select.bitmap} still records`))
    for (const block of bitmap.dirty) blocks.add(block)
    for (const { offset, length } of select.extra) {
      for (let at = Math.floor(offset / BLOCK_BYTES); at * BLOCK_BYTES < offset + length; at++) blocks.add(at)
    }
    return ok(blocks)
  }

  async #openAt(
    request: { readonly volume: VolumeId; readonly pool: string; readonly epoch: number },
    purpose: Purpose,
  ): Promise<Result<Replica>> {
    const { volume, pool, epoch } = request
    // The volume must be here before and after the store was asked: a daemon may end meanwhile.
    const before = this.#find(volume, pool)
    if (!before.ok) return before
    const granted = await this.#options.readEpoch(volume)
    if (!granted.ok) return granted
    const { epoch: newest, inSync } = granted.value
    if (epoch < newest) return fail(failure('stale_epoch', `Epoch ${newest} is granted; ${epoch} is older`))
    if (epoch > newest) return fail(failure('conflict', `Epoch ${epoch} was never granted; the newest is ${newest}`))
    if ((purpose === 'serve' || purpose === 'copy-from') && !inSync)
      return fail(failure('replica_not_current', `The replica on ${this.#options.host} is not in-sync`))
    if (purpose === 'overwrite' && inSync)
      return fail(failure('conflict', `The replica on ${this.#options.host} is in sync and is not overwritten`))
    const found = this.#find(volume, pool)
    if (!found.ok) return found
    const newer = [...found.value.exports.values()].find((each) => each.epoch > epoch)
    return newer ? fail(failure('stale_epoch', `Epoch ${newer.epoch} is served already`)) : found
  }

  #served(volume: VolumeId, pool: string, exportName: string): Result<Replica> {
    const replica = this.#replicas.get(`${pool}/${volume}`)
    return replica?.exports.has(exportName)
      ? ok(replica)
      : fail(failure('storage', `The export ${exportName} does not exist`))
  }

  #find(volume: VolumeId, pool: string): Result<Replica> {
    if (!this.#options.pools.includes(pool)) return fail(failure('not_found', `There is no pool ${pool}`))
    const replica = this.#replicas.get(`${pool}/${volume}`)
    return replica
      ? ok(replica)
      : fail(failure('not_found', `${this.#options.host} has no replica of ${volume} in ${pool}`))
  }

  #address(exportName: string): ExportAddress {
    return { exportName, loopback: '127.0.0.1', port: 10_809 }
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

function revoke(
  replica: Replica,
  which: (name: string, carried: { readonly epoch: number; readonly sync: boolean }) => boolean,
): readonly string[] {
  const names = [...replica.exports].filter(([name, carried]) => which(name, carried)).map(([name]) => name)
  for (const name of names) replica.exports.delete(name)
  return names
}

function equalBytes(bytes: Uint8Array, content: Uint8Array, offset: number): boolean {
  return bytes.every((byte, at) => byte === content[offset + at])
}

/** Neighbouring blocks as one range; the last one ends with the volume. */
function rangesOf(blocks: ReadonlySet<number>, sizeBytes: number): readonly ByteRange[] {
  const ranges: { offset: number; length: number }[] = []
  for (const block of [...blocks].sort((a, b) => a - b)) {
    const offset = block * BLOCK_BYTES
    const length = Math.min(BLOCK_BYTES, sizeBytes - offset)
    const last = ranges.at(-1)
    if (last && last.offset + last.length === offset) last.length += length
    else ranges.push({ offset, length })
  }
  return ranges
}

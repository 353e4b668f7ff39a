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

export interface MemoryVolumeHostOptions {
  readonly host: string
  /** The granted epoch of the volume's guest, read linearizably. */
  readonly grantedEpoch: (volume: VolumeId) => Promise<Result<number>>
  /** Whether the record calls this host's replica in-sync. */
  readonly isCurrent: (volume: VolumeId) => Promise<Result<boolean>>
  /** The other hosts, to copy to. */
  readonly peers: ReadonlyMap<string, MemoryVolumeHost>
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

export class MemoryVolumeHost implements VolumeHost {
  readonly #options: MemoryVolumeHostOptions
  readonly #replicas = new Map<string, Replica>()

  constructor(options: MemoryVolumeHostOptions) {
    this.#options = options
  }

  /** What a client of the export writes; `storage` once the export is revoked. */
  writeThrough(volume: VolumeId, pool: string, exportName: string, offset: number, bytes: Uint8Array): Result<void> {
    const replica = this.#replicas.get(`${pool}/${volume}`)
    if (!replica?.exports.has(exportName)) return fail(failure('storage', `The export ${exportName} does not exist`))
    if (offset < 0 || offset + bytes.length > replica.sizeBytes)
      return fail(failure('storage', 'The write is beyond the end'))
    replica.content.set(bytes, offset)
    const last = Math.floor((offset + Math.max(bytes.length, 1) - 1) / BLOCK_BYTES)
    for (const bitmap of replica.bitmaps.values()) {
      if (!bitmap.recording) continue
      for (let block = Math.floor(offset / BLOCK_BYTES); block <= last; block++) bitmap.dirty.add(block)
    }
    return ok()
  }

  /** A copy of what the replica holds; undefined when there is none. */
  contentOf(volume: VolumeId, pool: string): Uint8Array | undefined {
    return this.#replicas.get(`${pool}/${volume}`)?.content.slice()
  }

  async createReplica(
    spec: ReplicaSpec,
    content?: { readonly blob: BlobId; readonly format: 'raw' | 'qcow2' },
  ): Promise<Result<void>> {
    const key = `${spec.pool}/${spec.volume}`
    if (this.#replicas.has(key)) return ok()
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
    const found = await this.#openAt(request)
    if (!found.ok) return found
    const current = await this.#options.isCurrent(volume)
    if (!current.ok) return current
    if (!current.value && !rejoining) {
      return fail(failure('replica_not_current', `The replica on ${this.#options.host} is not in-sync`))
    }
    const replica = found.value
    const exportName = `vol-${volume}-e${epoch}`
    const revoked = revoke(replica, (name, { sync, epoch: older }) => name !== exportName && (sync || older < epoch))
    const bitmapIsNew = !replica.bitmaps.has(syncPoint)
    if (bitmapIsNew) replica.bitmaps.set(syncPoint, { dirty: new Set(), recording: true })
    replica.exports.set(exportName, { epoch, sync: false })
    return ok({ ...this.#address(exportName), bitmapIsNew, revoked })
  }

  async exportAsTarget(request: Parameters<VolumeHost['exportAsTarget']>[0]): Promise<Result<ExportAddress>> {
    const found = await this.#openAt(request)
    if (!found.ok) return found
    const exportName = `vol-${request.volume}-e${request.epoch}-sync`
    revoke(found.value, () => true)
    found.value.exports.set(exportName, { epoch: request.epoch, sync: true })
    return ok(this.#address(exportName))
  }

  async revokeBelow(volume: VolumeId, pool: string, epoch: number): Promise<Result<readonly string[]>> {
    const found = this.#find(volume, pool)
    return found.ok ? ok(revoke(found.value, (_, older) => older.epoch < epoch)) : found
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
    if (!source || !target) return fail(failure('storage', `There is no bitmap ${source ? into : from}`))
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
    const { volume, pool, select, target } = request
    const found = this.#find(volume, pool)
    if (!found.ok) return found
    const peer = this.#options.peers.get(target.host)
    if (!peer) return fail(failure('host_unreachable', `The host ${target.host} cannot be reached`))
    const ranges = this.#selected(found.value, select)
    if (!ranges.ok) return ranges
    const totalBytes = ranges.value.reduce((sum, range) => sum + range.length, 0)
    let copiedBytes = 0
    for (const range of ranges.value) {
      // One turn of the loop a range, as data takes time; aborting works in between.
      await Promise.resolve()
      if (signal.aborted) return fail(failure('conflict', 'The copy was stopped', { cause: signal.reason }))
      const bytes = found.value.content.slice(range.offset, range.offset + range.length)
      const written = peer.writeThrough(volume, target.pool, target.exportName, range.offset, bytes)
      if (!written.ok) return written
      copiedBytes += range.length
      onProgress({ copiedBytes, totalBytes })
    }
    return ok({ copiedBytes, totalBytes })
  }

  async digests(volume: VolumeId, pool: string, range: ByteRange): Promise<Result<readonly string[]>> {
    const found = this.#find(volume, pool)
    if (!found.ok) return found
    const end = Math.min(found.value.sizeBytes, range.offset + range.length)
    const digests: string[] = []
    for (let offset = range.offset; offset < end; offset += BLOCK_BYTES) {
      digests.push(await this.#options.digest(found.value.content.slice(offset, Math.min(end, offset + BLOCK_BYTES))))
    }
    return ok(digests)
  }

  #selected(replica: Replica, select: CopyRequest['select']): Result<readonly ByteRange[]> {
    const blocks = new Set<number>()
    if (select === 'all') {
      for (let block = 0; block * BLOCK_BYTES < replica.sizeBytes; block++) blocks.add(block)
      return ok(rangesOf(blocks, replica.sizeBytes))
    }
    const bitmap = replica.bitmaps.get(select.bitmap)
    if (!bitmap) return fail(failure('storage', `There is no bitmap ${select.bitmap}`))
    if (bitmap.recording) return fail(failure('storage', `The bitmap ${select.bitmap} is recording`))
    for (const block of bitmap.dirty) blocks.add(block)
    for (const { offset, length } of select.extra) {
      for (let at = Math.floor(offset / BLOCK_BYTES); at * BLOCK_BYTES < offset + length; at++) blocks.add(at)
    }
    return ok(rangesOf(blocks, replica.sizeBytes))
  }

  async #openAt(request: {
    readonly volume: VolumeId
    readonly pool: string
    readonly epoch: number
  }): Promise<Result<Replica>> {
    const { volume, pool, epoch } = request
    const granted = await this.#options.grantedEpoch(volume)
    if (!granted.ok) return granted
    if (epoch < granted.value)
      return fail(failure('stale_epoch', `Epoch ${granted.value} is granted; ${epoch} is older`))
    return this.#find(volume, pool)
  }

  #find(volume: VolumeId, pool: string): Result<Replica> {
    const replica = this.#replicas.get(`${pool}/${volume}`)
    return replica
      ? ok(replica)
      : fail(failure('not_found', `${this.#options.host} has no replica of ${volume} in ${pool}`))
  }

  #address(exportName: string): ExportAddress {
    return { exportName, loopback: '127.0.0.1', port: 10_809 }
  }
}

function revoke(
  replica: Replica,
  which: (name: string, carried: { readonly epoch: number; readonly sync: boolean }) => boolean,
): readonly string[] {
  const names = [...replica.exports].filter(([name, carried]) => which(name, carried)).map(([name]) => name)
  for (const name of names) replica.exports.delete(name)
  return names
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

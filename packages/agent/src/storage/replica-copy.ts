/**
 * Moves blocks from one replica to another: a few large requests in flight, zeros sent as zeros, and with `compare`
 * only blocks whose digests differ. The source goes on serving its guest meanwhile.
 */
import { failure, FailureError } from '@stead/core/errors.ts'
import type { ByteRange, CopyProgress } from '@stead/core/ports/volume-host.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import type { NbdClient } from '../nbd/nbd-client.ts'
import { ALLOCATION_ZERO } from '../nbd/nbd-protocol.ts'
import { ALLOCATION, blockDigests } from './block-digests.ts'
import type { BlockSource } from './snapshot-source.ts'
import { BLOCK_BYTES, cut, normalizeRanges, totalLength } from './byte-ranges.ts'

const CHUNK_BYTES = 1024 * 1024
const REQUESTS_IN_FLIGHT = 8
/** How much is compared by one exchange of digests. */
const COMPARE_BYTES = 16 * 1024 * 1024
const PROGRESS_EVERY_MS = 100
const ZEROS = Buffer.alloc(BLOCK_BYTES)

export interface ReplicaCopy {
  /** Read-only, with the context `base:allocation`. */
  readonly source: BlockSource
  readonly target: NbdClient
  readonly ranges: readonly ByteRange[]
  /** Absent: everything in the ranges is copied. */
  readonly targetDigests?: (range: ByteRange) => Promise<Result<readonly string[]>>
  readonly onProgress: (progress: CopyProgress) => void
  readonly signal: AbortSignal
}

interface Chunk extends ByteRange {
  /** Known to be zeros without reading. */
  readonly isZero: boolean
}

/** `copiedBytes` are the bytes written to the target. The signal ends it at once, with requests still in flight. */
export async function copyBlocks(copy: ReplicaCopy): Promise<Result<CopyProgress>> {
  const { source, target, signal } = copy
  const stop = () => {
    source.destroy('the copy was stopped')
    target.destroy('the copy was stopped')
  }
  signal.addEventListener('abort', stop, { once: true })
  if (signal.aborted) stop()
  try {
    return ok(await new Copying(copy).run())
  } catch (error) {
    if (signal.aborted) return fail(failure('conflict', 'The copy was stopped', { cause: signal.reason }))
    if (error instanceof FailureError) return fail(error.failure)
    throw error
  } finally {
    signal.removeEventListener('abort', stop)
  }
}

class Copying {
  readonly #copy: ReplicaCopy
  #copiedBytes = 0
  #totalBytes: number
  #reportedMs = performance.now()
  #failed = false

  constructor(copy: ReplicaCopy) {
    this.#copy = copy
    this.#totalBytes = totalLength(copy.ranges)
  }

  async run(): Promise<CopyProgress> {
    const chunks = this.#copy.targetDigests ? this.#differingChunks(this.#copy.targetDigests) : this.#allChunks()
    const workers = await Promise.allSettled(Array.from({ length: REQUESTS_IN_FLIGHT }, () => this.#work(chunks)))
    for (const worker of workers) if (worker.status === 'rejected') throw worker.reason
    need(await this.#copy.target.flush())
    const end = { copiedBytes: this.#copiedBytes, totalBytes: this.#totalBytes }
    this.#copy.onProgress(end)
    return end
  }

  async #work(chunks: AsyncGenerator<Chunk>): Promise<void> {
    try {
      for (let next = await chunks.next(); !next.done && !this.#failed; next = await chunks.next())
        await this.#move(next.value)
    } catch (error) {
      this.#failed = true
      throw error
    }
  }

  async #move({ offset, length, isZero }: Chunk): Promise<void> {
    const { source, target } = this.#copy
    if (isZero) {
      need(await target.writeZeroes(offset, length))
    } else {
      const data = need(await source.read(offset, length))
      const writes = [...zeroRuns(data)].map((part) =>
        part.isZero
          ? target.writeZeroes(offset + part.offset, part.length)
          : target.write(offset + part.offset, data.subarray(part.offset, part.offset + part.length)),
      )
      for (const written of await Promise.all(writes)) need(written)
    }
    this.#copiedBytes += length
    this.#report()
  }

  #report(): void {
    const now = performance.now()
    if (now - this.#reportedMs < PROGRESS_EVERY_MS) return
    this.#reportedMs = now
    this.#copy.onProgress({ copiedBytes: this.#copiedBytes, totalBytes: this.#totalBytes })
  }

  async *#allChunks(): AsyncGenerator<Chunk> {
    for (const range of this.#copy.ranges) {
      // Of a small range it costs more to ask what is in it than to read it.
      const parts =
        range.length <= CHUNK_BYTES
          ? [{ ...range, flags: 0 }]
          : need(await this.#copy.source.blockStatus(range.offset, range.length, ALLOCATION))
      for (const part of parts) {
        const isZero = (part.flags & ALLOCATION_ZERO) !== 0
        for (const piece of cut([part], isZero ? COMPARE_BYTES : CHUNK_BYTES)) yield { ...piece, isZero }
      }
    }
  }

  /** One window is compared while the one before is copied. */
  async *#differingChunks(targetDigests: NonNullable<ReplicaCopy['targetDigests']>): AsyncGenerator<Chunk> {
    const windows = cut(this.#copy.ranges, COMPARE_BYTES)
    const compareNext = () => {
      const next = windows.next()
      if (next.done) return undefined
      const compared = this.#compare(next.value, targetDigests)
      // Its failure is seen when it is awaited; until then it must not count as unhandled.
      compared.catch(() => undefined)
      return compared
    }
    let current = compareNext()
    while (current) {
      const following = compareNext()
      for (const piece of cut(await current, CHUNK_BYTES)) yield { ...piece, isZero: false }
      this.#report()
      current = following
    }
  }

  async #compare(window: ByteRange, targetDigests: NonNullable<ReplicaCopy['targetDigests']>): Promise<ByteRange[]> {
    const [mine, theirs] = await Promise.all([
      blockDigests(this.#copy.source, window),
      this.#unlessStopped(targetDigests(window)),
    ])
    const local = need(mine)
    const remote = need(theirs)
    if (local.length !== remote.length) {
      throw new FailureError(
        failure('storage', `The target sent ${remote.length} digests where ${local.length} were due`),
      )
    }
    const end = window.offset + window.length
    const different = local.flatMap((digest, block) => {
      if (digest === remote[block]) return []
      const offset = window.offset + block * BLOCK_BYTES
      return [{ offset, length: Math.min(BLOCK_BYTES, end - offset) }]
    })
    const ranges = normalizeRanges(different, end)
    // The total is what may still have to be copied: it shrinks as equal blocks are found.
    this.#totalBytes -= window.length - totalLength(ranges)
    return ranges
  }

  /** The other host may take its time to answer; who stops the copy does not wait for that. */
  async #unlessStopped<T>(answer: Promise<T>): Promise<T> {
    const { signal } = this.#copy
    let stop = () => undefined as void
    const stopped = new Promise<never>((_, reject) => {
      stop = () => reject(new FailureError(failure('conflict', 'The copy was stopped', { cause: signal.reason })))
      signal.addEventListener('abort', stop, { once: true })
      if (signal.aborted) stop()
    })
    try {
      return await Promise.race([answer, stopped])
    } finally {
      signal.removeEventListener('abort', stop)
    }
  }
}

function* zeroRuns(data: Buffer): Generator<Chunk> {
  let run: { offset: number; length: number; isZero: boolean } | undefined
  for (let offset = 0; offset < data.length; offset += BLOCK_BYTES) {
    const block = data.subarray(offset, offset + BLOCK_BYTES)
    const isZero = block.equals(block.length === BLOCK_BYTES ? ZEROS : ZEROS.subarray(0, block.length))
    if (run?.isZero === isZero) {
      run.length += block.length
      continue
    }
    if (run) yield run
    run = { offset, length: block.length, isZero }
  }
  if (run) yield run
}

function need<T>(result: Result<T>): T {
  if (!result.ok) throw new FailureError(result.error)
  return result.value
}

/** How whoever asked for a file hears of its making, and calls it off. */
import type { MakingProgress } from '@stead/core/model/file-making.ts'
import type { BlobId } from '@stead/core/model/ids.ts'

export interface MakingTask {
  /** Aborted: programs are ended, and what was written into the work folder is removed. The answer means nothing then. */
  readonly signal: AbortSignal
  /** Called often. */
  readonly tell: (progress: MakingProgress) => void
  /** This file is about to lie in the blobs. Once it returns, a record names it. */
  readonly made: (blob: BlobId) => Promise<void>
}

export const UNWATCHED: MakingTask = { signal: new AbortController().signal, tell() {}, made: async () => undefined }

const TIMEOUT_MS = 20 * 60_000
/** A disk that reads more slowly than this is broken. */
const BYTES_PER_MS_MIN = 10_000

/** For one program that reads, or writes, so much. */
export function makingTimeoutMs(sizeBytes: number): number {
  return TIMEOUT_MS + Math.ceil(sizeBytes / BYTES_PER_MS_MIN)
}

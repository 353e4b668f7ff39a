/** How whoever asked for an image hears of its making, and calls it off. */
import type { ImportProgress } from '@stead/core/model/image-import.ts'
import type { BlobId } from '@stead/core/model/ids.ts'

export interface ImportTask {
  /** Aborted: programs are ended, and what was written into the work folder is removed. The answer means nothing then. */
  readonly signal: AbortSignal
  /** Called often. */
  readonly tell: (progress: ImportProgress) => void
  /** This file is about to lie in the blobs. Once it returns, a record names it. */
  readonly made: (blob: BlobId) => Promise<void>
}

export const UNWATCHED: ImportTask = { signal: new AbortController().signal, tell() {}, made: async () => undefined }

const TIMEOUT_MS = 20 * 60_000
/** A disk that reads more slowly than this is broken. */
const BYTES_PER_MS_MIN = 10_000

/** For one program that reads, or writes, so much. */
export function importTimeoutMs(sizeBytes: number): number {
  return TIMEOUT_MS + Math.ceil(sizeBytes / BYTES_PER_MS_MIN)
}

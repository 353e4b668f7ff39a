import { createHash } from 'node:crypto'
import { constants } from 'node:fs'
import { open } from 'node:fs/promises'
import type { BlobId } from '@stead/core/model/ids.ts'

export interface DigestTask {
  /** Aborted: the digest is given up, by an exception. */
  readonly signal?: AbortSignal
  /** Called after each piece, with the bytes read so far. */
  readonly onBytes?: (bytes: number) => void
}

/** Of a plain file; a link is not followed. */
export async function digestOfFile(path: string, { signal, onBytes }: DigestTask = {}): Promise<BlobId> {
  const hash = createHash('sha256')
  const file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW)
  let bytes = 0
  for await (const part of file.createReadStream({ highWaterMark: 1 << 20 })) {
    signal?.throwIfAborted()
    hash.update(part as Buffer)
    onBytes?.((bytes += (part as Buffer).length))
  }
  return `sha256:${hash.digest('hex')}` as BlobId
}

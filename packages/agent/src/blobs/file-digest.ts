import { createHash } from 'node:crypto'
import { constants } from 'node:fs'
import { open } from 'node:fs/promises'
import type { BlobId } from '@stead/core/model/ids.ts'

/** Of a plain file; a link is not followed. */
export async function digestOfFile(path: string): Promise<BlobId> {
  const hash = createHash('sha256')
  const file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW)
  for await (const part of file.createReadStream({ highWaterMark: 1 << 20 })) hash.update(part as Buffer)
  return `sha256:${hash.digest('hex')}` as BlobId
}

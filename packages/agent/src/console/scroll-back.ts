/** The newest part of what a guest wrote to its serial console, for those who look in later. */
import { open } from 'node:fs/promises'

export const SCROLL_BACK_BYTES = 64 * 1024
/** So many pieces are joined: a guest that writes single characters must not cost an object for each. */
const PIECES_MAX = 256

export class ScrollBack {
  #pieces: Buffer[] = []
  #bytes = 0
  #cut = false

  add(piece: Buffer): void {
    this.#pieces.push(piece)
    this.#bytes += piece.length
    if (this.#bytes > 2 * SCROLL_BACK_BYTES || this.#pieces.length > PIECES_MAX) this.#join()
  }

  /** At most `SCROLL_BACK_BYTES`, from the beginning of a line when there was more. */
  content(): Buffer {
    const all = this.#join()
    if (!this.#cut) return all
    const end = all.indexOf(0x0a)
    return end < 0 ? all : all.subarray(end + 1)
  }

  #join(): Buffer {
    const all = Buffer.concat(this.#pieces)
    if (all.length > SCROLL_BACK_BYTES) this.#cut = true
    const kept = all.length > SCROLL_BACK_BYTES ? Buffer.from(all.subarray(all.length - SCROLL_BACK_BYTES)) : all
    this.#pieces = [kept]
    this.#bytes = kept.length
    return kept
  }
}

/** The end of the console's log, at most so many bytes; nothing when there is no log. */
export async function endOfLog(path: string, bytesMax = SCROLL_BACK_BYTES + 1): Promise<Buffer> {
  const file = await open(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined
    throw error
  })
  if (!file) return Buffer.alloc(0)
  try {
    const { size } = await file.stat()
    const end = Buffer.alloc(Math.min(bytesMax, size))
    const { bytesRead } = await file.read(end, 0, end.length, size - end.length)
    return end.subarray(0, bytesRead)
  } finally {
    await file.close()
  }
}

/**
 * What of the log came before the bytes that the socket has brought since it was connected: both have what the guest
 * wrote while it was read, and nobody is to see that twice.
 */
export function beforeReceived(log: Buffer, received: Buffer): Buffer {
  for (let shared = Math.min(log.length, received.length); shared > 0; shared--)
    if (log.subarray(log.length - shared).equals(received.subarray(0, shared)))
      return log.subarray(0, log.length - shared)
  return log
}

/** A guest's console as a stream of bytes, from the file that QEMU writes; it goes on while the guest runs. */
import { open, stat } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'

const CHUNK_BYTES = 64 * 1024
const POLL_MS = 100

/** Starts at `offset` (0 when the log is shorter: a new boot). With `follow` it ends only by the signal. */
export async function* readConsole(
  path: string,
  offset: number,
  follow: boolean,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array> {
  let position = offset
  let inode: number | undefined
  while (!signal.aborted) {
    const found = await stat(path).catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return undefined
      throw error
    })
    if (found) {
      if (found.size < position || (inode !== undefined && found.ino !== inode)) position = 0
      inode = found.ino
      if (found.size > position) {
        const file = await open(path)
        try {
          const buffer = Buffer.allocUnsafe(Math.min(CHUNK_BYTES, found.size - position))
          const { bytesRead } = await file.read(buffer, 0, buffer.length, position)
          position += bytesRead
          if (bytesRead > 0) yield buffer.subarray(0, bytesRead)
        } finally {
          await file.close()
        }
        continue
      }
    }
    if (!follow) return
    await sleep(POLL_MS, undefined, { signal }).catch(() => undefined)
  }
}

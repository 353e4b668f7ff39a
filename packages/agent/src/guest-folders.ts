/**
 * The folders that guests leave on a host. A guest that talks without end must not fill the disk: of a long console
 * only the newest part is kept. A deleted guest's folder goes.
 */
import { statSync } from 'node:fs'
import { appendFile, open, readdir, truncate } from 'node:fs/promises'
import { join } from 'node:path'
import type { Clock } from '@stead/core/ports/clock.ts'
import type { Log } from '@stead/core/ports/log.ts'
import type { Result } from '@stead/core/result.ts'

const INTERVAL_MS = 10_000
const BYTES_MAX = 16 << 20
const BYTES_KEPT = 8 << 20

export interface GuestFolders {
  readonly path: string
  /** False only when the cluster surely has no such guest. */
  readonly isKnown: (guest: string) => boolean
  readonly forget: (guest: string) => Promise<Result<void>>
}

export async function keepGuestFolders(
  folders: GuestFolders,
  clock: Clock,
  log: Log,
  signal: AbortSignal,
): Promise<void> {
  while (!signal.aborted) {
    await clock.sleep(INTERVAL_MS, signal)
    for (const guest of await readdir(folders.path)) {
      const forgotten = folders.isKnown(guest) ? undefined : await folders.forget(guest)
      if (forgotten && !forgotten.ok) log.warn('the folder of a deleted guest stays', { guest, cause: forgotten.error })
      if (!forgotten) await shortenIfLong(join(folders.path, guest, 'console.log'), log)
    }
  }
}

async function shortenIfLong(path: string, log: Log): Promise<void> {
  try {
    // Hundreds of guests: to wait for each answer costs ten times what the question does.
    const { size } = statSync(path, { throwIfNoEntry: false }) ?? { size: 0 }
    if (size > BYTES_MAX) await shorten(path)
  } catch (error) {
    log.warn('a console could not be shortened', { path, error })
  }
}

/**
 * QEMU appends to the file and keeps it open, so it is emptied and given its newest part again. What QEMU writes in
 * the moment between may be lost or stand before that part.
 */
export async function shorten(path: string, keptBytes = BYTES_KEPT): Promise<void> {
  const file = await open(path)
  try {
    const { size } = await file.stat()
    const tail = Buffer.alloc(Math.min(keptBytes, size))
    const { bytesRead } = await file.read(tail, 0, tail.length, size - tail.length)
    // From the beginning of a line on.
    const start = size > tail.length ? tail.indexOf(0x0a) + 1 : 0
    await truncate(path)
    await appendFile(path, tail.subarray(start, bytesRead))
  } finally {
    await file.close()
  }
}

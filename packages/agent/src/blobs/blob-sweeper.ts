/** Removes files from this host's blobs that no record names any more, and uploads that nobody has gone on with. */
import { readdir, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { ClusterMirror } from '@stead/core/host/cluster-mirror.ts'
import { referencedBlobs } from '@stead/core/model/blob-references.ts'
import type { Clock } from '@stead/core/ports/clock.ts'
import type { Log } from '@stead/core/ports/log.ts'

const INTERVAL_MS = 10 * 60_000
/** A file is uploaded before the record that names it is written. */
const UNNAMED_AGE_MS = 6 * 3_600_000
const BROKEN_UPLOAD_AGE_MS = 24 * 3_600_000

export async function keepBlobsTidy(
  options: {
    readonly directory: string
    readonly mirror: Pick<ClusterMirror, 'loaded' | 'state'>
    readonly clock: Clock
    readonly log: Log
  },
  signal: AbortSignal,
): Promise<void> {
  const { directory, mirror, clock, log } = options
  let candidates: ReadonlySet<string> = new Set()
  while (!signal.aborted) {
    await clock.sleep(INTERVAL_MS, signal)
    if (signal.aborted || !mirror.loaded) continue
    const unnamed = await unnamedFiles(directory, new Set(referencedBlobs(mirror.state)), clock.wallMs())
    for (const file of unnamed) {
      // Twice in a row: a record that names it may have been on its way.
      if (!candidates.has(file)) continue
      await rm(join(directory, file), { force: true })
      log.info('a file that nothing names was removed', { file })
    }
    candidates = new Set(unnamed)
  }
}

/** File names, old enough to be given up. */
export async function unnamedFiles(directory: string, named: ReadonlySet<string>, nowMs: number): Promise<string[]> {
  const found: string[] = []
  for (const file of await readdir(directory)) {
    const isPart = file.endsWith('.part')
    if (!isPart && named.has(file.replace('-', ':'))) continue
    const ageMs = nowMs - (await stat(join(directory, file))).mtimeMs
    if (ageMs > (isPart ? BROKEN_UPLOAD_AGE_MS : UNNAMED_AGE_MS)) found.push(file)
  }
  return found
}

/** Removes files from this host's blobs that no record names any more, and uploads that nobody has gone on with. */
import { readdir, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { ClusterMirror } from '@stead/core/host/cluster-mirror.ts'
import { referencedBlobs } from '@stead/core/model/blob-references.ts'
import type { ClusterState } from '@stead/core/model/cluster.ts'
import type { BlobId } from '@stead/core/model/ids.ts'
import type { Clock } from '@stead/core/ports/clock.ts'
import type { Log } from '@stead/core/ports/log.ts'

const INTERVAL_MS = 10 * 60_000
/** A file is uploaded before the record that names it is written. */
const UNNAMED_AGE_MS = 6 * 3_600_000
/** The record of a backup is there before its file, and names it as soon as it is made. */
const UNNAMED_DUMP_AGE_MS = 5 * 60_000
const BROKEN_UPLOAD_AGE_MS = 24 * 3_600_000

export interface SweeperOptions {
  readonly directory: string
  readonly mirror: Pick<ClusterMirror, 'loaded' | 'state' | 'until'>
  readonly clock: Clock
  readonly log: Log
  /** Dumps that this host has made since its agent began. */
  readonly dumps: ReadonlySet<BlobId>
}

export async function keepBlobsTidy(options: SweeperOptions, signal: AbortSignal): Promise<void> {
  const { mirror, clock } = options
  let candidates: ReadonlySet<string> = new Set()
  let sweepAt = clock.monotonicMs() + INTERVAL_MS
  let backups: ClusterState['backups'] = new Map()
  while (!signal.aborted) {
    const restMs = Math.max(0, sweepAt - clock.monotonicMs())
    await mirror.until((state) => mirror.loaded && state.backups !== backups, clock.sleep(restMs, signal))
    if (signal.aborted) return
    if (!mirror.loaded) {
      sweepAt += INTERVAL_MS
      continue
    }
    await removeEndedBackups(options, backups)
    backups = mirror.state.backups
    if (clock.monotonicMs() < sweepAt) continue
    candidates = await sweep(options, candidates)
    sweepAt = clock.monotonicMs() + INTERVAL_MS
  }
}

/** Whose project has one fewer by its quota has the room back at once. */
async function removeEndedBackups(options: SweeperOptions, before: ClusterState['backups']): Promise<void> {
  const named = referencedBlobs(options.mirror.state)
  for (const { value } of before.values()) {
    if (value.file && !named.has(value.file.blob)) await remove(options, fileName(value.file.blob))
  }
}

async function sweep(options: SweeperOptions, candidates: ReadonlySet<string>): Promise<ReadonlySet<string>> {
  const { directory, mirror, clock, dumps } = options
  const unnamed = await unnamedFiles(directory, referencedBlobs(mirror.state), dumps, clock.wallMs())
  // Twice in a row: a record that names it may have been on its way.
  for (const file of unnamed) if (candidates.has(file)) await remove(options, file)
  return new Set(unnamed)
}

async function remove({ directory, log }: SweeperOptions, file: string): Promise<void> {
  try {
    await rm(join(directory, file))
    log.info('a file that nothing names was removed', { file })
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'ENOENT') throw cause
  }
}

/** File names, old enough to be given up. */
export async function unnamedFiles(
  directory: string,
  named: ReadonlySet<BlobId>,
  dumps: ReadonlySet<BlobId>,
  nowMs: number,
): Promise<string[]> {
  const found: string[] = []
  for (const file of await readdir(directory)) {
    const blob = file.replace('-', ':') as BlobId
    const isPart = file.endsWith('.part')
    if (!isPart && named.has(blob)) continue
    const ageMs = nowMs - (await stat(join(directory, file))).mtimeMs
    const whole = dumps.has(blob) ? UNNAMED_DUMP_AGE_MS : UNNAMED_AGE_MS
    if (ageMs > (isPart ? BROKEN_UPLOAD_AGE_MS : whole)) found.push(file)
  }
  return found
}

function fileName(blob: BlobId): string {
  return blob.replace(':', '-')
}

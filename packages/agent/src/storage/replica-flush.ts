/**
 * Makes all last that a replica holds, whoever wrote it. A flush through the storage daemon covers what this daemon was
 * sent. What one that was killed had been sent may still be in the kernel or in the disk's cache, and QEMU skips the
 * flush of what it has not written itself: that is what the files are synchronized for.
 */
import { join } from 'node:path'
import { failure } from '@stead/core/errors.ts'
import type { VolumeId } from '@stead/core/model/ids.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import { runProgram } from '../process/run-program.ts'
import { readStack } from './layer-files.ts'
import type { PoolConfig, StorageDaemon } from './storage-daemon.ts'

/** Of connections to the storage daemons. */
export const NBD_TIMEOUTS = { connectTimeoutMs: 2_000, timeoutMs: 10_000 } as const
const SYNC_TIMEOUT_MS = 10_000

/** By a writable export of it. */
export async function flushReplica(daemon: StorageDaemon, volume: VolumeId, exportName: string): Promise<Result<void>> {
  const client = await daemon.connect({ exportName, ...NBD_TIMEOUTS })
  if (!client.ok) return client
  const flushed = await client.value.flush()
  void client.value.disconnect()
  return flushed.ok ? syncLayers(daemon.pool, volume) : flushed
}

/** Waits for no longer than `SYNC_TIMEOUT_MS`: on a disk that hangs the process cannot even be killed. */
export async function syncLayers(pool: PoolConfig, volume: VolumeId): Promise<Result<void>> {
  const stack = await readStack(pool, volume)
  if (!stack.ok) return stack
  const paths = stack.value.map(({ file }) => join(pool.path, file))
  const synced = await runProgram('sync', ['--data', ...paths], SYNC_TIMEOUT_MS)
  if (synced.ok) return ok()
  const cause = synced.error
  return fail(
    failure('storage', `Volume ${volume} cannot be flushed in pool ${pool.name}: ${cause.message}`, { cause }),
  )
}

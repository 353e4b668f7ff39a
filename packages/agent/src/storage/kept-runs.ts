/**
 * Of which runs everything that a replica was sent is in its file, whatever becomes of the storage daemon: `<volume>.kept.json`
 * beside it. A raw file takes each write before that is acknowledged; a killed daemon takes nothing with it. What the host's
 * power takes with it is told by the boot for which the file was written, so it need not be flushed: older or empty, it
 * counts for nothing. A layer (qcow2) is another matter: where its data lies is in the daemon's memory up to a flush.
 */
import { readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { failure } from '@stead/core/errors.ts'
import type { VolumeId } from '@stead/core/model/ids.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import { readStack } from './layer-files.ts'
import type { PoolConfig } from './storage-daemon.ts'

function pathOf(pool: PoolConfig, volume: VolumeId): string {
  return join(pool.path, `${volume}.kept.json`)
}

export async function keptEpochs(pool: PoolConfig, volume: VolumeId, bootId: string): Promise<readonly number[]> {
  try {
    const { boot, epochs } = JSON.parse(await readFile(pathOf(pool, volume), 'utf8')) as {
      boot: string
      epochs: readonly number[]
    }
    return boot === bootId && Array.isArray(epochs) ? epochs : []
  } catch {
    // Absent, or what a loss of power has left of it.
    return []
  }
}

/**
 * Before the run of this epoch is served; `served`: the epochs that are already. Under the volume's lock. Without room for
 * the file the run is served all the same, and only not known to be kept.
 */
export async function noteKeptRun(
  pool: PoolConfig,
  volume: VolumeId,
  bootId: string,
  epoch: number,
  served: readonly number[],
): Promise<Result<void>> {
  const stack = await readStack(pool, volume)
  if (!stack.ok) return stack
  if (stack.value.length > 1 || stack.value[0]?.format !== 'raw') return forgetKeptRuns(pool, volume)
  const known = await keptEpochs(pool, volume, bootId)
  const epochs = [...new Set([...known.filter((each) => served.includes(each)), epoch])]
  const path = pathOf(pool, volume)
  try {
    await writeFile(`${path}.new`, JSON.stringify({ boot: bootId, epochs }), { mode: 0o600 })
    await rename(`${path}.new`, path)
    return ok()
  } catch {
    return forgetKeptRuns(pool, volume)
  }
}

/** Before anything is written to a layer. Under the volume's lock. */
export async function forgetKeptRuns(pool: PoolConfig, volume: VolumeId): Promise<Result<void>> {
  const path = pathOf(pool, volume)
  try {
    await rm(path, { force: true })
    return ok()
  } catch (cause) {
    return fail(failure('storage', `${path} cannot be removed: ${(cause as Error).message}`, { cause }))
  }
}

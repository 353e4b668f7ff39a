/**
 * Makes a replica larger in two steps. First all blocks are allocated, beyond the end of its file, which nobody notices
 * and which may be refused; then its size follows, which cannot fail for want of room any more. What is new reads as
 * zeros, as it does on every other replica.
 */
import { execFile } from 'node:child_process'
import { open, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { failure } from '@stead/core/errors.ts'
import type { VolumeId } from '@stead/core/model/ids.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import { layerRoomBytes, readStack } from './layer-files.ts'
import { topOf } from './layer-stack.ts'
import { replicaBytes } from './linked-replica.ts'
import { badSize, diskFull, noCapacity, roomIn, SIZE_STEP } from './replica-files.ts'
import type { PoolConfig } from './storage-daemon.ts'
import type { VolumeNode } from './volume-node.ts'

const run = promisify(execFile)
const ALLOCATE_TIMEOUT_MS = 10 * 60_000

/** Not for two at once in a pool, nor while the replica's layers change. The replica may be in use. */
export async function reserveRoom(pool: PoolConfig, volume: VolumeId, sizeBytes: number): Promise<Result<void>> {
  if (!Number.isSafeInteger(sizeBytes) || sizeBytes <= 0 || sizeBytes % SIZE_STEP !== 0) return fail(badSize(sizeBytes))
  const place = await growingFile(pool, volume, sizeBytes)
  if (!place.ok) return place
  const { path, presentBytes, wantedBytes, isRaw } = place.value
  try {
    if (sizeBytes <= presentBytes) {
      // Given back: of a raw file, what lies beyond its end. A layer's goes when it is merged.
      if (isRaw) await cutAt(path, presentBytes)
      return ok()
    }
    const missing = wantedBytes - (await stat(path)).blocks * 512
    const room = await roomIn(pool)
    if (missing > room) return fail(noCapacity(pool, missing, room))
    if (missing > 0)
      await run('fallocate', ['--keep-size', '--length', String(wantedBytes), path], { timeout: ALLOCATE_TIMEOUT_MS })
    await using file = await open(path, 'r')
    await file.sync()
    return ok()
  } catch (cause) {
    if (isRaw) await cutAt(path, presentBytes)
    if (/No space left|ENOSPC/.test(String((cause as { stderr?: string }).stderr ?? cause)))
      return fail(diskFull(pool, cause))
    return fail(
      failure('storage', `The replica of ${volume} cannot be enlarged: ${(cause as Error).message}`, { cause }),
    )
  }
}

/** The replica's node is open and serves nobody. */
export async function growTo(
  pool: PoolConfig,
  volume: VolumeId,
  node: VolumeNode,
  sizeBytes: number,
): Promise<Result<void>> {
  const stack = await readStack(pool, volume)
  if (!stack.ok) return stack
  // It would be put on top with the size that it was made for, and hide what lies beyond.
  const top = stack.value.length > 1 ? await node.layerState(topOf(stack.value)) : ok('used')
  if (!top.ok) return top
  if (top.value === 'beside')
    return fail(
      failure('conflict', `A snapshot of volume ${volume} is being made`, { hint: 'Try again when it is done' }),
    )
  const reserved = await reserveRoom(pool, volume, sizeBytes)
  return reserved.ok ? node.resize(sizeBytes) : reserved
}

/** Of a replica with layers it is the topmost that grows; those below read as zeros beyond their end. */
async function growingFile(pool: PoolConfig, volume: VolumeId, sizeBytes: number) {
  const present = await replicaBytes(pool, volume)
  if (!present.ok) return present
  if (present.value === undefined)
    return fail(failure('not_found', `Pool ${pool.name} has no replica of volume ${volume}`))
  const stack = await readStack(pool, volume)
  if (!stack.ok) return stack
  const top = topOf(stack.value)
  const isRaw = top.format === 'raw'
  const wantedBytes = isRaw ? sizeBytes : layerRoomBytes(sizeBytes)
  return ok({ path: join(pool.path, top.file), presentBytes: present.value, wantedBytes, isRaw })
}

/** Frees what is allocated beyond the end. */
async function cutAt(path: string, sizeBytes: number): Promise<void> {
  await using file = await open(path, 'r+')
  if ((await file.stat()).size === sizeBytes) await file.truncate(sizeBytes)
}

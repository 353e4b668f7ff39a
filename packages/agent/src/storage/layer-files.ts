/**
 * A replica's layers on disk: `<volume>.raw`, above it `<volume>.<layer>.qcow2`, and `<volume>.layers.json`, which names
 * them in order (absent: the raw file alone). The order is written, durably, before a layer is ever written to. Names
 * in an image's own header are never followed.
 */
import { randomBytes } from 'node:crypto'
import { chown, open, readdir, readFile, rename, rm, stat, truncate } from 'node:fs/promises'
import { join } from 'node:path'
import { failure } from '@stead/core/errors.ts'
import type { VolumeId } from '@stead/core/model/ids.ts'
import type { SnapshotId } from '@stead/core/model/snapshot.ts'
import { runProgram } from '../process/run-program.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import { topOf, type Layer, type LayerStack } from './layer-stack.ts'
import { diskFull, isAbsent, noCapacity, roomIn, secure, syncFolder } from './replica-files.ts'
import type { PoolConfig } from './storage-daemon.ts'

const CREATE_TIMEOUT_MS = 60_000
/** What qcow2 needs beside the data: measured below 0.3 % with 128 KiB clusters. */
const METADATA_SHARE = 1 / 128
const METADATA_BYTES = 4 << 20

function stackPath(pool: PoolConfig, volume: VolumeId): string {
  return join(pool.path, `${volume}.layers.json`)
}

/** The layers of a replica that has a raw file. */
export async function readStack(pool: PoolConfig, volume: VolumeId): Promise<Result<LayerStack>> {
  const path = stackPath(pool, volume)
  try {
    const { version, layers } = JSON.parse(await readFile(path, 'utf8')) as { version: number; layers: Layer[] }
    const isSound =
      version === 1 && layers.length > 0 && layers.every(({ file }) => file.startsWith(volume) && !file.includes('/'))
    return isSound ? ok(layers) : fail(failure('storage', `${path} is not a list of layers of this version`))
  } catch (cause) {
    if (isAbsent(cause)) return ok([{ file: `${volume}.raw`, format: 'raw' }])
    return fail(failure('storage', `${path} cannot be read: ${(cause as Error).message}`, { cause }))
  }
}

/** The layer that, with those below it, is what the snapshot shows. */
export async function layerHolding(pool: PoolConfig, volume: VolumeId, snapshot: SnapshotId): Promise<Result<Layer>> {
  const stack = await readStack(pool, volume)
  if (!stack.ok) return stack
  const layer = stack.value.find(({ holds }) => holds === snapshot)
  return layer ? ok(layer) : fail(failure('not_found', `Pool ${pool.name} has no such snapshot of volume ${volume}`))
}

/** Durable when it returns. */
export async function writeStack(pool: PoolConfig, volume: VolumeId, stack: LayerStack): Promise<Result<void>> {
  const path = stackPath(pool, volume)
  try {
    if (stack.length === 1 && topOf(stack).format === 'raw') await rm(path, { force: true })
    else {
      const file = await open(`${path}.new`, 'w', 0o600)
      try {
        await file.writeFile(JSON.stringify({ version: 1, layers: stack }))
        await file.sync()
      } finally {
        await file.close()
      }
      await rename(`${path}.new`, path)
    }
    await syncFolder(pool.path)
    return ok()
  } catch (cause) {
    return fail(failure('storage', `${path} cannot be written: ${(cause as Error).message}`, { cause }))
  }
}

/** What a layer takes that is written as a whole. */
export function layerRoomBytes(sizeBytes: number): number {
  return sizeBytes + Math.ceil(sizeBytes * METADATA_SHARE) + METADATA_BYTES
}

/** An empty layer with room for all that a volume of this size can be written. `name`: 12 hexadecimal digits. */
export async function createLayer(
  pool: PoolConfig,
  volume: VolumeId,
  sizeBytes: number,
  name: string,
  user?: { readonly uid: number; readonly gid: number },
): Promise<Result<Layer>> {
  const layer: Layer = { file: `${volume}.${name}.qcow2`, format: 'qcow2' }
  const path = join(pool.path, layer.file)
  const wanted = layerRoomBytes(sizeBytes)
  try {
    await rm(path, { force: true })
    const room = await roomIn(pool)
    if (wanted > room) return fail(noCapacity(pool, wanted, room))
    // Subclusters of 4 KiB: the first small write to a cluster copies no more than that from below.
    const options = 'cluster_size=128k,extended_l2=on'
    await run('qemu-img', ['create', '-q', '-f', 'qcow2', '-o', options, path, String(sizeBytes)])
    await run('fallocate', ['--keep-size', '--length', String(wanted), path])
    if (user) await chown(path, user.uid, user.gid)
    await secure(path, 0o600)
    await syncFolder(pool.path)
    return ok(layer)
  } catch (cause) {
    await rm(path, { force: true })
    if (/No space left|ENOSPC/.test(String(cause))) return fail(diskFull(pool, cause))
    return fail(
      failure('storage', `No layer could be made in pool ${pool.name}: ${(cause as Error).message}`, { cause }),
    )
  }
}

async function run(command: string, args: readonly string[]): Promise<void> {
  const done = await runProgram(command, args, CREATE_TIMEOUT_MS)
  if (!done.ok) throw new Error(done.error.message)
}

export function newLayerName(): string {
  return randomBytes(6).toString('hex')
}

/** The layer that a snapshot's cut puts on top. */
export function layerNameOf(snapshot: SnapshotId): string {
  return snapshot.slice(0, 12)
}

/** A raw file that a merge has made longer: its blocks are its own before anybody writes to it. */
export async function allocateWhole(pool: PoolConfig, layer: Layer): Promise<Result<void>> {
  const path = join(pool.path, layer.file)
  if (layer.format !== 'raw') return ok()
  const { size, blocks } = await stat(path)
  if (blocks * 512 >= size) return ok()
  try {
    // The merged layer has just freed more than that; others may have filled the pool meanwhile.
    await run('fallocate', ['--length', String(size), path])
    return ok()
  } catch (cause) {
    return fail(failure('storage', `${path} is not allocated whole: ${(cause as Error).message}`, { cause }))
  }
}

/** Gives back the room that a layer which is written no more will never use. */
export async function trimReserve(pool: PoolConfig, layer: Layer): Promise<void> {
  if (layer.format === 'raw') return
  const path = join(pool.path, layer.file)
  await truncate(path, (await stat(path)).size)
}

/** Bytes of data and metadata in a layer's file. */
export async function layerBytes(pool: PoolConfig, layer: Layer): Promise<number> {
  try {
    return (await stat(join(pool.path, layer.file))).size
  } catch (cause) {
    if (isAbsent(cause)) return 0
    throw cause
  }
}

/** Removes the files of layers that the stack no longer names. None of them may be open. */
export async function sweepLayers(pool: PoolConfig, volume: VolumeId, stack: LayerStack): Promise<void> {
  const named = new Set(stack.map(({ file }) => file))
  for (const file of await readdir(pool.path))
    if (file.startsWith(`${volume}.`) && file.endsWith('.qcow2') && !named.has(file))
      await rm(join(pool.path, file), { force: true })
}

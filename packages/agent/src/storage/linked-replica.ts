/**
 * A replica that begins as an image without a copy of it: the image's file is the lowest of its layers, shared by hard
 * link, and the first layer of its own lies above. What is written goes there, so the image never changes.
 *
 * The file system counts the links, and so who still needs the image: deleting its blob, or other replicas that started
 * from it, takes nothing away from this one. See docs/decisions/linked-replicas.md.
 */
import { constants } from 'node:fs'
import { chmod, copyFile, link, mkdir, open, readdir, rename, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { failure } from '@stead/core/errors.ts'
import type { BlobId, VolumeId } from '@stead/core/model/ids.ts'
import type { ReplicaSpec } from '@stead/core/ports/volume-host.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import { createLayer, newLayerName, readStack, writeStack } from './layer-files.ts'
import { topOf, type Layer } from './layer-stack.ts'
import { isAbsent, removeFiles, replicaPath, replicaSize, syncFolder } from './replica-files.ts'
import type { PoolConfig } from './storage-daemon.ts'

/** Of images whose blob lies on another file system than the pool: one copy for all that start from it. */
const BASES = 'bases'
/** docs/interop/qcow2.txt of QEMU: the virtual size, 64 bits, big endian. */
const QCOW2_SIZE_AT = 24

/** The size of the replica's disk, whatever it consists of; undefined when there is none. */
export async function replicaBytes(pool: PoolConfig, volume: VolumeId): Promise<Result<number | undefined>> {
  const stack = await readStack(pool, volume)
  if (!stack.ok) return stack
  const top = topOf(stack.value)
  return top.format === 'raw' ? replicaSize(replicaPath(pool, volume)) : qcow2Bytes(join(pool.path, top.file))
}

/** Not for two at once in a pool. `image`: a qcow2 file of our own making, without a backing file. */
export async function linkReplica(
  pool: PoolConfig,
  { volume, sizeBytes }: ReplicaSpec,
  image: { readonly path: string; readonly blob: BlobId },
  user?: { readonly uid: number; readonly gid: number },
): Promise<Result<void>> {
  const imageBytes = await qcow2Bytes(image.path)
  if (!imageBytes.ok) return imageBytes
  if ((imageBytes.value ?? 0) > sizeBytes)
    return fail(
      failure('invalid_image', `The image holds ${imageBytes.value} bytes, the volume only ${sizeBytes}`, {
        hint: 'Make the volume larger',
      }),
    )
  // Left over by an agent that died in the middle: without a list of layers there is no replica.
  const cleared = await removeFiles(pool, volume)
  if (!cleared.ok) return cleared
  const digits = image.blob.slice('sha256:'.length)
  const base: Layer = { file: `${volume}.${digits.slice(0, 12)}.qcow2`, format: 'qcow2', shared: true }
  const made = await makeLayers(pool, volume, sizeBytes, { ...image, digits }, base, user)
  if (!made.ok) await removeFiles(pool, volume)
  return made
}

async function makeLayers(
  pool: PoolConfig,
  volume: VolumeId,
  sizeBytes: number,
  image: { readonly path: string; readonly digits: string },
  base: Layer,
  user?: { readonly uid: number; readonly gid: number },
): Promise<Result<void>> {
  try {
    await mkdir(pool.path, { recursive: true, mode: 0o700 })
    await linkBase(pool, image, join(pool.path, base.file))
  } catch (cause) {
    return fail(failure('storage', `The image could not be linked: ${(cause as Error).message}`, { cause }))
  }
  const layer = await createLayer(pool, volume, sizeBytes, newLayerName(), user)
  return layer.ok ? writeStack(pool, volume, [base, layer.value]) : layer
}

async function linkBase(
  pool: PoolConfig,
  image: { readonly path: string; readonly digits: string },
  to: string,
): Promise<void> {
  try {
    await link(image.path, to)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EXDEV') throw error
    await link(await copyOfBase(pool, image), to)
  }
  await syncFolder(pool.path)
}

async function copyOfBase(
  pool: PoolConfig,
  image: { readonly path: string; readonly digits: string },
): Promise<string> {
  const folder = join(pool.path, BASES)
  const path = join(folder, `${image.digits}.qcow2`)
  try {
    await stat(path)
    return path
  } catch (error) {
    if (!isAbsent(error)) throw error
  }
  await mkdir(folder, { recursive: true, mode: 0o711 })
  await copyFile(image.path, `${path}.new`, constants.COPYFILE_FICLONE)
  await chmod(`${path}.new`, 0o644)
  await using file = await open(`${path}.new`, 'r')
  await file.sync()
  await rename(`${path}.new`, path)
  return path
}

/** Removes copies of images that no replica of the pool links to any more. */
export async function sweepBases(pool: PoolConfig): Promise<void> {
  const folder = join(pool.path, BASES)
  try {
    for (const name of await readdir(folder))
      if ((await stat(join(folder, name))).nlink === 1) await rm(join(folder, name), { force: true })
  } catch (error) {
    if (!isAbsent(error)) throw error
  }
}

async function qcow2Bytes(path: string): Promise<Result<number | undefined>> {
  try {
    await using file = await open(path, 'r')
    const { buffer, bytesRead } = await file.read(Buffer.alloc(32), 0, 32, 0)
    if (bytesRead < 32 || buffer.toString('latin1', 0, 4) !== 'QFI\xfb')
      return fail(failure('storage', `${path} is not a qcow2 file`))
    return ok(Number(buffer.readBigUInt64BE(QCOW2_SIZE_AT)))
  } catch (cause) {
    if (isAbsent(cause)) return ok(undefined)
    return fail(failure('storage', `${path} cannot be read: ${(cause as Error).message}`, { cause }))
  }
}

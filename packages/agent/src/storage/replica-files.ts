/**
 * The files of a pool's replicas: allocated whole, so that an acknowledged write can never meet a full disk later.
 * A replica appears under its name only once it is complete and on stable storage.
 */
import { execFile } from 'node:child_process'
import { chown, mkdir, open, readdir, rename, rm, stat, statfs } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { failure } from '@stead/core/errors.ts'
import type { VolumeId } from '@stead/core/model/ids.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import { runProgram } from '../process/run-program.ts'
import { promisedToSubvolumes } from '../subvolumes/subvolume-folder.ts'
import type { PoolConfig } from './storage-daemon.ts'

export interface ImageFile {
  readonly path: string
  readonly format: 'raw' | 'qcow2'
}

const run = promisify(execFile)
const ALLOCATE_TIMEOUT_MS = 10 * 60_000
const CONVERT_TIMEOUT_MS = 60 * 60_000
/** Sizes are multiples of this, the largest block that disks with O_DIRECT ask for. */
export const SIZE_STEP = 4096

export function replicaPath(pool: PoolConfig, volume: VolumeId): string {
  return join(pool.path, `${volume}.raw`)
}

/** Undefined when there is no such replica. */
export async function replicaSize(path: string): Promise<Result<number | undefined>> {
  try {
    return ok((await stat(path)).size)
  } catch (cause) {
    if (isAbsent(cause)) return ok(undefined)
    return fail(failure('storage', `${path} cannot be examined: ${(cause as Error).message}`, { cause }))
  }
}

/** Checks the pool's room and allocates the file under a temporary name, whose path it returns. Not for two at once in a pool. */
export async function allocate(pool: PoolConfig, volume: VolumeId, sizeBytes: number): Promise<Result<string>> {
  if (!Number.isSafeInteger(sizeBytes) || sizeBytes <= 0 || sizeBytes % SIZE_STEP !== 0) return fail(badSize(sizeBytes))
  const path = `${replicaPath(pool, volume)}.new`
  try {
    await mkdir(pool.path, { recursive: true, mode: 0o700 })
    // Left over by an agent that died in the middle.
    await rm(path, { force: true })
    const room = await roomIn(pool)
    if (sizeBytes > room) return fail(noCapacity(pool, sizeBytes, room))
    // `--posix` writes zeros where the file system cannot allocate.
    const args = ['--posix', '--length', String(sizeBytes), path]
    const allocated = await runProgram('fallocate', args, ALLOCATE_TIMEOUT_MS)
    if (!allocated.ok) throw new Error(allocated.error.message)
    // util-linux 2.38 says nothing and exits with 0 when `posix_fallocate` fails; the file is then shorter or empty.
    if ((await stat(path)).size === sizeBytes) return ok(path)
    await rm(path, { force: true })
    return fail(diskFull(pool))
  } catch (cause) {
    await rm(path, { force: true })
    if (/No space left|ENOSPC/.test(String(cause))) return fail(diskFull(pool, cause))
    return fail(
      failure('storage', `No replica could be allocated in pool ${pool.name}: ${(cause as Error).message}`, { cause }),
    )
  }
}

/** Fills a freshly allocated file from an image. Formats are named, never guessed. */
export async function fill(path: string, sizeBytes: number, image: ImageFile): Promise<Result<void>> {
  try {
    if (image.format === 'raw') return await copyRaw(image.path, path, sizeBytes)
    const described = await run('qemu-img', ['info', '--output=json', '-f', image.format, image.path], {
      timeout: 60_000,
    })
    const info = JSON.parse(described.stdout) as ImageInfo
    // An image may point at other files, and those could be any file of the host.
    const foreign = info['backing-filename'] ?? info['format-specific']?.data?.['data-file']
    if (foreign !== undefined)
      return fail(
        failure('invalid_image', `The image refers to another file (${foreign})`, {
          hint: 'Convert it to a single file first',
        }),
      )
    if (info.encrypted) return fail(failure('invalid_image', 'The image is encrypted'))
    if (info['virtual-size'] > sizeBytes) return fail(tooLarge(info['virtual-size'], sizeBytes))
    await run('qemu-img', ['convert', '-n', '--target-is-zero', '-f', image.format, '-O', 'raw', image.path, path], {
      timeout: CONVERT_TIMEOUT_MS,
    })
    return ok()
  } catch (cause) {
    const said = String((cause as { stderr?: string }).stderr ?? (cause as Error).message).trim()
    return fail(failure('invalid_image', `The image could not be copied: ${said}`, { cause }))
  }
}

/** Without a program: starting one twice takes longer than the small root of a container. Only what is not zero is written. */
async function copyRaw(from: string, to: string, sizeBytes: number): Promise<Result<void>> {
  await using source = await open(from, 'r')
  await using target = await open(to, 'r+')
  const { size } = await source.stat()
  if (size > sizeBytes) return fail(tooLarge(size, sizeBytes))
  const piece = Buffer.allocUnsafe(COPY_BYTES)
  for (let at = 0; at < size;) {
    const { bytesRead } = await source.read(piece, 0, piece.length, at)
    if (bytesRead === 0) throw new Error(`${from} ends after ${at} of ${size} bytes`)
    for (const { from: begin, to: end } of written(piece.subarray(0, bytesRead)))
      for (let done = begin; done < end;) done += (await target.write(piece, done, end - done, at + done)).bytesWritten
    at += bytesRead
  }
  return ok()
}

const COPY_BYTES = 4 << 20
const ZEROES = Buffer.alloc(64 << 10)

/** What of it is not zero, in as few parts as can be. */
function written(piece: Buffer): readonly { from: number; to: number }[] {
  const parts: { from: number; to: number }[] = []
  for (let from = 0; from < piece.length; from += ZEROES.length) {
    const to = Math.min(piece.length, from + ZEROES.length)
    if (piece.compare(ZEROES, 0, to - from, from, to) === 0) continue
    const last = parts.at(-1)
    if (last?.to === from) last.to = to
    else parts.push({ from, to })
  }
  return parts
}

function tooLarge(imageBytes: number, sizeBytes: number) {
  const hint = 'Make the volume larger'
  return failure('invalid_image', `The image holds ${imageBytes} bytes, the volume only ${sizeBytes}`, { hint })
}

/** A file that is complete, or only `<path>.new`, or neither. */
export async function removeWithDraft(path: string): Promise<Result<void>> {
  try {
    await rm(`${path}.new`, { force: true })
    await rm(path, { force: true })
    return ok()
  } catch (cause) {
    return fail(failure('storage', `${path} could not be removed: ${(cause as Error).message}`, { cause }))
  }
}

/** Gives the file its mode and makes it last. */
export async function secure(path: string, mode: number): Promise<void> {
  const file = await open(path, 'r+')
  try {
    await file.chmod(mode)
    await file.sync()
  } finally {
    await file.close()
  }
}

/** Gives the file its owner, makes it durable and puts it in place. */
export async function publish(
  path: string,
  pool: PoolConfig,
  volume: VolumeId,
  user?: { readonly uid: number; readonly gid: number },
): Promise<Result<void>> {
  try {
    if (user) await chown(path, user.uid, user.gid)
    await secure(path, 0o600)
    await rename(path, replicaPath(pool, volume))
    await syncFolder(pool.path)
    return ok()
  } catch (cause) {
    await rm(path, { force: true })
    return fail(
      failure('storage', `The replica of ${volume} could not be completed: ${(cause as Error).message}`, { cause }),
    )
  }
}

export async function discard(path: string): Promise<void> {
  await rm(path, { force: true })
}

export async function removeFiles(pool: PoolConfig, volume: VolumeId): Promise<Result<void>> {
  const path = replicaPath(pool, volume)
  try {
    await rm(path, { force: true })
    // The layers and clones of its snapshots, and what was left half made.
    for (const name of await readdir(pool.path))
      if (name.startsWith(`${volume}.`)) await rm(join(pool.path, name), { force: true })
    await syncFolder(pool.path)
    return ok()
  } catch (cause) {
    if (isAbsent(cause)) return ok()
    return fail(
      failure('storage', `The replica of ${volume} could not be removed: ${(cause as Error).message}`, { cause }),
    )
  }
}

/**
 * Bytes that may still be promised. A layer or an image of a memory counts with what is allocated for it; a volume with clones twice, since each
 * block that is written again takes a new one.
 */
export async function roomIn(pool: PoolConfig): Promise<number> {
  let used = 0
  let unshared = 0
  const names = await readdir(pool.path)
  const cloned = new Set(names.flatMap((name) => /^(\w+)\.snap-\w+\.raw(\.new)?$/.exec(name)?.[1] ?? []))
  for (const name of names) {
    const volume = /^(\w+)\.raw(\.new)?$/.exec(name)?.[1]
    if (volume !== undefined) {
      const found = await replicaSize(join(pool.path, name))
      const size = found.ok ? (found.value ?? 0) : 0
      // One that is about to be enlarged holds more than its size.
      used += Math.max(size, await allocatedBytes(join(pool.path, name)))
      if (cloned.has(volume)) unshared += size
    } else if (name.endsWith('.qcow2') || /\.memory-\w+(\.new)?$/.test(name))
      used += await allocatedBytes(join(pool.path, name))
  }
  const { bavail, bsize } = await statfs(pool.path)
  const { promisedBytes, unwrittenBytes } = promisedToSubvolumes(pool.path)
  return Math.min(pool.capacityBytes - used - promisedBytes, bavail * bsize - unwrittenBytes) - unshared
}

/** Volumes of the pool that consist of more than their raw file. */
export async function layeredVolumes(pool: PoolConfig): Promise<readonly VolumeId[]> {
  try {
    const names = await readdir(pool.path)
    return names.flatMap((name) => (/^(\w+)\.layers\.json$/.exec(name)?.[1] ?? []) as VolumeId[])
  } catch (cause) {
    // Before its first replica a pool has no folder.
    if (isAbsent(cause)) return []
    throw cause
  }
}

async function allocatedBytes(path: string): Promise<number> {
  try {
    const { blocks, nlink } = await stat(path)
    // An image that replicas share takes its room once, where it is kept.
    return nlink > 1 ? 0 : blocks * 512
  } catch (cause) {
    // Merged and removed meanwhile.
    if (isAbsent(cause)) return 0
    throw cause
  }
}

export function badSize(sizeBytes: number) {
  const hint = `Use a multiple of ${SIZE_STEP} bytes`
  return failure('bad_request', `A volume of ${sizeBytes} bytes is not possible`, { hint })
}

export function noCapacity(pool: PoolConfig, wanted: number, room: number) {
  const hint = 'Free space, raise the capacity of the pool, or choose another one'
  return failure('no_capacity', `Pool ${pool.name} has room for ${Math.max(0, room)} bytes, ${wanted} are wanted`, {
    hint,
  })
}

export function diskFull(pool: PoolConfig, cause?: unknown) {
  const hint = 'Free space there, or choose another pool'
  return failure('no_capacity', `The file system of pool ${pool.name} is full`, { hint, cause })
}

export async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, 'r')
  try {
    await folder.sync()
  } finally {
    await folder.close()
  }
}

export function isAbsent(cause: unknown): boolean {
  return (cause as NodeJS.ErrnoException).code === 'ENOENT'
}

interface ImageInfo {
  readonly 'virtual-size': number
  readonly 'backing-filename'?: string
  readonly encrypted?: boolean
  readonly 'format-specific'?: { readonly data?: { readonly 'data-file'?: string } }
}

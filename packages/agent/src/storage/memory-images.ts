/**
 * Images of guests' memories on this host's pools, each beside the replica that was snapshotted at the same moment:
 * `<volume>.memory-<snapshot>`, with `.new` until it is whole and lasts. Only the agent reads or writes one: QEMU gets
 * and gives its content over a socket, so that no guest's process can ever look into another guest's memory.
 */
import { execFile } from 'node:child_process'
import { createHash, type Hash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { open, readdir, rename, rm, stat, type FileHandle } from 'node:fs/promises'
import { join } from 'node:path'
import { Writable, type Readable } from 'node:stream'
import { promisify } from 'node:util'
import { failure } from '@stead/core/errors.ts'
import type { VolumeId } from '@stead/core/model/ids.ts'
import type { SnapshotId } from '@stead/core/model/snapshot.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import type { KeyedLock } from './keyed-lock.ts'
import { diskFull, isAbsent, noCapacity, removeWithDraft, roomIn, syncFolder } from './replica-files.ts'
import type { PoolConfig } from './storage-daemon.ts'

const run = promisify(execFile)
const ALLOCATE_TIMEOUT_MS = 60_000
const FILE_NAME = /^(\w+)\.memory-(\w+?)(\.new)?$/

/** Which image, on this host. */
export interface ImageName {
  readonly volume: VolumeId
  readonly pool: string
  readonly snapshot: SnapshotId
}

/** What an image must be. */
export interface ImageContent {
  readonly bytes: number
  /** `sha256:` and 64 hexadecimal digits. */
  readonly digest: string
}

interface Arrived {
  readonly bytes: number
  readonly digest: string
}

export class MemoryImages {
  readonly #pools: readonly PoolConfig[]
  readonly #lock: KeyedLock
  /** By path: what has been written by this life of the agent. */
  readonly #written = new Map<string, Promise<Arrived>>()

  constructor(pools: readonly PoolConfig[], lock: KeyedLock) {
    this.#pools = pools
    this.#lock = lock
  }

  /** Takes the room (`no_capacity`), and returns what the image is to be written to; it refuses to become larger. */
  async create(name: ImageName, bytesMax: number): Promise<Result<Writable>> {
    const pool = this.#pool(name)
    if (!pool.ok) return pool
    const path = `${imagePath(pool.value, name)}.new`
    const file = await this.#lock.run(`pool ${name.pool}`, () => allocate(pool.value, path, bytesMax))
    if (!file.ok) return file
    const writer = new ImageWriter(file.value, bytesMax)
    this.#written.set(path, writer.arrived)
    // Looked at by `seal` only; an image that broke off is given up by whoever was writing it.
    void writer.arrived.catch(() => undefined)
    return ok(writer)
  }

  /** Makes an image that was written whole last. `storage` when something else has arrived; nothing is left then. */
  async seal(name: ImageName, wanted: ImageContent): Promise<Result<void>> {
    const pool = this.#pool(name)
    if (!pool.ok) return pool
    const path = imagePath(pool.value, name)
    const arriving = this.#written.get(`${path}.new`)
    this.#written.delete(`${path}.new`)
    try {
      const arrived = await arriving
      if (arrived?.bytes !== wanted.bytes || arrived.digest !== wanted.digest)
        throw new Error(`${arrived?.bytes ?? 'no'} bytes have arrived, ${wanted.bytes} were sent`)
      const file = await open(`${path}.new`, 'r+')
      try {
        // What was taken and not used is free again.
        await file.truncate(wanted.bytes)
        await file.chmod(0o400)
        await file.sync()
      } finally {
        await file.close()
      }
      await rename(`${path}.new`, path)
      await syncFolder(pool.value.path)
      return ok()
    } catch (cause) {
      await rm(`${path}.new`, { force: true })
      return fail(failure('storage', `The image of the memory is not whole: ${(cause as Error).message}`, { cause }))
    }
  }

  /** The content of a sealed image. Whether it is undamaged is seen by its digest, by who reads it. */
  async open(name: ImageName): Promise<Result<Readable>> {
    const pool = this.#pool(name)
    if (!pool.ok) return pool
    const path = imagePath(pool.value, name)
    try {
      await stat(path)
      return ok(createReadStream(path, { highWaterMark: 1 << 20 }))
    } catch (cause) {
      if (isAbsent(cause)) return fail(failure('not_found', `Pool ${name.pool} has no such image of a memory`))
      return fail(failure('storage', `${path} cannot be read: ${(cause as Error).message}`, { cause }))
    }
  }

  #pool({ pool: name }: ImageName): Result<PoolConfig> {
    const pool = this.#pools.find((each) => each.name === name)
    return pool ? ok(pool) : fail(failure('not_found', `This host has no pool ${name}`))
  }
}

/** Counts and digests while it writes. */
class ImageWriter extends Writable {
  readonly arrived: Promise<Arrived>
  readonly #file: FileHandle
  readonly #bytesMax: number
  readonly #hash: Hash = createHash('sha256')
  #bytes = 0
  #settle: (end: Arrived | Error) => void = () => undefined

  constructor(file: FileHandle, bytesMax: number) {
    super({ highWaterMark: 4 << 20 })
    this.#file = file
    this.#bytesMax = bytesMax
    this.arrived = new Promise((resolve, reject) => {
      this.#settle = (end) => (end instanceof Error ? reject(end) : resolve(end))
    })
  }

  override _write(chunk: Buffer, _encoding: string, done: (error?: Error | null) => void): void {
    this.#append(chunk).then(() => done(), done)
  }

  async #append(chunk: Buffer): Promise<void> {
    if (this.#bytes + chunk.length > this.#bytesMax) throw new Error(`it became larger than ${this.#bytesMax} bytes`)
    this.#hash.update(chunk)
    for (let offset = 0; offset < chunk.length;) {
      const { bytesWritten } = await this.#file.write(chunk, offset, chunk.length - offset, this.#bytes + offset)
      offset += bytesWritten
    }
    this.#bytes += chunk.length
  }

  override _final(done: (error?: Error | null) => void): void {
    this.#settle({ bytes: this.#bytes, digest: `sha256:${this.#hash.digest('hex')}` })
    done()
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.#settle(error ?? new Error('it broke off'))
    this.#file.close().then(() => done(error), done)
  }
}

async function allocate(pool: PoolConfig, path: string, bytesMax: number): Promise<Result<FileHandle>> {
  try {
    await rm(path, { force: true })
    const room = await roomIn(pool)
    if (bytesMax > room) return fail(noCapacity(pool, bytesMax, room))
    const file = await open(path, 'wx', 0o600)
    try {
      await run('fallocate', ['--posix', '--length', String(bytesMax), path], { timeout: ALLOCATE_TIMEOUT_MS })
      if ((await file.stat()).size === bytesMax) return ok(file)
      throw Object.assign(new Error('the file system is full'), { stderr: 'ENOSPC' })
    } catch (error) {
      await file.close()
      throw error
    }
  } catch (cause) {
    await rm(path, { force: true })
    if (/No space left|ENOSPC/.test(String((cause as { stderr?: string }).stderr ?? cause)))
      return fail(diskFull(pool, cause))
    return fail(
      failure('storage', `No image could be made in pool ${pool.name}: ${(cause as Error).message}`, { cause }),
    )
  }
}

/** What the pool holds, also of what is only begun. */
export async function imagesIn(
  pool: PoolConfig,
): Promise<readonly { readonly volume: VolumeId; readonly snapshot: SnapshotId }[]> {
  const names = await readdir(pool.path).catch((cause: unknown) => {
    if (isAbsent(cause)) return []
    throw cause
  })
  return names.flatMap((name) => {
    const match = FILE_NAME.exec(name)
    return match ? [{ volume: match[1] as VolumeId, snapshot: match[2] as SnapshotId }] : []
  })
}

export async function releaseImage(pool: PoolConfig, volume: VolumeId, snapshot: SnapshotId): Promise<Result<void>> {
  return removeWithDraft(imagePath(pool, { volume, snapshot }))
}

function imagePath(pool: PoolConfig, { volume, snapshot }: Omit<ImageName, 'pool'>): string {
  return join(pool.path, `${volume}.memory-${snapshot}`)
}

/**
 * Dumps of containers, made on the host that has what is read: of a running container that stands still meanwhile
 * (`suspend`), or of a replica, where it is stopped or a snapshot holds it. What comes out is a file among this host's
 * blobs. See docs/internals/containers.md.
 */
import { randomUUID } from 'node:crypto'
import { constants, createWriteStream } from 'node:fs'
import { chown, copyFile, mkdir, rm, stat, statfs } from 'node:fs/promises'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { failure } from '@stead/core/errors.ts'
import type { DumpCompression } from '@stead/core/model/backup.ts'
import type { BlobId, GuestId, VolumeId } from '@stead/core/model/ids.ts'
import type { SnapshotId } from '@stead/core/model/snapshot.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import { digestOfFile } from '../blobs/file-digest.ts'
import { confinedQemuImg } from '../images/confined-qemu-img.ts'
import { dumpContainer, type DumpedDisk } from '../images/container-dump.ts'
import type { ReadingExport } from '../storage/qsd-volume-host.ts'
import { runProgram } from '../process/run-program.ts'
import type { ContainerRun } from './container-run.ts'

export interface DumpOrder {
  readonly guest: GuestId
  /** What the dump is to say of the container. */
  readonly config: unknown
  readonly compress: DumpCompression
  /** Its disks, the root first. */
  readonly volumes: readonly VolumeId[]
  /** Where they are read, in the same order; absent: where it runs, suspended meanwhile. */
  readonly replicas?: readonly DumpedReplica[]
}

export interface DumpedReplica {
  readonly volume: VolumeId
  readonly pool: string
  readonly snapshot?: SnapshotId
}

export interface DumpedContainer {
  readonly blob: BlobId
  readonly sizeBytes: number
  /** How long it was suspended; 0 otherwise. */
  readonly pausedMs: number
}

export interface ContainerDumpsOptions {
  /** Emptied when the agent starts. The guests' user may walk the path to it. */
  readonly workFolder: string
  readonly user?: { readonly uid: number; readonly gid: number }
  /** What the state folder keeps for others, bytes. */
  readonly reserveBytes: number
  readonly runOf: (guest: GuestId) => Result<ContainerRun>
  readonly reading: <T>(
    volume: VolumeId,
    pool: string,
    task: (from: ReadingExport) => Promise<Result<T>>,
    snapshot?: SnapshotId,
  ) => Promise<Result<T>>
  /** The file that a snapshot is, where the pool makes clones of files. */
  readonly cloneOf: (volume: VolumeId, pool: string, snapshot: SnapshotId) => Promise<string | undefined>
  /** The folder that a replica, or a snapshot of it, is; undefined: it is the image of a disk. */
  readonly subvolumeOf: (volume: VolumeId, pool: string, snapshot?: SnapshotId) => string | undefined
  readonly keep: (path: string, blob: BlobId) => Promise<Result<void>>
}

const COPY_TIMEOUT_MS = 20 * 60_000
/** e2fsck's own: what it corrected is no failure. */
const CHECKED = [0, 1, 2, 3]

export class ContainerDumps {
  readonly #options: ContainerDumpsOptions
  readonly #underWay = new Set<GuestId>()

  constructor(options: ContainerDumpsOptions) {
    this.#options = options
  }

  async dump(order: DumpOrder): Promise<Result<DumpedContainer>> {
    const { guest, replicas } = order
    if (this.#underWay.has(guest)) return fail(failure('conflict', 'The container is being dumped already'))
    this.#underWay.add(guest)
    const folder = join(this.#options.workFolder, randomUUID())
    try {
      await mkdir(folder, { mode: 0o700 })
      return await (replicas ? this.#ofReplicas(folder, order, replicas) : this.#suspended(folder, order))
    } catch (cause) {
      const { code, message } = cause as NodeJS.ErrnoException
      if (code === undefined) throw cause
      const hint = "Free space under the agent's state folder."
      return fail(failure(code === 'ENOSPC' ? 'no_capacity' : 'storage', message, { cause, hint }))
    } finally {
      this.#underWay.delete(guest)
      await rm(folder, { recursive: true, force: true })
    }
  }

  async #suspended(folder: string, order: DumpOrder): Promise<Result<DumpedContainer>> {
    const run = this.#options.runOf(order.guest)
    if (!run.ok) return run
    const { lxc } = run.value
    const disks: DumpedDisk[] = []
    for (const volume of order.volumes) {
      const path = run.value.folderOf(volume)
      if (path === undefined)
        return fail(failure('conflict', 'A disk of it is just being added or taken away', { hint: 'Try again soon' }))
      disks.push({ kind: 'folder', path })
    }
    const began = performance.now()
    let isLate = false
    // Also where what reads it hangs, as on a disk that is held.
    const bound = setTimeout(() => {
      isLate = true
      void lxc.thaw()
    }, COPY_TIMEOUT_MS)
    try {
      const frozen = await lxc.freeze()
      if (!frozen.ok) return frozen
      const packed = await this.#pack(folder, order, disks)
      if (!packed.ok) return packed
    } finally {
      clearTimeout(bound)
      await lxc.thaw()
    }
    if (isLate) return fail(failure('timeout', 'The container was let go on before all of it was read'))
    return this.#keep(folder, Math.round(performance.now() - began))
  }

  async #ofReplicas(
    folder: string,
    order: DumpOrder,
    replicas: readonly DumpedReplica[],
  ): Promise<Result<DumpedContainer>> {
    const { user } = this.#options
    // QEMU's user writes the copies.
    if (user) await chown(folder, user.uid, user.gid)
    const disks: DumpedDisk[] = []
    for (const [number, replica] of replicas.entries()) {
      const subvolume = this.#options.subvolumeOf(replica.volume, replica.pool, replica.snapshot)
      if (subvolume !== undefined) {
        disks.push({ kind: 'folder', path: subvolume })
        continue
      }
      const path = join(folder, `disk${number}.raw`)
      const copied = await this.#copyReplica(replica, path)
      if (!copied.ok) return copied
      disks.push({ kind: 'image', path })
    }
    const packed = await this.#pack(folder, order, disks)
    return packed.ok ? this.#keep(folder, 0) : packed
  }

  async #copyReplica({ volume, pool, snapshot }: DumpedReplica, image: string): Promise<Result<void>> {
    const { reading, cloneOf } = this.#options
    const clone = snapshot === undefined ? undefined : await cloneOf(volume, pool, snapshot)
    if (clone !== undefined) await copyFile(clone, image, constants.COPYFILE_FICLONE)
    else {
      const copied = await reading(volume, pool, (from) => this.#copy(from, image), snapshot)
      if (!copied.ok) return copied
    }
    // Of a copy that was taken as after a power cut the journal is replayed; of any other there is nothing to do.
    const checked = await runProgram('e2fsck', ['-p', image], COPY_TIMEOUT_MS, { accepted: CHECKED })
    return checked.ok ? ok() : checked
  }

  async #copy(from: ReadingExport, target: string): Promise<Result<void>> {
    const { user, workFolder, reserveBytes } = this.#options
    const { bavail, bsize } = await statfs(workFolder)
    if (bavail * bsize <= reserveBytes)
      return fail(failure('no_capacity', "This host's state folder has no room for a copy of the disk"))
    const server = `server.type=inet,server.host=${from.address},server.port=${from.port}`
    const source = `driver=nbd,read-only=on,${server},export=${from.exportName}`
    const copied = await confinedQemuImg(['convert', '--image-opts', '-O', 'raw', source, target], {
      ...(user ? { user } : {}),
      // A limit of the file's length. It has holes, so that it takes less than that.
      fileBytesMax: from.sizeBytes,
      timeoutMs: COPY_TIMEOUT_MS,
    })
    if (copied.ok) return ok()
    return copied.error.code === 'invalid_image'
      ? fail(failure('storage', `The disk could not be read: ${copied.error.message}`, { cause: copied.error }))
      : copied
  }

  async #pack(folder: string, { config, compress }: DumpOrder, disks: readonly DumpedDisk[]): Promise<Result<void>> {
    const from = { disks, config, compress, workFolder: folder }
    const { content, ended } = await dumpContainer(from)
    const written = await pipeline(content, createWriteStream(dumpFile(folder), { mode: 0o600 }), {
      signal: AbortSignal.timeout(COPY_TIMEOUT_MS),
    }).then(
      () => undefined,
      (cause: unknown) => cause,
    )
    const whole = await ended
    if (written !== undefined) throw written
    return whole
  }

  async #keep(folder: string, pausedMs: number): Promise<Result<DumpedContainer>> {
    const path = dumpFile(folder)
    const blob = await digestOfFile(path)
    const { size: sizeBytes } = await stat(path)
    const kept = await this.#options.keep(path, blob)
    return kept.ok ? ok({ blob, sizeBytes, pausedMs }) : kept
  }
}

function dumpFile(folder: string): string {
  return join(folder, 'dump.tar')
}

/** Makes an image of a replica on this host: its disk as it is now, whatever it consists of, in one qcow2 file. */
import { randomUUID } from 'node:crypto'
import { chown, lstat, mkdir, rm, statfs } from 'node:fs/promises'
import { join } from 'node:path'
import { failure } from '@stead/core/errors.ts'
import type { BlobId, VolumeId } from '@stead/core/model/ids.ts'
import type { ImageDisk } from '@stead/core/model/volume.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import { digestOfFile } from '../blobs/file-digest.ts'
import type { ReadingExport } from '../storage/qsd-volume-host.ts'
import { confinedQemuImg, percentIn } from './confined-qemu-img.ts'
import { makingTimeoutMs, type MakingTask } from './making-task.ts'

export interface DiskCaptureOptions {
  readonly workFolder: string
  readonly user?: { readonly uid: number; readonly gid: number }
  /** Lets the task read the replica over NBD, as it was when the task began if nobody writes it. */
  readonly reading: <T>(
    volume: VolumeId,
    pool: string,
    task: (from: ReadingExport) => Promise<Result<T>>,
  ) => Promise<Result<T>>
  readonly keep: (path: string, blob: BlobId) => Promise<Result<void>>
}

/** qcow2's tables take 1/8192 of the data; this is far more. */
const TABLES_SHARE = 1 / 256

export class DiskCapture {
  readonly #options: DiskCaptureOptions

  constructor(options: DiskCaptureOptions) {
    this.#options = options
  }

  /** The guest must be stopped: nobody compares what is read with what is written meanwhile. */
  capture(volume: VolumeId, pool: string, task: MakingTask): Promise<Result<ImageDisk>> {
    return this.#options.reading(volume, pool, async (from) => {
      const { user, workFolder } = this.#options
      const folder = join(workFolder, randomUUID())
      try {
        await mkdir(folder, { mode: 0o700 })
        if (user) await chown(folder, user.uid, user.gid)
        return await this.#copy(from, join(folder, 'disk.qcow2'), task)
      } finally {
        await rm(folder, { recursive: true, force: true })
      }
    })
  }

  async #copy(from: ReadingExport, target: string, { signal, tell, made }: MakingTask): Promise<Result<ImageDisk>> {
    const { user, workFolder, keep } = this.#options
    const { bavail, bsize } = await statfs(workFolder)
    const source = `driver=nbd,read-only=on,server.type=inet,server.host=${from.address},server.port=${from.port},export=${from.exportName}`
    const totalBytes = from.sizeBytes
    const copied = await confinedQemuImg(['convert', '-p', '--image-opts', '-O', 'qcow2', source, target], {
      ...(user ? { user } : {}),
      fileBytesMax: Math.min(from.sizeBytes + Math.ceil(from.sizeBytes * TABLES_SHARE) + 2 ** 20, bavail * bsize),
      timeoutMs: makingTimeoutMs(totalBytes),
      signal,
      onOutput: (text) => {
        const percent = percentIn(text)
        if (percent !== undefined)
          tell({ step: 'copying', doneBytes: Math.round((percent / 100) * totalBytes), totalBytes })
      },
    })
    if (!copied.ok)
      return copied.error.code === 'invalid_image'
        ? fail(failure('storage', `The disk could not be read: ${copied.error.message}`, { cause: copied.error }))
        : copied
    const file = await lstat(target)
    if (!file.isFile()) return fail(failure('storage', 'The disk could not be copied'))
    const onBytes = (doneBytes: number) => tell({ step: 'digesting', doneBytes, totalBytes: file.size })
    const blob = await digestOfFile(target, { signal, onBytes })
    await made(blob)
    const kept = await keep(target, blob)
    return kept.ok ? ok({ blob, format: 'qcow2', virtualSizeBytes: from.sizeBytes }) : kept
  }
}

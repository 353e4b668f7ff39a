/**
 * Makes an image of an uploaded file: looked at before QEMU sees it, then copied into a new qcow2 file of our own
 * making, so that nothing of what the uploader wrote into his headers survives. A failure leaves nothing behind.
 *
 * See docs/internals/images.md for what is refused and why.
 */
import { createHash, randomUUID } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { chown, lstat, mkdir, open, rm, statfs, type FileHandle } from 'node:fs/promises'
import { join } from 'node:path'
import { failure } from '@stead/core/errors.ts'
import type { BlobId } from '@stead/core/model/ids.ts'
import type { MakingProgress } from '@stead/core/model/file-making.ts'
import type { UploadFormat } from '@stead/core/model/image-import.ts'
import type { ImageDisk, ImageHardware } from '@stead/core/model/volume.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import { STATE_RESERVE_BYTES } from '../blobs/blob-store.ts'
import { digestOfFile } from '../blobs/file-digest.ts'
import { confinedQemuImg, imageOptions, percentIn, type Confinement, type ImageWindow } from './confined-qemu-img.ts'
import { checkQcow2, checkVmdk } from './image-headers.ts'
import { formatByContent, HEAD_BYTES } from './image-magic.ts'
import { makingTimeoutMs, UNWATCHED, type MakingTask } from './making-task.ts'
import { parseOvf } from './ovf.ts'
import { importRootArchive, type ImportedRoot, type RootRequest } from './root-archive.ts'
import { tarMembers, type TarMember } from './tar-members.ts'

export interface ImageImporterOptions {
  /** Emptied when the agent starts. The guests' user must be able to reach it. */
  readonly workFolder: string
  readonly user?: { readonly uid: number; readonly gid: number }
  /** What the state folder keeps for etcd, logs and other uploads, bytes; default 256 MiB. */
  readonly reserveBytes?: number
  /** Takes a finished file into the blobs under its digest; the file is gone afterwards. */
  readonly keep: (path: string, blob: BlobId) => Promise<Result<void>>
}

export interface ImportRequest {
  /** The upload's file on this host. */
  readonly path: string
  readonly format: UploadFormat
  /** The largest disk that any pool of the cluster could hold. */
  readonly virtualSizeMax: number
}

export interface ImportedImage {
  readonly kind: 'disk' | 'iso'
  readonly disks: readonly ImageDisk[]
  readonly hardware?: ImageHardware
}

const QUESTION_TIMEOUT_MS = 60_000
const OVF_BYTES_MAX = 4 * 2 ** 20
const SECTOR = 512

export class ImageImporter {
  readonly #options: ImageImporterOptions

  constructor(options: ImageImporterOptions) {
    this.#options = options
  }

  /** Removes what an agent left that died in the middle. */
  async clean(): Promise<void> {
    await rm(this.#options.workFolder, { recursive: true, force: true })
    await mkdir(this.#options.workFolder, { recursive: true, mode: 0o711 })
  }

  async import(request: ImportRequest, task: MakingTask = UNWATCHED): Promise<Result<ImportedImage>> {
    task.tell({ step: 'checking' })
    const { path, format } = request
    let file: FileHandle
    try {
      file = await open(path, 'r')
    } catch (cause) {
      return fail(failure('invalid_image', 'The upload cannot be read', { cause }))
    }
    await using _closed = file
    const { size } = await file.stat()
    if (size === 0) return fail(failure('invalid_image', 'The image is empty'))
    const read = (offset: number, length: number) => readAt(file, offset, length)
    const real = formatByContent(await read(0, HEAD_BYTES))
    const mismatch = formatMismatch(format, real)
    if (mismatch) return fail(mismatch)
    if (format === 'iso') return ok({ kind: 'iso', disks: [] })
    if (format === 'ova') return await this.#importOva(request, size, read, task)
    const window = { path, format, offset: 0, sizeBytes: size }
    const disk = await this.#importDisk(window, request.virtualSizeMax, read, task)
    return disk.ok ? ok({ kind: 'disk', disks: [disk.value] }) : disk
  }

  /** An archive of a root file system; see `root-archive.ts`. */
  importRoot(request: RootRequest, task: MakingTask = UNWATCHED): Promise<Result<ImportedRoot>> {
    return importRootArchive({ reserveBytes: STATE_RESERVE_BYTES, ...this.#options }, request, task)
  }

  async #importOva(
    request: ImportRequest,
    fileBytes: number,
    read: (offset: number, length: number) => Promise<Buffer>,
    task: MakingTask,
  ): Promise<Result<ImportedImage>> {
    const members = await tarMembers(read, fileBytes)
    if (!members.ok) return members
    const descriptor = members.value.find(({ name }) => name.toLowerCase().endsWith('.ovf'))
    if (!descriptor || descriptor.sizeBytes > OVF_BYTES_MAX)
      return fail(failure('invalid_image', 'The OVA is refused: it has no OVF descriptor'))
    const genuine = await checkManifest(request.path, members.value, read)
    if (!genuine.ok) return genuine
    const machine = parseOvf((await read(descriptor.offset, descriptor.sizeBytes)).toString('utf8'))
    if (!machine.ok) return machine
    const disks: ImageDisk[] = []
    for (const name of machine.value.disks) {
      const member = members.value.find((each) => each.name === name)
      if (!member) return fail(failure('invalid_image', `The OVA is refused: ${JSON.stringify(name)} is not in it`))
      const inside = (offset: number, length: number) =>
        read(member.offset + offset, Math.max(0, Math.min(length, member.sizeBytes - offset)))
      const format = formatByContent(await inside(0, HEAD_BYTES))
      if (format !== 'vmdk' && format !== 'qcow2' && format !== 'vhdx') {
        const what = format === 'vmdk-descriptor' ? 'only describes other files' : 'is no VMDK, qcow2 or VHDX'
        return fail(failure('invalid_image', `The OVA is refused: ${name} ${what}`))
      }
      const window = { path: request.path, format, offset: member.offset, sizeBytes: member.sizeBytes }
      const which = { number: disks.length + 1, of: machine.value.disks.length }
      const tell = (progress: MakingProgress) => task.tell({ ...progress, disk: which })
      const disk = await this.#importDisk(window, request.virtualSizeMax, inside, { ...task, tell })
      if (!disk.ok) return disk
      disks.push(disk.value)
    }
    const { memoryBytes, cpus } = machine.value
    const hardware = { ...(memoryBytes === undefined ? {} : { memoryBytes }), ...(cpus === undefined ? {} : { cpus }) }
    return ok({ kind: 'disk', disks, hardware })
  }

  async #importDisk(
    window: ImageWindow,
    virtualSizeMax: number,
    read: (offset: number, length: number) => Promise<Buffer>,
    task: MakingTask,
  ): Promise<Result<ImageDisk>> {
    const said = await sizeByHeader(window, read)
    if (!said.ok) return said
    if (said.value !== undefined && said.value > virtualSizeMax) return fail(tooLarge(said.value, virtualSizeMax))
    const folder = join(this.#options.workFolder, randomUUID())
    const { user } = this.#options
    try {
      await mkdir(folder, { mode: 0o700 })
      if (user) await chown(folder, user.uid, user.gid)
      return await this.#convert(window, virtualSizeMax, join(folder, 'disk.qcow2'), task)
    } finally {
      await rm(folder, { recursive: true, force: true })
    }
  }

  async #convert(
    window: ImageWindow,
    virtualSizeMax: number,
    target: string,
    { signal, tell, made }: MakingTask,
  ): Promise<Result<ImageDisk>> {
    const { user, workFolder, keep, reserveBytes = STATE_RESERVE_BYTES } = this.#options
    const limits = (fileBytesMax: number, timeoutMs: number): Confinement => ({
      fileBytesMax,
      ...{ timeoutMs, signal },
      ...(user ? { user } : {}),
    })
    const timeoutMs = makingTimeoutMs(window.sizeBytes)
    tell({ step: 'checking' })
    const source = imageOptions(window)
    const asking = limits(0, QUESTION_TIMEOUT_MS)
    const described = await json<QemuImageInfo>(['info', '--output=json', '--image-opts', source], asking)
    if (!described.ok) return described
    const info = described.value
    // The headers were looked at before; a format whose headers only QEMU reads (VHDX) is judged here.
    if (info['backing-filename'] !== undefined || info['format-specific']?.data?.['data-file'] !== undefined)
      return fail(failure('invalid_image', 'The image is refused: it refers to another file'))
    if (info.encrypted) return fail(failure('invalid_image', 'The image is refused: it is encrypted'))
    const virtualSizeBytes = info['virtual-size']
    if (virtualSizeBytes > virtualSizeMax) return fail(tooLarge(virtualSizeBytes, virtualSizeMax))
    if (window.format !== 'raw') {
      const checked = await json<QemuImageCheck>(
        ['check', '--output=json', '--image-opts', source],
        limits(0, timeoutMs),
      )
      if (!checked.ok) return checked
      const { corruptions = 0, 'check-errors': errors = 0 } = checked.value
      if (corruptions + errors > 0)
        return fail(
          failure('invalid_image', `The image is damaged: ${corruptions} corruptions, ${errors} errors`, {
            hint: 'Export or download it again; `qemu-img check -r all` may repair it.',
          }),
        )
    }
    const measured = await json<{ readonly required: number }>(
      ['measure', '--output=json', '-O', 'qcow2', '--image-opts', source],
      limits(0, timeoutMs),
    )
    if (!measured.ok) return measured
    const { bavail, bsize } = await statfs(workFolder)
    const roomBytes = bavail * bsize - reserveBytes
    if (measured.value.required > roomBytes)
      return fail(
        failure(
          'no_capacity',
          `The image needs ${measured.value.required} bytes here, ${Math.max(0, roomBytes)} are free`,
          {
            hint: "Free space under the agent's state folder, or import at another host.",
          },
        ),
      )
    const totalBytes = virtualSizeBytes
    tell({ step: 'converting', doneBytes: 0, totalBytes })
    const converted = await confinedQemuImg(['convert', '-p', '--image-opts', '-O', 'qcow2', source, target], {
      // Tables are preallocated in whole clusters.
      ...limits(measured.value.required + 2 ** 20, makingTimeoutMs(virtualSizeBytes)),
      onOutput: (text) => {
        const percent = percentIn(text)
        if (percent !== undefined)
          tell({ step: 'converting', doneBytes: Math.round((percent / 100) * totalBytes), totalBytes })
      },
    })
    if (!converted.ok) return converted
    // Whoever could have exchanged it has ended.
    if (!(await lstat(target)).isFile()) return fail(failure('invalid_image', 'The image could not be converted'))
    const { size } = await lstat(target)
    const onBytes = (doneBytes: number) => tell({ step: 'digesting', doneBytes, totalBytes: size })
    const blob = await digestOfFile(target, { signal, onBytes })
    await made(blob)
    const kept = await keep(target, blob)
    return kept.ok ? ok({ blob, format: 'qcow2', virtualSizeBytes }) : kept
  }
}

/** By the header alone, where it can be read here. */
async function sizeByHeader(
  { format, sizeBytes }: ImageWindow,
  read: (offset: number, length: number) => Promise<Buffer>,
): Promise<Result<number | undefined>> {
  if (format === 'qcow2') return checkQcow2(await read(0, SECTOR), sizeBytes)
  if (format === 'vmdk') return checkVmdk(await read(0, SECTOR), sizeBytes, read)
  return ok(format === 'raw' ? sizeBytes : undefined)
}

function formatMismatch(said: UploadFormat, real: ReturnType<typeof formatByContent>) {
  if (said === real || (said === 'raw' && (real === undefined || real === 'iso'))) return undefined
  if (real === 'vmdk-descriptor')
    return failure('invalid_image', 'The image is refused: it only describes other files', {
      hint: 'Import the file with the data, or make one of all: `qemu-img convert -O qcow2 OLD NEW`.',
    })
  const what = real === undefined ? 'it is not' : `its content is ${real}`
  const hint =
    real === 'vmdk3' || real === 'vdi' || real === 'qed'
      ? 'Convert it first: `qemu-img convert -O qcow2 OLD NEW`.'
      : real === undefined
        ? 'Give --format raw for a plain copy of a disk.'
        : `Give --format ${real}.`
  return failure('invalid_image', `The image is said to be ${said}, but ${what}`, { hint })
}

function tooLarge(sizeBytes: number, max: number) {
  return failure('invalid_image', `The image is a disk of ${sizeBytes} bytes; the largest pool holds ${max}`, {
    hint: 'Shrink it with `qemu-img resize --shrink` where it was made, or add storage.',
  })
}

/** An OVA may hold the digests of its files (`NAME.mf`); a wrong one is a damaged download. */
async function checkManifest(
  path: string,
  members: readonly TarMember[],
  read: (offset: number, length: number) => Promise<Buffer>,
): Promise<Result<void>> {
  const manifest = members.find(({ name }) => name.toLowerCase().endsWith('.mf'))
  if (!manifest || manifest.sizeBytes > OVF_BYTES_MAX) return ok()
  const text = (await read(manifest.offset, manifest.sizeBytes)).toString('utf8')
  for (const [, algorithm = '', name = '', digest = ''] of text.matchAll(
    /^(SHA1|SHA256)\s*\((.+)\)\s*=\s*([0-9a-f]+)\s*$/gim,
  )) {
    const member = members.find((each) => each.name === name)
    if (!member) continue
    const found = createHash(algorithm.toLowerCase())
    const { offset, sizeBytes } = member
    if (sizeBytes > 0)
      for await (const part of createReadStream(path, { start: offset, end: offset + sizeBytes - 1 }))
        found.update(part as Buffer)
    if (found.digest('hex') !== digest.toLowerCase())
      return fail(
        failure('invalid_image', `The OVA is damaged: ${name} is not what its manifest says`, {
          hint: 'Download it again.',
        }),
      )
  }
  return ok()
}

async function json<T>(args: readonly string[], limits: Confinement): Promise<Result<T>> {
  const answer = await confinedQemuImg(args, limits)
  if (!answer.ok) return answer
  try {
    return ok(JSON.parse(answer.value) as T)
  } catch (cause) {
    return fail(failure('invalid_image', `qemu-img ${args[0]} gave no answer`, { cause }))
  }
}

async function readAt(file: FileHandle, offset: number, length: number): Promise<Buffer> {
  const { buffer, bytesRead } = await file.read(Buffer.alloc(length), 0, length, offset)
  return buffer.subarray(0, bytesRead)
}

interface QemuImageInfo {
  readonly 'virtual-size': number
  readonly 'backing-filename'?: string
  readonly encrypted?: boolean
  readonly 'format-specific'?: { readonly data?: { readonly 'data-file'?: string } }
}

interface QemuImageCheck {
  readonly corruptions?: number
  readonly 'check-errors'?: number
}

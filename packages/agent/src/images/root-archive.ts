/**
 * Makes the image of a root file system of an uploaded archive: unpacked in a scratch namespace, recognised, and written
 * as ext4. A failure leaves nothing behind. See docs/internals/images.md.
 */
import { randomUUID } from 'node:crypto'
import { chmod, mkdir, readdir, statfs } from 'node:fs/promises'
import { join } from 'node:path'
import { assert } from '@stead/core/assert.ts'
import { failure } from '@stead/core/errors.ts'
import type { ContainerSystem } from '@stead/core/model/container.ts'
import type { RootFacts, RootForm } from '@stead/core/model/container-template.ts'
import { DISK_SLOTS } from '@stead/core/model/hardware.ts'
import type { BlobId } from '@stead/core/model/ids.ts'
import type { ImageDisk } from '@stead/core/model/volume.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import { digestOfFile } from '../blobs/file-digest.ts'
import { UNWATCHED, type MakingTask } from './making-task.ts'
import { applyLayers, isOciArchive, readOciImage } from './oci-layers.ts'
import { processOf } from './image-process.ts'
import { inspectRoot, textInside, type FoundRoot } from './root-facts.ts'
import { hostFailure, makeRootImage, measureRoot, type RootContents } from './root-file-system.ts'
import { RootJudge, type RootLimits } from './root-judge.ts'
import { ScratchNamespace } from './scratch-namespace.ts'
import { unpackArchive } from './unpack-archive.ts'

export interface RootArchiveOptions {
  /** Everybody may walk the path to it. */
  readonly workFolder: string
  readonly reserveBytes: number
  /** Takes a finished file into the blobs under its digest; the file is gone afterwards. */
  readonly keep: (path: string, blob: BlobId) => Promise<Result<void>>
}

export interface RootRequest {
  /** The upload's file on this host, and its digest. */
  readonly path: string
  readonly source: BlobId
  readonly bytesMax: number
  readonly filesMax: number
  /** What the administrator says of it, where the archive cannot tell or tells wrong. */
  readonly init?: readonly string[]
  readonly haltSignal?: string
}

export interface ImportedRoot {
  readonly disk: ImageDisk
  /** Of a dump with further disks, in their order. */
  readonly moreDisks: readonly ImageDisk[]
  readonly facts: RootFacts
  /** Paths of devices that were left out. */
  readonly leftOut: readonly string[]
  /** The configuration that a dump of a container holds, as it is in there. */
  readonly config?: string
}

const CONFIG_BYTES_MAX = 2 ** 20
/** `private/101/fs`: so deep lies a root in an archive of a private area. */
const WRAPPINGS_MAX = 3

/** Where a dump keeps the container's configuration, and where its root is. */
const DUMPS: readonly { readonly form: RootForm; readonly config: string; readonly root: string }[] = [
  { form: 'stead-dump', config: '/stead/guest.json', root: 'root' },
  { form: 'proxmox', config: '/etc/vzdump/pct.conf', root: '' },
  { form: 'openvz', config: '/etc/vzdump/vps.conf', root: '' },
]

interface Recognised {
  readonly form: RootForm
  readonly root: string
  readonly config?: string
  /** Folders of the further disks of a dump. */
  readonly moreDisks?: readonly string[]
  readonly process?: RootFacts['process']
  readonly init?: readonly string[]
  readonly haltSignal?: string
}

export async function importRootArchive(
  options: RootArchiveOptions,
  request: RootRequest,
  task: MakingTask = UNWATCHED,
): Promise<Result<ImportedRoot>> {
  const folder = join(options.workFolder, randomUUID())
  try {
    await mkdir(folder)
    // Whatever the umask says: the namespace's root has no rights here but to pass.
    await chmod(folder, 0o711)
    const opened = await ScratchNamespace.open(folder, task.signal)
    if (!opened.ok) return opened
    await using scratch = opened.value
    return await importInside(scratch, options, request, task)
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException
    if (code === undefined) throw cause
    return fail(hostFailure('The archive could not be unpacked', { ok: false, complaint: message, timedOut: false }))
  }
}

async function importInside(
  scratch: ScratchNamespace,
  options: RootArchiveOptions,
  request: RootRequest,
  task: MakingTask,
): Promise<Result<ImportedRoot>> {
  const { tell } = task
  tell({ step: 'unpacking' })
  const { bavail, bsize } = await statfs(options.workFolder)
  const limits: RootLimits = {
    filesMax: request.filesMax,
    bytesMax: request.bytesMax,
    // The files, and then the image of them.
    roomBytes: Math.floor((bavail * bsize - options.reserveBytes) / 2),
  }
  const unpacked = await unpackRoot(scratch, request.path, limits, (doneBytes) =>
    tell({ step: 'unpacking', doneBytes }),
  )
  if (!unpacked.ok) return unpacked
  const { root, form, config, leftOut, process } = unpacked.value
  const found = await inspectRoot(root)
  const start = startOf(request, unpacked.value, found)
  if (!start.ok) return start
  const begins = process ? await processOf(root, process) : ok(undefined)
  if (!begins.ok) return begins
  const system = { ...start.value, ...(begins.value ? { process: begins.value } : {}) }
  const disks: ImageDisk[] = []
  let whole: RootContents | undefined
  for (const [number, folder] of [root, ...(unpacked.value.moreDisks ?? [])].entries()) {
    const contents = await measureRoot(scratch, folder)
    if (!contents.ok) return contents
    whole ??= contents.value
    const disk = await makeDisk(scratch, options, { folder, number, contents: contents.value }, task)
    if (!disk.ok) return disk
    disks.push(disk.value)
  }
  const [disk, ...moreDisks] = disks
  assert(disk && whole, 'an archive has a root')
  return ok({
    ...{ disk, moreDisks },
    facts: {
      ...{ system, os: found.os, architecture: found.architecture, form },
      ...{ sourceDigest: request.source.replace('sha256:', '') },
      ...{ files: whole.files, contentBytes: whole.bytes },
      ...(process ? { process } : {}),
    },
    leftOut,
    ...(config === undefined ? {} : { config }),
  })
}

async function makeDisk(
  scratch: ScratchNamespace,
  { keep }: RootArchiveOptions,
  { folder, number, contents }: { readonly folder: string; readonly number: number; readonly contents: RootContents },
  { signal, tell, made }: MakingTask,
): Promise<Result<ImageDisk>> {
  tell({ step: 'writing' })
  const imageFolder = await scratch.folder(`image${number}`)
  const image = await makeRootImage(scratch, { root: folder, imageFolder, contents })
  if (!image.ok) return image
  const { path, sizeBytes } = image.value
  const onBytes = (doneBytes: number) => tell({ step: 'digesting', doneBytes, totalBytes: sizeBytes })
  const blob = await digestOfFile(path, { signal, onBytes })
  await made(blob)
  const kept = await keep(path, blob)
  return kept.ok ? ok({ blob, format: 'raw', virtualSizeBytes: sizeBytes }) : kept
}

async function unpackRoot(
  scratch: ScratchNamespace,
  path: string,
  limits: RootLimits,
  onBytes: (bytes: number) => void,
): Promise<Result<Recognised & { readonly leftOut: readonly string[] }>> {
  const tree = await scratch.folder('tree')
  const judge = new RootJudge(limits, onBytes)
  const unpacked = await unpackArchive(scratch, { path, folder: tree, judge: judge.judge })
  if (!unpacked.ok) return unpacked
  const recognised = await recognise(tree)
  if (!recognised.ok) return recognised
  if (recognised.value.form !== 'oci') return ok({ ...recognised.value, leftOut: judge.leftOut })
  const image = await readOciImage(tree)
  if (!image.ok) return image
  const { layers, ...start } = image.value
  const root = await scratch.folder('root')
  const whole = new RootJudge(limits, onBytes)
  const applied = await applyLayers(scratch, tree, layers, root, whole)
  return applied.ok ? ok({ form: 'oci', root, ...start, leftOut: whole.leftOut }) : applied
}

async function recognise(tree: string): Promise<Result<Recognised>> {
  for (const { form, config: path, root } of DUMPS) {
    const config = await textInside(tree, path, CONFIG_BYTES_MAX)
    if (config === undefined) continue
    const folders = await foldersIn(tree)
    if (root !== '' && !folders.includes(root)) continue
    const moreDisks = form === 'stead-dump' && folders.includes('disks') ? await disksIn(join(tree, 'disks')) : ok([])
    return moreDisks.ok ? ok({ form, root: join(tree, root), config, moreDisks: moreDisks.value }) : moreDisks
  }
  let [root, form] = [tree, 'root' as RootForm]
  for (let depth = 0; ; depth++) {
    const folders = await foldersIn(root)
    if (folders.some((name) => ['bin', 'usr', 'sbin'].includes(name))) return ok({ form, root })
    if (folders.includes('root.hdd'))
      return fail(
        failure('invalid_image', 'The archive is refused: it holds a ploop disk, not files', {
          hint: 'Mount the container where it is (`vzctl mount ID`) and pack /vz/root/ID.',
        }),
      )
    if (await isOciArchive(root)) return ok({ form: 'oci', root })
    const [only, ...others] = folders
    if (only === undefined || others.length > 0 || depth >= WRAPPINGS_MAX)
      return fail(
        failure('invalid_image', 'The archive is refused: it holds no root file system (no /bin, /usr or /sbin)', {
          hint: 'Pack the root itself: `tar -C ROOT --numeric-owner --xattrs -cf FILE .`',
        }),
      )
    // OpenVZ's private areas are packed with their number.
    if (/^\d+$/.test(only)) form = 'openvz'
    root = join(root, only)
  }
}

/** `disks/1`, `disks/2` and so on: which is which is their number. */
async function disksIn(folder: string): Promise<Result<readonly string[]>> {
  const names = await foldersIn(folder)
  const disks = names.map((_, position) => join(folder, String(position + 1)))
  if (names.length <= DISK_SLOTS && names.every((name) => disks.includes(join(folder, name)))) return ok(disks)
  return fail(failure('invalid_image', 'The archive is refused: the disks in it are not numbered from 1'))
}

/** Not links: a link is no place where content lies. */
async function foldersIn(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { withFileTypes: true })
  return entries.filter((entry) => entry.isDirectory() && entry.name !== 'lost+found').map(({ name }) => name)
}

/** The administrator's word, then the image's, then what is found. */
function startOf(
  said: Pick<RootRequest, 'init' | 'haltSignal'>,
  image: Recognised,
  found: FoundRoot,
): Result<ContainerSystem> {
  const ofImage = image.init !== undefined && image.init.length > 0 ? image.init : undefined
  const init = said.init ?? ofImage ?? (found.init ? [found.init.command] : undefined)
  if (init === undefined)
    return fail(
      failure('invalid_image', 'The archive is refused: there is no init in it (/sbin/init, /etc/init, /bin/init)', {
        hint: 'Install one (Debian: systemd-sysv), or say with --init what the first process is.',
      }),
    )
  const ofInit = init[0] === found.init?.command ? found.init?.haltSignal : undefined
  return ok({ init, haltSignal: said.haltSignal ?? (ofImage ? image.haltSignal : undefined) ?? ofInit ?? 'SIGTERM' })
}

/** Images of uploads: what `MakingWorker` needs to know of them. */
import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { pipeline } from 'node:stream/promises'
import { failure } from '@stead/core/errors.ts'
import type { HostContext } from '@stead/core/host/host-context.ts'
import { failedImport, finishedImport, putImport } from '@stead/core/host/import-records.ts'
import { blobsOfImage } from '@stead/core/model/blob-references.ts'
import { largestPoolBytes, type ImageImport, type TemplateSignature } from '@stead/core/model/image-import.ts'
import type { BlobId } from '@stead/core/model/ids.ts'
import { KEYS } from '@stead/core/model/keys.ts'
import type { Image } from '@stead/core/model/volume.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import type { BlobStore } from '../blobs/blob-store.ts'
import type { ImageCopies } from './image-copies.ts'
import type { ImageImporter } from './image-import.ts'
import type { MakingTask } from './making-task.ts'
import type { Making } from './making-worker.ts'
import { parseSshSignature } from './ssh-signature.ts'

export interface ImportMakingContext extends Pick<HostContext, 'mirror' | 'clock' | 'events'> {
  readonly blobs: Pick<BlobStore, 'ensure' | 'find' | 'sizeBytes' | 'receivedBytes'>
  readonly importer: Pick<ImageImporter, 'import' | 'importRoot'>
  readonly copies: Pick<ImageCopies, 'send'>
}

interface MadeImage {
  readonly image: Image
  readonly message: string
}

const FETCH_LOOK_MS = 500
/** A root with more is no template: ext4 itself needs a quarter of a kilobyte for each. */
const FILES_MAX = 2_000_000

export function importMaking(context: ImportMakingContext): Making<ImageImport, MadeImage> {
  return {
    what: 'an import',
    where: 'the image',
    records: (state) => state.imports,
    key: KEYS.imageImport,
    put: putImport,
    make: (record, task) => makeImage(context, record, task),
    finished: (seen, { image, message }) => finishedImport(context, seen, image, message),
    failed: (seen, error) => failedImport(context, seen, error),
    isKept: (name, { image }) => context.mirror.state.images.get(name)?.value.blob === image.blob,
  }
}

async function makeImage(
  context: ImportMakingContext,
  { name, source, target }: ImageImport,
  task: MakingTask,
): Promise<Result<MadeImage>> {
  const { mirror, importer, blobs, clock, copies } = context
  const path = await upload(context, source, task)
  if (!path.ok) return path
  const bytesMax = largestPoolBytes(mirror.state)
  let image: Image
  if (target.kind === 'disk') {
    const imported = await importer.import({ path: path.value, format: target.format, virtualSizeMax: bytesMax }, task)
    if (!imported.ok) return imported
    const { kind, disks, hardware } = imported.value
    const whole = { blob: source, format: 'raw' as const, virtualSizeBytes: await blobs.sizeBytes(source) }
    const [first = whole, ...moreDisks] = disks
    const rest = { ...(moreDisks.length === 0 ? {} : { moreDisks }), ...(hardware ? { hardware } : {}) }
    image = { name, kind, ...first, ...rest, createdAt: clock.wallMs() }
  } else {
    const { kind: _kind, signature, ...said } = target
    const genuine = signature ? await checkSignature(signature, { path: path.value, source }, task) : ok()
    if (!genuine.ok) return genuine
    const imported = await importer.importRoot(
      { path: path.value, source, filesMax: FILES_MAX, bytesMax, ...said },
      task,
    )
    if (!imported.ok) return imported
    const { disk, moreDisks, facts, leftOut } = imported.value
    const [device] = leftOut
    const left = device === undefined ? {} : { devicesLeftOut: { count: leftOut.length, first: device } }
    const signed = signature ? { signedBy: signature.by } : {}
    const more = moreDisks.length === 0 ? {} : { moreDisks }
    image = { name, kind: 'root', ...disk, ...more, root: { ...facts, ...left, ...signed }, createdAt: clock.wallMs() }
  }
  task.tell({ step: 'sending' })
  return ok({ image, message: await copies.send(name, blobsOfImage(image), task.signal) })
}

/** Before anything of the archive is looked at. */
async function checkSignature(
  { by, text }: TemplateSignature,
  { path, source }: { readonly path: string; readonly source: BlobId },
  { signal, tell }: MakingTask,
): Promise<Result<void>> {
  tell({ step: 'checking' })
  const signature = parseSshSignature(text)
  if (!signature.ok) return signature
  const { hash, isOf } = signature.value
  const digest =
    hash === 'sha256' ? Buffer.from(source.replace('sha256:', ''), 'hex') : await hashOfFile(path, hash, signal)
  if (isOf(digest)) return ok()
  return fail(
    failure('invalid_image', `The archive is not the one that ${by} has signed`, {
      hint: 'Download it again with its signature; one of the two was changed.',
    }),
  )
}

async function hashOfFile(path: string, hash: string, signal: AbortSignal): Promise<Buffer> {
  const hasher = createHash(hash)
  await pipeline(createReadStream(path), hasher, { signal })
  return hasher.digest()
}

async function upload(
  { blobs, clock }: ImportMakingContext,
  source: BlobId,
  { signal, tell }: MakingTask,
): Promise<Result<string>> {
  const here = blobs.find(source)
  if (here !== undefined) return ok(here)
  const fetching = blobs.ensure(source)
  let over = false
  void fetching.finally(() => (over = true))
  while (!over && !signal.aborted) {
    await Promise.race([fetching, clock.sleep(FETCH_LOOK_MS, signal)])
    tell({ step: 'fetching', doneBytes: await blobs.receivedBytes(source) })
  }
  return signal.aborted ? fail(failure('conflict', 'it was called off')) : fetching
}

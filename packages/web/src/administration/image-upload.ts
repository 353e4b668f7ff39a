/** A file of this computer on its way into the cluster: read for its digest, sent unless it is there, watched as it arrives. */
import { sha256 } from '@noble/hashes/sha2.js'
import type { Client } from '@stead/api/client.ts'
import { ENDPOINTS } from '@stead/api/endpoints.ts'
import { failure } from '@stead/core/errors.ts'
import type { BlobId } from '@stead/core/model/ids.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'

/** Between parts the page goes on drawing. */
const PART_BYTES = 4 * 2 ** 20
const LOOK_EVERY_MS = 500

/** On which path the right to make images is asked for: of a project, or (null) of the cluster. */
export function placeOfImages(project: string | null): string {
  return project === null ? '/' : `/projects/${project}`
}

export interface UploadProgress {
  readonly step: 'reading' | 'sending'
  /** 0 to 1. */
  readonly share: number
}

export interface Upload {
  readonly client: Client
  readonly file: Blob
  /** What somebody else says that its SHA-256 is; '' when nobody does. */
  readonly expected: string
  /** For an image of this project, in which one may make them; absent: for one of the cluster. */
  readonly project?: string
  readonly signal: AbortSignal
  readonly tell: (progress: UploadProgress) => void
}

export async function uploadFile(upload: Upload): Promise<Result<BlobId>> {
  const { client, file, expected, project, signal, tell } = upload
  const digest = await digestOf(file, signal, (share) => tell({ step: 'reading', share }))
  if (signal.aborted) return fail(failure('timeout', 'The upload was given up'))
  const wanted = expected
    .trim()
    .toLowerCase()
    .replace(/^sha256:/, '')
  if (wanted !== '' && `sha256:${wanted}` !== digest)
    return fail(
      failure('invalid_image', 'The file is not the one whose digest you gave', {
        hint: `Its SHA-256 is ${digest.replace('sha256:', '')}; fetch it again`,
      }),
    )
  const asked = { params: { digest }, query: project === undefined ? {} : { project } }
  const present = await client.call(ENDPOINTS['blob.stat'], asked, { signal })
  if (present.ok) return ok(digest)
  if (present.error.code !== 'not_found') return present
  const watching = new AbortController()
  void watch(client, asked, file.size, watching.signal, (share) => tell({ step: 'sending', share }))
  const sent = await client.call(
    ENDPOINTS['blob.put'],
    { ...asked, upload: { sizeBytes: file.size, open: () => file } },
    { signal },
  )
  watching.abort()
  return sent.ok ? ok(digest) : sent
}

export async function digestOf(file: Blob, signal: AbortSignal, tell: (share: number) => void): Promise<BlobId> {
  const hash = sha256.create()
  for (let offset = 0; offset < file.size && !signal.aborted; offset += PART_BYTES) {
    hash.update(new Uint8Array(await file.slice(offset, offset + PART_BYTES).arrayBuffer()))
    tell(Math.min(1, (offset + PART_BYTES) / file.size))
  }
  const hex = [...hash.digest()].map((byte) => byte.toString(16).padStart(2, '0')).join('')
  return `sha256:${hex}` as BlobId
}

/** A browser does not tell how much of a body it has sent; the host tells how much has arrived. */
async function watch(
  client: Client,
  asked: { readonly params: { digest: BlobId }; readonly query: { project?: string } },
  sizeBytes: number,
  signal: AbortSignal,
  tell: (share: number) => void,
): Promise<void> {
  while (!signal.aborted) {
    const received = await client.call(ENDPOINTS['blob.received'], asked, { signal })
    if (received.ok && !signal.aborted) tell(received.value.receivedBytes / sizeBytes)
    await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS))
  }
}

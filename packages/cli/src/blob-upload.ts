/** Files on their way into the cluster: looked at, digested, and sent unless they are there already. */
import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { open, stat } from 'node:fs/promises'
import { basename } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Client } from '@stead/api/client.ts'
import { ENDPOINTS } from '@stead/api/endpoints.ts'
import { KERNEL_HEAD_BYTES, kernelFormat } from '@stead/api/kernel-format.ts'
import { failure, FailureError } from '@stead/core/errors.ts'
import type { BlobId } from '@stead/core/model/ids.ts'
import { ProgressBar } from './progress-bar.ts'
import { formatSize } from './quantities.ts'
import type { Session } from './session.ts'

/** The first bytes of a file, which tell its format. */
export async function fileHead(path: string): Promise<Uint8Array> {
  const file = await open(path).catch((cause: unknown) => {
    throw unreadable(path, cause)
  })
  try {
    const { bytesRead, buffer } = await file.read(Buffer.alloc(KERNEL_HEAD_BYTES), 0, KERNEL_HEAD_BYTES, 0)
    return buffer.subarray(0, bytesRead)
  } catch (cause) {
    throw unreadable(path, cause)
  } finally {
    await file.close()
  }
}

export async function checkKernel(path: string): Promise<void> {
  if (kernelFormat(await fileHead(path)) !== undefined) return
  throw new FailureError(
    failure('invalid_image', `${path} is not a Linux kernel`, {
      hint: 'Give a bzImage (as /boot/vmlinuz-*) or an ELF vmlinux.',
    }),
  )
}

/** What broke off goes on where it was. */
const UPLOAD_TRIES = 5
/** Times the number of the try: somebody else may be sending the same, or the host has not yet seen that it broke off. */
const PAUSE_MS = 300
const PART_BYTES = 256 * 1024

/** As `sendBlob`; a terminal shows how far it is. `project`: for an image of it. */
export async function uploadBlob(session: Session, client: Client, path: string, project?: string): Promise<BlobId> {
  const bar = new ProgressBar(session)
  let seen = ''
  try {
    return await sendBlob({ client, path, signal: session.signal, project }, (message, progress) => {
      // A part is a quarter of a mebibyte: nobody can see so many changes.
      const look = `${message.split(' ')[0]} ${Math.round(progress * 100)}`
      if (look === seen) return
      seen = look
      bar.show({ message, progress })
    })
  } finally {
    bar.clear()
  }
}

export interface BlobSending {
  readonly client: Client
  readonly path: string
  readonly signal: AbortSignal
  /** For an image of this project; its members may send it. */
  readonly project?: string | undefined
}

/** Returns the blob's id; sends nothing when the cluster has it. `tell`: a message, and how much is done, 0 to 1. */
export async function sendBlob(
  { client, path, signal, project }: BlobSending,
  tell: (message: string, share: number) => void = () => undefined,
): Promise<BlobId> {
  const digest = await digestOf(path, (share) => tell(`reading ${basename(path)}`, share))
  const params = { digest }
  const of = project === undefined ? {} : { project }
  const { size: sizeBytes } = await stat(path)
  for (let tries = 1; ; tries++) {
    const present = await client.call(ENDPOINTS['blob.stat'], { params, query: of }, { signal })
    if (present.ok) return digest
    if (present.error.code !== 'not_found') throw new FailureError(present.error)
    const received = await client.call(ENDPOINTS['blob.received'], { params, query: of }, { signal })
    const offset = received.ok && received.value.receivedBytes < sizeBytes ? received.value.receivedBytes : 0
    const open = () => {
      const content = createReadStream(path, { start: offset, highWaterMark: PART_BYTES })
      const again = offset > 0 ? ', from where it broke off' : ''
      return counted(content, (bytes) =>
        tell(`sending ${formatSize(offset + bytes)} of ${formatSize(sizeBytes)}${again}`, (offset + bytes) / sizeBytes),
      )
    }
    const query = { ...of, ...(offset > 0 ? { offset } : {}) }
    const body = { sizeBytes: sizeBytes - offset, open }
    const sent = await client.call(ENDPOINTS['blob.put'], { params, query, upload: body }, { signal })
    if (sent.ok) return digest
    // Broken off, or another host has answered, which has less of it.
    const goesOn = sent.error.code === 'conflict' || sent.error.code === 'host_unreachable'
    if (!goesOn || tries >= UPLOAD_TRIES || signal.aborted) throw new FailureError(sent.error)
    await sleep(PAUSE_MS * tries)
  }
}

async function* counted(content: AsyncIterable<Uint8Array>, onBytes: (bytes: number) => void) {
  let bytes = 0
  for await (const part of content) {
    yield part
    onBytes((bytes += part.length))
  }
}

/** `onShare`: told after each part how much of it is read, 0 to 1. */
export async function digestOf(path: string, onShare?: (share: number) => void): Promise<BlobId> {
  const hash = createHash('sha256')
  try {
    const { size } = await stat(path)
    const content = createReadStream(path, { highWaterMark: PART_BYTES })
    for await (const part of counted(content, (bytes) => onShare?.(bytes / size))) hash.update(part)
  } catch (cause) {
    throw unreadable(path, cause)
  }
  return `sha256:${hash.digest('hex')}` as BlobId
}

function unreadable(path: string, cause: unknown): FailureError {
  const why = cause instanceof Error ? cause.message : String(cause)
  return new FailureError(failure('bad_request', `${path} cannot be read: ${why}`, { cause }))
}

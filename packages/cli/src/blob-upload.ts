/** Files on their way into the cluster: looked at, digested, and sent unless they are there already. */
import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { open, stat } from 'node:fs/promises'
import type { Client } from '@stead/api/client.ts'
import { ENDPOINTS } from '@stead/api/endpoints.ts'
import { KERNEL_HEAD_BYTES, kernelFormat } from '@stead/api/kernel-format.ts'
import { failure, FailureError } from '@stead/core/errors.ts'
import type { BlobId } from '@stead/core/model/ids.ts'

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

/** Returns the blob's id; sends nothing when the cluster has it. */
export async function uploadBlob(client: Client, path: string, signal: AbortSignal): Promise<BlobId> {
  const digest = await digestOf(path)
  const params = { digest }
  const present = await client.call(ENDPOINTS['blob.stat'], { params }, { signal })
  if (present.ok) return digest
  if (present.error.code !== 'not_found') throw new FailureError(present.error)
  const { size: sizeBytes } = await stat(path)
  for (let tries = 1; ; tries++) {
    const received = await client.call(ENDPOINTS['blob.received'], { params }, { signal })
    const offset = received.ok && received.value.receivedBytes < sizeBytes ? received.value.receivedBytes : 0
    const open = () => createReadStream(path, { start: offset, highWaterMark: 256 * 1024 })
    const upload = { sizeBytes: sizeBytes - offset, open }
    const query = offset > 0 ? { offset } : {}
    const sent = await client.call(ENDPOINTS['blob.put'], { params, query, upload }, { signal })
    if (sent.ok) return digest
    // Broken off, or another host has answered, which has less of it.
    const goesOn = sent.error.code === 'conflict' || sent.error.code === 'host_unreachable'
    if (!goesOn || tries >= UPLOAD_TRIES || signal.aborted) throw new FailureError(sent.error)
  }
}

export async function digestOf(path: string): Promise<BlobId> {
  const hash = createHash('sha256')
  try {
    for await (const part of createReadStream(path, { highWaterMark: 256 * 1024 })) hash.update(part as Buffer)
  } catch (cause) {
    throw unreadable(path, cause)
  }
  return `sha256:${hash.digest('hex')}` as BlobId
}

function unreadable(path: string, cause: unknown): FailureError {
  const why = cause instanceof Error ? cause.message : String(cause)
  return new FailureError(failure('bad_request', `${path} cannot be read: ${why}`, { cause }))
}

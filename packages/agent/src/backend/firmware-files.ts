/**
 * UEFI firmware for a new guest, from the Debian package ovmf of this host: its code and its variables as they are at
 * first become blobs like any kernel, so that the hosts that run the guest later need no such package, and the guest
 * keeps the firmware it was made with.
 */
import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { Readable } from 'node:stream'
import { failure } from '@stead/core/errors.ts'
import type { BlobId } from '@stead/core/model/ids.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import type { BlobStore } from '../blobs/blob-store.ts'

export interface FirmwareFiles {
  readonly code: BlobId
  /** Raw unless they say otherwise. */
  readonly variables: { readonly blob: BlobId; readonly sizeBytes: number; readonly format?: 'raw' | 'qcow2' }
}

const FOLDER = '/usr/share/OVMF'
/** Secure Boot's variables begin with Microsoft's keys, by which Linux distributions sign too. */
const FILES = {
  uefi: { code: 'OVMF_CODE_4M.fd', variables: 'OVMF_VARS_4M.fd' },
  'uefi-secure': { code: 'OVMF_CODE_4M.secboot.fd', variables: 'OVMF_VARS_4M.ms.fd' },
} as const
export type UefiKind = keyof typeof FILES

export async function firmwareFiles(blobs: Pick<BlobStore, 'keep'>, kind: UefiKind): Promise<Result<FirmwareFiles>> {
  const code = await blobOf(blobs, `${FOLDER}/${FILES[kind].code}`)
  if (!code.ok) return code
  const variables = await blobOf(blobs, `${FOLDER}/${FILES[kind].variables}`)
  if (!variables.ok) return variables
  return ok({ code: code.value.blob, variables: variables.value })
}

async function blobOf(
  blobs: Pick<BlobStore, 'keep'>,
  path: string,
): Promise<Result<{ readonly blob: BlobId; readonly sizeBytes: number }>> {
  let content: Buffer
  try {
    content = await readFile(path)
  } catch (cause) {
    return fail(
      failure('conflict', 'The host that answers has no UEFI firmware', {
        hint: 'Install the Debian package ovmf on it',
        cause,
      }),
    )
  }
  const blob = `sha256:${createHash('sha256').update(content).digest('hex')}` as BlobId
  const kept = await blobs.keep(blob, () => Readable.from([content]))
  return kept.ok ? ok({ blob, sizeBytes: content.length }) : kept
}

/** What a snapshot holds, read block by block: a layer through the storage daemon, a clone from its file. */
import { open, type FileHandle } from 'node:fs/promises'
import { failure } from '@stead/core/errors.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import { NbdClient } from '../nbd/nbd-client.ts'
import { ALLOCATION } from './block-digests.ts'
import type { ReadingExport } from './qsd-volume-host.ts'
import { NBD_TIMEOUTS } from './replica-flush.ts'

/** What a copy reads from. */
export type BlockSource = Pick<NbdClient, 'sizeBytes' | 'read' | 'blockStatus' | 'destroy'>

export async function withLayer<T>(from: ReadingExport, task: (source: BlockSource) => Promise<Result<T>>) {
  const { address, port, exportName } = from
  const endpoint = { kind: 'tcp', address, port } as const
  const client = await NbdClient.connect({ endpoint, exportName, metaContexts: [ALLOCATION], ...NBD_TIMEOUTS })
  if (!client.ok) return client
  try {
    return await task(client.value)
  } finally {
    await client.value.disconnect()
  }
}

/** A clone is a file that nobody writes any more: the kernel's page cache shows it as it is. */
export async function withClone<T>(path: string, task: (source: BlockSource) => Promise<Result<T>>) {
  const file = await open(path, 'r')
  try {
    return await task(new CloneBlocks(file, (await file.stat()).size))
  } finally {
    await file.close()
  }
}

class CloneBlocks implements BlockSource {
  readonly sizeBytes: number
  readonly #file: FileHandle
  #ended = false

  constructor(file: FileHandle, sizeBytes: number) {
    this.#file = file
    this.sizeBytes = sizeBytes
  }

  async read(offset: number, length: number): Promise<Result<Buffer>> {
    if (this.#ended) return fail(failure('storage', 'The clone is not read any more'))
    const { bytesRead, buffer } = await this.#file.read(Buffer.alloc(length), 0, length, offset)
    return bytesRead === length ? ok(buffer) : fail(failure('storage', `The clone ends at ${offset + bytesRead}`))
  }

  /** All of it counts as written: what is zero is found by reading. */
  async blockStatus(offset: number, length: number): ReturnType<NbdClient['blockStatus']> {
    return ok([{ offset, length, flags: 0 }])
  }

  destroy(): void {
    this.#ended = true
  }
}

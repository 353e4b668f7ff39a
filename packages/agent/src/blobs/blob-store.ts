/**
 * Files by the digest of their content: kernels, initrds, images. A blob is complete or it is not there: it is
 * written under a temporary name and renamed once its digest has been checked.
 */
import { randomUUID } from 'node:crypto'
import { createReadStream, createWriteStream, existsSync, mkdirSync } from 'node:fs'
import { chmod, chown, open, rename, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { failure } from '@stead/core/errors.ts'
import type { BlobId } from '@stead/core/model/ids.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import { digestCheck } from '../http/digest-check.ts'

const BLOB_BYTES_MAX = 2 ** 40

export class BlobStore {
  readonly #directory: string
  /** Asks the other hosts, one after the other; the first stream wins. */
  readonly #fetch: (blob: BlobId) => Promise<Readable | undefined>
  readonly #fetching = new Map<BlobId, Promise<Result<string>>>()

  constructor(directory: string, fetch: (blob: BlobId) => Promise<Readable | undefined>) {
    this.#directory = directory
    this.#fetch = fetch
    mkdirSync(directory, { recursive: true, mode: 0o755 })
  }

  /** Path of the blob if it is here. */
  find(blob: BlobId): string | undefined {
    const path = this.#path(blob)
    return existsSync(path) ? path : undefined
  }

  async open(blob: string): Promise<Readable | undefined> {
    const path = /^sha256:[0-9a-f]{64}$/.test(blob) ? this.find(blob as BlobId) : undefined
    return path === undefined ? undefined : createReadStream(path)
  }

  /** Fails with `bad_request` when the content is not what the digest names; nothing is left then. */
  async put(blob: BlobId, content: Readable): Promise<Result<string>> {
    const path = this.#path(blob)
    if (existsSync(path)) {
      content.resume()
      return ok(path)
    }
    const temporary = `${path}.${randomUUID()}.part`
    try {
      await pipeline(content, digestCheck(blob, BLOB_BYTES_MAX), createWriteStream(temporary, { mode: 0o644 }))
      await chmod(temporary, 0o644)
      await rename(temporary, path)
      return ok(path)
    } catch (cause) {
      await rm(temporary, { force: true })
      return fail(
        failure(
          'bad_request',
          `The content of ${blob} did not arrive whole: ${cause instanceof Error ? cause.message : String(cause)}`,
          { cause, hint: 'Upload it again' },
        ),
      )
    }
  }

  /** Takes a file that this host has made itself, on the same file system; it is moved. */
  async take(from: string, blob: BlobId): Promise<Result<void>> {
    try {
      await chown(from, process.getuid?.() ?? 0, process.getgid?.() ?? 0)
      await chmod(from, 0o644)
      await using file = await open(from, 'r')
      await file.sync()
      await rename(from, this.#path(blob))
      return ok()
    } catch (cause) {
      return fail(failure('storage', `The file ${blob} could not be kept: ${(cause as Error).message}`, { cause }))
    }
  }

  /** The blob's path here, fetched from another host when it is missing. */
  ensure(blob: BlobId): Promise<Result<string>> {
    const path = this.find(blob)
    if (path !== undefined) return Promise.resolve(ok(path))
    const running = this.#fetching.get(blob)
    if (running) return running
    const fetching = this.#fetchAndKeep(blob).finally(() => this.#fetching.delete(blob))
    this.#fetching.set(blob, fetching)
    return fetching
  }

  async sizeBytes(blob: BlobId): Promise<number> {
    return (await stat(this.#path(blob))).size
  }

  async #fetchAndKeep(blob: BlobId): Promise<Result<string>> {
    const stream = await this.#fetch(blob)
    if (!stream)
      return fail(
        failure('not_found', `No host that is up has the file ${blob}`, {
          hint: 'Upload it again with `stead vm create` or `stead image import`',
        }),
      )
    return this.put(blob, stream)
  }

  #path(blob: BlobId): string {
    return join(this.#directory, blob.replace(':', '-'))
  }
}

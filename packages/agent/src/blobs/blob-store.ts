/**
 * Files by the digest of their content: kernels, initrds, images. A blob is complete or it is not there: it is
 * written under a temporary name and renamed once its digest has been checked.
 */
import { chmodSync, createReadStream, existsSync, mkdirSync } from 'node:fs'
import { chmod, chown, open, rename, rm, stat, statfs } from 'node:fs/promises'
import { join } from 'node:path'
import type { Readable } from 'node:stream'
import { failure, FailureError } from '@stead/core/errors.ts'
import type { BlobId } from '@stead/core/model/ids.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import { CLIENT_GONE } from '../http/digest-check.ts'
import { digestOfFile } from './file-digest.ts'

const BLOB_BYTES_MAX = 2 ** 40
/** What the state folder keeps free of files for etcd and logs. */
export const STATE_RESERVE_BYTES = 256 * 2 ** 20
const ROOM_LOOK_BYTES = 64 * 2 ** 20
const DAMAGED = 'What has arrived does not have that digest'

export class BlobStore {
  readonly #directory: string
  /** Asks the other hosts, one after the other; the first stream wins. */
  readonly #fetch: (blob: BlobId) => Promise<Readable | undefined>
  readonly #reserveBytes: number
  readonly #fetching = new Map<BlobId, Promise<Result<string>>>()
  readonly #receiving = new Map<BlobId, Promise<Result<string>>>()

  constructor(
    directory: string,
    fetch: (blob: BlobId) => Promise<Readable | undefined>,
    reserveBytes = STATE_RESERVE_BYTES,
  ) {
    this.#directory = directory
    this.#fetch = fetch
    this.#reserveBytes = reserveBytes
    mkdirSync(directory, { recursive: true })
    // What is below it is found only by who knows its digest: guests read theirs, and list nobody else's.
    chmodSync(directory, 0o711)
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

  /** From whichever host has it, without keeping it here. */
  async stream(blob: BlobId): Promise<Readable | undefined> {
    return (await this.open(blob)) ?? (await this.#fetch(blob))
  }

  /** Bytes of it that are here: all, or of an upload that broke off. */
  async receivedBytes(blob: BlobId): Promise<number> {
    return (await sizeOf(this.#path(blob))) ?? (await sizeOf(this.#partPath(blob))) ?? 0
  }

  /**
   * `sizeBytes`: how much comes, where that is known: refused with `no_capacity` when there is no room for it; what turns
   * out to be too much in the middle is removed. `offset`: where the content goes on after an upload that broke off; what has arrived of it then stays for another
   * try. Fails with `conflict` when it would not fit there, and with `bad_request` when the whole is not what the digest
   * names: nothing is left then.
   */
  async put(blob: BlobId, content: Readable, offset = 0, sizeBytes = 0): Promise<Result<string>> {
    const path = this.#path(blob)
    if (existsSync(path)) {
      content.resume()
      return ok(path)
    }
    const fits = sizeBytes === 0 || (await this.#roomBytes()) >= sizeBytes
    // Looked at last: from here on nothing is waited for until it is this one that receives.
    if (this.#receiving.has(blob))
      return fail(failure('conflict', `${blob} is being uploaded already`, { hint: 'Wait until that has ended' }))
    if (!fits) return fail(noRoom())
    const received = this.#receive(blob, content, offset).finally(() => this.#receiving.delete(blob))
    this.#receiving.set(blob, received)
    return received
  }

  /** As `put`, of content that is at hand: whoever brings the same at the same time is waited for, not refused. */
  async keep(blob: BlobId, open: () => Readable): Promise<Result<string>> {
    for (;;) {
      const path = this.find(blob)
      if (path !== undefined) return ok(path)
      const other = this.#receiving.get(blob)
      if (!other) return this.put(blob, open())
      await other
    }
  }

  async #receive(blob: BlobId, content: Readable, offset: number): Promise<Result<string>> {
    const part = this.#partPath(blob)
    const present = (await sizeOf(part)) ?? 0
    if (offset > 0 && offset !== present)
      return fail(
        failure('conflict', `The upload of ${blob} goes on at byte ${present}, not ${offset}`, {
          hint: 'Ask how much has arrived, and send the rest',
        }),
      )
    try {
      await this.#append(part, content, offset)
      if ((await digestOfFile(part)) !== blob) throw new FailureError(failure('bad_request', DAMAGED))
      await chmod(part, 0o644)
      await rename(part, this.#path(blob))
      return ok(this.#path(blob))
    } catch (cause) {
      // A connection that broke is not the content's fault: who sends it again goes on from there.
      const isFull = (cause as NodeJS.ErrnoException).code === 'ENOSPC'
      const isHopeless = cause instanceof FailureError && cause.failure.message !== CLIENT_GONE
      if (isFull || isHopeless) await rm(part, { force: true })
      if (isFull) return fail(noRoom())
      if (cause instanceof FailureError && cause.failure.code === 'no_capacity') return fail(cause.failure)
      return fail(
        failure(
          'bad_request',
          `The content of ${blob} did not arrive whole: ${cause instanceof Error ? cause.message : String(cause)}`,
          { cause, hint: 'Upload it again' },
        ),
      )
    }
  }

  /** Takes a file that this host has made itself, on the same file system; it is moved. Guests read most, nobody a dump. */
  async take(from: string, blob: BlobId, mode: 0o644 | 0o600 = 0o644): Promise<Result<void>> {
    try {
      await chown(from, process.getuid?.() ?? 0, process.getgid?.() ?? 0)
      await chmod(from, mode)
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

  /** Whoever has it open goes on reading it. */
  async remove(blob: BlobId): Promise<void> {
    await rm(this.#path(blob), { force: true })
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
    return this.keep(blob, () => stream)
  }

  /** What has arrived before the content breaks off is in the file. */
  async #append(path: string, content: Readable, offset: number): Promise<void> {
    await using file = await open(path, offset > 0 ? 'a' : 'w', 0o644)
    let bytes = offset
    let lookAt = bytes
    for await (const part of content as AsyncIterable<Buffer>) {
      if (bytes >= lookAt) {
        if ((await this.#roomBytes()) < 0) throw new FailureError(noRoom())
        lookAt = bytes + ROOM_LOOK_BYTES
      }
      bytes += part.length
      if (bytes > BLOB_BYTES_MAX)
        throw new FailureError(failure('bad_request', `The file is larger than ${BLOB_BYTES_MAX} bytes`))
      await file.write(part)
    }
    await file.sync()
  }

  async #roomBytes(): Promise<number> {
    const { bavail, bsize } = await statfs(this.#directory)
    return bavail * bsize - this.#reserveBytes
  }

  #path(blob: BlobId): string {
    return join(this.#directory, blob.replace(':', '-'))
  }

  #partPath(blob: BlobId): string {
    return `${this.#path(blob)}.part`
  }
}

function noRoom() {
  return failure('no_capacity', 'There is no room on this host for the file', {
    hint: "Free space under the agent's state folder, or send it to another host.",
  })
}

async function sizeOf(path: string): Promise<number | undefined> {
  try {
    return (await stat(path)).size
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}

/**
 * The connection on which a container's checkpoint goes over: messages and files, one after the other, in TLS 1.3 with the
 * pre-shared key of this one move. Nobody shows a certificate: only whom the key was given to can have it.
 *
 *   length (4 bytes, big endian), a message in JSON; after { kind: 'file' } the file's bytes
 */
import { createReadStream, closeSync, openSync, readdirSync, statSync, writeSync } from 'node:fs'
import { once } from 'node:events'
import { join } from 'node:path'
import { connect as connectTls, createServer, type TLSSocket } from 'node:tls'
import type { AddressInfo } from 'node:net'
import { failure } from '@stead/core/errors.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'

export type ImageMessage =
  /** Destination: it listens to what comes. */
  | { readonly kind: 'ready' }
  | { readonly kind: 'file'; readonly name: string; readonly sizeBytes: number }
  /** Source: these were all files. */
  | { readonly kind: 'all' }
  /** Destination: it has them all. */
  | { readonly kind: 'received' }
  /** Source: the container is the destination's. */
  | { readonly kind: 'go' }
  | { readonly kind: 'running' }
  | { readonly kind: 'failed'; readonly reason: string }

const TLS = { minVersion: 'TLSv1.3', ciphers: 'TLS_AES_128_GCM_SHA256' } as const
const IDENTITY = 'stead'
const CONNECT_TIMEOUT_MS = 5_000
const MESSAGE_BYTES_MAX = 64 << 10
/** CRIU's names, and ours. Nothing that leads elsewhere. */
const FILE_NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,200}$/

export interface ImageListener {
  readonly port: number
  /** The first who had the key; nobody else is heard. Never rejects: it stays open when nobody comes. */
  readonly arrived: Promise<ImageSocket>
  close(): void
}

/** At a free port of the address. */
export async function listenForImages(address: string, secret: string): Promise<Result<ImageListener>> {
  const server = createServer({ ...TLS, pskCallback: () => Buffer.from(secret, 'hex') })
  server.maxConnections = 4
  const arrived = new Promise<ImageSocket>((resolve) =>
    server.once('secureConnection', (socket) => {
      server.close()
      resolve(new ImageSocket(socket))
    }),
  )
  server.on('tlsClientError', (_, socket) => socket.destroy())
  try {
    server.listen(0, address)
    await once(server, 'listening')
  } catch (cause) {
    return fail(failure('internal', `Nothing can listen at ${address} for a container that comes`, { cause }))
  }
  return ok({ port: (server.address() as AddressInfo).port, arrived, close: () => server.close() })
}

export async function connectForImages(
  { address: host, port }: { readonly address: string; readonly port: number },
  secret: string,
): Promise<Result<ImageSocket>> {
  const pskCallback = () => ({ psk: Buffer.from(secret, 'hex'), identity: IDENTITY })
  const socket = connectTls({ host, port, ...TLS, pskCallback, checkServerIdentity: () => undefined })
  try {
    await once(socket, 'secureConnect', { signal: AbortSignal.timeout(CONNECT_TIMEOUT_MS) })
    return ok(new ImageSocket(socket))
  } catch (cause) {
    socket.destroy()
    return fail(failure('host_unreachable', `${host} does not take the container`, { cause }))
  }
}

export class ImageSocket {
  readonly #socket: TLSSocket
  #unread: Buffer = Buffer.alloc(0)
  readonly #messages: ImageMessage[] = []
  #wake: () => void = () => undefined
  /** Of the file that is coming. */
  #file: { readonly descriptor: number; left: number } | undefined
  #folder: string | undefined
  #over: string | undefined

  constructor(socket: TLSSocket) {
    this.#socket = socket.setNoDelay(true)
    socket.on('data', (bytes) => this.#take(bytes))
    socket.on('error', (error) => this.#end(error.message))
    socket.on('close', () => this.#end('the other host has ended the connection'))
  }

  /** Files that come are written there; a file that comes before is the end of the connection. */
  storeIn(folder: string): void {
    this.#folder = folder
  }

  /** Of the connection; undefined while it lives. */
  get over(): string | undefined {
    return this.#over
  }

  tell(message: ImageMessage): void {
    if (this.#over === undefined) this.#socket.write(framed(message))
  }

  /** Every file of the folder, then `all`. Bytes that were sent. */
  async sendFolder(folder: string): Promise<Result<number>> {
    let sent = 0
    try {
      for (const name of readdirSync(folder)) {
        const path = join(folder, name)
        const { size } = statSync(path)
        await this.#write(framed({ kind: 'file', name, sizeBytes: size }))
        for await (const bytes of createReadStream(path, { end: Math.max(0, size - 1), highWaterMark: 256 << 10 }))
          await this.#write(bytes as Buffer)
        sent += size
      }
    } catch (cause) {
      return fail(failure('internal', 'What was written down of the container cannot be sent', { cause }))
    }
    this.tell({ kind: 'all' })
    return this.#over === undefined ? ok(sent) : this.#broken()
  }

  /** The next message; fails when the connection has ended, nothing came in time (if there is one), or `failed` did. */
  async next<Kind extends ImageMessage['kind']>(kind: Kind, timeoutMs = Infinity): Promise<Result<void>> {
    const deadline = performance.now() + timeoutMs
    for (;;) {
      const message = this.#messages.shift()
      if (message?.kind === kind) return ok()
      if (message?.kind === 'failed') return fail(failure('hypervisor', message.reason))
      if (message) return fail(failure('internal', `The other host said ${message.kind} instead of ${kind}`))
      if (this.#over !== undefined) return this.#broken()
      const leftMs = deadline - performance.now()
      if (leftMs <= 0) return fail(failure('timeout', `The other host did not answer within ${timeoutMs} ms`))
      await new Promise<void>((resolve) => {
        const timer = leftMs === Infinity ? undefined : setTimeout(resolve, leftMs)
        this.#wake = () => {
          clearTimeout(timer)
          resolve()
        }
      })
    }
  }

  /** After what was told last. */
  close(): void {
    this.#end('it was closed here')
    this.#socket.destroySoon()
  }

  async #write(bytes: Buffer): Promise<void> {
    if (this.#over !== undefined) throw new Error(this.#over)
    if (!this.#socket.write(bytes)) await Promise.race([once(this.#socket, 'drain'), once(this.#socket, 'close')])
  }

  #take(bytes: Buffer): void {
    this.#unread = this.#unread.length === 0 ? bytes : Buffer.concat([this.#unread, bytes])
    try {
      while (this.#over === undefined && this.#takeOne());
    } catch (error) {
      this.#end(error instanceof Error ? error.message : String(error))
      this.#socket.destroy()
    }
  }

  /** True when there may be more. */
  #takeOne(): boolean {
    if (this.#file) return this.#takeOfFile(this.#file)
    if (this.#unread.length < 4) return false
    const length = this.#unread.readUInt32BE(0)
    if (length > MESSAGE_BYTES_MAX) throw new Error('the other host sent a message that is too long')
    if (this.#unread.length < 4 + length) return false
    const message = JSON.parse(this.#unread.toString('utf8', 4, 4 + length)) as ImageMessage
    this.#unread = this.#unread.subarray(4 + length)
    if (message.kind === 'file') this.#begin(message.name, message.sizeBytes)
    else {
      this.#messages.push(message)
      this.#wake()
    }
    return true
  }

  #begin(name: string, sizeBytes: number): void {
    if (this.#folder === undefined || !FILE_NAME.test(name) || !Number.isSafeInteger(sizeBytes) || sizeBytes < 0)
      throw new Error('the other host sent a file that is not wanted')
    this.#file = { descriptor: openSync(join(this.#folder, name), 'wx', 0o600), left: sizeBytes }
  }

  #takeOfFile(file: { readonly descriptor: number; left: number }): boolean {
    const part = this.#unread.subarray(0, file.left)
    this.#unread = this.#unread.subarray(part.length)
    file.left -= part.length
    for (let at = 0; at < part.length;) at += writeSync(file.descriptor, part, at)
    if (file.left > 0) return false
    closeSync(file.descriptor)
    this.#file = undefined
    return true
  }

  #end(reason: string): void {
    this.#over ??= reason
    if (this.#file) closeSync(this.#file.descriptor)
    this.#file = undefined
    this.#wake()
  }

  #broken(): Result<never> {
    return fail(failure('host_unreachable', `The connection to the other host is lost: ${this.#over}`))
  }
}

function framed(message: ImageMessage): Buffer {
  const text = Buffer.from(JSON.stringify(message))
  const length = Buffer.alloc(4)
  length.writeUInt32BE(text.length)
  return Buffer.concat([length, text])
}

/**
 * Stead's own NBD client: many requests in flight on one connection, structured replies, block status.
 * It never waits without a bound: a request that is not answered in time ends the connection, since the
 * server may still act on it later, and with it every other request in flight.
 */
import type { Socket } from 'node:net'
import { failure, type Failure } from '@stead/core/errors.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import { askForTls, greet, negotiate, type NegotiatedExport } from './nbd-handshake.ts'
import {
  CHUNK_FLAG_DONE,
  COMMAND_BLOCK_STATUS,
  COMMAND_DISCONNECT,
  COMMAND_FLAG_FUA,
  COMMAND_FLAG_NO_HOLE,
  COMMAND_FLUSH,
  COMMAND_READ,
  COMMAND_WRITE,
  COMMAND_WRITE_ZEROES,
  encodeRequest,
  errnoError,
  errorName,
  EXPORT_READ_ONLY,
  SIMPLE_REPLY_MAGIC,
  SIMPLE_REPLY_SIZE,
  STRUCTURED_REPLY_MAGIC,
  STRUCTURED_REPLY_SIZE,
} from './nbd-protocol.ts'
import { PayloadSink, type NbdExtent, type ReplyTarget } from './nbd-reply.ts'
import { continueInTls, openSocket, type NbdEndpoint } from './nbd-socket.ts'

export interface NbdConnectOptions {
  readonly endpoint: NbdEndpoint
  readonly exportName: string
  /** `base:allocation`, `qemu:dirty-bitmap:NAME`; connecting fails when the export lacks one. */
  readonly metaContexts?: readonly string[]
  /** Bound of each request, and of the handshake unless `connectTimeoutMs` is given. */
  readonly timeoutMs?: number
  readonly connectTimeoutMs?: number
  /** Ends the attempt to connect; later it has no effect. */
  readonly signal?: AbortSignal
}

interface Request extends ReplyTarget {
  readonly what: string
  readonly timer: NodeJS.Timeout
  readonly resolve: (result: Result<void>) => void
  error?: Failure
}

interface HandshakeInput {
  bytes: Buffer
  want: number
  resolve: (bytes: Buffer) => void
  reject: (error: unknown) => void
}

const DEFAULT_TIMEOUT_MS = 10_000
/** One block status request covers at most this, well inside the protocol's 32 bits. */
const STATUS_BYTES = 1024 * 1024 * 1024

export class NbdClient {
  readonly endpoint: NbdEndpoint
  readonly exportName: string
  #socket: Socket
  readonly #timeoutMs: number
  readonly #requests = new Map<bigint, Request>()
  readonly #closeListeners = new Set<(cause: Failure) => void>()
  #export: NegotiatedExport = { sizeBytes: 0, flags: 0, maxRequestBytes: 0, contexts: new Map() }
  #nextCookie = 1n
  #closed: Failure | undefined
  /** Bytes that the handshake has not taken yet, and what it waits for (`want` 0: nothing). */
  readonly #handshake: HandshakeInput = { bytes: Buffer.alloc(0), want: 0, resolve: ignore, reject: ignore }
  /** From here on bytes go to the reply parser. */
  #transmitting = false
  readonly #header = Buffer.alloc(STRUCTURED_REPLY_SIZE)
  #headerFill = 0
  #payload:
    | { readonly sink: PayloadSink; readonly cookie: bigint; readonly request: Request; readonly isLast: boolean }
    | undefined

  private constructor(options: NbdConnectOptions) {
    this.endpoint = options.endpoint
    this.exportName = options.exportName
    this.#timeoutMs = options.timeoutMs ?? DEFAULT_TIMEOUT_MS
    this.#socket = openSocket(options.endpoint, (bytes) => this.#receive(bytes))
  }

  /** Failures: `not_found` when the server has no such export or context, else `storage` with an errno in the cause. */
  static async connect(options: NbdConnectOptions): Promise<Result<NbdClient>> {
    const client = new NbdClient(options)
    const connectTimeoutMs = options.connectTimeoutMs ?? client.#timeoutMs
    const timer = setTimeout(() => {
      client.#close(errnoError('ETIMEDOUT', `no NBD handshake within ${connectTimeoutMs} ms`))
    }, connectTimeoutMs)
    const onAbort = () => client.#close(errnoError('ECANCELED', 'the attempt was stopped'))
    options.signal?.addEventListener('abort', onAbort, { once: true })
    try {
      if (options.signal?.aborted) onAbort()
      client.#heedEnd()
      const stream = {
        read: (length: number) => client.#readHandshake(length),
        write: (bytes: Buffer) => void client.#socket.write(bytes),
      }
      await greet(stream)
      if (options.endpoint.kind === 'tcp' && options.endpoint.key) {
        await askForTls(stream)
        client.#socket = await continueInTls(client.#socket, options.endpoint.key, (bytes) => client.#receive(bytes))
        client.#heedEnd()
      }
      client.#export = await negotiate(stream, options.exportName, options.metaContexts ?? [])
      client.#transmitting = true
      return ok(client)
    } catch (error) {
      client.#close(error)
      const code = isUnknownExport(error) ? 'not_found' : 'storage'
      return fail(failure(code, `${client.#name}: cannot connect: ${describe(error)}`, { cause: error }))
    } finally {
      clearTimeout(timer)
      options.signal?.removeEventListener('abort', onAbort)
    }
  }

  #heedEnd(): void {
    this.#socket.on('error', (error) => this.#close(error))
    this.#socket.on('close', () => this.#close(errnoError('ECONNRESET', 'the server closed the connection')))
  }

  get sizeBytes(): number {
    return this.#export.sizeBytes
  }

  get readOnly(): boolean {
    return (this.#export.flags & EXPORT_READ_ONLY) !== 0
  }

  get closed(): boolean {
    return this.#closed !== undefined
  }

  /** Called once, with the reason, when the connection has ended for whatever reason. */
  onClose(listener: (cause: Failure) => void): () => void {
    this.#closeListeners.add(listener)
    const closed = this.#closed
    if (closed) queueMicrotask(() => this.#closeListeners.delete(listener) && listener(closed))
    return () => this.#closeListeners.delete(listener)
  }

  async read(offset: number, length: number): Promise<Result<Buffer>> {
    const data = Buffer.allocUnsafe(length)
    const done = await this.#request(COMMAND_READ, { offset, length, data })
    return done.ok ? ok(data) : done
  }

  write(offset: number, data: Buffer, options: { readonly fua?: boolean } = {}): Promise<Result<void>> {
    return this.#request(COMMAND_WRITE, {
      offset,
      length: data.length,
      send: data,
      flags: options.fua ? COMMAND_FLAG_FUA : 0,
    })
  }

  /** Resolves when all writes answered before it are on stable storage. */
  flush(): Promise<Result<void>> {
    return this.#request(COMMAND_FLUSH, { offset: 0, length: 0 })
  }

  /** Zeros the range and leaves it allocated. */
  writeZeroes(offset: number, length: number): Promise<Result<void>> {
    return this.#request(COMMAND_WRITE_ZEROES, { offset, length, flags: COMMAND_FLAG_NO_HOLE })
  }

  /** Status of the whole range in a context that was named on connect; neighbours with equal flags are merged. */
  async blockStatus(offset: number, length: number, context: string): Promise<Result<readonly NbdExtent[]>> {
    const id = this.#export.contexts.get(context)
    if (id === undefined) return fail(failure('storage', `${this.#name}: the context ${context} was not negotiated`))
    const found: NbdExtent[] = []
    const end = offset + length
    let position = offset
    while (position < end) {
      const extents: NbdExtent[] = []
      const asked = Math.min(end - position, STATUS_BYTES)
      const done = await this.#request(COMMAND_BLOCK_STATUS, { offset: position, length: asked, context: id, extents })
      if (!done.ok) return done
      const before = position
      for (const extent of extents) {
        const usable = Math.min(extent.length, end - position)
        if (usable <= 0) break
        const last = found.at(-1)
        if (last && last.flags === extent.flags) found[found.length - 1] = { ...last, length: last.length + usable }
        else found.push({ offset: position, length: usable, flags: extent.flags })
        position += usable
      }
      if (position === before)
        return fail(failure('storage', `${this.#name}: block status without progress at ${position}`))
    }
    return ok(found)
  }

  /** Tells the server goodbye and waits for the end of the connection, at most a second. */
  async disconnect(): Promise<void> {
    if (this.#closed) return
    await new Promise<void>((resolve) => {
      const timer = setTimeout(
        () => this.#close(errnoError('ETIMEDOUT', 'the server did not end the connection')),
        1_000,
      )
      this.onClose(() => {
        clearTimeout(timer)
        resolve()
      })
      this.#socket.end(encodeRequest({ flags: 0, command: COMMAND_DISCONNECT, cookie: 0n, offset: 0, length: 0 }))
    })
  }

  /** Ends the connection now; requests in flight fail and may still be executed by the server. */
  destroy(reason = 'ended by the client'): void {
    this.#close(errnoError('ECANCELED', reason))
  }

  get #name(): string {
    const { endpoint } = this
    return `NBD ${endpoint.kind === 'unix' ? endpoint.path : `${endpoint.address}:${endpoint.port}`}/${this.exportName}`
  }

  #request(
    command: number,
    detail: {
      offset: number
      length: number
      flags?: number
      data?: Buffer
      send?: Buffer
      context?: number
      extents?: NbdExtent[]
    },
  ): Promise<Result<void>> {
    const what = COMMAND_NAMES[command] ?? String(command)
    const { offset, length } = detail
    if (this.#closed) return Promise.resolve(fail(this.#failureOf(what, this.#closed.cause)))
    if (offset < 0 || offset + length > this.sizeBytes) {
      const cause = errnoError('EINVAL', `${offset}+${length} is outside of ${this.sizeBytes} bytes`)
      return Promise.resolve(fail(this.#failureOf(what, cause)))
    }
    if ((detail.data || detail.send) && length > this.#export.maxRequestBytes) {
      return Promise.resolve(fail(this.#failureOf(what, errnoError('EINVAL', `${length} bytes in one request`))))
    }
    const cookie = this.#nextCookie++
    return new Promise((resolve) => {
      const timer = setTimeout(() => {
        this.#close(errnoError('ETIMEDOUT', `${what} not answered within ${this.#timeoutMs} ms`))
      }, this.#timeoutMs)
      this.#requests.set(cookie, {
        what,
        offset,
        timer,
        resolve,
        extents: detail.extents ?? [],
        ...(detail.data ? { data: detail.data } : {}),
        ...(detail.context !== undefined ? { context: detail.context } : {}),
      })
      const header = encodeRequest({ flags: detail.flags ?? 0, command, cookie, offset, length })
      if (!detail.send) {
        this.#socket.write(header)
        return
      }
      this.#socket.cork()
      this.#socket.write(header)
      this.#socket.write(detail.send)
      this.#socket.uncork()
    })
  }

  #failureOf(what: string, cause: unknown): Failure {
    return failure('storage', `${this.#name}: ${what} failed: ${describe(cause)}`, { cause })
  }

  #readHandshake(length: number): Promise<Buffer> {
    return new Promise((resolve, reject) => {
      if (this.#closed) return reject(this.#closed.cause)
      Object.assign(this.#handshake, { want: length, resolve, reject })
      this.#advanceHandshake()
    })
  }

  #advanceHandshake(): void {
    const state = this.#handshake
    if (state.want === 0 || state.bytes.length < state.want) return
    const wanted = state.bytes.subarray(0, state.want)
    state.bytes = state.bytes.subarray(state.want)
    state.want = 0
    state.resolve(wanted)
  }

  #receive(bytes: Buffer): void {
    if (this.#closed) return
    if (!this.#transmitting) {
      // A copy: the receive buffer is used again.
      this.#handshake.bytes = Buffer.concat([this.#handshake.bytes, bytes])
      this.#advanceHandshake()
      return
    }
    try {
      this.#parseReplies(bytes)
    } catch (error) {
      this.#close(error)
    }
  }

  #parseReplies(bytes: Buffer): void {
    let position = 0
    while (position < bytes.length) {
      if (this.#payload) {
        position += this.#payload.sink.take(bytes.subarray(position))
        this.#endPayloadWhenFull()
        continue
      }
      const want = this.#headerFill < 4 ? 4 : this.#headerSize()
      const copied = bytes.copy(this.#header, this.#headerFill, position, position + want - this.#headerFill)
      this.#headerFill += copied
      position += copied
      if (this.#headerFill >= 4 && this.#headerFill === this.#headerSize()) {
        this.#headerFill = 0
        this.#dispatchHeader()
      }
    }
  }

  #headerSize(): number {
    const magic = this.#header.readUInt32BE(0)
    if (magic === STRUCTURED_REPLY_MAGIC) return STRUCTURED_REPLY_SIZE
    if (magic === SIMPLE_REPLY_MAGIC) return SIMPLE_REPLY_SIZE
    throw errnoError('EPROTO', `unknown reply magic 0x${magic.toString(16)}`)
  }

  #dispatchHeader(): void {
    const header = this.#header
    const cookie = header.readBigUInt64BE(8)
    const request = this.#requests.get(cookie)
    if (!request) throw errnoError('EPROTO', `reply to unknown request ${cookie}`)
    if (header.readUInt32BE(0) === SIMPLE_REPLY_MAGIC) {
      const error = header.readUInt32BE(4)
      if (error === 0 && request.data) throw errnoError('EPROTO', 'simple reply to a read')
      if (error !== 0)
        request.error = this.#failureOf(request.what, errnoError(errorName(error), 'refused by the server'))
      this.#finish(cookie, request)
      return
    }
    const flags = header.readUInt16BE(4)
    const type = header.readUInt16BE(6)
    const length = header.readUInt32BE(16)
    this.#payload = {
      sink: new PayloadSink(request, type, length),
      cookie,
      request,
      isLast: (flags & CHUNK_FLAG_DONE) !== 0,
    }
    this.#endPayloadWhenFull()
  }

  #endPayloadWhenFull(): void {
    const payload = this.#payload
    if (!payload?.sink.full) return
    this.#payload = undefined
    const { request } = payload
    const problem = payload.sink.apply()
    if (problem) request.error ??= this.#failureOf(request.what, problem)
    if (payload.isLast) this.#finish(payload.cookie, request)
  }

  #finish(cookie: bigint, request: Request): void {
    this.#requests.delete(cookie)
    clearTimeout(request.timer)
    request.resolve(request.error ? fail(request.error) : ok())
  }

  #close(cause: unknown): void {
    if (this.#closed) return
    this.#closed = this.#failureOf('connection', cause)
    this.#socket.destroy()
    this.#handshake.reject(cause)
    for (const request of this.#requests.values()) {
      clearTimeout(request.timer)
      request.resolve(fail(this.#failureOf(request.what, cause)))
    }
    this.#requests.clear()
    for (const listener of [...this.#closeListeners]) listener(this.#closed)
    this.#closeListeners.clear()
  }
}

const COMMAND_NAMES: Readonly<Record<number, string>> = {
  [COMMAND_READ]: 'read',
  [COMMAND_WRITE]: 'write',
  [COMMAND_FLUSH]: 'flush',
  [COMMAND_WRITE_ZEROES]: 'write-zeroes',
  [COMMAND_BLOCK_STATUS]: 'block-status',
}

/** A missing unix socket is ENOENT too, but comes from a system call. */
function isUnknownExport(error: unknown): boolean {
  return error instanceof Error && (error as NodeJS.ErrnoException).code === 'ENOENT' && !('syscall' in error)
}

function ignore(): void {}

function describe(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause)
}

/**
 * What a host offers to the other hosts: its replicas (port `VolumeHost`), its blobs, and named calls, streams and
 * pipes (`internal-pipe.ts`) for its guests. Plain node:https: few routes, no framework in the way of a failover. Only
 * who shows a host's certificate gets as far as a request.
 */
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Server } from 'node:https'
import type { TLSSocket } from 'node:tls'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { failure } from '@stead/core/errors.ts'
import type { Log } from '@stead/core/ports/log.ts'
import type { CopyRequest, VolumeHost } from '@stead/core/ports/volume-host.ts'
import { fail, type Result } from '@stead/core/result.ts'
import { servePipes, type Pipes } from './internal-pipe.ts'
import { COPY_HEARTBEAT_MS, resultToJson, VOLUME_METHODS, type CopyLine } from './internal-protocol.ts'
import type { HostCredentials } from '../trust/host-credentials.ts'
import { createServer } from './node-https.ts'

export interface InternalServerOptions {
  /** Addresses to listen on, all with the same port. */
  readonly hosts: readonly string[]
  /** 0: any free port (one address only). */
  readonly port: number
  readonly credentials: HostCredentials
  /** As the host that asks has them: it is given keys for what is opened for it. */
  readonly volumesFor: (caller: string) => VolumeHost
  readonly blobs: { open(digest: string): Promise<Readable | undefined> }
  /** `caller`: the host that asks, as its certificate says. */
  readonly guestCalls: Readonly<Record<string, (input: unknown, caller: string) => Promise<Result<unknown>>>>
  /** Streams of bytes by name, such as a guest's console. */
  readonly streams?: Readonly<
    Record<string, (input: unknown, signal: AbortSignal) => Promise<Result<AsyncIterable<Uint8Array>>>>
  >
  /** Streams of bytes in both directions by name. */
  readonly pipes?: Pipes
  readonly log: Log
}

export interface InternalServer {
  readonly port: number
  close(): Promise<void>
}

const BODY_BYTES_MAX = 8 * 1024 * 1024

export async function startInternalServer(options: InternalServerOptions): Promise<InternalServer> {
  const servers: Server[] = []
  let port = options.port
  const endPipes: (() => void)[] = []
  const close = async () => {
    for (const end of endPipes) end()
    await Promise.all(
      servers.map((server) => {
        const closed = new Promise<void>((resolve) => server.close(() => resolve()))
        server.closeAllConnections()
        return closed
      }),
    )
  }
  try {
    for (const host of options.hosts) {
      const server = createServer(options.credentials.serverOptions(), (request, response) => {
        handle(options, request, response).catch((error: unknown) => {
          options.log.error('an internal request failed unexpectedly', { url: request.url, error })
          if (response.headersSent) response.destroy()
          else
            sendResult(
              response,
              fail(failure('internal', `The call ${request.url} failed on its host`, { cause: error })),
            )
        })
      })
      // Callers keep connections between calls; the default of 5 s would race with their next call.
      server.keepAliveTimeout = 60_000
      options.credentials.guard(server)
      endPipes.push(servePipes(server, options.pipes ?? {}, options.log))
      servers.push(server)
      port = await listen(server, host, port)
    }
  } catch (error) {
    await close()
    throw error
  }
  return { port, close }
}

function listen(server: Server, host: string, port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, host, () => {
      server.off('error', reject)
      const bound = server.address()
      resolve(typeof bound === 'object' && bound ? bound.port : port)
    })
  })
}

async function handle(
  options: InternalServerOptions,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const [, root, area = '', name = ''] = (request.url ?? '').split('/').map((part) => decodeURIComponent(part))
  if (root === 'internal' && request.method === 'GET' && area === 'blobs') return sendBlob(options, name, response)
  if (root !== 'internal' || request.method !== 'POST') return sendResult(response, noSuchCall(request))
  const input = await readJson(request)
  if (!input.ok) return sendResult(response, input)
  if (area === 'volume' && name === 'copy')
    return sendCopy(options.volumesFor(callerOf(request)), input.value, response)
  if (area === 'volume' && (VOLUME_METHODS as readonly string[]).includes(name)) {
    return sendResult(response, await callVolume(options.volumesFor(callerOf(request)), name, input.value))
  }
  const call = area === 'call' && Object.hasOwn(options.guestCalls, name) ? options.guestCalls[name] : undefined
  if (call) return sendResult(response, await call(input.value, callerOf(request)))
  const stream =
    area === 'stream' && options.streams && Object.hasOwn(options.streams, name) ? options.streams[name] : undefined
  if (stream) return sendStream(stream, input.value, response)
  sendResult(response, noSuchCall(request))
}

function callerOf(request: IncomingMessage): string {
  const { CN: name } = (request.socket as TLSSocket).getPeerCertificate().subject
  return String(name)
}

function noSuchCall(request: IncomingMessage): Result<never> {
  return fail(
    failure('not_found', `This host knows no call ${request.method} ${request.url}`, {
      hint: 'The hosts may run different versions.',
    }),
  )
}

async function callVolume(volumes: VolumeHost, name: string, input: unknown): Promise<Result<unknown>> {
  if (!Array.isArray(input)) return fail(failure('bad_request', `The call ${name} wants an array of arguments`))
  // JSON has no `undefined`; an argument left out in the middle travels as null.
  const args = input.map((value: unknown) => value ?? undefined)
  const methods = volumes as unknown as Record<string, (...args: unknown[]) => Promise<Result<unknown>>>
  const method = methods[name]
  return method ? method.apply(volumes, args) : fail(failure('not_found', `This host knows no call ${name}`))
}

/** Progress as it comes, a heartbeat each second, the result as the last line. The caller's leaving aborts the copy. */
async function sendCopy(volumes: VolumeHost, input: unknown, response: ServerResponse): Promise<void> {
  const gone = new AbortController()
  response.once('close', () => gone.abort(new Error('the caller went away')))
  response.writeHead(200, { 'content-type': 'application/x-ndjson' })
  const line = (content: CopyLine) => response.write(`${JSON.stringify(content)}\n`)
  line({ heartbeat: true })
  const heartbeat = setInterval(line, COPY_HEARTBEAT_MS, { heartbeat: true })
  try {
    const [request] = input as [CopyRequest]
    const result = await volumes.copy(request, (progress) => void line({ progress }), gone.signal)
    response.end(`{"result":${resultToJson(result)}}\n`)
  } finally {
    clearInterval(heartbeat)
  }
}

async function sendBlob(options: InternalServerOptions, digest: string, response: ServerResponse): Promise<void> {
  const blob = await options.blobs.open(digest)
  if (!blob) return sendResult(response, fail(failure('not_found', `This host does not have the blob ${digest}`)))
  response.writeHead(200, { 'content-type': 'application/octet-stream' })
  await pipeOut(blob, response)
}

async function sendStream(
  open: (input: unknown, signal: AbortSignal) => Promise<Result<AsyncIterable<Uint8Array>>>,
  input: unknown,
  response: ServerResponse,
): Promise<void> {
  const gone = new AbortController()
  response.once('close', () => gone.abort(new Error('the caller went away')))
  const opened = await open(input, gone.signal)
  if (!opened.ok) return sendResult(response, opened)
  response.writeHead(200, { 'content-type': 'application/octet-stream' })
  response.flushHeaders()
  await pipeOut(Readable.from(opened.value, { objectMode: false }), response)
}

/** A caller that leaves in the middle is no failure of this host. */
async function pipeOut(source: Readable, response: ServerResponse): Promise<void> {
  try {
    await pipeline(source, response)
  } catch (error) {
    if (!response.destroyed || (error as NodeJS.ErrnoException).code !== 'ERR_STREAM_PREMATURE_CLOSE') throw error
  }
}

function sendResult(response: ServerResponse, result: Result<unknown>): void {
  const text = resultToJson(result)
  response.writeHead(200, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) })
  response.end(text)
}

async function readJson(request: IncomingMessage): Promise<Result<unknown>> {
  const parts: Buffer[] = []
  let bytes = 0
  for await (const part of request as AsyncIterable<Buffer>) {
    bytes += part.length
    if (bytes > BODY_BYTES_MAX) return fail(failure('bad_request', 'The call is too large'))
    parts.push(part)
  }
  try {
    return { ok: true, value: bytes === 0 ? undefined : JSON.parse(Buffer.concat(parts).toString()) }
  } catch (cause) {
    return fail(failure('bad_request', 'The call is not JSON', { cause }))
  }
}

/**
 * Streams of bytes in both directions between two hosts: an HTTP request that is upgraded, after which the connection
 * is the stream. `GET /internal/pipe/NAME` with its input as JSON in a header; a refusal is an ordinary answer.
 *
 * What breaks on the serving host breaks the connection (a reset), so that it does not look like an end. That an agent
 * was killed does: the kernel ends its connections in order.
 */
import type { IncomingMessage } from 'node:http'
import type { Server } from 'node:https'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { failure } from '@stead/core/errors.ts'
import type { Log } from '@stead/core/ports/log.ts'
import { fail, type Result } from '@stead/core/result.ts'
import type { HostCredentials } from '../trust/host-credentials.ts'
import { resultToJson } from './internal-protocol.ts'
import { request as httpsRequest } from './node-https.ts'

export type Pipes = Readonly<Record<string, (input: unknown) => Promise<Result<Duplex>>>>

const PROTOCOL = 'stead-pipe'
const INPUT_HEADER = 'stead-input'
/** A host that is gone answers nothing; the kernel asks this long after the last byte, then each second ten times. */
const KEEP_ALIVE_MS = 3_000
/** What the other side has ended is served to its end, but no longer than this. */
const LAST_WORD_MS = 1_000

/** Serves the pipes on a server of this host. Returns what ends all that are open. */
export function servePipes(server: Server, pipes: Pipes, log: Log): () => void {
  const open = new Set<Duplex>()
  // Only a plain connection can be broken off: the end of an encrypted one looks like an end.
  const carriers = new Map<string, Socket>()
  server.on('connection', (carrier: Socket) => {
    const name = remoteOf(carrier)
    carriers.set(name, carrier)
    carrier.once('close', () => carriers.delete(name))
  })
  server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    open.add(socket)
    // Who has sent all waits for the other side to have taken it; a TLS server closes at once unless it is told so.
    socket.allowHalfOpen = true
    // HTTP, TLS and the pipelines all wait for its end.
    socket.setMaxListeners(20)
    socket.once('close', () => open.delete(socket))
    socket.on('error', () => socket.destroy())
    serve(request, socket as Socket, head).catch((error: unknown) => {
      log.error('a pipe to another host failed unexpectedly', { url: request.url, error })
      socket.destroy()
    })
  })

  async function serve(request: IncomingMessage, socket: Socket, head: Buffer): Promise<void> {
    const opened = await openNamed(pipes, request)
    if (!opened.ok) return refuse(socket, opened)
    const stream = opened.value
    if (socket.destroyed) return void stream.destroy()
    socket.write(`HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: ${PROTOCOL}\r\n\r\n`)
    prepare(socket, head)
    const carrier = carriers.get(remoteOf(socket))
    await joined(socket, stream, () => carrier?.resetAndDestroy())
  }

  return () => {
    for (const socket of open) socket.destroy()
  }
}

async function openNamed(pipes: Pipes, request: IncomingMessage): Promise<Result<Duplex>> {
  const [, root, area, name = ''] = (request.url ?? '').split('/').map((part) => decodeURIComponent(part))
  const open = root === 'internal' && area === 'pipe' && Object.hasOwn(pipes, name) ? pipes[name] : undefined
  if (!open) return fail(failure('not_found', `This host knows no pipe ${name}`, { hint: 'Versions may differ.' }))
  try {
    return await open(JSON.parse(decodeURIComponent(String(request.headers[INPUT_HEADER] ?? 'null'))))
  } catch (cause) {
    return fail(failure('internal', `The pipe ${name} could not be opened`, { cause }))
  }
}

function refuse(socket: Socket, result: Result<unknown>): void {
  const text = resultToJson(result)
  const head = `Content-Type: application/json\r\nContent-Length: ${Buffer.byteLength(text)}\r\nConnection: close`
  socket.end(`HTTP/1.1 200 OK\r\n${head}\r\n\r\n${text}`)
}

/** Both directions until both have ended; a break of one breaks the other. */
async function joined(socket: Socket, stream: Duplex, breakOff: () => void): Promise<void> {
  // First of all listeners: the pipelines below would close the connection as if the stream had ended.
  stream.once('error', breakOff)
  const breakBoth = () => {
    socket.destroy()
    stream.destroy()
  }
  const given = pipeline(stream, socket).catch(breakBoth)
  // A socket that ends because its reader has gone ends the stream as well: nobody reads only. What the stream still says
  // at its own end, as that it has taken all, is let out before that: a connection that is destroyed says nothing.
  const typed = pipeline(socket, stream).then(() => withinMs(given, LAST_WORD_MS).then(breakBoth), breakBoth)
  await given
  await typed
}

async function withinMs(done: Promise<unknown>, ms: number): Promise<void> {
  let timer: NodeJS.Timeout | undefined
  await Promise.race([done, new Promise((resolve) => (timer = setTimeout(resolve, ms)))])
  clearTimeout(timer)
}

function remoteOf({ remoteAddress, remotePort }: Socket): string {
  return `${remoteAddress} ${remotePort}`
}

function prepare(socket: Socket, head: Buffer): void {
  socket.setNoDelay(true)
  socket.setKeepAlive(true, KEEP_ALIVE_MS)
  socket.setTimeout(0)
  if (head.length > 0) socket.unshift(head)
}

export interface PipeRequest {
  readonly address: string
  readonly port: number
  /** The other host's id, which its certificate must bear. */
  readonly host: string
  readonly credentials: HostCredentials
  readonly name: string
  readonly input: unknown
  readonly connectTimeoutMs: number
  /** Until the other host has opened its end, ms. */
  readonly answerTimeoutMs: number
}

/** The stream, or the other host's refusal. Rejects when the host cannot be reached. */
export function connectPipe(pipe: PipeRequest): Promise<Result<Duplex>> {
  return new Promise((resolve, reject) => {
    const request = httpsRequest({
      ...pipe.credentials.clientOptions(pipe.host),
      host: pipe.address,
      port: pipe.port,
      path: `/internal/pipe/${encodeURIComponent(pipe.name)}`,
      agent: false,
      headers: {
        connection: 'Upgrade',
        upgrade: PROTOCOL,
        [INPUT_HEADER]: encodeURIComponent(JSON.stringify(pipe.input)),
      },
    })
    let timer = setTimeout(() => request.destroy(new Error('no connection in time')), pipe.connectTimeoutMs)
    const onConnected = () => {
      clearTimeout(timer)
      timer = setTimeout(() => request.destroy(new Error('no answer in time')), pipe.answerTimeoutMs)
    }
    request.once('socket', (socket) => socket.once('secureConnect', onConnected))
    request.once('error', (error) => {
      clearTimeout(timer)
      reject(error)
    })
    request.once('upgrade', (_response: IncomingMessage, socket: Socket, head: Buffer) => {
      clearTimeout(timer)
      prepare(socket, head)
      resolve({ ok: true, value: socket })
    })
    request.once('response', (response: IncomingMessage) => {
      readResult(response)
        .then(resolve, reject)
        .finally(() => clearTimeout(timer))
    })
    request.end()
  })
}

async function readResult(response: IncomingMessage): Promise<Result<Duplex>> {
  const parts: Buffer[] = []
  for await (const part of response as AsyncIterable<Buffer>) parts.push(part)
  const result = JSON.parse(Buffer.concat(parts).toString()) as Result<Duplex>
  // An older host answers a path that it does not know in its own way; only a refusal is expected here.
  return result.ok ? fail(failure('not_found', 'The other host knows no such pipe')) : result
}

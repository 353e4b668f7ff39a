/**
 * Calls to one other host's internal server. The host has several addresses, one a network; a dead network shows
 * as a connection that cannot be made, and the next address is tried. Nothing here waits without bound.
 */
import type { IncomingMessage } from 'node:http'
import type { Agent as HttpsAgent } from 'node:https'
import type { Duplex } from 'node:stream'
import type { TLSSocket } from 'node:tls'
import { failure } from '@stead/core/errors.ts'
import { fail, type Result } from '@stead/core/result.ts'
import { connectPipe } from './internal-pipe.ts'
import { Agent, request as httpsRequest } from './node-https.ts'
import type { HostCredentials } from '../trust/host-credentials.ts'

export interface HostClientOptions {
  /** The host's id, which its certificate must bear. */
  readonly host: string
  /** By preference. */
  readonly addresses: readonly string[]
  readonly port: number
  readonly credentials: HostCredentials
  /** False: a new connection for each call. */
  readonly keepAlive?: boolean
  /** For a whole call, ms. Default 3000. */
  readonly timeoutMs?: number
}

export const CALL_TIMEOUT_MS = 3000
/** On a LAN a connection takes under a millisecond; a SYN into a cut cable is never answered. */
const CONNECT_TIMEOUT_MS = 700

/**
 * A call of its own connection costs both ends a handshake, some milliseconds; one that leads into a cable that was cut
 * meanwhile costs the whole bound of the call. So a connection is used again for what comes in a row.
 */
const IDLE_CONNECTION_MS = 2_000

/** The request did not reach the host: sending it to another address is safe. */
class NotSent extends Error {
  override name = 'NotSent'
}

export class HostClient {
  readonly host: string
  readonly #options: HostClientOptions
  #addresses: string[]
  #agent: HttpsAgent

  constructor(options: HostClientOptions) {
    this.host = options.host
    this.#options = options
    this.#addresses = [...options.addresses]
    this.#agent = this.#newAgent()
  }

  /** A call of the host's `guestCalls`. The value is what that function returned; it is not checked here. */
  callGuest(name: string, input: unknown, timeoutMs?: number): Promise<Result<unknown>> {
    return this.post(`/internal/call/${encodeURIComponent(name)}`, input, timeoutMs)
  }

  async post(
    path: string,
    input: unknown,
    timeoutMs = this.#options.timeoutMs ?? CALL_TIMEOUT_MS,
  ): Promise<Result<unknown>> {
    const deadline = AbortSignal.timeout(timeoutMs)
    const opened = await this.open('POST', path, input, deadline)
    if (!opened.ok) return opened
    try {
      const parts: Buffer[] = []
      for await (const part of opened.value as AsyncIterable<Buffer>) parts.push(part)
      return JSON.parse(Buffer.concat(parts).toString()) as Result<unknown>
    } catch (cause) {
      this.#distrust()
      return fail(
        this.#unreachable(deadline.aborted ? `did not answer within ${timeoutMs} ms` : 'broke off its answer', cause),
      )
    }
  }

  /** A blob's content, or `not_found`. The stream ends with an error when the host goes away. */
  blob(digest: string, signal: AbortSignal): Promise<Result<IncomingMessage>> {
    return this.#openStream('GET', `/internal/blobs/${encodeURIComponent(digest)}`, undefined, signal)
  }

  /** One of the host's `streams`. */
  stream(name: string, input: unknown, signal: AbortSignal): Promise<Result<IncomingMessage>> {
    return this.#openStream('POST', `/internal/stream/${encodeURIComponent(name)}`, input, signal)
  }

  /** One of the host's `pipes`: bytes in both directions until either end closes or breaks it. */
  async pipe(name: string, input: unknown): Promise<Result<Duplex>> {
    const { port, host, credentials, timeoutMs = CALL_TIMEOUT_MS } = this.#options
    const limits = { connectTimeoutMs: CONNECT_TIMEOUT_MS, answerTimeoutMs: timeoutMs }
    const troubles: string[] = []
    for (const address of [...this.#addresses]) {
      try {
        return await connectPipe({ address, port, host, credentials, name, input, ...limits })
      } catch (error) {
        this.#distrust(address)
        troubles.push(`${address}: ${error instanceof Error ? error.message : String(error)}`)
      }
    }
    return fail(this.#unreachable(`cannot be reached (${troubles.join('; ')})`, troubles))
  }

  /** The response, whatever it holds; `signal` also ends its body. */
  async open(method: string, path: string, input: unknown, signal: AbortSignal): Promise<Result<IncomingMessage>> {
    const body = input === undefined ? '' : JSON.stringify(input)
    const troubles: string[] = []
    for (const address of [...this.#addresses]) {
      try {
        return { ok: true, value: await this.#send(address, method, path, body, signal) }
      } catch (error) {
        this.#distrust(address)
        const text = error instanceof Error ? error.message : String(error)
        troubles.push(`${address}: ${text}`)
        if (signal.aborted) return fail(this.#unreachable('did not answer in time', troubles))
        if (!(error instanceof NotSent)) return fail(this.#unreachable(`broke the connection (${text})`, troubles))
      }
    }
    return fail(this.#unreachable(`cannot be reached (${troubles.join('; ')})`, troubles))
  }

  close(): void {
    this.#agent.destroy()
  }

  async #openStream(
    method: string,
    path: string,
    input: unknown,
    signal: AbortSignal,
  ): Promise<Result<IncomingMessage>> {
    const timeoutMs = this.#options.timeoutMs ?? CALL_TIMEOUT_MS
    const late = new AbortController()
    const timer = setTimeout(() => late.abort(), timeoutMs)
    const opened = await this.open(method, path, input, AbortSignal.any([signal, late.signal])).finally(() =>
      clearTimeout(timer),
    )
    if (!opened.ok || opened.value.headers['content-type'] === 'application/octet-stream') return opened
    try {
      const parts: Buffer[] = []
      for await (const part of opened.value as AsyncIterable<Buffer>) parts.push(part)
      return JSON.parse(Buffer.concat(parts).toString()) as Result<IncomingMessage>
    } catch (cause) {
      return fail(this.#unreachable('broke off its answer', cause))
    }
  }

  #send(address: string, method: string, path: string, body: string, signal: AbortSignal): Promise<IncomingMessage> {
    return new Promise((resolve, reject) => {
      const { credentials } = this.#options
      const { checkServerIdentity: _ofAgent, ...shown } = credentials.clientOptions(this.host)
      const request = httpsRequest({
        ...shown,
        host: address,
        port: this.#options.port,
        method,
        path,
        agent: this.#agent,
        signal,
        headers: {
          'content-type': 'application/json',
          'content-length': Buffer.byteLength(body),
        },
      })
      let connected = false
      const timer = setTimeout(
        () => request.destroy(new Error(`no connection within ${CONNECT_TIMEOUT_MS} ms`)),
        CONNECT_TIMEOUT_MS,
      )
      const onConnected = () => {
        connected = true
        clearTimeout(timer)
      }
      request.once('socket', (socket) => {
        if (!request.reusedSocket) return void socket.once('secureConnect', onConnected)
        onConnected()
        if (credentials.isRevoked((socket as TLSSocket).getPeerCertificate().serialNumber))
          request.destroy(new Error(`the certificate of ${this.host} is revoked`))
      })
      request.once('response', resolve)
      request.once('error', (error) => {
        clearTimeout(timer)
        // A kept connection that the host had closed meanwhile: the calls are repeatable, so a fresh one may be tried.
        const stale = request.reusedSocket && (error as NodeJS.ErrnoException).code === 'ECONNRESET'
        if (stale) this.#send(address, method, path, body, signal).then(resolve, reject)
        else reject(connected ? error : new NotSent(error.message, { cause: error }))
      })
      request.end(body)
    })
  }

  /** Kept connections may lead into a cut cable, where they would swallow call after call. */
  #distrust(address = this.#addresses[0]): void {
    if (address !== undefined) this.#addresses = [...this.#addresses.filter((other) => other !== address), address]
    const old = this.#agent
    this.#agent = this.#newAgent()
    // Only the idle ones: calls in flight keep their own bound.
    for (const sockets of Object.values(old.freeSockets)) for (const socket of sockets ?? []) socket.destroy()
  }

  #newAgent(): HttpsAgent {
    const { credentials, keepAlive = true } = this.#options
    return new Agent({
      keepAlive,
      timeout: IDLE_CONNECTION_MS,
      ...{ maxSockets: 16, maxFreeSockets: 4 },
      // No sessions: one that is taken up again shows no certificate, and would hide that it has been revoked.
      maxCachedSessions: 0,
      // Said with each request instead, Node would take each for a caller of its own and never use a connection again.
      checkServerIdentity: credentials.clientOptions(this.host).checkServerIdentity,
    })
  }

  #unreachable(what: string, cause: unknown) {
    return failure('host_unreachable', `The host ${this.host} ${what}`, {
      hint: `See \`stead host show ${this.host}\`.`,
      cause,
    })
  }
}

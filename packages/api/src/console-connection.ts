/**
 * A guest's console for as long as somebody looks at it: whenever the WebSocket ends, because the guest moves or
 * restarts or a host falls, it asks for a fresh ticket and connects again, at whichever host answers. For browsers and
 * for Node alike; what opens a WebSocket is given.
 */
import { failure, type Failure, type FailureCode } from '@stead/core/errors.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import type { Client } from './client.ts'
import { CONSOLE_SUBPROTOCOL, type OwnConsoleKind } from './console-protocol.ts'
import { CONSOLE_ENDPOINTS, type ConsoleTicketView } from './endpoints/consoles.ts'
import type { ApiTarget } from './transport.ts'

/** The part of a browser's WebSocket that is used; that of `ws` fits as well. */
export interface ConsoleSocket {
  binaryType: string
  onopen: ((event: never) => void) | null
  onmessage: ((event: { data: unknown } & never) => void) | null
  onclose: ((event: { code: number; reason: string } & never) => void) | null
  onerror: ((event: never) => void) | null
  send(message: Uint8Array<ArrayBuffer> | string): void
  close(code?: number, reason?: string): void
}

export type OpenConsoleSocket = (
  target: ApiTarget,
  path: string,
  subprotocol: string,
) => ConsoleSocket | Promise<ConsoleSocket>

export interface ConsoleConnectionOptions {
  readonly client: Client
  /** Name or id. */
  readonly guest: string
  readonly kind: OwnConsoleKind
  readonly openSocket: OpenConsoleSocket
  /** A connection begins; for `vnc` with a new handshake. */
  readonly onConnected: (ticket: ConsoleTicketView) => void
  readonly onBytes: (bytes: Uint8Array) => void
  /** The connection has ended or cannot be made now; it goes on by itself. Told once for each reason. */
  readonly onWaiting: (reason: string) => void
}

/** The server says each second that it lives. */
const SILENCE_MS_MAX = 5_000
const RETRY_PAUSE_MS = 250
/** A host that has just come back may not know of a session yet; one that all refuse for ten seconds is over. */
const DENIALS_MAX = 40
/** What passes by itself once the guest has been seen: it restarts, it moves, a host is being replaced. */
const PASSING: ReadonlySet<FailureCode> = new Set(['conflict', 'hypervisor', 'unauthorized'])
const PASSING_ALWAYS: ReadonlySet<FailureCode> = new Set(['no_quorum', 'store_timeout', 'host_unreachable', 'timeout'])

export class ConsoleConnection {
  readonly #options: ConsoleConnectionOptions
  #socket: ConsoleSocket | undefined
  #epoch: number | undefined
  #waitsFor = ''
  /** Times in a row that nobody knew who asks. */
  #denials = 0

  constructor(options: ConsoleConnectionOptions) {
    this.#options = options
  }

  /** False, and nothing is sent, while there is no connection. */
  send(bytes: Uint8Array): boolean {
    if (!this.#socket) return false
    this.#socket.send(new Uint8Array(bytes))
    return true
  }

  /** Resolves when the signal is aborted, or with what waiting does not mend. */
  async run(signal: AbortSignal): Promise<Result<void>> {
    while (!signal.aborted) {
      const opened = await this.#ticket(signal)
      if (signal.aborted) break
      if (!opened.ok) {
        if (!this.#passes(opened.error)) return opened
        this.#waiting(opened.error.message)
        await pause(RETRY_PAUSE_MS, signal)
        continue
      }
      const { reason, connected } = await this.#connect(opened.value.ticket, opened.value.target, signal)
      if (signal.aborted) break
      if (connected || this.#waitsFor === '') this.#waiting(reason)
      // One that was never made is not tried again in a tight circle.
      if (!connected) await pause(RETRY_PAUSE_MS, signal)
    }
    return ok()
  }

  #passes(error: Failure): boolean {
    this.#denials = error.code === 'unauthorized' ? this.#denials + 1 : 0
    if (this.#denials > DENIALS_MAX) return false
    return PASSING_ALWAYS.has(error.code) || (this.#epoch !== undefined && PASSING.has(error.code))
  }

  async #ticket(signal: AbortSignal): Promise<Result<{ ticket: ConsoleTicketView; target: ApiTarget }>> {
    const { client, guest, kind } = this.#options
    const input = { params: { guest }, body: { kind } }
    const ticket = await client.call(CONSOLE_ENDPOINTS['console.open'], input, { signal })
    if (!ticket.ok) return ticket
    const { target } = client
    if (!target) return fail(failure('bad_request', 'No host of the cluster is known'))
    return ok({ ticket: ticket.value, target })
  }

  /** Resolves with the reason when the connection has ended. */
  async #connect(
    ticket: ConsoleTicketView,
    target: ApiTarget,
    signal: AbortSignal,
  ): Promise<{ readonly reason: string; readonly connected: boolean }> {
    // What the same run wrote before has been shown already.
    const again = ticket.epoch === this.#epoch ? '&scrollBack=false' : ''
    const socket = await this.#options.openSocket(target, `${ticket.url}&alive=true${again}`, CONSOLE_SUBPROTOCOL)
    socket.binaryType = 'arraybuffer'
    return new Promise((resolve) => {
      let connected = false
      let silence: ReturnType<typeof setTimeout>
      const end = (reason: string) => {
        clearTimeout(silence)
        signal.removeEventListener('abort', onAbort)
        socket.onopen = socket.onmessage = socket.onclose = null
        // An error after the end concerns nobody, but must find a listener.
        socket.onerror = () => undefined
        this.#socket = undefined
        socket.close()
        resolve({ reason, connected })
      }
      const heard = () => {
        clearTimeout(silence)
        silence = setTimeout(end, SILENCE_MS_MAX, 'the host that serves the console does not answer')
      }
      const onAbort = () => end('it was left')
      signal.addEventListener('abort', onAbort, { once: true })
      heard()
      socket.onopen = () => {
        heard()
        connected = true
        this.#socket = socket
        this.#epoch = ticket.epoch
        this.#waitsFor = ''
        this.#denials = 0
        this.#options.onConnected(ticket)
      }
      socket.onmessage = ({ data }) => {
        heard()
        if (typeof data !== 'string') this.#options.onBytes(new Uint8Array(data as ArrayBuffer))
      }
      socket.onclose = ({ reason }) => end(reason || 'the connection broke')
      socket.onerror = () => undefined
    })
  }

  #waiting(reason: string): void {
    if (reason === this.#waitsFor) return
    this.#waitsFor = reason
    this.#options.onWaiting(reason)
  }
}

/** For browsers. */
export const openBrowserSocket: OpenConsoleSocket = (target, path, subprotocol) => {
  if (!('url' in target)) throw new TypeError('a browser cannot reach a unix socket')
  const url = new URL(path, target.url)
  url.protocol = url.protocol.replace('http', 'ws')
  return new WebSocket(url, subprotocol) as unknown as ConsoleSocket
}

async function pause(ms: number, signal: AbortSignal): Promise<void> {
  await new Promise<void>((resolve) => {
    const timer = setTimeout(done, ms)
    signal.addEventListener('abort', done, { once: true })
    function done() {
      clearTimeout(timer)
      signal.removeEventListener('abort', done)
      resolve()
    }
  })
}

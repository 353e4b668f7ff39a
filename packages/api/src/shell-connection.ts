/**
 * A shell in a container, over one WebSocket. Unlike a guest's consoles it does not come back: when the container moves or
 * stops, or a host falls, its processes are gone, and `run` says which of these it was.
 */
import { failure } from '@stead/core/errors.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import type { Client } from './client.ts'
import type { ConsoleSocket, OpenConsoleSocket } from './console-connection.ts'
import {
  CONSOLE_CLOSE_CODES,
  CONSOLE_SUBPROTOCOL,
  parseShellExit,
  shellSizeText,
  type ShellSize,
} from './console-protocol.ts'
import { CONSOLE_ENDPOINTS, type ConsoleTicketView } from './endpoints/consoles.ts'

export interface ShellConnectionOptions {
  readonly client: Client
  /** Name or id of a container. */
  readonly guest: string
  readonly openSocket: OpenConsoleSocket
  readonly size: ShellSize
  readonly onConnected: (ticket: ConsoleTicketView) => void
  readonly onBytes: (bytes: Uint8Array) => void
}

/** The server says each second that it lives. */
const SILENCE_MS_MAX = 5_000
const ENTER_AGAIN = (guest: string) => ({ hint: `What ran in it is gone. \`stead ct enter ${guest}\` opens another` })

export class ShellConnection {
  readonly #options: ShellConnectionOptions
  #socket: ConsoleSocket | undefined
  #size: ShellSize

  constructor(options: ShellConnectionOptions) {
    this.#options = options
    this.#size = options.size
  }

  /** False, and nothing is sent, while there is no connection. */
  send(bytes: Uint8Array): boolean {
    if (!this.#socket) return false
    this.#socket.send(new Uint8Array(bytes))
    return true
  }

  resize(size: ShellSize): void {
    this.#size = size
    this.#socket?.send(shellSizeText(size))
  }

  /** The shell's exit code; undefined when the signal was aborted, which hangs up. */
  async run(signal: AbortSignal): Promise<Result<number | undefined>> {
    const { client, guest, openSocket } = this.#options
    const given = await client.call(CONSOLE_ENDPOINTS['console.enter'], { params: { guest } }, { signal })
    if (!given.ok) return given
    const { target } = client
    if (!target) return fail(failure('bad_request', 'No host of the cluster is known'))
    const asked = this.#size
    const size = `columns=${asked.columns}&rows=${asked.rows}`
    const socket = await openSocket(target, `${given.value.url}&alive=true&${size}`, CONSOLE_SUBPROTOCOL)
    socket.binaryType = 'arraybuffer'
    return new Promise((resolve) => {
      let exitCode: number | undefined
      let silence: ReturnType<typeof setTimeout>
      const end = (result: Result<number | undefined>) => {
        clearTimeout(silence)
        signal.removeEventListener('abort', onAbort)
        socket.onopen = socket.onmessage = socket.onclose = null
        // An error after the end concerns nobody, but must find a listener.
        socket.onerror = () => undefined
        this.#socket = undefined
        socket.close()
        resolve(result)
      }
      const lost = (reason: string) =>
        end(fail(failure('host_unreachable', `The shell in ${guest} is lost: ${reason}`, ENTER_AGAIN(guest))))
      const heard = () => {
        clearTimeout(silence)
        silence = setTimeout(lost, SILENCE_MS_MAX, 'the host that serves it does not answer')
      }
      const onAbort = () => end(ok(undefined))
      signal.addEventListener('abort', onAbort, { once: true })
      heard()
      socket.onopen = () => {
        heard()
        this.#socket = socket
        if (this.#size !== asked) this.resize(this.#size)
        this.#options.onConnected(given.value)
      }
      socket.onmessage = ({ data }) => {
        heard()
        if (typeof data === 'string') exitCode = parseShellExit(data) ?? exitCode
        else this.#options.onBytes(new Uint8Array(data as ArrayBuffer))
      }
      socket.onclose = ({ code, reason }: { code: number; reason: string }) => {
        if (exitCode !== undefined) return end(ok(exitCode))
        if (code !== CONSOLE_CLOSE_CODES.runEnded) return lost(reason || 'the connection broke')
        end(fail(failure('conflict', `The shell in ${guest} has ended: ${reason}`, ENTER_AGAIN(guest))))
      }
      socket.onerror = () => undefined
    })
  }
}

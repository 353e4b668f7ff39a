/**
 * The API's WebSockets. Consoles come as upgrades of `GET /v1/guests/{guest}/console/{kind}` and show a ticket
 * instead of a token; events as upgrades of the `GET` that streams them. What is refused is refused before the upgrade, as a problem
 * document.
 */
import { STATUS_CODES, type IncomingMessage, type Server } from 'node:http'
import type { Duplex } from 'node:stream'
import { CONSOLE_SUBPROTOCOL } from '@stead/api/console-protocol.ts'
import { CONSOLE_ENDPOINTS } from '@stead/api/endpoints/consoles.ts'
import { PROBLEM_MEDIA_TYPE, problemFromFailure } from '@stead/api/errors.ts'
import { describeIssues } from '@stead/api/issues.ts'
import { failure, type Failure } from '@stead/core/errors.ts'
import type { Log } from '@stead/core/ports/log.ts'
import { fail, type Result } from '@stead/core/result.ts'
import type { WebSocketServer } from 'ws'
import { z } from 'zod'
import type { ConsoleRequest, OpenConsole } from '../console/console-router.ts'
import { bridgeConsole } from './console-bridge.ts'
import { bridgeEvents, isEventPath, type OpenEvents } from './event-socket.ts'
import { FOREIGN, isOwn } from './identify.ts'

/** Opens a console against a ticket, which is used up. */
export type ConnectConsole = (request: ConsoleRequest) => Promise<Result<OpenConsole>>

/** What a client may send at once, bytes: a clipboard, not a file. */
const MESSAGE_BYTES_MAX = 1 << 20

export interface SocketSources {
  readonly connect: ConnectConsole
  readonly openEvents: OpenEvents
}

export function serveWebSockets(
  server: Server,
  { connect, openEvents }: SocketSources,
  closing: AbortSignal,
  log: Log,
): void {
  let sockets: Promise<WebSocketServer> | undefined
  server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    socket.on('error', () => socket.destroy())
    accept(request, socket, head).catch((error: unknown) => {
      log.error('a WebSocket failed unexpectedly', { url: request.url?.split('?')[0], error })
      socket.destroy()
    })
  })

  async function accept(request: IncomingMessage, socket: Duplex, head: Buffer): Promise<void> {
    const { origin, host } = request.headers
    if (origin !== undefined && !isOwn(origin, host)) return refuse(socket, FOREIGN)
    if (isEventPath(new URL(request.url ?? '', 'http://agent').pathname)) return acceptEvents(request, socket, head)
    const asked = parseAddress(request.url ?? '')
    if (!asked.ok) return refuse(socket, asked.error)
    const { alive = false, ...wanted } = asked.value
    const opened = await connect(wanted)
    if (!opened.ok) return refuse(socket, opened.error)
    const { stream, onMoved, taken } = opened.value
    if (socket.destroyed || closing.aborted) {
      stream.destroy()
      socket.destroy()
      return
    }
    const accepting = await accepter()
    let upgraded = false
    // A request that is no proper upgrade is refused by `ws` itself, which closes the connection.
    socket.once('close', () => upgraded || stream.destroy())
    accepting.handleUpgrade(request, socket, head, (webSocket) => {
      upgraded = true
      bridgeConsole(webSocket, stream, { kind: wanted.kind, alive, closing, onMoved, taken })
    })
  }

  async function acceptEvents(request: IncomingMessage, socket: Duplex, head: Buffer): Promise<void> {
    const over = new AbortController()
    const opened = await openEvents(request, over.signal)
    if (!opened.ok) return refuse(socket, opened.error)
    if (socket.destroyed || closing.aborted) {
      over.abort()
      socket.destroy()
      return
    }
    const accepting = await accepter()
    socket.once('close', () => over.abort())
    accepting.handleUpgrade(request, socket, head, (webSocket) => {
      void bridgeEvents(webSocket, opened.value, over, closing)
    })
  }

  /** Read when the first is opened: most agents never serve one. */
  function accepter(): Promise<WebSocketServer> {
    return (sockets ??= import('ws').then(
      (ws) =>
        new ws.WebSocketServer({
          noServer: true,
          perMessageDeflate: false,
          maxPayload: MESSAGE_BYTES_MAX,
          handleProtocols: (names) => (names.has(CONSOLE_SUBPROTOCOL) ? CONSOLE_SUBPROTOCOL : false),
        }),
    ))
  }
}

const addressSchema = CONSOLE_ENDPOINTS['console.connect'].params.extend(
  CONSOLE_ENDPOINTS['console.connect'].query.shape,
)

function parseAddress(url: string): Result<z.output<typeof addressSchema>> {
  const { pathname, searchParams } = new URL(url, 'http://agent')
  const names = /^\/v1\/guests\/([^/]+)\/console\/([^/]+)$/.exec(pathname)
  if (!names) return fail(failure('not_found', `There is no WebSocket at ${pathname}`))
  const [guest, kind] = names.slice(1).map((part) => decodeURIComponent(part))
  const checked = addressSchema.safeParse({ ...Object.fromEntries(searchParams), guest, kind })
  if (checked.success) return { ok: true, value: checked.data }
  const { message } = describeIssues(checked.error.issues, addressSchema)
  return fail(failure('bad_request', `The address of the WebSocket is not valid: ${message}`))
}

function refuse(socket: Duplex, value: Failure): void {
  const problem = problemFromFailure(value)
  const body = JSON.stringify(problem)
  const head = [
    `HTTP/1.1 ${problem.status} ${STATUS_CODES[problem.status] ?? ''}`,
    `Content-Type: ${PROBLEM_MEDIA_TYPE}`,
    `Content-Length: ${Buffer.byteLength(body)}`,
    'Connection: close',
  ]
  socket.end(`${head.join('\r\n')}\r\n\r\n${body}`)
}

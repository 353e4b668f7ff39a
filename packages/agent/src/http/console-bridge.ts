/**
 * Joins a WebSocket to a stream of bytes and ends each with the other. A viewer that is slow slows VNC down, which then
 * draws less often; a reader of the serial console that is slow is sent away, since that stream never waits.
 */
import type { Duplex } from 'node:stream'
import {
  CLOSE_REASON_BYTES_MAX,
  CONSOLE_ALIVE,
  CONSOLE_ALIVE_MS,
  CONSOLE_CLOSE_CODES,
  type ConsoleKind,
} from '@stead/api/console-protocol.ts'
import type { WebSocket } from 'ws'
import { TooSlow } from '../console/serial-console.ts'

const PING_INTERVAL_MS = 5_000
/** More than this on its way to the client: VNC waits. */
const PAUSE_ABOVE_BYTES = 256 * 1024
const GIVE_UP_ABOVE_BYTES = 4 << 20
const DRAIN_LOOK_MS = 10
/** A client that does not answer the closing handshake is cut off. */
const CLOSE_PATIENCE_MS = 1_000

export interface BridgeOptions {
  readonly kind: ConsoleKind
  /** Send the text `alive` each second. */
  readonly alive: boolean
  /** Aborted when the agent stops. */
  readonly closing: AbortSignal
  readonly onMoved: (listener: (reason: string) => void) => () => void
}

export function bridgeConsole(socket: WebSocket, stream: Duplex, options: BridgeOptions): void {
  const { agentStops, runEnded, hostLost, tooSlow } = CONSOLE_CLOSE_CODES
  let answered = true
  let ended = false

  const close = (code: number, reason: string) => {
    if (ended) return
    ended = true
    socket.close(code, shortened(reason))
    setTimeout(() => socket.terminate(), CLOSE_PATIENCE_MS).unref()
    release()
  }
  const release = () => {
    ended = true
    clearInterval(pings)
    clearInterval(lives)
    clearInterval(drain)
    offMoved()
    options.closing.removeEventListener('abort', onClosing)
    stream.destroy()
  }
  const onClosing = () => close(agentStops, 'the agent that serves this stops')
  const offMoved = options.onMoved((reason) => close(runEnded, reason))
  options.closing.addEventListener('abort', onClosing, { once: true })

  const pings = setInterval(() => {
    if (!answered) return socket.terminate()
    answered = false
    socket.ping()
  }, PING_INTERVAL_MS)
  socket.on('pong', () => (answered = true))
  const lives = setInterval(() => options.alive && socket.send(CONSOLE_ALIVE), CONSOLE_ALIVE_MS)

  let drain: NodeJS.Timeout | undefined
  stream.on('data', (bytes: Buffer) => {
    socket.send(bytes, { binary: true })
    if (options.kind === 'serial') {
      if (socket.bufferedAmount > GIVE_UP_ABOVE_BYTES) close(tooSlow, 'the client takes its bytes too slowly')
      return
    }
    if (socket.bufferedAmount <= PAUSE_ABOVE_BYTES) return
    stream.pause()
    clearInterval(drain)
    drain = setInterval(() => {
      if (socket.bufferedAmount > PAUSE_ABOVE_BYTES) return
      clearInterval(drain)
      stream.resume()
    }, DRAIN_LOOK_MS)
  })
  stream.on('end', () => close(runEnded, "the guest's console has ended here"))
  stream.on('error', (error) => {
    if (error instanceof TooSlow) close(tooSlow, error.message)
    else close(hostLost, `the way to the guest's host broke: ${error.message}`)
  })
  stream.on('close', () => close(hostLost, "the way to the guest's host broke"))

  socket.on('message', (data: Buffer, binary) => {
    // Text is for what may come later; a console's bytes are binary.
    if (!binary || stream.writableEnded || stream.destroyed) return
    if (stream.write(data)) return
    socket.pause()
    stream.once('drain', () => socket.resume())
  })
  socket.on('error', () => socket.terminate())
  socket.on('close', release)
}

function shortened(reason: string): string {
  const bytes = Buffer.from(reason)
  if (bytes.length <= CLOSE_REASON_BYTES_MAX) return reason
  return `${bytes
    .subarray(0, CLOSE_REASON_BYTES_MAX - 3)
    .toString()
    .replace(/\uFFFD+$/, '')}...`
}

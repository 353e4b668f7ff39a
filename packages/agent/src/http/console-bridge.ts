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
  parseShellSize,
  shellExitText,
  type ConsoleKind,
} from '@stead/api/console-protocol.ts'
import type { WebSocket } from 'ws'
import { TooSlow } from '../console/serial-console.ts'
import { encodeShellFrame, shellFrameReader, type ShellFrame } from '../console/shell-frames.ts'
import { keepPinged } from './socket-pings.ts'

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
  /** Aborted when who opened it may use it no more. */
  readonly taken: AbortSignal
}

export function bridgeConsole(socket: WebSocket, stream: Duplex, options: BridgeOptions): void {
  const { agentStops, runEnded, hostLost, tooSlow, shellEnded, notPermitted } = CONSOLE_CLOSE_CODES
  const isShell = options.kind === 'shell'
  const framesIn = isShell ? shellFrameReader() : (bytes: Buffer): readonly ShellFrame[] => [{ kind: 'bytes', bytes }]
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
    unpinged()
    clearInterval(lives)
    clearInterval(drain)
    offMoved()
    options.closing.removeEventListener('abort', onClosing)
    options.taken.removeEventListener('abort', onTaken)
    stream.destroy()
  }
  const onClosing = () => close(agentStops, 'the agent that serves this stops')
  const onTaken = () => close(notPermitted, 'who opened it may use it no more')
  const offMoved = options.onMoved((reason) => close(runEnded, reason))
  options.closing.addEventListener('abort', onClosing, { once: true })
  options.taken.addEventListener('abort', onTaken, { once: true })
  if (options.taken.aborted) onTaken()

  const unpinged = keepPinged(socket)
  const lives = setInterval(() => options.alive && socket.send(CONSOLE_ALIVE), CONSOLE_ALIVE_MS)

  let drain: NodeJS.Timeout | undefined
  const show = (frame: ShellFrame) => {
    if (frame.kind === 'bytes') return socket.send(frame.bytes, { binary: true })
    if (frame.kind !== 'exit') return
    socket.send(shellExitText(frame.code))
    close(shellEnded, `the shell ended with ${frame.code}`)
  }
  stream.on('data', (bytes: Buffer) => {
    try {
      for (const frame of framesIn(bytes)) show(frame)
    } catch (error) {
      return void stream.destroy(error as Error)
    }
    if (ended) return
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
  stream.on('end', () => close(runEnded, isShell ? 'the container has ended' : "the guest's console has ended here"))
  stream.on('error', (error) => {
    if (error instanceof TooSlow) close(tooSlow, error.message)
    else close(hostLost, `the way to the guest's host broke: ${error.message}`)
  })
  stream.on('close', () => close(hostLost, "the way to the guest's host broke"))

  socket.on('message', (data: Buffer, binary) => {
    if (stream.writableEnded || stream.destroyed) return
    const size = binary || !isShell ? undefined : parseShellSize(data.toString())
    if (size) stream.write(encodeShellFrame({ kind: 'size', size }))
    // Other text is for what may come later; a console's bytes are binary.
    if (!binary) return
    if (stream.write(isShell ? encodeShellFrame({ kind: 'bytes', bytes: data }) : data)) return
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

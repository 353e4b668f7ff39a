/**
 * A running guest's serial console, for several people at once: QEMU knows one connection, this class holds it and
 * gives every reader a stream of its own. What is typed by any of them goes to the guest. A reader that does not take
 * its bytes is thrown out; neither the guest nor the others ever wait for it.
 */
import { connect, type Socket } from 'node:net'
import { Duplex } from 'node:stream'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { failure, type Failure } from '@stead/core/errors.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import { beforeReceived, endOfLog, ScrollBack } from './scroll-back.ts'

/** At the same time; QEMU takes as many viewers of a screen. */
export const READERS_MAX = 32
/** What may wait for one reader. */
export const READER_BYTES_MAX = 1024 * 1024
const CONNECT_TIMEOUT_MS = 2_000
const IDLE_MS = 5_000

export class TooSlow extends Error {
  override name = 'TooSlow'
}

export class SerialConsole {
  readonly #socket: Socket
  readonly #readers = new Set<Duplex>()
  readonly #scrollBack = new ScrollBack()
  #idle: NodeJS.Timeout | undefined

  private constructor(socket: Socket) {
    this.#socket = socket
  }

  /** `onClosed` is called when the guest's run has ended, or some seconds after the last reader has left. */
  static async open(socketPath: string, logPath: string, onClosed: () => void): Promise<Result<SerialConsole>> {
    const connected = await connectTo(socketPath)
    if (!connected.ok) return connected
    const socket = connected.value
    const serial = new SerialConsole(socket)
    let received: Buffer[] | undefined = []
    socket.on('data', (piece: Buffer) => (received ? received.push(piece) : serial.#take(piece)))
    socket.on('close', () => {
      serial.#end()
      onClosed()
    })
    const log = await endOfLog(logPath)
    // QEMU sends before it logs: after one more round of reading, all that the log has is here as well.
    await nextTurn()
    await nextTurn()
    const early = Buffer.concat(received)
    received = undefined
    serial.#scrollBack.add(beforeReceived(log, early))
    serial.#scrollBack.add(early)
    return ok(serial)
  }

  /**
   * The scroll-back if it is wanted, then what comes; it ends with the guest's run, and with `TooSlow` when its reader is.
   * Fails with `conflict` when there are too many readers.
   */
  attach(scrollBack: boolean): Result<Duplex> {
    if (this.#readers.size >= READERS_MAX)
      return fail(failure('conflict', `${READERS_MAX} people use this console already`))
    const reader = new Duplex({
      read() {
        // Bytes are pushed as they come.
      },
      write: (bytes: Buffer, _encoding, done) => void this.#socket.write(bytes, () => done()),
      destroy: (error, done) => {
        this.#readers.delete(reader)
        if (this.#readers.size === 0) this.#closeWhenIdle()
        done(error)
      },
    })
    const before = this.#scrollBack.content()
    if (scrollBack && before.length > 0) reader.push(before)
    if (this.#socket.destroyed) reader.push(null)
    else this.#readers.add(reader)
    clearTimeout(this.#idle)
    return ok(reader)
  }

  /** At once would lose what was typed just before: QEMU drops what it has not read when a connection ends. */
  #closeWhenIdle(): void {
    clearTimeout(this.#idle)
    this.#idle = setTimeout(() => this.#socket.destroy(), IDLE_MS).unref()
  }

  #take(piece: Buffer): void {
    this.#scrollBack.add(piece)
    for (const reader of this.#readers) {
      if (reader.readableLength + piece.length > READER_BYTES_MAX) reader.destroy(new TooSlow('the reader is too slow'))
      else reader.push(piece)
    }
  }

  #end(): void {
    clearTimeout(this.#idle)
    for (const reader of this.#readers) reader.push(null)
  }
}

/** Older versions started guests without these sockets, and such a guest may still run. */
function notAnswering(cause: unknown): Failure {
  const absent = (cause as NodeJS.ErrnoException).code === 'ENOENT'
  const hint = 'It was started by an older version of Stead, which had no such console: restart or migrate it'
  return failure('hypervisor', 'QEMU does not answer on the socket of its console', {
    cause,
    ...(absent ? { hint } : {}),
  })
}

/** A connection to one of QEMU's sockets. Fails with `hypervisor`. */
export function connectTo(path: string): Promise<Result<Socket>> {
  return new Promise((resolve) => {
    const socket = connect({ path, allowHalfOpen: false })
    const giveUp = (cause: unknown) => {
      clearTimeout(timer)
      socket.destroy()
      resolve(fail(notAnswering(cause)))
    }
    const timer = setTimeout(() => giveUp(new Error('no connection in time')), CONNECT_TIMEOUT_MS)
    socket.once('error', giveUp)
    socket.once('connect', () => {
      clearTimeout(timer)
      socket.off('error', giveUp)
      // A broken connection shows as `close` to whoever reads.
      socket.on('error', () => undefined)
      resolve(ok(socket))
    })
  })
}

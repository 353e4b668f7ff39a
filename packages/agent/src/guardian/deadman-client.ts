/** Renews the kernel timer of `stead-deadman` (native/stead-deadman.c) over its unix socket. */
import { connect, type Socket } from 'node:net'
import type { Clock } from '@stead/core/ports/clock.ts'
import type { Log } from '@stead/core/ports/log.ts'

const RECONNECT_MS = 200
/** More than this unread means that the deadman is stopped; what it would read later is worth nothing. */
const BACKLOG_BYTES_MAX = 16_384
/** A renewal that adds less is left out: it costs a write and a wake-up. The guests' time is at most this much shorter. */
const STEP_MS = 250

export interface Deadman {
  /** Arms the timer to this moment, monotonic ms. */
  renew(until: number): void
  close(): void
}

export class DeadmanClient implements Deadman {
  readonly #path: string
  readonly #clock: Clock
  readonly #log: Log
  #socket: Socket | undefined
  #retry: NodeJS.Timeout | undefined
  #closed = false
  #trouble = ''
  #sentUntil = -Infinity

  constructor(path: string, clock: Clock, log: Log) {
    this.#path = path
    this.#clock = clock
    this.#log = log
    this.#open()
  }

  renew(until: number): void {
    if (!this.#socket) return
    if (this.#socket.writableLength > BACKLOG_BYTES_MAX) {
      this.#socket.destroy()
      return
    }
    const added = until - this.#sentUntil
    if (added >= 0 && added < STEP_MS) return
    this.#sentUntil = until
    const now = this.#clock.monotonicMs()
    this.#socket.write(`renew ${(until - now).toFixed(1)} ${now.toFixed(1)}\n`)
  }

  close(): void {
    this.#closed = true
    clearTimeout(this.#retry)
    this.#socket?.destroy()
  }

  #open(): void {
    const socket = connect(this.#path)
    socket.on('connect', () => {
      this.#socket = socket
      this.#sentUntil = -Infinity
      if (this.#trouble) this.#log.info('the deadman answers again')
      this.#trouble = ''
    })
    socket.on('error', (error) => {
      const trouble = (error as NodeJS.ErrnoException).code ?? error.message
      if (trouble !== this.#trouble) this.#log.warn('the deadman cannot be reached', { path: this.#path, trouble })
      this.#trouble = trouble
    })
    socket.on('close', () => {
      this.#socket = undefined
      if (!this.#closed) this.#retry = setTimeout(() => this.#open(), RECONNECT_MS)
    })
    // The deadman says nothing; without a reader Node would not notice its end.
    socket.resume()
  }
}

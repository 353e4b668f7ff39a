/** The agent's end of a `stead-disk`'s control socket (native/stead-disk.c): commands, and what it tells by itself. */
import { connect, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { failure } from '@stead/core/errors.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'

/** All that a `stead-disk` says of itself. Counters are since its start. */
export interface DiskState {
  readonly mode: 'running' | 'holding'
  /** It holds, and no request is at the server: until `go` none will be. */
  readonly quiet: boolean
  readonly connected: boolean
  readonly sizeBytes: number
  readonly inFlight: number
  /** Requests that wait here; those that come while it holds are among them. */
  readonly held: number
  /** How often a request has failed since the last `go`. */
  readonly failures: number
  /** The last of them. */
  readonly failure?: {
    readonly operation: 'read' | 'write' | 'flush' | 'zero'
    readonly errno: number
    readonly offsetBytes: number
    readonly lengthBytes: number
  }
  readonly reads: number
  readonly readBytes: number
  readonly writes: number
  readonly writtenBytes: number
  readonly flushes: number
  readonly zeroes: number
}

export type DiskCommand = 'hold' | 'go' | 'status' | 'connect' | 'resize' | 'limit'

interface Said extends DiskState {
  readonly event: 'state' | 'failed' | 'disconnected' | 'quiet' | 'running' | 'reply'
  readonly to?: string
  readonly ok?: boolean
  readonly why?: string
}

interface Pending {
  readonly resolve: (said: Result<DiskState>) => void
  readonly timer: NodeJS.Timeout
}

export class DiskControl {
  readonly #socket: Socket
  readonly #pending = new Map<string, Pending>()
  readonly #onSaid: (event: Said['event'], state: DiskState) => void
  readonly #onClosed: () => void
  #unparsed = ''
  #nextWord = 1
  #isClosed = false

  private constructor(socket: Socket, onSaid: (event: Said['event'], state: DiskState) => void, onClosed: () => void) {
    this.#socket = socket
    this.#onSaid = onSaid
    this.#onClosed = onClosed
    socket.setEncoding('utf8')
    socket.on('data', (text: string) => this.#receive(text))
    socket.on('error', () => this.#close())
    socket.on('close', () => this.#close())
  }

  /** Resolves with the first thing said, which is the present state. Fails with `internal` when nobody says it in time. */
  static async connect(
    path: string,
    listeners: { readonly onState: (state: DiskState) => void; readonly onClosed: () => void },
    timeoutMs: number,
    mayStillCome: () => boolean,
  ): Promise<Result<DiskControl>> {
    const deadline = performance.now() + timeoutMs
    for (;;) {
      const attempt = await DiskControl.#connectOnce(path, listeners, Math.max(1, deadline - performance.now()))
      if (attempt.ok || performance.now() >= deadline || !mayStillCome()) return attempt
      await sleep(5)
    }
  }

  static #connectOnce(
    path: string,
    listeners: { readonly onState: (state: DiskState) => void; readonly onClosed: () => void },
    timeoutMs: number,
  ): Promise<Result<DiskControl>> {
    return new Promise((resolve) => {
      const socket = connect(path)
      let isOpen = false
      const giveUp = (cause: unknown) => {
        clearTimeout(timer)
        socket.destroy()
        resolve(fail(failure('internal', `No stead-disk answers at ${path}`, { cause })))
      }
      const timer = setTimeout(() => giveUp(new Error(`nothing said within ${Math.round(timeoutMs)} ms`)), timeoutMs)
      socket.once('error', (cause) => isOpen || giveUp(cause))
      const control = new DiskControl(
        socket,
        (_event, state) => {
          listeners.onState(state)
          if (isOpen) return
          isOpen = true
          clearTimeout(timer)
          resolve(ok(control))
        },
        () => (isOpen ? listeners.onClosed() : giveUp(new Error('closed at once'))),
      )
    })
  }

  get isClosed(): boolean {
    return this.#isClosed
  }

  /**
   * The state after the command. `hold` is answered once nothing is in flight. Fails with `conflict` and the reason when it
   * refuses, with `internal` when it does not answer in time.
   */
  ask(command: DiskCommand, timeoutMs: number, amounts: readonly number[] = []): Promise<Result<DiskState>> {
    if (this.#isClosed) return Promise.resolve(fail(failure('internal', 'stead-disk does not answer')))
    const word = String(this.#nextWord++)
    return new Promise((resolve) => {
      const timer = setTimeout(() => {
        this.#pending.delete(word)
        resolve(fail(failure('internal', `${command}: stead-disk has not answered within ${timeoutMs} ms`)))
      }, timeoutMs)
      this.#pending.set(word, { resolve, timer })
      this.#socket.write(`${[command, word, ...amounts].join(' ')}\n`)
    })
  }

  close(): void {
    this.#socket.destroy()
    this.#close()
  }

  #receive(text: string): void {
    const lines = (this.#unparsed + text).split('\n')
    this.#unparsed = lines.pop() ?? ''
    for (const line of lines) {
      const { event, to, ok: done, why, ...state } = JSON.parse(line) as Said
      this.#onSaid(event, state)
      const pending = to === undefined ? undefined : this.#pending.get(to)
      if (to === undefined || !pending) continue
      this.#pending.delete(to)
      clearTimeout(pending.timer)
      pending.resolve(done ? ok(state) : fail(failure('conflict', `The disk refuses: ${why}`)))
    }
  }

  #close(): void {
    if (this.#isClosed) return
    this.#isClosed = true
    for (const { resolve, timer } of this.#pending.values()) {
      clearTimeout(timer)
      resolve(fail(failure('internal', 'stead-disk ended before it answered')))
    }
    this.#pending.clear()
    this.#onClosed()
  }
}

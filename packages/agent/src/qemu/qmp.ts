/**
 * A typed client of the QEMU Machine Protocol (docs/interop/qmp-spec in QEMU's source): commands with replies
 * matched by id, events, and out-of-band commands, which QEMU answers even when its main loop is stuck.
 */
import { connect, type Socket } from 'node:net'
import { failure } from '@stead/core/errors.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'

export interface QmpEvent {
  readonly event: string
  readonly data: Readonly<Record<string, unknown>>
  /** QEMU's wall clock, ms. */
  readonly timestampMs: number
}

interface Pending {
  readonly command: string
  readonly resolve: (result: Result<unknown>) => void
  readonly timer: NodeJS.Timeout
}

type QmpMessage = {
  readonly QMP?: { readonly capabilities?: readonly string[] }
  readonly id?: number
  readonly return?: unknown
  readonly error?: { readonly class: string; readonly desc: string }
  readonly event?: string
  readonly data?: Record<string, unknown>
  readonly timestamp?: { readonly seconds: number; readonly microseconds: number }
}

const DEFAULT_TIMEOUT_MS = 10_000

export class QmpClient {
  readonly #socket: Socket
  readonly #pending = new Map<number, Pending>()
  readonly #listeners = new Set<(event: QmpEvent) => void>()
  readonly #closeListeners = new Set<() => void>()
  #nextId = 1
  /** Of a line whose end has not come yet: one that describes hundreds of volumes comes in many. */
  #unparsed: string[] = []
  #closed = false
  #greeting: ((capabilities: readonly string[]) => void) | undefined

  private constructor(socket: Socket) {
    this.#socket = socket
    socket.setEncoding('utf8')
    socket.on('data', (text: string) => this.#receive(text))
    socket.on('error', () => this.#close())
    socket.on('close', () => this.#close())
  }

  /**
   * Connects to a monitor's unix socket and negotiates, with out-of-band commands where the server has them.
   * Fails with `hypervisor` when nobody greets within `timeoutMs`, or as soon as `mayStillCome` says no.
   */
  static async connect(
    path: string,
    timeoutMs = 5_000,
    mayStillCome: () => boolean = () => true,
  ): Promise<Result<QmpClient>> {
    const deadline = performance.now() + timeoutMs
    for (;;) {
      const attempt = await QmpClient.#connectOnce(path, Math.max(1, deadline - performance.now()))
      if (attempt.ok || performance.now() >= deadline || !isNotYetThere(attempt.error.cause) || !mayStillCome())
        return attempt
      // The process may still be creating its socket; there is no event to wait for.
      await new Promise((resolve) => setTimeout(resolve, 10))
    }
  }

  static #connectOnce(path: string, timeoutMs: number): Promise<Result<QmpClient>> {
    return new Promise((resolve) => {
      const socket = connect(path)
      const giveUp = (cause: unknown) => {
        clearTimeout(timer)
        socket.destroy()
        resolve(fail(failure('hypervisor', `No QMP monitor answers at ${path}`, { cause })))
      }
      const timer = setTimeout(() => giveUp(new Error(`no greeting within ${Math.round(timeoutMs)} ms`)), timeoutMs)
      socket.once('error', giveUp)
      socket.once('connect', () => {
        socket.off('error', giveUp)
        const client = new QmpClient(socket)
        client.#closeListeners.add(onEarlyClose)
        client.#greeting = (capabilities) => {
          clearTimeout(timer)
          client.#closeListeners.delete(onEarlyClose)
          const enable = capabilities.includes('oob') ? ['oob'] : []
          void client.execute('qmp_capabilities', { enable }, timeoutMs).then((reply) => {
            if (!reply.ok) client.close()
            resolve(reply.ok ? ok(client) : reply)
          })
        }
      })
      const onEarlyClose = () => giveUp(new Error('closed before the greeting'))
    })
  }

  get closed(): boolean {
    return this.#closed
  }

  /** Runs a command; QEMU's own error text comes back in the failure's message. */
  execute<T = unknown>(command: string, args?: object, timeoutMs = DEFAULT_TIMEOUT_MS): Promise<Result<T>> {
    return this.#send('execute', command, args, timeoutMs) as Promise<Result<T>>
  }

  /** Runs an out-of-band command (`yank`, `migrate-pause`, ...): never queued behind a stuck one. */
  executeOutOfBand<T = unknown>(command: string, args?: object, timeoutMs = 2_000): Promise<Result<T>> {
    return this.#send('exec-oob', command, args, timeoutMs) as Promise<Result<T>>
  }

  /** A command of the human monitor, for the few things QMP lacks (`qemu-io`). Its output is text. */
  human(commandLine: string, timeoutMs = DEFAULT_TIMEOUT_MS): Promise<Result<string>> {
    return this.execute<string>('human-monitor-command', { 'command-line': commandLine }, timeoutMs)
  }

  onEvent(listener: (event: QmpEvent) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  onClose(listener: () => void): () => void {
    if (this.#closed) queueMicrotask(listener)
    this.#closeListeners.add(listener)
    return () => this.#closeListeners.delete(listener)
  }

  /** Resolves with the first event that `matches`, or undefined when none came in time. Subscribe before you cause it. */
  waitFor(matches: (event: QmpEvent) => boolean, timeoutMs: number): Promise<QmpEvent | undefined> {
    return new Promise((resolve) => {
      const finish = (event: QmpEvent | undefined) => {
        clearTimeout(timer)
        off()
        offClose()
        resolve(event)
      }
      const timer = setTimeout(() => finish(undefined), timeoutMs)
      const off = this.onEvent((event) => {
        if (matches(event)) finish(event)
      })
      const offClose = this.onClose(() => finish(undefined))
    })
  }

  close(): void {
    this.#socket.destroy()
    this.#close()
  }

  #send(
    verb: 'execute' | 'exec-oob',
    command: string,
    args: object | undefined,
    timeoutMs: number,
  ): Promise<Result<unknown>> {
    if (this.#closed) return Promise.resolve(fail(failure('hypervisor', `${command}: the monitor is closed`)))
    const id = this.#nextId++
    return new Promise((resolve) => {
      const timer = setTimeout(() => {
        this.#pending.delete(id)
        resolve(fail(failure('hypervisor', `${command}: no answer within ${timeoutMs} ms`)))
      }, timeoutMs)
      this.#pending.set(id, { command, resolve, timer })
      this.#socket.write(`${JSON.stringify({ [verb]: command, id, ...(args ? { arguments: args } : {}) })}\r\n`)
    })
  }

  #receive(text: string): void {
    const [first = '', ...others] = text.split('\n')
    this.#unparsed.push(first)
    for (const next of others) {
      const line = this.#unparsed.join('')
      this.#unparsed = [next]
      if (line.trim()) this.#dispatch(JSON.parse(line) as QmpMessage)
    }
  }

  #dispatch(message: QmpMessage): void {
    if (message.QMP) {
      this.#greeting?.(message.QMP.capabilities ?? [])
    } else if (message.event) {
      const { seconds = 0, microseconds = 0 } = message.timestamp ?? {}
      const event = {
        event: message.event,
        data: message.data ?? {},
        timestampMs: seconds * 1000 + microseconds / 1000,
      }
      for (const listener of [...this.#listeners]) listener(event)
    } else if (message.id !== undefined) {
      const pending = this.#pending.get(message.id)
      if (!pending) return
      this.#pending.delete(message.id)
      clearTimeout(pending.timer)
      pending.resolve(
        message.error
          ? fail(failure('hypervisor', `${pending.command}: ${message.error.desc}`, { cause: message.error }))
          : ok(message.return),
      )
    }
  }

  #close(): void {
    if (this.#closed) return
    this.#closed = true
    for (const { command, resolve, timer } of this.#pending.values()) {
      clearTimeout(timer)
      resolve(fail(failure('hypervisor', `${command}: the process ended before it answered`)))
    }
    this.#pending.clear()
    for (const listener of [...this.#closeListeners]) listener()
  }
}

function isNotYetThere(cause: unknown): boolean {
  const code = (cause as NodeJS.ErrnoException | undefined)?.code
  return code === 'ENOENT' || code === 'ECONNREFUSED'
}

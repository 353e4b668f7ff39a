/** Consoles and shells of guests, for programs: what happens comes one after the other, what is typed is sent. */
import { SteadError, type Refusal } from './stead-error.ts'

interface Connected {
  readonly is: 'connected'
  /** Where the guest runs. */
  readonly host: string
}

interface Bytes {
  readonly is: 'bytes'
  readonly bytes: Uint8Array
}

/** `vnc` begins with a new handshake of RFB after each `connected`. */
export type ConsoleEvent =
  | Connected
  | Bytes
  /** The guest moves, restarts or has no host; it goes on by itself. */
  | { readonly is: 'waiting'; readonly reason: string }

/** The exit code is the last of a shell. */
export type ShellEvent = Connected | Bytes | { readonly is: 'ended'; readonly exitCode: number }

/** Characters of a terminal. */
export interface TerminalSize {
  readonly columns: number
  readonly rows: number
}

type Ended = { readonly ok: true; readonly value?: unknown } | { readonly ok: false; readonly error: Refusal }

interface Line {
  send(bytes: Uint8Array): boolean
  run(signal: AbortSignal): Promise<Ended>
}

interface Listeners {
  readonly onConnected: (place: { readonly host: string }) => void
  readonly onBytes: (bytes: Uint8Array) => void
}

/** What comes and nobody reads, bytes: the serial console of a guest that writes without end. */
const UNREAD_BYTES_MAX = 16 << 20

/** Connected as long as somebody reads from it: `for await`, which is left by `break`, ends it. */
abstract class GuestStream<Event extends Connected | Bytes | { readonly is: string }> {
  readonly #left = new AbortController()
  #line: Line | undefined
  #unread: Event[] = []
  #unreadBytes = 0
  #wake = () => {}
  #ended: Ended | undefined

  /** False, and nothing is sent, while there is no connection. A text is sent as UTF-8. */
  send(typed: Uint8Array | string): boolean {
    return this.#line?.send(typeof typed === 'string' ? new TextEncoder().encode(typed) : typed) ?? false
  }

  leave(): void {
    this.#left.abort()
    this.#wake()
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Event, void, undefined> {
    if (this.#line) throw new TypeError('It is read already')
    this.#line = this.connect({
      onConnected: ({ host }) => this.tell({ is: 'connected', host } as Event),
      onBytes: (bytes) => this.#tellBytes(bytes),
    })
    const running = this.#line.run(this.#left.signal).then((ended) => {
      this.#ended ??= ended
      this.#wake()
    })
    try {
      for (;;) {
        const told = this.#unread
        ;[this.#unread, this.#unreadBytes] = [[], 0]
        yield* told
        if (this.#unread.length > 0) continue
        if (this.#ended || this.#left.signal.aborted) break
        await new Promise<void>((resolve) => (this.#wake = resolve))
      }
    } finally {
      this.#left.abort()
      await running
    }
    if (this.#ended?.ok === false) throw new SteadError(this.#ended.error)
    const last = this.last(this.#ended)
    if (last) yield last
  }

  protected abstract connect(on: Listeners): Line

  protected last(_ended: Ended | undefined): Event | undefined {
    return undefined
  }

  protected tell(event: Event): void {
    this.#unread.push(event)
    this.#wake()
  }

  #tellBytes(bytes: Uint8Array): void {
    this.#unreadBytes += bytes.length
    if (this.#unreadBytes <= UNREAD_BYTES_MAX) return this.tell({ is: 'bytes', bytes } as Event)
    const message = `More than ${UNREAD_BYTES_MAX} bytes of the guest were not read`
    this.#ended ??= { ok: false, error: { code: 'timeout', message } }
    this.leave()
  }
}

export type ConnectConsole = (on: Listeners & { readonly onWaiting: (reason: string) => void }) => Line

/** A guest's screen or serial console. It goes on at another host, and after a move or a restart of the guest. */
export class GuestConsole extends GuestStream<ConsoleEvent> {
  readonly #connect: ConnectConsole

  constructor(connect: ConnectConsole) {
    super()
    this.#connect = connect
  }

  protected override connect(on: Listeners): Line {
    return this.#connect({ ...on, onWaiting: (reason) => this.tell({ is: 'waiting', reason }) })
  }
}

type ShellLine = Line & { resize(size: TerminalSize): void }
export type ConnectShell = (on: Listeners) => ShellLine

/** A shell of its own in a container. What runs in it is gone with its connection: then reading it throws. */
export class GuestShell extends GuestStream<ShellEvent> {
  readonly #connect: ConnectShell
  #shell: ShellLine | undefined

  constructor(connect: ConnectShell) {
    super()
    this.#connect = connect
  }

  resize(size: TerminalSize): void {
    this.#shell?.resize(size)
  }

  protected override connect(on: Listeners): Line {
    this.#shell = this.#connect(on)
    return this.#shell
  }

  protected override last(ended: Ended | undefined): ShellEvent | undefined {
    return ended?.ok && typeof ended.value === 'number' ? { is: 'ended', exitCode: ended.value } : undefined
  }
}

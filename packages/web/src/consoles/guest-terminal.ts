/** A terminal in the page: a guest's serial console, which comes back whatever happens to it, or a shell in a container. */
import { FitAddon } from '@xterm/addon-fit'
import { Terminal } from '@xterm/xterm'
import '@xterm/xterm/css/xterm.css'
import type { Client } from '@stead/api/client.ts'
import { ConsoleConnection, openBrowserSocket } from '@stead/api/console-connection.ts'
import { ShellConnection } from '@stead/api/shell-connection.ts'
import type { ConsoleState } from './console-state.ts'
import { openStrictly, strictly } from './strict-terminal.ts'

export interface GuestTerminalOptions {
  readonly client: Client
  /** Its name or id. */
  readonly guest: string
  readonly kind: 'serial' | 'shell'
  readonly place: HTMLElement
  readonly label: string
  readonly onState: (state: ConsoleState) => void
}

const LINES_KEPT = 10_000
/** As the page's dark ground; the sixteen colours are xterm.js's own but for blue, which is too dark on it. */
const COLOURS = {
  background: '#0b0e11',
  foreground: '#e4e8eb',
  cursor: '#3bc9db',
  cursorAccent: '#0b0e11',
  selectionBackground: '#1d5663',
  blue: '#6ea8fe',
  brightBlue: '#9ec5fe',
} as const

export class GuestTerminal {
  readonly #options: GuestTerminalOptions
  readonly #terminal: Terminal
  readonly #fit = new FitAddon()
  readonly #left = new AbortController()
  readonly #send: (bytes: Uint8Array) => void
  readonly #onSize: ResizeObserver

  constructor(options: GuestTerminalOptions) {
    this.#options = options
    const { place, label } = options
    this.#terminal = new Terminal(
      strictly({
        cursorBlink: true,
        fontFamily: getComputedStyle(place).fontFamily,
        fontSize: 14,
        scrollback: LINES_KEPT,
        theme: COLOURS,
      }),
    )
    this.#terminal.loadAddon(this.#fit)
    openStrictly(this.#terminal, place)
    this.#terminal.textarea?.setAttribute('aria-label', label)
    this.#fit.fit()
    this.#onSize = new ResizeObserver(() => this.#fit.fit())
    this.#onSize.observe(place)
    this.#send = options.kind === 'shell' ? this.#runShell() : this.#runConsole()
    const encoder = new TextEncoder()
    this.#terminal.onData((text) => this.#send(encoder.encode(text)))
    // Reports of the mouse, which are no text.
    this.#terminal.onBinary((bytes) => this.#send(Uint8Array.from(bytes, (one) => one.charCodeAt(0))))
  }

  paste(text: string): void {
    this.#terminal.paste(text)
    this.#terminal.focus()
  }

  focus(): void {
    this.#terminal.focus()
  }

  leave(): void {
    this.#left.abort()
    this.#onSize.disconnect()
    this.#terminal.dispose()
  }

  #runConsole(): (bytes: Uint8Array) => void {
    const { client, guest, onState } = this.#options
    let host = ''
    const connection = new ConsoleConnection({
      ...{ client, guest, kind: 'serial', openSocket: openBrowserSocket },
      onConnected: (ticket) => {
        ;({ host } = ticket)
        onState({ is: 'connected', host })
      },
      onBytes: (bytes) => this.#terminal.write(bytes),
      onWaiting: (reason) => onState({ is: 'waiting', reason }),
    })
    void connection.run(this.#left.signal).then((ended) => {
      if (!ended.ok) onState({ is: 'failed', failure: ended.error })
    })
    return (bytes) => connection.send(bytes)
  }

  #runShell(): (bytes: Uint8Array) => void {
    const { client, guest, onState } = this.#options
    const sizeOf = ({ cols, rows }: { readonly cols: number; readonly rows: number }) => ({ columns: cols, rows })
    const connection = new ShellConnection({
      ...{ client, guest, openSocket: openBrowserSocket, size: sizeOf(this.#terminal) },
      onConnected: ({ host }) => onState({ is: 'connected', host }),
      onBytes: (bytes) => this.#terminal.write(bytes),
    })
    this.#terminal.onResize((size) => connection.resize(sizeOf(size)))
    void connection.run(this.#left.signal).then((ended) => {
      if (this.#left.signal.aborted) return
      onState(ended.ok ? { is: 'exited', code: ended.value ?? 0 } : { is: 'failed', failure: ended.error })
    })
    return (bytes) => connection.send(bytes)
  }
}

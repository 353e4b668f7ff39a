/**
 * A guest's console over a WebSocket, as both ends know it. Binary messages are the console's bytes: RFB for `vnc`,
 * what the guest writes and reads for `serial`, a terminal's for `shell`. Text messages come to a client that asked for them
 * with `alive`; of a shell, its end comes as text, and its terminal's size is sent as text.
 */

/** Those that a guest has, whoever looks. */
export const OWN_CONSOLE_KINDS = ['vnc', 'serial'] as const
export type OwnConsoleKind = (typeof OWN_CONSOLE_KINDS)[number]
/** A shell is made for who asks for it. */
export const CONSOLE_KINDS = [...OWN_CONSOLE_KINDS, 'shell'] as const
export type ConsoleKind = (typeof CONSOLE_KINDS)[number]

/** The WebSocket's subprotocol. A client that names none gets the same. */
export const CONSOLE_SUBPROTOCOL = 'binary'

/** Sent as text each second to a client that asked with `alive=true`, so that it can tell a quiet guest from a dead host. */
export const CONSOLE_ALIVE = 'alive'
export const CONSOLE_ALIVE_MS = 1_000

/** Characters of a shell's terminal. */
export interface ShellSize {
  readonly columns: number
  readonly rows: number
}
export const SHELL_SIZE_MAX = 1_000

/** Sent by the client of a shell whenever its terminal has another size: `size 120x40`. */
export function shellSizeText({ columns, rows }: ShellSize): string {
  return `size ${columns}x${rows}`
}

/** Undefined: the text says no size. */
export function parseShellSize(text: string): ShellSize | undefined {
  const [, columns = 0, rows = 0] = (/^size (\d{1,4})x(\d{1,4})$/.exec(text) ?? []).map(Number)
  const isSize = (count: number) => count >= 1 && count <= SHELL_SIZE_MAX
  return isSize(columns) && isSize(rows) ? { columns, rows } : undefined
}

/** Sent by the server when a shell has ended by itself, before it closes: `exit 0`. */
export function shellExitText(code: number): string {
  return `exit ${code}`
}

export function parseShellExit(text: string): number | undefined {
  const code = /^exit (\d{1,5})$/.exec(text)?.[1]
  return code === undefined ? undefined : Number(code)
}

/**
 * Why the server closes a console's WebSocket. The reason is a sentence for people. Of the consoles that a guest has, a client
 * asks for a fresh ticket and connects again after each of these; a shell is gone with its connection.
 */
export const CONSOLE_CLOSE_CODES = {
  /** The agent that serves the WebSocket stops: another host serves it. */
  agentStops: 1001,
  /** The guest's run has ended here: it moves, restarts or stops (or its host's agent does). */
  runEnded: 4001,
  /** The guest's host, or the way to it, broke. */
  hostLost: 4002,
  /** The client took its bytes too slowly. The guest never waits for a reader; the scroll-back has the newest part. */
  tooSlow: 4003,
  /** Of `shell`: it ended by itself. */
  shellEnded: 4004,
  /** Who opened it may use it no more: he has signed out, was disabled, or lost the permission. No new ticket is given. */
  notPermitted: 4005,
} as const

/** A reason must fit into a close frame. */
export const CLOSE_REASON_BYTES_MAX = 123

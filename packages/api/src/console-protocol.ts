/**
 * A guest's console over a WebSocket, as both ends know it. Binary messages are the console's bytes: RFB for `vnc`,
 * what the guest writes and reads for `serial`. Text messages come only to a client that asked for them with `alive`.
 */

export const CONSOLE_KINDS = ['vnc', 'serial'] as const
export type ConsoleKind = (typeof CONSOLE_KINDS)[number]

/** The WebSocket's subprotocol. A client that names none gets the same. */
export const CONSOLE_SUBPROTOCOL = 'binary'

/** Sent as text each second to a client that asked with `alive=true`, so that it can tell a quiet guest from a dead host. */
export const CONSOLE_ALIVE = 'alive'
export const CONSOLE_ALIVE_MS = 1_000

/**
 * Why the server closes a console's WebSocket. After each of these a client asks for a fresh ticket and connects again;
 * the reason is a sentence for people.
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
} as const

/** A reason must fit into a close frame. */
export const CLOSE_REASON_BYTES_MAX = 123

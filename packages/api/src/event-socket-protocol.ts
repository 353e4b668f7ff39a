/**
 * A stream of events over a WebSocket, at the same address as over server-sent events. Text messages: each is one item, as JSON; an
 * empty one each second says that the host lives. Who goes on after an end names the last item's `id` as `since`.
 */

/** Why the server closes it. The reason is a sentence for people. */
export const EVENT_CLOSE_CODES = {
  /** The agent that serves it stops: another host serves it. */
  agentStops: 1001,
  /** Who listens may do so no more, or what is listened to has ended: asking again tells which. */
  ended: 4001,
  /** The client took its events too slowly. */
  tooSlow: 4003,
} as const

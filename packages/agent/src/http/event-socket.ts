/**
 * Streams of events as WebSockets, for whoever cannot keep a request open, or has no more requests to keep: a browser gives all
 * tabs together six connections to a host. What the same `GET` tells as server-sent events comes as messages, one for each
 * item, as JSON; an empty one each second says that the host lives. Who asks, what he may see and where he goes on
 * (`since`) are that request's: it is answered by the very same route.
 */
import type { IncomingMessage } from 'node:http'
import type { FastifyInstance } from 'fastify'
import { ALL_ENDPOINTS } from '@stead/api/endpoints.ts'
import { failureFromProblem } from '@stead/api/errors.ts'
import type { Problem } from '@stead/api/problem-schema.ts'
import { EVENT_CLOSE_CODES } from '@stead/api/event-socket-protocol.ts'
import { parseServerSentEvents } from '@stead/api/server-sent-events.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import type { WebSocket } from 'ws'
import { keepPinged } from './socket-pings.ts'

const EVENT_PATHS: ReadonlySet<string> = new Set(
  ALL_ENDPOINTS.filter(({ streams }) => streams === 'events').map(({ path }) => path),
)
const ALIVE_MS = 1_000
/** On their way to a client that takes them too slowly: it asks again, from the last one that it has. */
const UNSENT_BYTES_MAX = 4 << 20
const CLOSE_PATIENCE_MS = 1_000
/** What the route asks of a request's head: who comes, and from where. */
const HEADERS = ['authorization', 'cookie', 'host', 'origin', 'sec-fetch-site', 'user-agent'] as const

export type OpenEvents = (request: IncomingMessage, signal: AbortSignal) => Promise<Result<AsyncIterable<Uint8Array>>>

export function isEventPath(pathname: string): boolean {
  return EVENT_PATHS.has(pathname)
}

/** Asks the server itself, as the client would have without an upgrade. Aborted when he has gone. */
export function eventsOf(server: FastifyInstance): OpenEvents {
  return async ({ url = '', headers, socket }, signal) => {
    const { pathname, searchParams } = new URL(url, 'http://agent')
    searchParams.set('follow', 'true')
    const shown = HEADERS.flatMap((name) => (headers[name] === undefined ? [] : [[name, headers[name]] as const]))
    const answer = await server.inject({
      ...{ method: 'GET', url: `${pathname}?${searchParams.toString()}`, headers: Object.fromEntries(shown) },
      ...(socket.remoteAddress === undefined ? {} : { remoteAddress: socket.remoteAddress }),
      ...{ payloadAsStream: true, signal },
    })
    if (answer.statusCode === 200) return ok(answer.stream())
    const parts: Buffer[] = []
    for await (const part of answer.stream()) parts.push(part as Buffer)
    return fail(failureFromProblem(JSON.parse(Buffer.concat(parts).toString()) as Problem))
  }
}

/** `over` is aborted with the WebSocket, and ends the request behind it. */
export async function bridgeEvents(
  socket: WebSocket,
  source: AsyncIterable<Uint8Array>,
  over: AbortController,
  closing: AbortSignal,
): Promise<void> {
  const lives = setInterval(() => socket.send(''), ALIVE_MS)
  const unpinged = keepPinged(socket)
  socket.on('error', () => socket.terminate())
  socket.on('close', () => {
    clearInterval(lives)
    unpinged()
    over.abort()
  })
  const close = (code: number, reason: string) => {
    socket.close(code, reason)
    setTimeout(() => socket.terminate(), CLOSE_PATIENCE_MS).unref()
  }
  try {
    for await (const { data } of parseServerSentEvents(source)) {
      socket.send(data)
      if (socket.bufferedAmount > UNSENT_BYTES_MAX)
        return close(EVENT_CLOSE_CODES.tooSlow, 'the client takes its events too slowly')
    }
  } catch {
    // It has gone, or what it listens to has: the same end.
  }
  if (closing.aborted) close(EVENT_CLOSE_CODES.agentStops, 'the agent that serves this stops')
  else close(EVENT_CLOSE_CODES.ended, 'the stream has ended; go on with `since`')
}

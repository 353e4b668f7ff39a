/** Answers that go on: a guest's console and the cluster's events. */
import { Readable } from 'node:stream'
import { formatServerSentEvent, SERVER_SENT_HEARTBEAT } from '@stead/api/server-sent-events.ts'

const HEARTBEAT_MS = 1000

export function isAsyncIterable(value: unknown): value is AsyncIterable<unknown> {
  return typeof value === 'object' && value !== null && Symbol.asyncIterator in value
}

/** The console's bytes unchanged. A failure in the middle breaks the connection, so the client sees it. */
export function byteStream(source: AsyncIterable<unknown>): Readable {
  return Readable.from(source as AsyncIterable<Uint8Array>, { objectMode: false })
}

/** Events, and a comment each second in between, by which a client tells a quiet cluster from a dead host. */
export function eventStream(source: AsyncIterable<unknown>): Readable {
  return Readable.from(eventLines(source), { objectMode: false })
}

async function* eventLines(source: AsyncIterable<unknown>): AsyncGenerator<Buffer> {
  const iterator = source[Symbol.asyncIterator]()
  let next = iterator.next()
  try {
    yield Buffer.from(SERVER_SENT_HEARTBEAT)
    for (;;) {
      let timer: NodeJS.Timeout | undefined
      const quiet = new Promise<'quiet'>((resolve) => (timer = setTimeout(resolve, HEARTBEAT_MS, 'quiet')))
      const arrived = await Promise.race([next, quiet]).finally(() => clearTimeout(timer))
      if (arrived === 'quiet') {
        yield Buffer.from(SERVER_SENT_HEARTBEAT)
        continue
      }
      if (arrived.done) return
      const event = arrived.value as { readonly id: string }
      yield Buffer.from(formatServerSentEvent({ id: event.id, data: JSON.stringify(event) }))
      next = iterator.next()
    }
  } finally {
    next.catch(() => undefined)
    // Not awaited: a source that waits for its next event ends by the request's signal, not by this call.
    void Promise.resolve(iterator.return?.()).catch(() => undefined)
  }
}

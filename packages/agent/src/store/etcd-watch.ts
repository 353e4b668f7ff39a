/**
 * A watch that loses nothing and delivers nothing twice, over streams that break.
 *
 * Only the revisions of delivered events move the watch on. The revision of a progress answer must not: before
 * etcd 3.4.25 it can run ahead of events that are still to come (etcd issue 15220).
 */
import type { ClientDuplexStream, ServiceError } from '@grpc/grpc-js'
import type { Clock } from '@stead/core/ports/clock.ts'
import type { Log } from '@stead/core/ports/log.ts'
import type { StoreEntry, WatchBatch } from '@stead/core/ports/store.ts'
import type { Result } from '@stead/core/result.ts'
import { requireLeader, waitUntilConnected } from './endpoints.ts'
import type { Endpoint, Endpoints } from './endpoints.ts'
import { prefixRange, toChange } from './etcd-codec.ts'
import { WatchCreateRequest, WatchRequest, WatchService } from './generated/etcd.ts'
import type { Event, WatchResponse } from './generated/etcd.ts'

export interface WatchContext {
  readonly endpoints: Endpoints
  readonly clock: Clock
  readonly log: Log
  /** The whole prefix at one revision, linearizable. */
  readonly range: (
    prefix: string,
  ) => Promise<Result<{ readonly entries: readonly StoreEntry[]; readonly revision: bigint }>>
}

/** A stream that was quiet for so long is asked for a sign of life, which it may owe for the other time. */
const QUIET_MS = 900
const ANSWER_MS = 600
const RETRY_PAUSE_MS = 50
const CONNECT_TIMEOUT_MS = 500
/** Events held for a consumer that does not keep up; beyond it the stream is dropped and resumed later. */
const QUEUE_EVENTS_MAX = 50_000

export async function* watchPrefix(
  context: WatchContext,
  prefix: string,
  signal: AbortSignal,
): AsyncGenerator<WatchBatch, void, undefined> {
  /** The first revision that has not been delivered; undefined: the content is to be read anew. */
  let next: bigint | undefined
  while (!signal.aborted) {
    if (next === undefined) {
      const content = await context.range(prefix)
      if (!content.ok) {
        context.log.warn('watch cannot read its prefix yet', { prefix, error: content.error })
        await context.clock.sleep(RETRY_PAUSE_MS, signal)
        continue
      }
      if (signal.aborted) return
      next = content.value.revision + 1n
      yield { kind: 'resync', entries: content.value.entries, revision: content.value.revision }
      continue
    }
    const endpoint = context.endpoints.best()
    if (!(await waitUntilConnected(endpoint.client, CONNECT_TIMEOUT_MS))) {
      context.endpoints.failed(endpoint, 'no connection')
      await context.clock.sleep(RETRY_PAUSE_MS, signal)
      continue
    }
    if (signal.aborted) return
    const stream = new WatchStream(context, endpoint, prefix, next, signal)
    try {
      for (let events = await stream.next(); events; events = await stream.next()) {
        const fresh = events.filter((event) => revisionOfEvent(event) >= (next ?? 0n))
        const last = fresh.at(-1)
        if (last === undefined) continue
        const revision = revisionOfEvent(last)
        next = revision + 1n
        yield { kind: 'changes', changes: fresh.map(toChange), revision }
        if (signal.aborted) return
      }
    } finally {
      stream.close()
    }
    const { end } = stream
    if (signal.aborted) return
    if (end.kind === 'compacted') {
      context.log.warn('watch was behind the compacted history', { prefix, revision: next })
      next = undefined
    } else if (end.kind === 'broken') {
      context.endpoints.failed(endpoint, end.reason)
      await context.clock.sleep(RETRY_PAUSE_MS, signal)
    }
  }
}

function revisionOfEvent(event: Event): bigint {
  return event.kv?.modRevision ?? 0n
}

type StreamEnd =
  | { readonly kind: 'open' }
  | { readonly kind: 'broken'; readonly reason: string }
  | { readonly kind: 'compacted' }
  /** Closed from this side: aborted, or the consumer lags behind. */
  | { readonly kind: 'closed' }

/** One gRPC stream with one watch on it. */
class WatchStream {
  end: StreamEnd = { kind: 'open' }
  readonly #call: ClientDuplexStream<WatchRequest, WatchResponse>
  readonly #context: WatchContext
  readonly #endpoint: Endpoint
  readonly #stopping = new AbortController()
  readonly #onAbort = () => this.#finish({ kind: 'closed' })
  readonly #signal: AbortSignal
  /** Whole batches: each ends at the end of a revision. */
  #batches: Event[][] = []
  #queuedEvents = 0
  /** Parts of an answer that the server has split. */
  #fragments: Event[] = []
  #wake: (() => void) | undefined
  #heardAt: number

  constructor(context: WatchContext, endpoint: Endpoint, prefix: string, startRevision: bigint, signal: AbortSignal) {
    this.#context = context
    this.#endpoint = endpoint
    this.#signal = signal
    this.#heardAt = context.clock.monotonicMs()
    const { path, requestSerialize, responseDeserialize } = WatchService.watch
    this.#call = endpoint.client.makeBidiStreamRequest(path, requestSerialize, responseDeserialize, requireLeader())
    this.#call.on('data', (response: WatchResponse) => this.#receive(response))
    this.#call.on('error', (error: ServiceError) => this.#finish({ kind: 'broken', reason: error.message }))
    this.#call.on('end', () => this.#finish({ kind: 'broken', reason: 'the server ended the watch' }))
    const create = WatchCreateRequest.create({ ...prefixRange(prefix), startRevision, fragment: true })
    this.#call.write({ requestUnion: { $case: 'createRequest', value: create } })
    signal.addEventListener('abort', this.#onAbort, { once: true })
    if (signal.aborted) this.#onAbort()
    void this.#watchdog()
  }

  /** The next whole batch of events; undefined when the stream has ended and all it brought was taken. */
  async next(): Promise<Event[] | undefined> {
    for (;;) {
      const batch = this.#batches.shift()
      if (batch) {
        this.#queuedEvents -= batch.length
        return batch
      }
      if (this.end.kind !== 'open') return undefined
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
    }
  }

  close(): void {
    this.#finish({ kind: 'closed' })
  }

  #receive(response: WatchResponse): void {
    if (this.end.kind !== 'open') return
    this.#heardAt = this.#context.clock.monotonicMs()
    if (response.canceled) {
      const compacted = response.compactRevision > 0n
      this.#finish(compacted ? { kind: 'compacted' } : { kind: 'broken', reason: response.cancelReason || 'cancelled' })
      return
    }
    if (response.created) this.#context.endpoints.succeeded(this.#endpoint)
    this.#fragments.push(...response.events)
    if (response.fragment || this.#fragments.length === 0) return
    this.#batches.push(this.#fragments)
    this.#queuedEvents += this.#fragments.length
    this.#fragments = []
    if (this.#queuedEvents > QUEUE_EVENTS_MAX) this.#finish({ kind: 'closed' })
    this.#wake?.()
  }

  /** A frozen server breaks no connection: only its silence tells. HTTP/2 pings would take 3 s to notice. */
  async #watchdog(): Promise<void> {
    const { clock } = this.#context
    const { signal } = this.#stopping
    while (this.end.kind === 'open') {
      const quietForMs = clock.monotonicMs() - this.#heardAt
      if (quietForMs < QUIET_MS) {
        await clock.sleep(QUIET_MS - quietForMs, signal)
        continue
      }
      const askedAt = clock.monotonicMs()
      this.#call.write({ requestUnion: { $case: 'progressRequest', value: {} } })
      await clock.sleep(ANSWER_MS, signal)
      if (this.#heardAt < askedAt) this.#finish({ kind: 'broken', reason: `no answer within ${ANSWER_MS} ms` })
    }
  }

  #finish(end: StreamEnd): void {
    if (this.end.kind !== 'open') return
    this.end = end
    this.#stopping.abort()
    this.#signal.removeEventListener('abort', this.#onAbort)
    this.#call.cancel()
    this.#wake?.()
  }
}

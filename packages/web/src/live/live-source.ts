/**
 * Keeps the live store like the cluster, by one stream of views. The events are asked for when something has changed:
 * browsers give all tabs together six connections to a host, so that a tab has one stream and a hidden tab none.
 */
import type { Client } from '@stead/api/client.ts'
import type { LiveBatch, LiveChange } from '@stead/api/endpoints/live-views.ts'
import { ENDPOINTS } from '@stead/api/endpoints.ts'
import type { LiveStore } from './live-store.ts'

const EVENTS_AT_FIRST = 300
/** Changes come in bursts: one question for all of them. */
const EVENTS_AFTER_MS = 300
const EVENTS_QUIET_MS = 5_000
const AFTER_FAILURE_MS = 1_000
/** Who only looks elsewhere for a moment finds everything as it is. */
const HIDDEN_FOR_MS = 20_000

export interface LiveSource {
  stop(): void
}

export function followCluster(client: Client, store: LiveStore): LiveSource {
  let following: AbortController | undefined
  let hiding: ReturnType<typeof setTimeout> | undefined
  const start = () => {
    clearTimeout(hiding)
    if (following) return
    following = new AbortController()
    const events = new EventReader(client, store, following.signal)
    void keepViews(client, store, following.signal, () => events.soon())
    void events.keep()
  }
  const stop = () => {
    following?.abort()
    following = undefined
  }
  const onVisibility = () => {
    if (document.visibilityState === 'visible') start()
    else hiding = setTimeout(stop, HIDDEN_FOR_MS)
  }
  document.addEventListener('visibilitychange', onVisibility)
  start()
  return {
    stop: () => {
      document.removeEventListener('visibilitychange', onVisibility)
      clearTimeout(hiding)
      stop()
    },
  }
}

async function keepViews(client: Client, store: LiveStore, signal: AbortSignal, onChange: () => void): Promise<void> {
  while (!signal.aborted) {
    const gather = new BatchGatherer(store)
    for await (const batch of client.follow(ENDPOINTS['view.list'], {}, signal)) {
      if (batch.ok) {
        gather.take(batch.value)
        onChange()
      } else store.lost(batch.error)
    }
    if (!signal.aborted) await pause(AFTER_FAILURE_MS)
  }
}

/** The first views come in several batches; a half of the cluster is not shown. */
export class BatchGatherer {
  readonly #store: Pick<LiveStore, 'apply'>
  #gathered: LiveChange[] | undefined

  constructor(store: Pick<LiveStore, 'apply'>) {
    this.#store = store
  }

  take({ reset, complete, changes }: LiveBatch): void {
    if (reset) this.#gathered = []
    if (!this.#gathered) return this.#store.apply(changes, { reset: false })
    this.#gathered.push(...changes)
    if (!complete) return
    this.#store.apply(this.#gathered, { reset: true })
    this.#gathered = undefined
  }
}

class EventReader {
  readonly #client: Client
  readonly #store: LiveStore
  readonly #signal: AbortSignal
  #wake: () => void = () => undefined

  constructor(client: Client, store: LiveStore, signal: AbortSignal) {
    this.#client = client
    this.#store = store
    this.#signal = signal
  }

  soon(): void {
    this.#wake()
  }

  async keep(): Promise<void> {
    const options = { signal: this.#signal }
    while (!this.#signal.aborted) {
      const since = this.#store.state().events.at(-1)?.id
      const query = since === undefined ? { limit: EVENTS_AT_FIRST } : { since }
      const read = await this.#client.call(ENDPOINTS['event.list'], { query }, options)
      if (read.ok && !this.#signal.aborted) this.#store.addEvents(read.value.items)
      await Promise.race([pause(EVENTS_QUIET_MS), new Promise<void>((resolve) => (this.#wake = resolve))])
      await pause(EVENTS_AFTER_MS)
    }
  }
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}

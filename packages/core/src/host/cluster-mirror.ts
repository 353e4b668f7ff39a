/**
 * An agent's copy of the cluster's records, kept by one watch. It may lag behind the store by a few milliseconds:
 * so every write that depends on it compares revisions, and nothing is decided by it alone.
 */
import { applyBatch, emptyClusterState, type RecordDecoder } from '../model/cluster-reducer.ts'
import type { ClusterState } from '../model/cluster.ts'
import type { GuestObservation } from '../model/guest.ts'
import type { GuestId } from '../model/ids.ts'
import { PREFIX } from '../model/keys.ts'
import type { Log } from '../ports/log.ts'
import type { Store, WatchBatch } from '../ports/store.ts'

export class ClusterMirror {
  state: ClusterState = emptyClusterState()
  /** False until the first complete content has arrived. */
  loaded = false
  /** Of the store, as far as this copy goes. */
  revision = 0n
  /**
   * What this host's own guests do, as far as the store does not hold it (yet, or because it has no majority). Only
   * for showing: nothing is decided by it.
   */
  readonly unreported = new Map<GuestId, { readonly observation: GuestObservation; readonly failed: boolean }>()
  readonly #listeners = new Set<(state: ClusterState) => void>()
  readonly #batchListeners = new Set<(batch: WatchBatch) => void>()
  readonly #decoder: RecordDecoder
  readonly #log: Log

  constructor(decoder: RecordDecoder, log: Log) {
    this.#decoder = decoder
    this.#log = log
  }

  /** Follows the store until aborted. */
  async follow(store: Pick<Store, 'watch'>, signal: AbortSignal): Promise<void> {
    for await (const batch of store.watch(PREFIX, signal)) {
      const { state, problems } = applyBatch(this.state, batch, this.#decoder)
      for (const problem of problems)
        this.#log.error('a record of the store cannot be read and is ignored', { problem })
      this.state = state
      this.revision = batch.revision
      this.loaded = true
      for (const listener of [...this.#batchListeners]) listener(batch)
      for (const listener of [...this.#listeners]) listener(state)
    }
  }

  onChange(listener: (state: ClusterState) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** The raw batches, for what is kept elsewhere than in `state` (the events). */
  onBatch(listener: (batch: WatchBatch) => void): () => void {
    this.#batchListeners.add(listener)
    return () => this.#batchListeners.delete(listener)
  }

  /** Resolves once the predicate holds; false when the time is up first. */
  until(predicate: (state: ClusterState) => boolean, timeout: Promise<unknown>): Promise<boolean> {
    if (this.loaded && predicate(this.state)) return Promise.resolve(true)
    return new Promise((resolve) => {
      const off = this.onChange((state) => {
        if (!predicate(state)) return
        off()
        resolve(true)
      })
      void timeout.then(() => {
        off()
        resolve(false)
      })
    })
  }
}

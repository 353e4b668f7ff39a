/**
 * The store as one simulated host reaches it: served while the host and a majority of the members hear each other,
 * silent otherwise. A transaction whose answer is lost may have been committed.
 */
import { failure } from '@stead/core/errors.ts'
import type {
  LeaseId,
  Store,
  StoreEntry,
  Transaction,
  TransactionOutcome,
  WatchBatch,
} from '@stead/core/ports/store.ts'
import { fail, type Result } from '@stead/core/result.ts'

const CALL_TIMEOUT_MS = 400

export interface WorldStoreOptions {
  readonly client: Store
  readonly isServed: () => boolean
  readonly changed: () => Promise<void>
  readonly sleep: (ms: number) => Promise<void>
  /** Half of a round trip. */
  readonly latency: () => Promise<void>
}

export class WorldStore implements Store {
  readonly #options: WorldStoreOptions

  constructor(options: WorldStoreOptions) {
    this.#options = options
  }

  get(key: string): Promise<Result<StoreEntry | undefined>> {
    return this.#call(() => this.#options.client.get(key))
  }

  range(prefix: string): ReturnType<Store['range']> {
    return this.#call(() => this.#options.client.range(prefix))
  }

  transact(transaction: Transaction): Promise<Result<TransactionOutcome>> {
    return this.#call(() => this.#options.client.transact(transaction))
  }

  async *watch(prefix: string, signal: AbortSignal): AsyncGenerator<WatchBatch, void, undefined> {
    for await (const batch of this.#options.client.watch(prefix, signal)) {
      await this.#options.latency()
      while (!this.#options.isServed()) await this.#options.changed()
      yield batch
    }
  }

  grantLease(ttlMs: number): Promise<Result<LeaseId>> {
    return this.#call(() => this.#options.client.grantLease(ttlMs))
  }

  keepLease(lease: LeaseId): Promise<Result<number>> {
    return this.#call(() => this.#options.client.keepLease(lease))
  }

  revokeLease(lease: LeaseId): Promise<Result<void>> {
    return this.#call(() => this.#options.client.revokeLease(lease))
  }

  close(): Promise<void> {
    return this.#options.client.close()
  }

  async #call<T>(work: () => Promise<Result<T>>): Promise<Result<T>> {
    const { isServed, latency, sleep } = this.#options
    await latency()
    if (!isServed()) {
      await sleep(CALL_TIMEOUT_MS)
      return fail(failure('no_quorum', 'no majority of the store can be reached'))
    }
    const result = await work()
    await latency()
    if (isServed()) return result
    await sleep(CALL_TIMEOUT_MS)
    return fail(failure('store_timeout', 'the answer was lost'))
  }
}

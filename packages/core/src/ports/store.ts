/**
 * Port: the cluster's memory. Keys and values are UTF-8 strings; a revision is the store's global,
 * growing counter. The contract that every implementation passes is in `sim/src/contract/store-contract.ts`.
 */
import type { Result } from '../result.ts'

export interface StoreEntry {
  readonly key: string
  readonly value: string
  readonly createRevision: bigint
  readonly modRevision: bigint
}

export type Compare =
  /** `modRevision: 0n` means: the key does not exist. */
  { readonly key: string; readonly modRevision: bigint } | { readonly key: string; readonly value: string }

export type Write =
  | { readonly kind: 'put'; readonly key: string; readonly value: string; readonly lease?: LeaseId }
  | { readonly kind: 'delete'; readonly key: string }
  | { readonly kind: 'delete-prefix'; readonly prefix: string }

export interface Transaction {
  /** All must hold, or nothing is written. */
  readonly compares: readonly Compare[]
  readonly writes: readonly Write[]
}

export type TransactionOutcome =
  | { readonly committed: true; readonly revision: bigint }
  /** The present entries of the compared keys (absent ones left out), so that the caller can see what changed. */
  | { readonly committed: false; readonly revision: bigint; readonly found: readonly StoreEntry[] }

export type StoreChange =
  | { readonly kind: 'put'; readonly entry: StoreEntry }
  | { readonly kind: 'delete'; readonly key: string; readonly modRevision: bigint }

/**
 * What a watch delivers, in order. `changes` never skips one: after a broken connection the watch goes on
 * from the next revision. When the store has compacted that revision away, it delivers `resync`: the whole
 * present content of the prefix, which replaces all that was delivered before.
 */
export type WatchBatch =
  | { readonly kind: 'resync'; readonly entries: readonly StoreEntry[]; readonly revision: bigint }
  | { readonly kind: 'changes'; readonly changes: readonly StoreChange[]; readonly revision: bigint }

export type LeaseId = bigint

export interface Store {
  /** Linearizable. */
  get(key: string): Promise<Result<StoreEntry | undefined>>
  /** Linearizable, ordered by key. */
  range(prefix: string): Promise<Result<{ readonly entries: readonly StoreEntry[]; readonly revision: bigint }>>
  /**
   * Atomic. A failure with code `store_timeout` leaves the outcome unknown: it may have been committed.
   * Callers therefore write transactions that can be repeated (their compares fail the second time).
   */
  transact(transaction: Transaction): Promise<Result<TransactionOutcome>>
  /**
   * The first batch is a `resync` with the present content; then every change. Ends only by `signal`:
   * connection losses and server changes are healed inside.
   */
  watch(prefix: string, signal: AbortSignal): AsyncIterable<WatchBatch>
  /** A new lease, granted for whole seconds (rounded up). */
  grantLease(ttlMs: number): Promise<Result<LeaseId>>
  /** One keepalive. The value is the time-to-live that the server now promises, in ms; 0 when the lease is gone. */
  keepLease(lease: LeaseId): Promise<Result<number>>
  revokeLease(lease: LeaseId): Promise<Result<void>>
  close(): Promise<void>
}

/**
 * The port `Store` in memory: one server whose state several clients share. Deterministic: time comes from the
 * given clock alone, and nothing is random. Behaves as etcd does where the contract leaves a choice.
 */
import type { Clock } from '@stead/core/ports/clock.ts'
import type {
  Compare,
  LeaseId,
  Store,
  StoreChange,
  StoreEntry,
  Transaction,
  TransactionOutcome,
  WatchBatch,
  Write,
} from '@stead/core/ports/store.ts'
import { failure } from '@stead/core/errors.ts'
import { fail, ok } from '@stead/core/result.ts'
import type { Result } from '@stead/core/result.ts'

/** How long a client waits for a frozen server: one attempt of a transaction, all attempts of a repeatable call. */
const TRANSACTION_TIMEOUT_MS = 700
const REPEATABLE_TIMEOUT_MS = 3000

const HELD_LEASE_LOOK_MS = 100

interface Lease {
  readonly ttlMs: number
  expiresAt: number
  readonly keys: Set<string>
}

interface Revision {
  readonly revision: bigint
  readonly changes: readonly StoreChange[]
}

export class MemoryStoreServer {
  readonly #clock: Clock
  readonly #entries = new Map<string, StoreEntry>()
  readonly #leases = new Map<LeaseId, Lease>()
  readonly #leaseOfKey = new Map<string, LeaseId>()
  readonly #closing = new AbortController()
  readonly #waiters = new Set<() => void>()
  /** Transactions that reached the frozen server: it executes them when it thaws, answered or not. */
  #held: (() => void)[] = []
  #history: Revision[] = []
  #revision = 1n
  #compactedTo = 0n
  #nextLease = 1n
  #frozen = false
  #brokenWatches = 0
  #loseNextAnswer = false
  #leasesHeld = false
  readonly #expirySlackMs: number

  /** `expirySlackMs`: how late a lease that has run out is found; etcd looks every half second. */
  constructor(clock: Clock, { expirySlackMs = 0 }: { readonly expirySlackMs?: number } = {}) {
    this.#clock = clock
    this.#expirySlackMs = expirySlackMs
  }

  client(): Store {
    return new MemoryStore(this, this.#clock)
  }

  /** Nothing is answered any more. Transactions sent meanwhile are executed late, at `thaw`. */
  freeze(): void {
    this.#frozen = true
  }

  thaw(): void {
    this.#frozen = false
    const held = this.#held
    this.#held = []
    for (const execute of held) execute()
    this.#wakeAll()
  }

  /** The next transaction is executed, but its client sees `store_timeout`. */
  loseNextAnswer(): void {
    this.#loseNextAnswer = true
  }

  /** While no leader is there to end them, leases live on. A new leader gives each its whole time again. */
  holdLeases(): void {
    this.#leasesHeld = true
  }

  restartLeases(): void {
    this.#leasesHeld = false
    for (const lease of this.#leases.values()) lease.expiresAt = this.#clock.monotonicMs() + lease.ttlMs
  }

  /** Forgets all history: watches that have not seen all of it get a `resync`. */
  compact(): void {
    this.#history = []
    this.#compactedTo = this.#revision
  }

  /** Watches receive nothing until the returned function is called; then they resume. */
  breakWatches(): () => void {
    this.#brokenWatches += 1
    let healed = false
    return () => {
      if (healed) return
      healed = true
      this.#brokenWatches -= 1
      this.#wakeAll()
    }
  }

  /** Stops the timers of the leases and ends all watches. */
  close(): void {
    this.#closing.abort()
    this.#wakeAll()
  }

  // What follows is the server's side, called by `MemoryStore` only.

  get frozen(): boolean {
    return this.#frozen
  }
  get watchesFlow(): boolean {
    return !this.#frozen && this.#brokenWatches === 0
  }
  get revision(): bigint {
    return this.#revision
  }
  get closed(): boolean {
    return this.#closing.signal.aborted
  }

  /** Resolves at the next change of anything, or when the signal is aborted. */
  changed(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const settle = () => {
        this.#waiters.delete(settle)
        signal.removeEventListener('abort', settle)
        resolve()
      }
      this.#waiters.add(settle)
      signal.addEventListener('abort', settle, { once: true })
      if (signal.aborted) settle()
    })
  }

  get(key: string): StoreEntry | undefined {
    return this.#entries.get(key)
  }

  range(prefix: string): StoreEntry[] {
    const entries = [...this.#entries.values()].filter((entry) => entry.key.startsWith(prefix))
    return entries.sort(byKey)
  }

  /** The changes since a revision; undefined when they have been compacted away. */
  since(next: bigint, prefix: string): StoreChange[] | undefined {
    if (next <= this.#compactedTo) return undefined
    let first = this.#history.length
    while (first > 0 && (this.#history[first - 1]?.revision ?? 0n) >= next) first -= 1
    const changes = this.#history.slice(first).flatMap((revision) => revision.changes)
    return changes.filter((change) => keyOf(change).startsWith(prefix))
  }

  /** Runs now, or when the server thaws. */
  execute(transaction: Transaction, answer: (result: Result<TransactionOutcome>) => void): void {
    const run = () => {
      const result = this.#transact(transaction)
      const lost = this.#loseNextAnswer
      this.#loseNextAnswer = false
      answer(lost ? fail(failure('store_timeout', 'the answer was lost')) : result)
    }
    if (this.#frozen) this.#held.push(run)
    else run()
  }

  grantLease(ttlMs: number): LeaseId {
    const id = this.#nextLease
    this.#nextLease += 1n
    const wholeSecondsMs = Math.ceil(ttlMs / 1000) * 1000
    const expiresAt = this.#clock.monotonicMs() + wholeSecondsMs
    this.#leases.set(id, { ttlMs: wholeSecondsMs, expiresAt, keys: new Set() })
    void this.#expireInTime(id)
    return id
  }

  keepLease(id: LeaseId): number {
    const lease = this.#leases.get(id)
    if (!lease) return 0
    lease.expiresAt = this.#clock.monotonicMs() + lease.ttlMs
    return lease.ttlMs
  }

  /** What a lease was granted for; 0 when it is gone. */
  leaseTtl(id: LeaseId): number {
    return this.#leases.get(id)?.ttlMs ?? 0
  }

  revokeLease(id: LeaseId): void {
    const lease = this.#leases.get(id)
    if (!lease) return
    this.#leases.delete(id)
    this.#commit([...lease.keys].sort().map((key) => ({ kind: 'delete', key })))
  }

  async #expireInTime(id: LeaseId): Promise<void> {
    const { signal } = this.#closing
    for (;;) {
      const lease = this.#leases.get(id)
      if (!lease || signal.aborted) return
      const remainingMs = lease.expiresAt + this.#expirySlackMs - this.#clock.monotonicMs()
      if (this.#leasesHeld) await pause(this.#clock, HELD_LEASE_LOOK_MS, signal)
      else if (remainingMs > 0) await pause(this.#clock, remainingMs, signal)
      else if (this.#frozen) await this.changed(signal)
      else this.revokeLease(id)
    }
  }

  #transact({ compares, writes }: Transaction): Result<TransactionOutcome> {
    const twice = keyWrittenTwice(writes)
    if (twice !== undefined) return fail(failure('bad_request', `the transaction writes ${twice} twice`))
    if (!compares.every((compare) => holds(compare, this.#entries.get(compare.key)))) {
      const keys = [...new Set(compares.map((compare) => compare.key))]
      const found = keys.flatMap((key) => this.#entries.get(key) ?? [])
      return ok({ committed: false, revision: this.#revision, found })
    }
    for (const write of writes) {
      if (write.kind === 'put' && write.lease !== undefined && !this.#leases.has(write.lease)) {
        return fail(failure('not_found', `lease ${write.lease} is gone`))
      }
    }
    this.#commit(writes)
    return ok({ committed: true, revision: this.#revision })
  }

  /** One revision for all writes; none when nothing changes. */
  #commit(writes: readonly Write[]): void {
    const modRevision = this.#revision + 1n
    const changes: StoreChange[] = []
    const remove = (key: string) => {
      if (!this.#entries.delete(key)) return
      this.#detachLease(key)
      changes.push({ kind: 'delete', key, modRevision })
    }
    for (const write of writes) {
      if (write.kind === 'delete') remove(write.key)
      else if (write.kind === 'delete-prefix') for (const { key } of this.range(write.prefix)) remove(key)
      else {
        const { key, value, lease } = write
        const createRevision = this.#entries.get(key)?.createRevision ?? modRevision
        const entry = { key, value, createRevision, modRevision }
        this.#entries.set(key, entry)
        this.#detachLease(key)
        if (lease !== undefined) {
          this.#leaseOfKey.set(key, lease)
          this.#leases.get(lease)?.keys.add(key)
        }
        changes.push({ kind: 'put', entry })
      }
    }
    if (changes.length === 0) return
    this.#revision = modRevision
    this.#history.push({ revision: modRevision, changes })
    this.#wakeAll()
  }

  #detachLease(key: string): void {
    const lease = this.#leaseOfKey.get(key)
    if (lease === undefined) return
    this.#leaseOfKey.delete(key)
    this.#leases.get(lease)?.keys.delete(key)
  }

  #wakeAll(): void {
    for (const wake of this.#waiters) wake()
  }
}

class MemoryStore implements Store {
  readonly #server: MemoryStoreServer
  readonly #clock: Clock
  readonly #closing = new AbortController()

  constructor(server: MemoryStoreServer, clock: Clock) {
    this.#server = server
    this.#clock = clock
  }

  get(key: string): Promise<Result<StoreEntry | undefined>> {
    return this.#whenServed(() => this.#server.get(key))
  }

  range(prefix: string): Promise<Result<{ readonly entries: readonly StoreEntry[]; readonly revision: bigint }>> {
    return this.#whenServed(() => ({ entries: this.#server.range(prefix), revision: this.#server.revision }))
  }

  async transact(transaction: Transaction): Promise<Result<TransactionOutcome>> {
    let answer: Result<TransactionOutcome> | undefined
    this.#server.execute(transaction, (result) => (answer = result))
    await this.#waitUntil(() => answer !== undefined, TRANSACTION_TIMEOUT_MS)
    return answer ?? fail(failure('store_timeout', 'the store is frozen; the write may yet be committed'))
  }

  async *watch(prefix: string, signal: AbortSignal): AsyncGenerator<WatchBatch, void, undefined> {
    const server = this.#server
    const either = AbortSignal.any([signal, this.#closing.signal])
    let next: bigint | undefined
    while (!either.aborted && !server.closed) {
      if (!server.watchesFlow) {
        await server.changed(either)
        continue
      }
      const changes = next === undefined ? undefined : server.since(next, prefix)
      if (changes === undefined) {
        next = server.revision + 1n
        yield { kind: 'resync', entries: server.range(prefix), revision: server.revision }
        continue
      }
      const last = changes.at(-1)
      if (last === undefined) {
        next = server.revision + 1n
        await server.changed(either)
        continue
      }
      const revision = revisionOf(last)
      next = revision + 1n
      yield { kind: 'changes', changes, revision }
    }
  }

  grantLease(ttlMs: number): Promise<Result<LeaseId>> {
    return this.#whenServed(() => this.#server.grantLease(ttlMs))
  }

  keepLease(lease: LeaseId): Promise<Result<number>> {
    return this.#whenServed(() => this.#server.keepLease(lease))
  }

  revokeLease(lease: LeaseId): Promise<Result<void>> {
    return this.#whenServed(() => this.#server.revokeLease(lease))
  }

  async close(): Promise<void> {
    this.#closing.abort()
  }

  async #whenServed<T>(answer: () => T): Promise<Result<T>> {
    const served = await this.#waitUntil(() => !this.#server.frozen, REPEATABLE_TIMEOUT_MS)
    return served ? ok(answer()) : fail(failure('no_quorum', 'the store is frozen'))
  }

  async #waitUntil(condition: () => boolean, timeoutMs: number): Promise<boolean> {
    if (condition()) return true
    const over = new AbortController()
    const signal = AbortSignal.any([over.signal, this.#closing.signal])
    const deadline = this.#clock.monotonicMs() + timeoutMs
    const timer = pause(this.#clock, timeoutMs, signal)
    while (!condition() && !signal.aborted && this.#clock.monotonicMs() < deadline) {
      await Promise.race([timer, this.#server.changed(signal)])
    }
    // A reason of its own: the default one is an error whose stack costs more than all the rest of this.
    over.abort('over')
    return condition()
  }
}

async function pause(clock: Clock, ms: number, signal: AbortSignal): Promise<void> {
  try {
    await clock.sleep(ms, signal)
  } catch (error) {
    // A clock may reject an aborted sleep: the caller looks at the signal itself.
    if (!signal.aborted) throw error
  }
}

function holds(compare: Compare, entry: StoreEntry | undefined): boolean {
  if ('value' in compare) return entry?.value === compare.value
  return (entry?.modRevision ?? 0n) === compare.modRevision
}

/** etcd refuses a transaction that puts a key twice, or puts what it also deletes. */
function keyWrittenTwice(writes: readonly Write[]): string | undefined {
  const put = new Set<string>()
  for (const write of writes) {
    if (write.kind !== 'put') continue
    if (put.has(write.key)) return write.key
    put.add(write.key)
  }
  for (const write of writes) {
    if (write.kind === 'delete' && put.has(write.key)) return write.key
    if (write.kind === 'delete-prefix') for (const key of put) if (key.startsWith(write.prefix)) return key
  }
  return undefined
}

function keyOf(change: StoreChange): string {
  return change.kind === 'put' ? change.entry.key : change.key
}

function revisionOf(change: StoreChange): bigint {
  return change.kind === 'put' ? change.entry.modRevision : change.modRevision
}

function byKey(a: StoreEntry, b: StoreEntry): number {
  return a.key < b.key ? -1 : a.key > b.key ? 1 : 0
}

/**
 * The store as everything but the vault itself uses it: secrets are sealed as they are written, in whatever transaction,
 * and opened by `get`. What `range` and `watch` deliver, and what a refused transaction has found, is as it is stored.
 */
import { assert } from '@stead/core/assert.ts'
import type { LeaseId, Store, StoreEntry, Transaction, TransactionOutcome, Write } from '@stead/core/ports/store.ts'
import { ok, type Result } from '@stead/core/result.ts'
import { generationOf, type KeyRing } from './key-ring.ts'
import { holdsSecrets, withSecrets } from './sealed-records.ts'
import type { Vault } from './vault.ts'

export class SealedStore implements Store {
  readonly #store: Store
  readonly #vault: Pick<Vault, 'toSeal' | 'toOpen'>

  constructor(store: Store, vault: Pick<Vault, 'toSeal' | 'toOpen'>) {
    this.#store = store
    this.#vault = vault
  }

  async get(key: string): Promise<Result<StoreEntry | undefined>> {
    const found = await this.#store.get(key)
    if (!found.ok || !found.value || !holdsSecrets(key)) return found
    const entry = found.value
    const generations = new Set<number>()
    withSecrets(key, entry.value, (secret) => {
      const generation = generationOf(secret)
      if (generation !== undefined) generations.add(generation)
      return ok(secret)
    })
    // Of before secrets were sealed.
    if (generations.size === 0) return found
    const ring = await this.#vault.toOpen(generations)
    if (!ring.ok) return ring
    const opened = withSecrets(key, entry.value, (secret, place) =>
      generationOf(secret) === undefined ? ok(secret) : ring.value.open(secret, place),
    )
    return opened.ok ? ok({ ...entry, value: opened.value }) : opened
  }

  async transact(transaction: Transaction): Promise<Result<TransactionOutcome>> {
    if (!transaction.writes.some(putsSecrets)) return this.#store.transact(transaction)
    assert(
      transaction.compares.every((compare) => !('value' in compare) || !holdsSecrets(compare.key)),
      'what is sealed is compared by its revision: it never has the same value twice',
    )
    const ring = await this.#vault.toSeal()
    if (!ring.ok) return ring
    if (!ring.value) return this.#store.transact(transaction)
    const writes: Write[] = []
    for (const write of transaction.writes) {
      const sealed = putsSecrets(write) ? sealedBy(ring.value, write.key, write.value) : undefined
      if (sealed && !sealed.ok) return sealed
      writes.push(sealed ? ({ ...write, value: sealed.value } as Write) : write)
    }
    return this.#store.transact({ ...transaction, writes })
  }

  range(prefix: string) {
    return this.#store.range(prefix)
  }

  watch(prefix: string, signal: AbortSignal) {
    return this.#store.watch(prefix, signal)
  }

  grantLease(ttlMs: number) {
    return this.#store.grantLease(ttlMs)
  }

  keepLease(lease: LeaseId) {
    return this.#store.keepLease(lease)
  }

  revokeLease(lease: LeaseId) {
    return this.#store.revokeLease(lease)
  }

  close() {
    return this.#store.close()
  }
}

/** What comes sealed for its very place is that secret; anything else is a secret too, though it may look sealed. */
function sealedBy(ring: KeyRing, key: string, value: string): Result<string> {
  return withSecrets(key, value, (secret, place) => {
    const isSealed = generationOf(secret) !== undefined && ring.open(secret, place).ok
    return ok(isSealed ? secret : ring.seal(secret, place))
  })
}

function putsSecrets(write: Write): write is Extract<Write, { kind: 'put' }> {
  return write.kind === 'put' && holdsSecrets(write.key)
}

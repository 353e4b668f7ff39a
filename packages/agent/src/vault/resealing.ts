/**
 * Seals by the present key whatever is sealed by an older one, or not at all. Each record is compared, and a record that
 * changed meanwhile is looked at again: interrupted anywhere, the next look goes on.
 */
import { failure } from '@stead/core/errors.ts'
import type { StoreEntry } from '@stead/core/ports/store.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import { generationOf, type KeyRing } from './key-ring.ts'
import { SEALED_PREFIXES, withSecrets } from './sealed-records.ts'
import type { VaultContext } from './vault-context.ts'

/** Of one transaction: etcd takes 128 operations. */
const AT_ONCE = 50

export class Resealing {
  readonly #context: Pick<VaultContext, 'store' | 'vault' | 'log'>
  readonly #unreadable = new Set<string>()

  constructor(context: Pick<VaultContext, 'store' | 'vault' | 'log'>) {
    this.#context = context
  }

  async all(): Promise<Result<void>> {
    for (const prefix of SEALED_PREFIXES) {
      const found = await this.#context.store.range(prefix)
      if (!found.ok) return found
      const done = await this.#seal(found.value.entries)
      if (!done.ok) return done
    }
    return ok()
  }

  async #seal(entries: readonly StoreEntry[]): Promise<Result<void>> {
    const { store, vault } = this.#context
    const { ring } = vault
    if (!ring) return fail(failure('secrets_locked', 'There is another key meanwhile'))
    const due = entries.flatMap((entry) => {
      const value = this.#resealed(ring, entry)
      return value === entry.value ? [] : [{ ...entry, value }]
    })
    for (let from = 0; from < due.length; from += AT_ONCE) {
      const some = due.slice(from, from + AT_ONCE)
      const outcome = await store.transact({
        compares: some.map(({ key, modRevision }) => ({ key, modRevision })),
        writes: some.map(({ key, value }) => ({ kind: 'put', key, value })),
      })
      if (!outcome.ok) return outcome
      if (!outcome.value.committed) return fail(failure('changed_meanwhile', 'Secrets were changed meanwhile'))
    }
    return ok()
  }

  /** What does not open is left as it is, and told once. */
  #resealed(ring: KeyRing, { key, value }: StoreEntry): string {
    const sealed = withSecrets(key, value, (secret, place) => {
      const generation = generationOf(secret)
      if (generation === ring.generation) return ok(secret)
      const opened = generation === undefined ? ok(secret) : ring.open(secret, place)
      return opened.ok ? ok(ring.seal(opened.value, place)) : opened
    })
    if (sealed.ok) return sealed.value
    if (!this.#unreadable.has(key))
      this.#context.log.error('a secret does not open and stays as it is', { key, cause: sealed.error })
    this.#unreadable.add(key)
    return value
  }
}

/** Realms with their secrets, which this host's copy of the records has sealed. */
import { recordDecoder } from '@stead/api/records.ts'
import { failure } from '@stead/core/errors.ts'
import type { Versioned } from '@stead/core/model/cluster.ts'
import { KEYS } from '@stead/core/model/keys.ts'
import type { Realm } from '@stead/core/model/realm.ts'
import type { Store } from '@stead/core/ports/store.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'

export class OpenedRealms {
  readonly #store: Pick<Store, 'get'>
  /** As long as a realm is not changed it is the same object, by which a provider's answers are known. */
  readonly #opened = new Map<string, Versioned<Realm>>()

  constructor(store: Pick<Store, 'get'>) {
    this.#store = store
  }

  async of<Kind extends Realm>(realm: Kind): Promise<Result<Kind>> {
    const kept = await this.#store.get(KEYS.realm(realm.name))
    if (!kept.ok) return kept
    if (!kept.value) return fail(failure('not_found', `There is no realm ${realm.name}`))
    const { value, modRevision: revision } = kept.value
    const known = this.#opened.get(realm.name)
    const opened = known?.revision === revision ? ok(known.value) : recordDecoder.realm(JSON.parse(value))
    if (!opened.ok) return opened
    if (opened.value.service.kind !== realm.service.kind)
      return fail(failure('changed_meanwhile', `The realm ${realm.name} has just become another one`))
    this.#opened.set(realm.name, { value: opened.value, revision })
    return ok(opened.value as Kind)
  }
}

/**
 * By what a device shows that a user has signed in on it before. It opens nothing: its attempts are only counted by
 * themselves, so that who guesses the user's password elsewhere does not slow him down here.
 */
import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto'
import { SECRET_KEYS } from '@stead/core/model/keys.ts'
import type { Store } from '@stead/core/ports/store.ts'
import { ok, type Result } from '@stead/core/result.ts'

export class DeviceKeys {
  readonly #store: Pick<Store, 'get' | 'transact'>
  #key: Buffer | undefined

  constructor(store: Pick<Store, 'get' | 'transact'>) {
    this.#store = store
  }

  async give(user: string): Promise<Result<string>> {
    const key = await this.#secret()
    if (!key.ok) return key
    const id = randomBytes(12).toString('base64url')
    return ok(`${id}.${signature(key.value, user, id).toString('base64url')}`)
  }

  /** The device's id when it has a key for this user. */
  async idOf(user: string, shown: string | undefined): Promise<Result<string | undefined>> {
    const [id = '', given = ''] = (shown ?? '').split('.')
    if (id === '' || given === '') return ok(undefined)
    const key = await this.#secret()
    if (!key.ok) return key
    const right = signature(key.value, user, id)
    const bytes = Buffer.from(given, 'base64url')
    return ok(bytes.length === right.length && timingSafeEqual(bytes, right) ? id : undefined)
  }

  /** One for the cluster, made when it is first needed. */
  async #secret(): Promise<Result<Buffer>> {
    if (this.#key) return ok(this.#key)
    const key = SECRET_KEYS.deviceKey
    const made = randomBytes(32).toString('base64url')
    const outcome = await this.#store.transact({
      compares: [{ key, modRevision: 0n }],
      writes: [{ kind: 'put', key, value: made }],
    })
    if (!outcome.ok) return outcome
    const kept = await this.#store.get(key)
    if (!kept.ok) return kept
    this.#key = Buffer.from(kept.value?.value ?? made, 'base64url')
    return ok(this.#key)
  }
}

function signature(key: Buffer, user: string, id: string): Buffer {
  return createHmac('sha256', key).update(`${user} ${id}`).digest()
}

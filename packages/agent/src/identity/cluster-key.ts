/** A secret that all hosts share and that nobody else has, made when it is first needed. Each use takes a key of its own from it. */
import { hkdfSync, randomBytes } from 'node:crypto'
import { SECRET_KEYS } from '@stead/core/model/keys.ts'
import type { Store } from '@stead/core/ports/store.ts'
import { ok, type Result } from '@stead/core/result.ts'

const KEY_BYTES = 32

export class ClusterKey {
  readonly #store: Pick<Store, 'get' | 'transact'>
  #secret: Buffer | undefined

  constructor(store: Pick<Store, 'get' | 'transact'>) {
    this.#store = store
  }

  async secret(): Promise<Result<Buffer>> {
    if (this.#secret) return ok(this.#secret)
    const key = SECRET_KEYS.deviceKey
    const made = randomBytes(KEY_BYTES).toString('base64url')
    const outcome = await this.#store.transact({
      compares: [{ key, modRevision: 0n }],
      writes: [{ kind: 'put', key, value: made }],
    })
    if (!outcome.ok) return outcome
    const kept = await this.#store.get(key)
    if (!kept.ok) return kept
    this.#secret = Buffer.from(kept.value?.value ?? made, 'base64url')
    return ok(this.#secret)
  }

  async keyFor(use: string): Promise<Result<Buffer>> {
    const secret = await this.secret()
    return secret.ok ? ok(Buffer.from(hkdfSync('sha256', secret.value, '', use, KEY_BYTES))) : secret
  }
}

/**
 * What a client holds for the cluster between two requests, so that the store need not: any host opens it, nobody else
 * can read or change it, and it ends by itself.
 */
import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto'
import { ok, type Result } from '@stead/core/result.ts'
import type { ClusterKey } from './cluster-key.ts'

const CIPHER = 'aes-256-gcm'
const NONCE_BYTES = 12
const TAG_BYTES = 16

export class Sealed<T> {
  readonly #key: ClusterKey
  readonly #use: string
  readonly #lifeMs: number

  /** `use`: what is sealed for one is no good for another. */
  constructor(key: ClusterKey, use: string, lifeMs: number) {
    this.#key = key
    this.#use = use
    this.#lifeMs = lifeMs
  }

  async seal(value: T, wallMs: number): Promise<Result<string>> {
    const key = await this.#key.keyFor(this.#use)
    if (!key.ok) return key
    const nonce = randomBytes(NONCE_BYTES)
    const cipher = createCipheriv(CIPHER, key.value, nonce, { authTagLength: TAG_BYTES })
    const text = JSON.stringify({ value, endsAt: wallMs + this.#lifeMs })
    const body = Buffer.concat([cipher.update(text, 'utf8'), cipher.final()])
    return ok(Buffer.concat([nonce, cipher.getAuthTag(), body]).toString('base64url'))
  }

  /** Undefined: it is none, or has ended. */
  async open(sealed: string, wallMs: number): Promise<Result<T | undefined>> {
    const key = await this.#key.keyFor(this.#use)
    if (!key.ok) return key
    const bytes = Buffer.from(sealed, 'base64url')
    if (bytes.length <= NONCE_BYTES + TAG_BYTES) return ok(undefined)
    const decipher = createDecipheriv(CIPHER, key.value, bytes.subarray(0, NONCE_BYTES), { authTagLength: TAG_BYTES })
    decipher.setAuthTag(bytes.subarray(NONCE_BYTES, NONCE_BYTES + TAG_BYTES))
    try {
      const text = Buffer.concat([decipher.update(bytes.subarray(NONCE_BYTES + TAG_BYTES)), decipher.final()])
      const { value, endsAt } = JSON.parse(text.toString()) as { readonly value: T; readonly endsAt: number }
      return ok(wallMs < endsAt ? value : undefined)
    } catch {
      return ok(undefined)
    }
  }
}

/**
 * The keys that this host has of the cluster's secrets, by generation: the present one seals, all of them open. In memory
 * only. A sealed text says its generation; it opens in the place that it was sealed for and in no other.
 */
import { createCipheriv, createDecipheriv, hkdfSync, randomBytes } from 'node:crypto'
import { failure } from '@stead/core/errors.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import { KEY_BYTES } from './key-shares.ts'

const CIPHER = 'aes-256-gcm'
const NONCE_BYTES = 12
const TAG_BYTES = 16
const FORM = /^stead-sealed:(\d{1,9}):([\w-]{38,})$/

/** Of a text that has the form of a sealed one; another secret could have it by chance or intent. */
export function generationOf(text: string): number | undefined {
  const [, generation] = FORM.exec(text) ?? []
  return generation === undefined ? undefined : Number(generation)
}

/** Known to whoever has the key, and no help to whoever has not. */
export function checkOf(key: Buffer): string {
  return Buffer.from(hkdfSync('sha256', key, '', 'stead vault check', KEY_BYTES)).toString('hex')
}

export class KeyRing {
  /** Of the key that seals. */
  readonly generation: number
  readonly key: Buffer
  readonly #keys: ReadonlyMap<number, Buffer>

  constructor(generation: number, key: Buffer, older: ReadonlyMap<number, Buffer> = new Map()) {
    this.generation = generation
    this.key = key
    this.#keys = new Map([...older, [generation, key]])
  }

  has(generation: number): boolean {
    return this.#keys.has(generation)
  }

  /** Oldest first, the present one included. */
  all(): [generation: number, key: Buffer][] {
    return [...this.#keys].toSorted(([a], [b]) => a - b)
  }

  seal(text: string, place: string): string {
    const nonce = randomBytes(NONCE_BYTES)
    const cipher = createCipheriv(CIPHER, sealingKey(this.key), nonce, { authTagLength: TAG_BYTES })
    cipher.setAAD(associated(this.generation, place))
    const body = Buffer.concat([cipher.update(text, 'utf8'), cipher.final()])
    return `stead-sealed:${this.generation}:${Buffer.concat([nonce, cipher.getAuthTag(), body]).toString('base64url')}`
  }

  /** Fails with `secrets_locked` when it has not that key, with `internal` when the text is not of this place. */
  open(text: string, place: string): Result<string> {
    const [, number = '', data = ''] = FORM.exec(text) ?? []
    const generation = Number(number)
    const key = this.#keys.get(generation)
    if (!key) return fail(failure('secrets_locked', `This host has not key ${generation} of the secrets`))
    const bytes = Buffer.from(data, 'base64url')
    const decipher = createDecipheriv(CIPHER, sealingKey(key), bytes.subarray(0, NONCE_BYTES), {
      authTagLength: TAG_BYTES,
    })
    decipher.setAAD(associated(generation, place))
    decipher.setAuthTag(bytes.subarray(NONCE_BYTES, NONCE_BYTES + TAG_BYTES))
    try {
      const opened = [decipher.update(bytes.subarray(NONCE_BYTES + TAG_BYTES)), decipher.final()]
      return ok(Buffer.concat(opened).toString('utf8'))
    } catch (cause) {
      return fail(
        failure('internal', `The secret at ${place} does not open: it was changed, or sealed for another place`, {
          hint: 'Set it anew; whoever wrote it there had access to the store',
          cause,
        }),
      )
    }
  }
}

function sealingKey(key: Buffer): Buffer {
  return Buffer.from(hkdfSync('sha256', key, '', 'stead vault seal', KEY_BYTES))
}

function associated(generation: number, place: string): Buffer {
  return Buffer.from(`stead-sealed ${generation} ${place}`)
}

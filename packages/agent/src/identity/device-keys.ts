/**
 * By what a device shows that a user has signed in on it before. It opens nothing: its attempts are only counted by
 * themselves, so that who guesses the user's password elsewhere does not slow him down here.
 */
import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto'
import { ok, type Result } from '@stead/core/result.ts'
import type { ClusterKey } from './cluster-key.ts'

export class DeviceKeys {
  readonly #key: ClusterKey

  constructor(key: ClusterKey) {
    this.#key = key
  }

  async give(user: string): Promise<Result<string>> {
    const key = await this.#key.secret()
    if (!key.ok) return key
    const id = randomBytes(12).toString('base64url')
    return ok(`${id}.${signature(key.value, user, id).toString('base64url')}`)
  }

  /** The device's id when it has a key for this user. */
  async idOf(user: string, shown: string | undefined): Promise<Result<string | undefined>> {
    const [id = '', given = ''] = (shown ?? '').split('.')
    if (id === '' || given === '') return ok(undefined)
    const key = await this.#key.secret()
    if (!key.ok) return key
    const right = signature(key.value, user, id)
    const bytes = Buffer.from(given, 'base64url')
    return ok(bytes.length === right.length && timingSafeEqual(bytes, right) ? id : undefined)
  }
}

function signature(key: Buffer, user: string, id: string): Buffer {
  return createHmac('sha256', key).update(`${user} ${id}`).digest()
}

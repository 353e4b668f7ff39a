/** What the cluster knows of its users' passwords: hashes, and one-time ones that an administrator has given out. */
import { createHash } from 'node:crypto'
import { checkPassword, normalPassword } from '@stead/core/access/password-rules.ts'
import { failure } from '@stead/core/errors.ts'
import { clusterPolicyOf } from '@stead/core/ha/planning-problem.ts'
import type { ClusterMirror } from '@stead/core/host/cluster-mirror.ts'
import { DEFAULT_PASSWORDS } from '@stead/core/model/cluster-policy.ts'
import { SECRET_KEYS } from '@stead/core/model/keys.ts'
import type { Compare, Store, Write } from '@stead/core/ports/store.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import { sameSecret } from '../http/identify.ts'
import { PasswordHasher } from './password-hasher.ts'
import { PasswordStrength } from './password-strength.ts'

export const ONE_TIME_LIFE_MS = 24 * 3_600_000
/** 120 random bits: nobody guesses it, so it is neither slowed down nor hashed slowly. */
const ONE_TIME = /^once(-[a-z2-7]{6}){4}$/
const LETTERS = 'abcdefghijklmnopqrstuvwxyz234567'

interface PasswordRecord {
  readonly hash?: string
  readonly changedAt: number
  readonly oneTime?: { readonly digest: string; readonly expiresAt: number }
}

/** A password that was right. */
export interface RightPassword {
  readonly oneTime: boolean
  /** Its record as it was: a password that is changed meanwhile lets nobody in. */
  readonly unchanged: Compare & { readonly modRevision: bigint }
  /** A one-time password is used up. */
  readonly writes: readonly Write[]
}

export class Passwords {
  readonly #store: Pick<Store, 'get'>
  readonly #mirror: Pick<ClusterMirror, 'state'>
  readonly #hasher = new PasswordHasher()
  readonly #strength = new PasswordStrength()

  constructor({ store, mirror }: { store: Pick<Store, 'get'>; mirror: Pick<ClusterMirror, 'state'> }) {
    this.#store = store
    this.#mirror = mirror
  }

  static isOneTime(password: string): boolean {
    return ONE_TIME.test(password)
  }

  /** Undefined when it is wrong, or the user has none, or there is no such user: all take the same time. */
  async check(
    user: string,
    password: string,
    first: boolean,
    wallMs: number,
  ): Promise<Result<RightPassword | undefined>> {
    const kept = await this.#read(user)
    if (!kept.ok) return kept
    const { record, revision } = kept.value
    const unchanged = { key: SECRET_KEYS.password(user), modRevision: revision }
    if (Passwords.isOneTime(password)) {
      const { digest = '', expiresAt = 0 } = record?.oneTime ?? {}
      const right = sameSecret(digestOf(password), digest) && wallMs < expiresAt
      return ok(right ? { oneTime: true, unchanged, writes: [putRecord(user, { changedAt: wallMs })] } : undefined)
    }
    const matches = await this.#hasher.matches(normalPassword(password), record?.hash, first)
    if (!matches.ok) return matches
    return ok(matches.value ? { oneTime: false, unchanged, writes: [] } : undefined)
  }

  /** As the cluster's policy wants it: its normal form. */
  async acceptable(password: string, user: string): Promise<Result<string>> {
    const { state } = this.#mirror
    const { lengthMin, refuseGuessable } = clusterPolicyOf(state).passwords ?? DEFAULT_PASSWORDS
    const normal = checkPassword(password, user, { lengthMin })
    if (!normal.ok || !refuseGuessable) return normal
    const { fullName = '', email = '' } = state.users.get(user)?.value ?? {}
    const words = [user, state.settings?.value.name ?? '', 'stead', ...`${fullName} ${email}`.split(/[\s@.]+/)]
    const strong = await this.#strength.check({ password: normal.value, words: words.filter(Boolean) }, lengthMin)
    return strong.ok ? normal : strong
  }

  /** `password` in its normal form. */
  async change(user: string, password: string, wallMs: number): Promise<Result<Write>> {
    const hash = await this.#hasher.hash(password)
    return hash.ok ? ok(putRecord(user, { hash: hash.value, changedAt: wallMs })) : hash
  }

  async has(user: string): Promise<Result<boolean>> {
    const kept = await this.#read(user)
    return kept.ok ? ok(kept.value.record?.hash !== undefined) : kept
  }

  async #read(user: string): Promise<Result<{ readonly record?: PasswordRecord; readonly revision: bigint }>> {
    const kept = await this.#store.get(SECRET_KEYS.password(user))
    if (!kept.ok) return kept
    if (!kept.value) return ok({ revision: 0n })
    try {
      return ok({ record: JSON.parse(kept.value.value) as PasswordRecord, revision: kept.value.modRevision })
    } catch (cause) {
      return fail(failure('internal', `The password of ${user} cannot be read`, { cause }))
    }
  }
}

/** Instead of the one that there was. */
export function newOneTimePassword(
  user: string,
  wallMs: number,
  bits: Buffer,
): { readonly password: string; readonly write: PutRecord } {
  const letters = [...bits.subarray(0, 24)].map((byte) => LETTERS[byte % LETTERS.length])
  const group = () => letters.splice(0, 6).join('')
  const password = `once-${[group(), group(), group(), group()].join('-')}`
  const oneTime = { digest: digestOf(password), expiresAt: wallMs + ONE_TIME_LIFE_MS }
  return { password, write: putRecord(user, { changedAt: wallMs, oneTime }) }
}

/** Until when it can be used, by the user's record; undefined when it is another one that counts. */
export function oneTimePasswordEnds(password: string, kept: string | undefined): number | undefined {
  const { oneTime } = JSON.parse(kept ?? '{}') as Partial<PasswordRecord>
  return oneTime?.digest === digestOf(password) ? oneTime.expiresAt : undefined
}

type PutRecord = Extract<Write, { kind: 'put' }>

function putRecord(user: string, record: PasswordRecord): PutRecord {
  return { kind: 'put', key: SECRET_KEYS.password(user), value: JSON.stringify(record) }
}

function digestOf(password: string): string {
  return createHash('sha256').update(password).digest('hex')
}

/** Of a user of a realm there is no record of a password, and none may come meanwhile. */
export function noPasswordHere(user: string): RightPassword {
  return { oneTime: false, unchanged: { key: SECRET_KEYS.password(user), modRevision: 0n }, writes: [] }
}

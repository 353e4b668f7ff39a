/**
 * Sign-ins whose password was right and whose second factor is still to come: known by the SHA-256 of what the client
 * holds, in the store, so that any host goes on with them, and for five minutes.
 */
import { createHash, randomBytes } from 'node:crypto'
import type { Attempt } from '@stead/core/access/sign-in-throttle.ts'
import { failure, type Failure } from '@stead/core/errors.ts'
import type { SessionDuty, SignInSession } from '@stead/core/model/access.ts'
import { SECRET_KEYS } from '@stead/core/model/keys.ts'
import type { Compare, Store, Write } from '@stead/core/ports/store.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'

const LIFE_MS = 5 * 60_000
const TRIES_MAX = 5

export interface PendingSignIn {
  readonly user: string
  readonly form: SignInSession['form']
  readonly attempt?: Attempt
  readonly must?: SessionDuty
  /** Of the password's record: another password ends what was begun with this one. */
  readonly passwordRevision: string
  readonly tries: number
  readonly expiresAt: number
}

export interface OpenPending {
  readonly pending: PendingSignIn
  /** Used up by the transaction that begins the session. */
  readonly compares: readonly Compare[]
  readonly writes: readonly Write[]
}

type PendingStore = Pick<Store, 'get' | 'transact' | 'grantLease'>

export async function putPending(
  store: PendingStore,
  pending: Omit<PendingSignIn, 'tries' | 'expiresAt'>,
  wallMs: number,
): Promise<Result<string>> {
  const secret = randomBytes(32).toString('base64url')
  // The store forgets it by itself.
  const lease = await store.grantLease(LIFE_MS)
  if (!lease.ok) return lease
  const value = JSON.stringify({ ...pending, tries: 0, expiresAt: wallMs + LIFE_MS })
  const outcome = await store.transact({
    compares: [],
    writes: [{ kind: 'put', key: keyOf(secret), value, lease: lease.value }],
  })
  return outcome.ok ? ok(secret) : outcome
}

/** Whose sign-in it is, for what must be known before the factor is shown. */
export async function pendingUser(store: PendingStore, secret: string, wallMs: number): Promise<Result<string>> {
  const kept = await store.get(keyOf(secret))
  if (!kept.ok) return kept
  const pending = kept.value ? (JSON.parse(kept.value.value) as PendingSignIn) : undefined
  return pending && wallMs < pending.expiresAt ? ok(pending.user) : fail(NOT_PENDING)
}

/** Each look is a try, which is counted before the factor is looked at. */
export async function tryPending(store: PendingStore, secret: string, wallMs: number): Promise<Result<OpenPending>> {
  const key = keyOf(secret)
  const kept = await store.get(key)
  if (!kept.ok) return kept
  if (!kept.value) return fail(NOT_PENDING)
  const pending = JSON.parse(kept.value.value) as PendingSignIn
  if (wallMs >= pending.expiresAt || pending.tries >= TRIES_MAX) return fail(NOT_PENDING)
  const left = await store.grantLease(LIFE_MS)
  if (!left.ok) return left
  const value = JSON.stringify({ ...pending, tries: pending.tries + 1 })
  const outcome = await store.transact({
    compares: [{ key, modRevision: kept.value.modRevision }],
    writes: [{ kind: 'put', key, value, lease: left.value }],
  })
  if (!outcome.ok) return outcome
  if (!outcome.value.committed) return fail(NOT_PENDING)
  return ok({
    pending,
    compares: [
      { key, modRevision: outcome.value.revision },
      { key: SECRET_KEYS.password(pending.user), modRevision: BigInt(pending.passwordRevision) },
    ],
    writes: [{ kind: 'delete', key }],
  })
}

function keyOf(secret: string): string {
  return SECRET_KEYS.pendingSignIn(createHash('sha256').update(secret).digest('hex'))
}

const NOT_PENDING: Failure = failure('unauthorized', 'The sign-in has to be begun anew', {
  hint: 'It waits five minutes for the second factor, and takes five wrong ones',
})

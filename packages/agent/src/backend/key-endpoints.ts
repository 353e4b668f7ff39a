/** One's own security keys, and signing in by them. */
import { createHash } from 'node:crypto'
import type { KeyView } from '@stead/api/endpoints/security-key-answers.ts'
import { demandsSecondFactor } from '@stead/core/access/second-factor.ts'
import { failure } from '@stead/core/errors.ts'
import { SECRET_KEYS } from '@stead/core/model/keys.ts'
import { fail, ok } from '@stead/core/result.ts'
import { accessRecordsOf } from '../access/access-records.ts'
import type { ApiBackend } from '../http/backend.ts'
import type { KeySignIn } from '../identity/key-sign-in.ts'
import { pendingUser } from '../identity/pending-sign-ins.ts'
import { methodsOf, newRecoveryCodes, putFactors, readFactors } from '../identity/second-factors.ts'
import type { SecurityKey } from '../identity/security-keys.ts'
import type { SignIn } from '../identity/sign-in.ts'
import { remove } from './access-change.ts'
import type { Desk } from './desk.ts'
import { freshSession } from './factor-endpoints.ts'

export type KeyAnswers = Pick<
  ApiBackend,
  `factor.${'begin-key' | 'add-key' | 'remove-key'}` | `auth.${'begin-key' | 'key'}`
>

export function keyEndpoints(desk: Desk, keys: KeySignIn, signIn: SignIn): KeyAnswers {
  const { store, clock } = desk.context
  return {
    'auth.begin-key': async ({ body: { pending } }, { visitor }) => {
      if (pending === undefined) return keys.beginAlone(visitor)
      const user = await pendingUser(store, pending, clock.wallMs())
      return user.ok ? keys.beginFactor(pending, user.value, visitor) : user
    },
    'auth.key': async ({ body: { form, ...shown } }, { visitor }) => {
      const owner = await keys.ownerOf(shown, visitor)
      return owner.ok ? signIn.withKey(owner.value, form, visitor) : owner
    },
    'factor.begin-key': async (_input, { principal, visitor }) => {
      const own = freshSession(signIn.ownSession(principal), clock.wallMs())
      if (!own.ok) return own
      const kept = await readFactors(store, own.value.user)
      return kept.ok ? keys.beginAdding(own.value.user, kept.value.factors, visitor) : kept
    },
    'factor.add-key': async ({ body: { name, ...shown } }, { principal, visitor }) => {
      const own = freshSession(signIn.ownSession(principal), clock.wallMs())
      if (!own.ok) return own
      const { user } = own.value
      const kept = await readFactors(store, user)
      if (!kept.ok) return kept
      const { factors, unchanged } = kept.value
      const key = await keys.added(user, shown, name, visitor)
      if (!key.ok) return key
      const { keys: known = [] } = factors
      if (known.some(({ id }) => id === key.value.id)) return fail(failure('name_taken', 'You have this key already'))
      const fresh = factors.recovery.length === 0 ? newRecoveryCodes() : { codes: [], digests: factors.recovery }
      const after = { ...factors, keys: [...known, key.value], recovery: fresh.digests }
      const more = { compares: [unchanged], writes: [putFactors(user, after)] }
      const session = await signIn.renew(own.value, visitor, more, after)
      return session.ok ? ok({ recoveryCodes: [...fresh.codes], session: session.value }) : session
    },
    'factor.remove-key': async ({ params }, { principal }) => {
      const own = freshSession(signIn.ownSession(principal), clock.wallMs())
      if (!own.ok) return own
      const { user, unended } = own.value
      const kept = await readFactors(store, user)
      if (!kept.ok) return kept
      const { factors, unchanged } = kept.value
      const { keys: known = [] } = factors
      if (!known.some((key) => shortId(key) === params.key)) return fail(failure('not_found', 'You have no such key'))
      const after = { ...factors, keys: known.filter((key) => shortId(key) !== params.key) }
      const isLast = methodsOf(after).length === 0
      if (isLast && demandsSecondFactor(accessRecordsOf(desk.state), user))
        return fail(
          failure('forbidden', 'One of your groups demands a second factor', { hint: 'Add another one first' }),
        )
      const write = isLast ? remove(SECRET_KEYS.secondFactors(user)) : putFactors(user, after)
      const outcome = await store.transact({ compares: [unchanged, unended], writes: [write] })
      if (!outcome.ok) return outcome
      if (outcome.value.committed) return ok()
      return fail(failure('changed_meanwhile', 'Your second factors were changed meanwhile'))
    },
  }
}

/** A key's own can be a thousand characters long. */
function shortId({ id }: SecurityKey): string {
  return createHash('sha256').update(id).digest('hex').slice(0, 16)
}

export function keyView(key: SecurityKey): KeyView {
  const { name, site, createdAt, usedAt } = key
  const iso = (wallMs: number) => new Date(wallMs).toISOString()
  return { id: shortId(key), name, site, createdAt: iso(createdAt), usedAt: usedAt === undefined ? null : iso(usedAt) }
}

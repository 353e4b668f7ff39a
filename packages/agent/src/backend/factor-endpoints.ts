/** One's own second factors, and those that a user has lost. */
import { demandsSecondFactor } from '@stead/core/access/second-factor.ts'
import { failure } from '@stead/core/errors.ts'
import { SECRET_KEYS } from '@stead/core/model/keys.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import { accessRecordsOf } from '../access/access-records.ts'
import type { ApiBackend } from '../http/backend.ts'
import { methodsOf, newRecoveryCodes, newTotp, putFactors, readFactors, stepOf } from '../identity/second-factors.ts'
import type { Sessions } from '../identity/sessions.ts'
import type { OwnSession, SignIn } from '../identity/sign-in.ts'
import { changeAccess, found, remove } from './access-change.ts'
import type { Desk } from './desk.ts'
import { keyView } from './key-endpoints.ts'
import { endingAll } from './sign-in-endpoints.ts'

type Answers = Pick<
  ApiBackend,
  `factor.${'list' | 'begin-totp' | 'add-totp' | 'remove'}` | 'user.remove-second-factors'
>

const FRESH_MS = 15 * 60_000

/** Who finds a browser that somebody has left open must not take the account over. */
export function freshSession(own: Result<OwnSession>, wallMs: number): Result<OwnSession> {
  if (!own.ok || wallMs - own.value.session.createdAt < FRESH_MS) return own
  return fail(failure('forbidden', 'This session is older than a quarter of an hour', { hint: 'Sign in again first' }))
}

export function factorEndpoints(desk: Desk, sessions: Sessions, signIn: SignIn): Answers {
  const { store, clock } = desk.context
  const fresh = (own: Result<OwnSession>) => freshSession(own, clock.wallMs())
  const changedMeanwhile = () => fail(failure('changed_meanwhile', 'Your second factors were changed meanwhile'))
  return {
    'factor.list': async (_input, { principal }) => {
      const own = signIn.ownSession(principal)
      if (!own.ok) return own
      const kept = await readFactors(store, own.value.user)
      if (!kept.ok) return kept
      const { totp, keys = [], recovery } = kept.value.factors
      const demanded = demandsSecondFactor(accessRecordsOf(desk.state), own.value.user)
      return ok({ totp: totp !== undefined, recoveryCodes: recovery.length, keys: keys.map(keyView), demanded })
    },
    'factor.begin-totp': async (_input, { principal }) => {
      const own = fresh(signIn.ownSession(principal))
      if (!own.ok) return own
      const { user } = own.value
      const kept = await readFactors(store, user)
      if (!kept.ok) return kept
      const { factors, unchanged } = kept.value
      if (factors.totp)
        return fail(
          failure('conflict', 'There is an app already', {
            hint: 'Remove it first: `stead auth second-factor remove`',
          }),
        )
      const { secret, uri } = newTotp(user, desk.state.settings?.value.name ?? 'Stead')
      const writes = [putFactors(user, { ...factors, adding: { secret } })]
      const outcome = await store.transact({ compares: [unchanged, own.value.unended], writes })
      if (!outcome.ok) return outcome
      return outcome.value.committed ? ok({ secret, uri }) : changedMeanwhile()
    },
    'factor.add-totp': async ({ body }, { principal, visitor }) => {
      const own = fresh(signIn.ownSession(principal))
      if (!own.ok) return own
      const { user } = own.value
      const kept = await readFactors(store, user)
      if (!kept.ok) return kept
      const { adding } = kept.value.factors
      if (!adding) return fail(failure('conflict', 'No app is being added', { hint: '`stead auth second-factor add`' }))
      const usedStep = stepOf(adding.secret, body.code, clock.wallMs())
      if (usedStep === undefined) return fail(failure('bad_request', 'The code is not one of the app', CLOCK_HINT))
      const { codes, digests } = newRecoveryCodes()
      const { keys } = kept.value.factors
      const totp = { secret: adding.secret, usedStep }
      const factors = { totp, recovery: digests, ...(keys ? { keys } : {}) }
      const writes = [putFactors(user, factors)]
      const session = await signIn.renew(own.value, visitor, { compares: [kept.value.unchanged], writes }, factors)
      return session.ok ? ok({ recoveryCodes: [...codes], session: session.value }) : session
    },
    'factor.remove': async (_input, { principal }) => {
      const own = fresh(signIn.ownSession(principal))
      if (!own.ok) return own
      const { user, unended } = own.value
      if (demandsSecondFactor(accessRecordsOf(desk.state), user))
        return fail(
          failure('forbidden', 'One of your groups demands a second factor', { hint: 'Ask an administrator' }),
        )
      const kept = await readFactors(store, user)
      if (!kept.ok) return kept
      if (methodsOf(kept.value.factors).length === 0) return fail(failure('not_found', 'You have no second factor'))
      const writes = [remove(SECRET_KEYS.secondFactors(user))]
      const outcome = await store.transact({ compares: [kept.value.unchanged, unended], writes })
      if (!outcome.ok) return outcome
      return outcome.value.committed ? ok() : changedMeanwhile()
    },
    'user.remove-second-factors': async ({ params: { user } }, request) => {
      const made = await changeAccess(desk, request, ({ users }) => {
        const known = found(users, user, 'user')
        if (!known.ok) return known
        const writes = [remove(SECRET_KEYS.secondFactors(user)), ...endingAll(sessions, user)]
        return ok({ kind: 'user.remove-second-factors', subject: `user/${user}`, writes })
      })
      return made.ok ? sessions.end(sessions.ofUser(user).map(([digest]) => digest)) : made
    },
  }
}

const CLOCK_HINT = {
  hint: "Type the present one; if it is refused again, compare the telephone's clock with the host's",
}

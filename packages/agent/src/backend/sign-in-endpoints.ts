/** Signing in and out, one's own password and sessions, and what an administrator does about those of others. */
import type { SessionView } from '@stead/api/endpoints/sign-in.ts'
import { failure } from '@stead/core/errors.ts'
import type { Principal, SignInSession } from '@stead/core/model/access.ts'
import { KEYS } from '@stead/core/model/keys.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import { SESSION_COOKIE } from '../http/cookies.ts'
import type { ApiBackend } from '../http/backend.ts'
import { newOneTimePassword, oneTimePasswordEnds } from '../identity/passwords.ts'
import { KeySignIn } from '../identity/key-sign-in.ts'
import { ClusterKey } from '../identity/cluster-key.ts'
import { RealmSignIn } from '../identity/realms/realm-sign-in.ts'
import { SignInAudit } from '../identity/sign-in-audit.ts'
import { Sessions } from '../identity/sessions.ts'
import { shownOnceBytes } from '../identity/shown-once.ts'
import { SignIn } from '../identity/sign-in.ts'
import { changeAccess, found, remove } from './access-change.ts'
import type { Desk } from './desk.ts'
import { keyEndpoints, type KeyAnswers } from './key-endpoints.ts'
import { realmAdmission } from './realm-admission.ts'
import { realmEndpoints, type RealmAnswers } from './realm-endpoints.ts'
import { factorEndpoints } from './factor-endpoints.ts'

type Answers = RealmAnswers &
  KeyAnswers &
  Pick<
    ApiBackend,
    | `auth.${'authority' | 'sign-in' | 'second-factor' | 'sign-out' | 'password'}`
    | `session.${'list' | 'end'}`
    | `user.${'end-sessions' | 'reset-password' | 'remove-second-factors'}`
    | `factor.${'list' | 'begin-totp' | 'add-totp' | 'remove'}`
  >

export function signInEndpoints(desk: Desk): Answers {
  const { store, clock, webAuthority } = desk.context
  const sessions = new Sessions(desk.context)
  const key = new ClusterKey(store)
  const told = new SignInAudit(desk.context)
  const realms = new RealmSignIn({ ...desk.context, key, told, admit: realmAdmission(desk) })
  const keys = new KeySignIn({ ...desk.context, key })
  const signIn = new SignIn({ ...desk.context, sessions, key, realms, keys, told })
  /** Those that another host began in the moment before, which the copy of the change brings along. */
  const endTheRest = (user: string) => sessions.end(sessions.ofUser(user).map(([digest]) => digest))
  return {
    'auth.authority': async () => webAuthority(),
    'auth.sign-in': async ({ body }, { visitor }) => signIn.withPassword(body, visitor),
    'auth.second-factor': async ({ body }, { visitor }) => signIn.withSecondFactor(body, visitor),
    ...factorEndpoints(desk, sessions, signIn),
    ...keyEndpoints(desk, keys, signIn),
    ...realmEndpoints(desk, realms, signIn),
    'auth.sign-out': async (_input, { principal, visitor }) => {
      const own = ownSession(principal)
      if (!own.ok) return own
      const ended = await sessions.end([own.value.session])
      // The device stays known.
      if (ended.ok && visitor.session !== undefined) visitor.setCookie?.(SESSION_COOKIE, '', 0)
      return ended
    },
    'auth.password': async ({ body }, { principal, visitor }) => signIn.changePassword(principal, body, visitor),
    'session.list': async (_input, { principal }) => {
      const own = ownSession(principal)
      if (!own.ok) return own
      const all = sessions.ofUser(own.value.name)
      return ok({ items: all.map(([digest, session]) => sessionView(digest, session, own.value.session)) })
    },
    'session.end': async ({ params }, { principal }) => {
      const own = ownSession(principal)
      if (!own.ok) return own
      const [digest] = sessions.ofUser(own.value.name).find(([one]) => idOf(one) === params.session) ?? []
      if (digest === undefined) return fail(failure('not_found', `You have no session ${params.session}`))
      return sessions.end([digest])
    },
    'user.end-sessions': async ({ params: { user } }, request) => {
      const made = await changeAccess(desk, request, ({ users }) => {
        const known = found(users, user, 'user')
        if (!known.ok) return known
        return ok({ kind: 'user.end-sessions', subject: `user/${user}`, writes: endingAll(sessions, user) })
      })
      return made.ok ? endTheRest(user) : made
    },
    'user.reset-password': async ({ params: { user } }, request) => {
      const { password, write } = newOneTimePassword(user, clock.wallMs(), shownOnceBytes(request))
      const made = await changeAccess(desk, request, ({ users }) => {
        const known = found(users, user, 'user')
        if (!known.ok) return known
        if (known.value.value.realm !== 'local')
          return fail(failure('conflict', `The password of ${user} is kept by the realm ${known.value.value.realm}`))
        const writes = [write, ...endingAll(sessions, user)]
        return ok({ kind: 'user.reset-password', subject: `user/${user}`, writes })
      })
      if (!made.ok) return made
      const kept = await store.get(write.key)
      if (!kept.ok) return kept
      // Of a request that is repeated with too short a key: the password that counts is the first one's.
      const endsMs = oneTimePasswordEnds(password, kept.value?.value)
      if (endsMs === undefined)
        return fail(failure('conflict', `Another one-time password was made for ${user}`, { hint: 'Make a new one' }))
      const ended = await endTheRest(user)
      return ended.ok ? ok({ user, password, expiresAt: new Date(endsMs).toISOString() }) : ended
    },
  }
}

export function endingAll(sessions: Pick<Sessions, 'ofUser'>, user: string) {
  return sessions.ofUser(user).map(([digest]) => remove(KEYS.session(digest)))
}

function ownSession(principal: Principal): Result<{ readonly name: string; readonly session: string }> {
  if (principal.kind === 'user' && principal.session !== undefined)
    return ok({ name: principal.name, session: principal.session })
  return fail(failure('conflict', 'This request comes by no session', { hint: 'Sessions begin with `stead login`' }))
}

function sessionView(digest: string, session: SignInSession, current: string): SessionView {
  const { user, form, createdAt, usedAt, expiresAt, address, client } = session
  const iso = (wallMs: number) => new Date(wallMs).toISOString()
  return {
    ...{ id: idOf(digest), user, current: digest === current, form, address, client },
    ...{ createdAt: iso(createdAt), usedAt: iso(usedAt), expiresAt: iso(expiresAt) },
  }
}

/** Enough to tell one's own sessions apart. */
function idOf(digest: string): string {
  return digest.slice(0, 12)
}

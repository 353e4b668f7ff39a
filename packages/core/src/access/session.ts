/** Whether somebody who has signed in still counts as signed in. Pure. docs/internals/access.md. */
import type { Principal, SessionDuty, SignInSession, User } from '../model/access.ts'
import type { Versioned } from '../model/cluster.ts'

export const SESSION_LIFE_MS = 12 * 3_600_000
/** Since the last request. */
export const SESSION_IDLE_MS = 3_600_000
/** That a session is used is written no more often: each request would else be a write to the store. */
export const SESSION_NOTED_EVERY_MS = 60_000
/** The longest unused one makes room. */
export const SESSIONS_MAX = 32

interface Records {
  readonly users: ReadonlyMap<string, Versioned<User>>
  readonly sessions: ReadonlyMap<string, Versioned<SignInSession>>
}

/** Why the session by which he comes counts no more; undefined while it does, and of who comes by none. */
export function sessionEndedBecause(records: Records, principal: Principal, wallMs: number): string | undefined {
  if (principal.kind !== 'user' || principal.session === undefined) return undefined
  const session = records.sessions.get(principal.session)?.value
  if (!session || session.user !== principal.name) return 'the session has ended'
  return sessionExpiredBecause(session, records.users.get(session.user)?.value, wallMs)
}

export function sessionExpiredBecause(
  session: SignInSession,
  user: User | undefined,
  wallMs: number,
): string | undefined {
  // A name that was given to somebody else since.
  if (!user || user.createdAt > session.createdAt) return 'the session has ended'
  if (wallMs >= session.expiresAt) return 'the session has lasted long enough'
  if (wallMs >= session.usedAt + SESSION_IDLE_MS) return 'the session was not used for long'
  return undefined
}

/** What he must do before anything else. */
export function dutyOf({ sessions }: Pick<Records, 'sessions'>, principal: Principal): SessionDuty | undefined {
  if (principal.kind !== 'user' || principal.session === undefined) return undefined
  return sessions.get(principal.session)?.value.must
}

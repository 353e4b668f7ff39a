/** Whether a password is right, by whoever keeps it: the cluster, or the user's realm. */
import type { ClusterMirror } from '@stead/core/host/cluster-mirror.ts'
import { realmOf } from '@stead/core/model/realm.ts'
import type { Clock } from '@stead/core/ports/clock.ts'
import { ok, type Result } from '@stead/core/result.ts'
import type { Visitor } from '../http/backend.ts'
import { noPasswordHere, type Passwords, type RightPassword } from './passwords.ts'
import type { RealmSignIn } from './realms/realm-sign-in.ts'

interface PasswordKeepers {
  readonly mirror: ClusterMirror
  readonly clock: Clock
  readonly passwords: Passwords
  readonly realms: Pick<RealmSignIn, 'checkPassword'>
  /** Why this user counts no more. */
  readonly lapsed: (user: string) => string | undefined
}

interface PresentedPassword {
  readonly user: string
  readonly password: string
  /** Before others that wait to be looked at. */
  readonly first: boolean
}

/** `right` is undefined where it is not; `wrong` says why, for the audit. */
export interface CheckedPassword {
  readonly right: RightPassword | undefined
  /** Of a realm's user not always as he has typed it. */
  readonly user: string
  readonly wrong: string
}

export const WRONG_PASSWORD = 'the password is wrong'

export async function checkedPassword(
  { mirror, clock, passwords, realms, lapsed }: PasswordKeepers,
  { user, password, first }: PresentedPassword,
  visitor: Visitor,
): Promise<Result<CheckedPassword>> {
  const realm = realmOf(mirror.state.realms, user)
  if (!realm) {
    const right = await passwords.check(user, password, first, clock.wallMs())
    return right.ok ? ok({ right: right.value, user, wrong: lapsed(user) ?? WRONG_PASSWORD }) : right
  }
  const told = await realms.checkPassword(realm, user, password, visitor)
  if (!told.ok) return told
  if ('wrong' in told.value) return ok({ right: undefined, user, wrong: told.value.wrong })
  return ok({ right: noPasswordHere(told.value.user), user: told.value.user, wrong: WRONG_PASSWORD })
}

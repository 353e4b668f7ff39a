/** Makes a realm's user, and his groups, what the realm says of him at each sign-in; tells which user he is. */
import { admittedUser, changedGroups, userHere } from '@stead/core/access/realm-user.ts'
import type { AccessRecords } from '@stead/core/model/access.ts'
import { KEYS } from '@stead/core/model/keys.ts'
import type { Realm, RealmIdentity } from '@stead/core/model/realm.ts'
import type { Write } from '@stead/core/ports/store.ts'
import { ok, type Result } from '@stead/core/result.ts'
import { accessRecordsOf } from '../access/access-records.ts'
import type { RequestContext, Visitor } from '../http/backend.ts'
import { changeAccess, put } from './access-change.ts'
import type { Desk } from './desk.ts'

/** No sign-in waits for longer. */
const ADMIT_MS = 10_000

export function realmAdmission(desk: Desk) {
  return async (realm: Realm, identity: RealmIdentity, visitor: Visitor): Promise<Result<string>> => {
    const wallMs = desk.context.clock.wallMs()
    const writesFor = (records: AccessRecords): Result<{ user: string; writes: Write[] }> => {
      const user = userHere(realm, records.users.values(), identity)
      const known = records.users.get(user)
      const admitted = admittedUser(realm, known, identity, wallMs)
      if (!admitted.ok) return admitted
      const groups = changedGroups(realm, records.groups, user, identity.groups)
      const admission = admitted.value === known ? [] : [put(KEYS.user(user), admitted.value)]
      return ok({ user, writes: [...admission, ...groups.map((group) => put(KEYS.group(group.name), group))] })
    }
    // Mostly nothing is new, and nothing is written.
    const now = writesFor(accessRecordsOf(desk.state))
    if (!now.ok) return now
    let { user } = now.value
    if (now.value.writes.length === 0) return ok(user)
    const request: RequestContext = {
      principal: { kind: 'user', name: user },
      visitor,
      signal: AbortSignal.timeout(ADMIT_MS),
    }
    const made = await changeAccess(desk, request, (state) => {
      const admission = writesFor(accessRecordsOf(state))
      if (!admission.ok) return admission
      const { writes } = admission.value
      user = admission.value.user
      const same = { key: KEYS.realm(realm.name), modRevision: desk.state.realms.get(realm.name)?.revision ?? 0n }
      return ok({ kind: 'user.admit', subject: `user/${user}`, byRealm: true, compares: [same], writes })
    })
    return made.ok ? ok(user) : made
  }
}

/** What a realm's word about somebody makes of the cluster's users and groups. Pure. */
import { failure } from '../errors.ts'
import type { Group, User } from '../model/access.ts'
import type { Realm, RealmIdentity } from '../model/realm.ts'
import { fail, ok, type Result } from '../result.ts'

const NAME = /^[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?$/

/** What somebody is called here whom the realm calls so; fails where that could be somebody else's name. */
export function localPart(shown: string, domain?: string): Result<string> {
  const lower = shown.toLowerCase()
  const ending = domain === undefined ? '' : `@${domain.toLowerCase()}`
  const name = ending !== '' && lower.endsWith(ending) ? lower.slice(0, -ending.length) : lower
  if (NAME.test(name) && (ending === '' || name !== lower)) return ok(name)
  return fail(
    failure('forbidden', `The realm calls you \`${shown.slice(0, 100)}\`, which cannot be a name here`, {
      hint:
        ending === ''
          ? 'An administrator can take names from another claim or attribute, or, of OpenID, say which `--domain` to leave out'
          : `Names of this realm end in ${ending}; what stands before it has letters, digits, dots, dashes and underscores`,
    }),
  )
}

/** The user who he is here: names change, and the subject of a person does not. */
export function userHere(
  realm: Realm,
  users: Iterable<User>,
  { name, subject }: Pick<RealmIdentity, 'name' | 'subject'>,
): string {
  if (subject !== undefined)
    for (const user of users) if (user.realm === realm.name && user.subject === subject) return user.name
  return `${name}@${realm.name}`
}

/** His record from now on; the very same one when nothing is new. */
export function admittedUser(
  realm: Realm,
  known: User | undefined,
  identity: RealmIdentity,
  wallMs: number,
): Result<User> {
  const name = known?.name ?? `${identity.name}@${realm.name}`
  if (!known && !realm.makesUsers)
    return fail(
      failure('forbidden', `${realm.name} knows you, but this cluster has no user ${name}`, {
        hint: `Ask an administrator for \`stead user create ${name}\``,
      }),
    )
  // Names are given anew when somebody leaves.
  if (known?.subject !== undefined && identity.subject !== undefined && known.subject !== identity.subject)
    return fail(
      failure('forbidden', `${name} was somebody else in ${realm.name} before`, {
        hint: `If the name is yours now, an administrator deletes the old user first: \`stead user delete ${name}\``,
      }),
    )
  const { subject, fullName, email } = identity
  const user: User = {
    ...(known ?? { name, realm: realm.name, createdAt: wallMs }),
    ...(subject === undefined ? {} : { subject }),
    ...(fullName === undefined ? {} : { fullName }),
    ...(email === undefined ? {} : { email }),
  }
  const isSame = known?.subject === user.subject && known?.fullName === user.fullName && known?.email === user.email
  return ok(known && isSame ? known : user)
}

/** The groups whose members are others now. What no mapping names stays as it is. */
export function changedGroups(
  realm: Realm,
  groups: ReadonlyMap<string, Group>,
  user: string,
  theirs: readonly string[],
): Group[] {
  const fold = (name: string) => (realm.service.kind === 'ldap' ? name.toLowerCase() : name)
  const held = new Set(theirs.map(fold))
  const named = new Set(realm.groups.map(({ ours }) => ours))
  const in_ = new Set(realm.groups.filter((one) => held.has(fold(one.theirs))).map(({ ours }) => ours))
  return [...named].flatMap((name) => {
    const group = groups.get(name)
    if (!group || group.members.includes(user) === in_.has(name)) return []
    const others = group.members.filter((member) => member !== user)
    return [{ ...group, members: in_.has(name) ? [...others, user] : others }]
  })
}

/** Realms, and signing in by those that ask for the password on a page of their own. */
import type { RealmServiceChange, RealmView } from '@stead/api/endpoints/realms.ts'
import { realmSchema } from '@stead/api/realm-records.ts'
import { maskedBy } from '@stead/api/secrets.ts'
import { completeDirectory } from '@stead/core/access/directory-settings.ts'
import { changedGroups, userHere } from '@stead/core/access/realm-user.ts'
import { failure } from '@stead/core/errors.ts'
import type { Versioned } from '@stead/core/model/cluster.ts'
import { KEYS } from '@stead/core/model/keys.ts'
import type { Realm, RealmGroup, RealmIdentity } from '@stead/core/model/realm.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import type { AccessState } from '../access/access-records.ts'
import type { ApiBackend } from '../http/backend.ts'
import type { RealmSignIn } from '../identity/realms/realm-sign-in.ts'
import type { SignIn } from '../identity/sign-in.ts'
import { changeAccess, found, missing, put, remove } from './access-change.ts'
import type { Desk } from './desk.ts'

export type RealmAnswers = Pick<
  ApiBackend,
  `realm.${'list' | 'show' | 'add' | 'set' | 'remove' | 'test'}` | `auth.${'realms' | 'oidc-begin' | 'oidc-finish'}`
>

const LOCAL = 'local'

export function realmEndpoints(desk: Desk, realms: RealmSignIn, signIn: SignIn): RealmAnswers {
  const shown = (name: string): Result<RealmView> => {
    const realm = found(desk.state.realms, name, 'realm')
    return realm.ok ? ok(viewOf(desk.state, realm.value)) : realm
  }
  const records = () => [...desk.state.realms.values()].toSorted((a, b) => a.value.name.localeCompare(b.value.name))
  return {
    'auth.realms': async () =>
      desk.loaded(() => {
        const open = records().filter(({ value }) => !value.disabled)
        return ok({
          items: open.map(({ value: { name, title = name, service } }) => ({ name, title, kind: service.kind })),
        })
      }),
    'auth.oidc-begin': async ({ body }, { visitor }) => realms.begin(body.realm, body.form, visitor),
    'auth.oidc-finish': async ({ body }, { visitor }) => {
      const guest = await realms.finish(body.answer, body.sealed, visitor)
      return guest.ok ? signIn.withRealm(guest.value, visitor) : guest
    },
    'realm.list': async () => desk.loaded((state) => ok({ items: records().map((one) => viewOf(state, one)) })),
    'realm.show': async ({ params }) => desk.loaded(() => shown(params.realm)),
    'realm.add': async ({ body }, request) => {
      const { name, title, makesUsers, groups } = body
      const service = serviceOf(body.service)
      if (!service.ok) return service
      const made = await changeAccess(desk, request, (state) => {
        const problem = nameProblem(desk, name) ?? unknownGroup(state, groups)
        if (problem) return problem
        const realm: Realm = {
          ...{ name, groups, service: service.value, createdAt: desk.context.clock.wallMs() },
          ...(title === undefined ? {} : { title }),
          ...(makesUsers ? { makesUsers: true } : {}),
        }
        const compares = [{ key: KEYS.realm(name), modRevision: 0n }]
        return ok({ kind: 'realm.add', subject: `realm/${name}`, compares, writes: [put(KEYS.realm(name), realm)] })
      })
      return made.ok ? shown(name) : made
    },
    'realm.set': async ({ params, body }, request) => {
      const made = await changeAccess(desk, request, (state) => {
        const known = found(desk.state.realms, params.realm, 'realm')
        if (!known.ok) return known
        const { value: before, revision } = known.value
        const problem = unknownGroup(state, body.groups ?? [])
        if (problem) return problem
        const service = body.service === undefined ? ok(before.service) : changedService(before, body.service)
        if (!service.ok) return service
        const { title: oldTitle, makesUsers: made, disabled: was, ...rest } = before
        const title = body.title === undefined ? oldTitle : (body.title ?? undefined)
        const realm: Realm = {
          ...{ ...rest, service: service.value, groups: body.groups ?? before.groups },
          ...(title === undefined ? {} : { title }),
          ...((body.makesUsers ?? made) ? { makesUsers: true as const } : {}),
          ...((body.disabled ?? was) ? { disabled: true as const } : {}),
        }
        const key = KEYS.realm(realm.name)
        const compares = [{ key, modRevision: revision }]
        return ok({ kind: 'realm.set', subject: `realm/${realm.name}`, compares, writes: [put(key, realm)] })
      })
      return made.ok ? shown(params.realm) : made
    },
    'realm.remove': async ({ params: { realm: name } }, request) => {
      const made = await changeAccess(desk, request, (state) => {
        const known = found(desk.state.realms, name, 'realm')
        if (!known.ok) return known
        const users = usersOf(state, name)
        if (users > 0)
          return fail(
            failure('conflict', `${users} users are of the realm ${name}`, {
              hint: `Delete them first, or only end it: \`stead realm set ${name} --disable\``,
            }),
          )
        const compares = [{ key: KEYS.realm(name), modRevision: known.value.revision }]
        return ok({ kind: 'realm.remove', subject: `realm/${name}`, compares, writes: [remove(KEYS.realm(name))] })
      })
      return made.ok ? ok() : made
    },
    'realm.test': async ({ params, body }) => {
      const known = found(desk.state.realms, params.realm, 'realm')
      if (!known.ok) return known
      const realm = known.value.value
      const told = await realms.test(realm, body.user)
      if (!told.ok) return told
      const { answered, identity } = told.value
      if (body.user !== undefined && !identity)
        return fail(
          failure('not_found', `${realm.name} has nobody, or more than one, by the name ${body.user}`, {
            hint: `It answers at ${answered}; look at --base, --user-attribute and --user-filter: \`stead realm show ${realm.name}\``,
          }),
        )
      return ok({ realm: realm.name, answered, user: identity ? testedUser(desk, realm, identity) : null })
    },
  }
}

function testedUser(
  desk: Desk,
  realm: Realm,
  { name, subject, groups, fullName = '', email = '', barriers = [] }: RealmIdentity,
) {
  const users = [...desk.state.users.values()].map(({ value }) => value)
  const user = userHere(realm, users, { name, ...(subject === undefined ? {} : { subject }) })
  const empty = [...desk.state.groups].map(([key, { value }]) => [key, { ...value, members: [] }] as const)
  const ours = changedGroups(realm, new Map(empty), user, groups).map((group) => group.name)
  return {
    name: user,
    known: desk.state.users.has(user),
    fullName,
    email,
    barriers: [...barriers],
    theirs: [...groups],
    ours,
  }
}

function nameProblem(desk: Desk, name: string): Result<never> | undefined {
  if (name === LOCAL) return fail(failure('name_taken', "`local` is the cluster's own realm"))
  if (!desk.state.realms.has(name)) return undefined
  return fail(failure('name_taken', `There is a realm ${name} already`, { hint: 'See `stead realm list`' }))
}

function unknownGroup({ groups }: AccessState, mapped: readonly RealmGroup[]): Result<never> | undefined {
  const unknown = mapped.find(({ ours }) => !groups.has(ours))
  return unknown && missing('group', unknown.ours)
}

function usersOf({ users }: Pick<AccessState, 'users'>, realm: string): number {
  return [...users.values()].filter(({ value }) => value.realm === realm).length
}

/** Of another kind it would be another realm, with the names of this one's users. */
function changedService({ name, service }: Realm, change: RealmServiceChange): Result<Realm['service']> {
  if (change.kind !== service.kind)
    return fail(
      failure('conflict', `${name} is of the kind ${service.kind}, and stays so`, { hint: 'Add another realm' }),
    )
  return serviceOf({ ...service, ...definedOf(change) })
}

/** As the record has it: what is null or false is not there. */
function serviceOf(settings: object): Result<Realm['service']> {
  const kept = Object.entries(settings).filter(([, value]) => value !== null && value !== undefined && value !== false)
  const service = Object.fromEntries(kept) as unknown as Realm['service']
  return service.kind === 'ldap' ? completeDirectory(service) : ok(service)
}

function definedOf(change: object): object {
  return Object.fromEntries(Object.entries(change).filter(([, value]) => value !== undefined))
}

function viewOf(state: AccessState, { value: realm, revision }: Versioned<Realm>): RealmView {
  const masked = maskedBy(realmSchema, realm) as Realm
  return {
    ...{ name: realm.name, title: realm.title ?? '', groups: [...realm.groups], users: usersOf(state, realm.name) },
    ...{ makesUsers: realm.makesUsers ?? false, disabled: realm.disabled ?? false },
    service: masked.service as RealmView['service'],
    createdAt: new Date(realm.createdAt).toISOString(),
    revision: String(revision),
  }
}

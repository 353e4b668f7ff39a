/** Users, groups and roles. What they have is in `permission-endpoints.ts` and `token-endpoints.ts`. */
import type { GroupView, UserView } from '@stead/api/endpoints/access.ts'
import { roleOf } from '@stead/core/access/decide.ts'
import { BUILT_IN_ROLES, type Role } from '@stead/core/access/privilege.ts'
import { failure } from '@stead/core/errors.ts'
import type { Group, User } from '@stead/core/model/access.ts'
import type { Versioned } from '@stead/core/model/cluster.ts'
import { KEYS, SECRET_KEYS } from '@stead/core/model/keys.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import { accessRecordsOf, groupsOf, type AccessState } from '../access/access-records.ts'
import type { ApiBackend } from '../http/backend.ts'
import { Sessions } from '../identity/sessions.ts'
import { changeAccess, found, missing, permissionsOf, put, remove } from './access-change.ts'
import type { Desk } from './desk.ts'
import { endingAll } from './sign-in-endpoints.ts'
import { tokensGoing } from './token-endpoints.ts'

type Answers = Pick<
  ApiBackend,
  | `user.${'list' | 'show' | 'create' | 'set' | 'delete'}`
  | `group.${'list' | 'create' | 'set' | 'delete'}`
  | `role.${'list' | 'create' | 'delete'}`
>

export function accessEndpoints(desk: Desk): Answers {
  return { ...userEndpoints(desk), ...groupEndpoints(desk), ...roleEndpoints(desk) }
}

function userEndpoints(desk: Desk): Pick<Answers, `user.${string}` & keyof Answers> {
  const { store, clock } = desk.context
  const sessions = new Sessions(desk.context)
  const shown = (name: string): Result<UserView> => {
    const user = found(desk.state.users, name, 'user')
    return user.ok ? ok(userView(desk.state, user.value)) : user
  }
  return {
    'user.list': async () =>
      desk.loaded((state) => ok({ items: sorted([...state.users.values()].map((user) => userView(state, user))) })),
    'user.show': async ({ params }) => desk.loaded(() => shown(params.user)),
    'user.create': async ({ body }, request) => {
      const { name, expiresAt, fullName, email } = body
      const made = await changeAccess(desk, request, ({ users }) => {
        if (users.has(name)) return taken('user', name)
        const [, realm = 'local'] = name.split('@')
        if (realm !== 'local' && !desk.state.realms.has(realm)) return missing('realm', realm)
        const user: User = {
          ...{ name, realm, createdAt: clock.wallMs() },
          ...(fullName ? { fullName } : {}),
          ...(email ? { email } : {}),
          ...(expiresAt ? { expiresAt: Date.parse(expiresAt) } : {}),
        }
        return ok({ kind: 'user.create', subject: `user/${name}`, writes: [put(KEYS.user(name), user)] })
      })
      return made.ok ? shown(name) : made
    },
    'user.set': async ({ params, body }, request) => {
      const made = await changeAccess(desk, request, ({ users }) => {
        const known = found(users, params.user, 'user')
        if (!known.ok) return known
        const user = changedUser(known.value.value, body)
        return ok({ kind: 'user.set', subject: `user/${user.name}`, writes: [put(KEYS.user(user.name), user)] })
      })
      return made.ok ? shown(params.user) : made
    },
    'user.delete': async ({ params: { user: name } }, request) => {
      const made = await changeAccess(desk, request, async (state) => {
        const known = found(state.users, name, 'user')
        if (!known.ok) return known
        const tokens = await tokensGoing(store, state, name)
        if (!tokens.ok) return tokens
        const left = [...state.groups.values()].filter(({ value }) => value.members.includes(name))
        const writes = [
          remove(KEYS.user(name)),
          ...tokens.value,
          ...endingAll(sessions, name),
          remove(SECRET_KEYS.password(name)),
          remove(SECRET_KEYS.secondFactors(name)),
          ...permissionsOf(state, 'user', [name]),
          ...left.map(({ value }) =>
            put(KEYS.group(value.name), { ...value, members: value.members.filter((member) => member !== name) }),
          ),
        ]
        return ok({ kind: 'user.delete', subject: `user/${name}`, writes })
      })
      return made.ok ? ok() : made
    },
  }
}

interface UserChange {
  readonly fullName?: string | undefined
  readonly email?: string | null | undefined
  readonly disabled?: boolean | undefined
  readonly expiresAt?: string | null | undefined
}

function changedUser(user: User, { fullName, email, disabled, expiresAt }: UserChange): User {
  const { fullName: oldName, email: oldEmail, disabled: wasDisabled, expiresAt: oldEnd, ...rest } = user
  const name = fullName ?? oldName
  const mail = email === undefined ? oldEmail : email
  const end = expiresAt === undefined ? oldEnd : expiresAt === null ? undefined : Date.parse(expiresAt)
  return {
    ...rest,
    ...(name ? { fullName: name } : {}),
    ...(mail ? { email: mail } : {}),
    ...((disabled ?? wasDisabled) ? { disabled: true as const } : {}),
    ...(end === undefined ? {} : { expiresAt: end }),
  }
}

function groupEndpoints(desk: Desk): Pick<Answers, `group.${string}` & keyof Answers> {
  const shown = (name: string): Result<GroupView> => {
    const group = found(desk.state.groups, name, 'group')
    return group.ok ? ok(groupView(group.value)) : group
  }
  return {
    'group.list': async () =>
      desk.loaded(({ groups }) => ok({ items: sorted([...groups.values()].map((group) => groupView(group))) })),
    'group.create': async ({ body: { name, members, notes, demandsSecondFactor } }, request) => {
      const made = await changeAccess(desk, request, ({ users, groups }) => {
        if (groups.has(name)) return taken('group', name)
        const unknown = firstUnknown(users, members)
        if (unknown) return unknown
        const group: Group = {
          ...{ name, members, ...(notes ? { notes } : {}) },
          ...(demandsSecondFactor ? { demandsSecondFactor: true as const } : {}),
        }
        return ok({ kind: 'group.create', subject: `group/${name}`, writes: [put(KEYS.group(name), group)] })
      })
      return made.ok ? shown(name) : made
    },
    'group.set': async ({ params: { group: name }, body }, request) => {
      const made = await changeAccess(desk, request, ({ users, groups }) => {
        const known = found(groups, name, 'group')
        if (!known.ok) return known
        const unknown = firstUnknown(users, [...body.add, ...body.remove])
        if (unknown) return unknown
        const { notes: oldNotes, demandsSecondFactor: demanded, ...group } = known.value.value
        const stay = group.members.filter((member) => !body.remove.includes(member))
        const notes = body.notes ?? oldNotes
        const after = { ...group, members: [...new Set([...stay, ...body.add])], ...(notes ? { notes } : {}) }
        const demands = body.demandsSecondFactor ?? demanded
        const written = { ...after, ...(demands ? { demandsSecondFactor: true } : {}) }
        return ok({ kind: 'group.set', subject: `group/${name}`, writes: [put(KEYS.group(name), written)] })
      })
      return made.ok ? shown(name) : made
    },
    'group.delete': async ({ params: { group: name } }, request) => {
      const made = await changeAccess(desk, request, (state) => {
        const known = found(state.groups, name, 'group')
        if (!known.ok) return known
        const naming = [...desk.state.projects.values()].find(({ value }) => value.people?.includes(name))
        if (naming)
          return fail(
            failure('conflict', `The members of ${name} are the people of the project ${naming.value.name}`, {
              hint: `Name others first: \`stead project set ${naming.value.name} --people GROUP\``,
            }),
          )
        const writes = [remove(KEYS.group(name)), ...permissionsOf(state, 'group', [name])]
        return ok({ kind: 'group.delete', subject: `group/${name}`, writes })
      })
      return made.ok ? ok() : made
    },
  }
}

function roleEndpoints(desk: Desk): Pick<Answers, `role.${string}` & keyof Answers> {
  const view = ({ name, privileges }: Role, revision?: bigint) => ({
    ...{ name, privileges: [...privileges], builtIn: revision === undefined },
    revision: String(revision ?? 0n),
  })
  return {
    'role.list': async () =>
      desk.loaded(({ roles }) =>
        ok({
          items: [
            ...BUILT_IN_ROLES.map((role) => view(role)),
            ...sorted([...roles.values()].map(({ value, revision }) => view(value, revision))),
          ],
        }),
      ),
    'role.create': async ({ body }, request) => {
      const made = await changeAccess(desk, request, (state) => {
        if (roleOf(accessRecordsOf(state), body.name)) return taken('role', body.name)
        const role: Role = { name: body.name, privileges: [...new Set(body.privileges)] }
        return ok({ kind: 'role.create', subject: `role/${role.name}`, writes: [put(KEYS.role(role.name), role)] })
      })
      if (!made.ok) return made
      const role = found(desk.state.roles, body.name, 'role')
      return role.ok ? ok(view(role.value.value, role.value.revision)) : role
    },
    'role.delete': async ({ params: { role: name } }, request) => {
      const made = await changeAccess(desk, request, (state) => {
        if (BUILT_IN_ROLES.some((role) => role.name === name))
          return fail(failure('conflict', `The role ${name} comes with Stead and cannot be deleted`))
        const known = found(state.roles, name, 'role')
        if (!known.ok) return known
        const users = [...state.permissions.values()].filter(({ value }) => value.role === name)
        if (users.length > 0)
          return fail(
            failure('conflict', `${users.length} permissions give the role ${name}`, {
              hint: 'Revoke them first; see `stead permission list`',
            }),
          )
        return ok({ kind: 'role.delete', subject: `role/${name}`, writes: [remove(KEYS.role(name))] })
      })
      return made.ok ? ok() : made
    },
  }
}

function userView(state: AccessState, { value: user, revision }: Versioned<User>): UserView {
  return {
    name: user.name,
    realm: user.realm,
    fullName: user.fullName ?? '',
    email: user.email ?? '',
    disabled: user.disabled ?? false,
    expiresAt: iso(user.expiresAt),
    groups: groupsOf(state, user.name),
    tokens: [...state.tokens.values()].filter(({ value }) => value.user === user.name).length,
    createdAt: new Date(user.createdAt).toISOString(),
    revision: String(revision),
  }
}

function groupView({ value: group, revision }: Versioned<Group>): GroupView {
  const { name, members, notes = '', demandsSecondFactor = false } = group
  return { name, members: [...members], notes, demandsSecondFactor, revision: String(revision) }
}

function iso(wallMs: number | undefined): string | null {
  return wallMs === undefined ? null : new Date(wallMs).toISOString()
}

function sorted<T extends { readonly name: string }>(items: T[]): T[] {
  return items.toSorted((a, b) => a.name.localeCompare(b.name))
}

function firstUnknown(users: AccessState['users'], names: readonly string[]): Result<never> | undefined {
  const unknown = names.find((name) => !users.has(name))
  return unknown === undefined ? undefined : missing('user', unknown)
}

function taken(noun: string, name: string): Result<never> {
  return fail(failure('name_taken', `There is a ${noun} ${name} already`, { hint: `See \`stead ${noun} list\`` }))
}

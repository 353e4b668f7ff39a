/** Who has which role on what, and what follows from it. */
import type { PermissionView } from '@stead/api/endpoints/access.ts'
import { decide, roleOf } from '@stead/core/access/decide.ts'
import { ownPath, readPath, shownPath } from '@stead/core/access/object-path.ts'
import { PRIVILEGES, type Privilege } from '@stead/core/access/privilege.ts'
import { failure } from '@stead/core/errors.ts'
import { principalName, tokenKey, type AccessPermission, type Principal } from '@stead/core/model/access.ts'
import type { ClusterState, Versioned } from '@stead/core/model/cluster.ts'
import { KEYS } from '@stead/core/model/keys.ts'
import { fail, ok } from '@stead/core/result.ts'
import { accessRecordsOf, groupsOf, type AccessState } from '../access/access-records.ts'
import type { ApiBackend } from '../http/backend.ts'
import { forgeryToken } from '../identity/sessions.ts'
import { changeAccess, found, missing, put, remove } from './access-change.ts'
import type { Desk } from './desk.ts'

type Answers = Pick<
  ApiBackend,
  `permission.${'list' | 'grant' | 'revoke'}` | `auth.${'whoami' | 'privileges' | 'explain'}`
>

export function permissionEndpoints(desk: Desk): Answers {
  return { ...grantEndpoints(desk), ...askEndpoints(desk) }
}

function grantEndpoints(desk: Desk): Pick<ApiBackend, `permission.${'list' | 'grant' | 'revoke'}`> {
  return {
    'permission.list': async () =>
      desk.loaded((state) =>
        ok({ items: [...state.permissions.values()].map((permission) => permissionView(state, permission)) }),
      ),
    'permission.grant': async ({ body: { subject, role, propagate, path: written } }, request) => {
      const id = desk.context.random.uuid()
      const path = desk.loaded((state) => readPath(state, written))
      if (!path.ok) return path
      const made = await changeAccess(desk, request, (state) => {
        const known = found(state[`${subject.kind}s`] as AccessState['users'], subject.name, subject.kind)
        if (!known.ok) return known
        if (!roleOf(accessRecordsOf(state), role)) return missing('role', role)
        const permission: AccessPermission = { id, subject, role, path: ownPath(path.value), propagate }
        const same = [...state.permissions.values()].find(
          ({ value }) =>
            value.delegated === undefined &&
            ownPath(value.path) === permission.path &&
            value.role === role &&
            value.subject.kind === subject.kind &&
            value.subject.name === subject.name,
        )
        if (same)
          return fail(
            failure('name_taken', `${subject.name} has the role ${role} on ${written} already`, {
              hint: `To change whether it propagates, revoke it first: \`stead permission revoke ${same.value.id}\``,
            }),
          )
        return ok({
          kind: 'permission.grant',
          subject: `permission/${id}`,
          writes: [put(KEYS.permission(id), permission)],
        })
      })
      if (!made.ok) return made
      // Of a request that is repeated: what the first one has made.
      const permission = desk.state.permissions.get(made.value.subject.slice('permission/'.length))
      return permission ? ok(permissionView(desk.state, permission)) : missing('permission', id)
    },
    'permission.revoke': async ({ params: { permission: id } }, request) => {
      const made = await changeAccess(desk, request, (state) => {
        const known = found(state.permissions, id, 'permission')
        if (!known.ok) return known
        return ok({ kind: 'permission.revoke', subject: `permission/${id}`, writes: [remove(KEYS.permission(id))] })
      })
      return made.ok ? ok() : made
    },
  }
}

function askEndpoints(desk: Desk): Pick<ApiBackend, `auth.${'whoami' | 'privileges' | 'explain'}`> {
  return {
    'auth.whoami': async (_input, { principal, visitor }) => {
      if (principal.kind === 'nobody') return fail(failure('unauthorized', 'Nobody has signed in'))
      const user = userOf(principal)
      const session = principal.kind === 'user' ? desk.state.sessions.get(principal.session ?? '')?.value : undefined
      const token = principal.kind === 'token' ? desk.state.tokens.get(tokenKey(principal))?.value : undefined
      return ok({
        kind: principal.kind,
        name: principalName(principal),
        groups: user === undefined ? [] : groupsOf(desk.state, user),
        expiresAt: (session ?? token)?.expiresAt ? new Date((session ?? token)!.expiresAt!).toISOString() : null,
        must: session?.must ?? null,
        forgeryToken:
          session?.form === 'cookie' && visitor.session !== undefined && visitor.isElsewhere === false
            ? forgeryToken(visitor.session)
            : null,
      })
    },
    'auth.privileges': async ({ query }, { principal }) =>
      desk.loaded((state) => {
        const path = readPath(state, query.path)
        // What does not exist and what may not be seen look alike.
        if (!path.ok) return ok({ path: query.path, privileges: [] })
        const records = accessRecordsOf(state)
        const now = desk.context.clock.wallMs()
        const isAllowed = (privilege: Privilege) => decide(records, principal, privilege, path.value, now).allowed
        return ok({ path: query.path, privileges: PRIVILEGES.filter(isAllowed) })
      }),
    'auth.explain': async ({ query }) =>
      desk.loaded((state) => {
        const principal = principalNamed(query.principal)
        const known =
          principal.kind === 'token'
            ? found(state.tokens, query.principal, 'token')
            : found(state.users, query.principal, 'user')
        if (!known.ok) return known
        const path = readPath(state, query.path)
        if (!path.ok) return path
        const now = desk.context.clock.wallMs()
        const { allowed, because, by } = decide(accessRecordsOf(state), principal, query.privilege, path.value, now)
        return ok({
          principal: query.principal,
          privilege: query.privilege,
          path: shownPath(state, path.value),
          allowed,
          because: because.replace(by?.path ?? path.value, shownPath(state, by?.path ?? path.value)),
          permission: by ? { ...by, subject: { ...by.subject }, path: shownPath(state, by.path) } : null,
          groups: groupsOf(state, userOf(principal) ?? ''),
        })
      }),
  }
}

function principalNamed(name: string): Extract<Principal, { kind: 'user' | 'token' }> {
  const [user = '', token] = name.split('!')
  return token === undefined ? { kind: 'user', name: user } : { kind: 'token', user, name: token }
}

function userOf(principal: Principal): string | undefined {
  if (principal.kind === 'root' || principal.kind === 'nobody') return undefined
  return principal.kind === 'user' ? principal.name : principal.user
}

export function permissionView(
  state: Pick<ClusterState, 'guests'>,
  { value, revision }: Versioned<AccessPermission>,
): PermissionView {
  const path = shownPath(state, value.path)
  return { ...value, subject: { ...value.subject }, path, revision: String(revision) }
}

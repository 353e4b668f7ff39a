/** What those who administer a project give to others within it. The rules are `core/access/delegation.ts`. */
import { roleOf } from '@stead/core/access/decide.ts'
import { nameableBy, rolesToGive, spokenOfAmong, whyNotGiven, type Giver } from '@stead/core/access/delegation.ts'
import { guestPath, imagePath, ownPath, projectPath, shownPath } from '@stead/core/access/object-path.ts'
import { failure } from '@stead/core/errors.ts'
import { principalName, type AccessPermission, type Principal } from '@stead/core/model/access.ts'
import type { ClusterState } from '@stead/core/model/cluster.ts'
import { KEYS } from '@stead/core/model/keys.ts'
import { projectExists, projectOf } from '@stead/core/model/project.ts'
import { guestByName } from '@stead/core/model/records.ts'
import type { GuestId } from '@stead/core/model/ids.ts'
import type { Compare } from '@stead/core/ports/store.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import { accessRecordsOf, type AccessState } from '../access/access-records.ts'
import type { ApiBackend } from '../http/backend.ts'
import { changeAccess, missing, put, remove } from './access-change.ts'
import type { Desk } from './desk.ts'
import { permissionView } from './permission-endpoints.ts'

type Answers = Pick<ApiBackend, `delegation.${'list' | 'grantable' | 'grant' | 'revoke'}`>
type Subject = AccessPermission['subject'] & { readonly kind: 'user' | 'group' }

export function delegationEndpoints(desk: Desk): Answers {
  const giverOf = (access: AccessState, principal: Principal): Giver => ({
    ...{ records: accessRecordsOf(access), principal, wallMs: desk.context.clock.wallMs() },
    shown: (path) => shownPath(desk.state, path),
  })
  return {
    'delegation.list': async ({ params: { project } }) =>
      desk.loaded((state) => {
        if (!projectExists(state, project)) return missing('project', project)
        const inProject = new Set([projectPath(project), ...pathsIn(state, project)].map(ownPath))
        const items = [...state.permissions.values()].filter(
          ({ value: { path, delegated } }) =>
            inProject.has(ownPath(path)) && (delegated === undefined || delegated.project === project),
        )
        return ok({ items: items.map((permission) => permissionView(state, permission)) })
      }),
    'delegation.grantable': async ({ params: { project }, query: { guest } }, { principal }) =>
      desk.loaded((state) => {
        const place = placeOf(state, project, guest)
        if (!place.ok) return place
        const giver = giverOf(state, principal)
        const names = nameableBy(giver, state.projects.get(project)?.value.people ?? [])
        const roles = rolesToGive(giver, { path: place.value.path, spokenOf: spokenOf(state, giver, project) })
        const users = [...names.user].map((name) => {
          const fullName = state.users.get(name)?.value.fullName ?? ''
          return { kind: 'user' as const, name, fullName }
        })
        const groups = [...names.group].map((name) => ({ kind: 'group' as const, name, fullName: '' }))
        return ok({
          subjects: [...users, ...groups],
          roles: roles.map(({ name, privileges }) => ({ name, privileges: [...privileges] })),
        })
      }),
    'delegation.grant': async ({ params: { project }, body: { subject, role, guest } }, request) => {
      const id = desk.context.random.uuid()
      const made = await changeAccess(desk, request, (access) => {
        const { state } = desk
        const place = placeOf(state, project, guest)
        if (!place.ok) return place
        const giver = giverOf(access, request.principal)
        const known = named(giver, state, project, subject)
        if (!known.ok) return known
        if (!roleOf(giver.records, role)) return missing('role', role)
        const { path, compares } = place.value
        const refusal = whyNotGiven(giver, { role, path, spokenOf: spokenOf(state, giver, project) })
        if (refusal) return fail(refusal)
        const delegated = { project, by: principalName(request.principal) }
        const permission: AccessPermission = { id, subject, role, path: ownPath(path), propagate: true, delegated }
        const same = giver.records.permissions.find((other) => isSame(other, permission))
        if (same)
          return fail(
            failure('name_taken', `${subject.name} was given the role ${role} on ${giver.shown(path)} already`, {
              hint: `By ${same.delegated?.by ?? 'an administrator'}; see \`stead project permissions ${project}\``,
            }),
          )
        const writes = [put(KEYS.permission(id), permission)]
        return ok({ kind: 'delegation.grant', subject: `permission/${id}`, compares, writes })
      })
      if (!made.ok) return made
      // Of a request that is repeated: what the first one has made.
      const permission = desk.state.permissions.get(made.value.subject.slice('permission/'.length))
      return permission ? ok(permissionView(desk.state, permission)) : missing('permission', id)
    },
    'delegation.revoke': async ({ params: { project, permission: id } }, request) => {
      const made = await changeAccess(desk, request, (access) => {
        const known = access.permissions.get(id)?.value
        if (!known || !isOf(desk.state, known, project)) return missing('permission', id)
        if (known.delegated?.project !== project)
          return fail(
            failure('forbidden', `An administrator has given the role ${known.role} to ${known.subject.name}`, {
              hint: 'Only an administrator can take it back: `stead permission revoke`',
            }),
          )
        const giver = giverOf(access, request.principal)
        const path = known.path === projectPath(project) ? known.path : `${projectPath(project)}${known.path}`
        const refusal = whyNotGiven(giver, { role: known.role, path, spokenOf: spokenOf(desk.state, giver, project) })
        if (refusal) return fail(refusal)
        return ok({ kind: 'delegation.revoke', subject: `permission/${id}`, writes: [remove(KEYS.permission(id))] })
      })
      return made.ok ? ok() : made
    },
  }
}

/** Of its guests and images. */
function pathsIn(state: Pick<ClusterState, 'guests' | 'images'>, project: string): string[] {
  const guests = [...state.guests.values()].filter(({ value }) => projectOf(value) === project)
  const images = [...state.images.values()].filter(({ value }) => value.project === project)
  return [...guests.map(({ value }) => guestPath(value)), ...images.map(({ value }) => imagePath(state, value.name))]
}

function spokenOf(state: ClusterState, { records }: Giver, project: string): string[] {
  return spokenOfAmong(records.permissions, pathsIn(state, project))
}

/** Where somebody is to have something; the compares say that it is still there. */
function placeOf(
  state: ClusterState,
  project: string,
  guest: string | undefined,
): Result<{ readonly path: string; readonly compares: readonly Compare[] }> {
  if (!projectExists(state, project)) return missing('project', project)
  const unchanged = { key: KEYS.project(project), modRevision: state.projects.get(project)?.revision ?? 0n }
  if (guest === undefined) return ok({ path: projectPath(project), compares: [unchanged] })
  const known = state.guests.get(guest as GuestId) ?? guestByName(state, guest)
  // One of another project does not exist for who asks.
  if (!known || projectOf(known.value) !== project)
    return fail(failure('not_found', `There is no guest ${guest} in ${project}`, { hint: 'See `stead vm list`' }))
  const { value, revision } = known
  return ok({ path: guestPath(value), compares: [unchanged, { key: KEYS.guest(value.id), modRevision: revision }] })
}

/** Who is not known, and who must not be known, look alike. */
function named(giver: Giver, { projects }: ClusterState, project: string, { kind, name }: Subject): Result<void> {
  if (nameableBy(giver, projects.get(project)?.value.people ?? [])[kind].has(name)) return ok()
  return fail(
    failure('not_found', `There is no ${kind} ${name} whom you could name`, {
      hint: `See \`stead project grantable ${project}\`; an administrator adds people: \`stead project set ${project} --people GROUP\``,
    }),
  )
}

function isOf(state: ClusterState, { path, delegated }: AccessPermission, project: string): boolean {
  if (delegated) return delegated.project === project
  return path === projectPath(project) || pathsIn(state, project).some((each) => ownPath(each) === ownPath(path))
}

function isSame(one: AccessPermission, other: AccessPermission): boolean {
  const keyOf = ({ subject, role, path, delegated }: AccessPermission) =>
    [subject.kind, subject.name, role, ownPath(path), delegated?.project].join(' ')
  return keyOf(one) === keyOf(other)
}

/**
 * Whether a principal may do something to an object, and why. Pure; the only place that knows how permissions add up.
 * docs/internals/access.md says it in words.
 */
import {
  tokenKey,
  type AccessPermission,
  type AccessRecords,
  type Principal,
  type SubjectKind,
} from '../model/access.ts'
import { ownPath } from './object-path.ts'
import { BUILT_IN_ROLES, NO_ACCESS, type Privilege, type Role } from './privilege.ts'

export interface AccessDecision {
  readonly allowed: boolean
  /** One sentence, for who asks why. */
  readonly because: string
  /** What decided; absent where nothing was said, or where nothing needed to be. */
  readonly by?: AccessPermission
}

/** `/projects/p/guests/g` -> `/projects/p` -> `/`: each object is a kind and a name, but for `/access`. */
export function levelAbove(path: string): string | undefined {
  if (path === '/') return undefined
  const end = path.lastIndexOf('/', path.lastIndexOf('/') - 1)
  return end > 0 ? path.slice(0, end) : '/'
}

/** `wallMs`: users and tokens expire. */
export function decide(
  records: AccessRecords,
  principal: Principal,
  privilege: Privilege,
  path: string,
  wallMs: number,
): AccessDecision {
  return decider(records, principal, privilege, wallMs)(path)
}

/** `decide` for many paths: what the objects have in common, as their project, is looked at once. */
export function decider(
  records: AccessRecords,
  principal: Principal,
  privilege: Privilege,
  wallMs: number,
): (path: string) => AccessDecision {
  if (principal.kind === 'root') return () => ({ allowed: true, because: `it is root of ${principal.host}` })
  const lapsed = lapsedBecause(records, principal, wallMs)
  if (lapsed !== undefined || principal.kind === 'nobody') return () => refused(lapsed ?? NOBODY)
  const userName = principal.kind === 'user' ? principal.name : principal.user
  const ofUser = walker(records, privilege, [
    { kind: 'user', names: new Set([userName]) },
    { kind: 'group', names: indexOf(records).groupsOf.get(userName) ?? NONE },
  ])
  if (principal.kind === 'user' || !records.tokens.get(tokenKey(principal))?.separated) return ofUser
  const ofToken = walker(records, privilege, [{ kind: 'token', names: new Set([tokenKey(principal)]) }])
  return (path) => {
    const decision = ofUser(path)
    return decision.allowed ? ofToken(path) : decision
  }
}

/** Why it counts as nobody: gone, disabled or expired; undefined while it is somebody. */
export function lapsedBecause(
  records: Pick<AccessRecords, 'users' | 'tokens'>,
  principal: Principal,
  wallMs: number,
): string | undefined {
  if (principal.kind === 'root') return undefined
  if (principal.kind === 'nobody') return NOBODY
  const userName = principal.kind === 'user' ? principal.name : principal.user
  const user = records.users.get(userName)
  if (!user) return `there is no user ${userName}`
  if (user.disabled) return `${userName} is disabled`
  if (user.expiresAt !== undefined && user.expiresAt <= wallMs) return `${userName} has expired`
  if (principal.kind === 'user') return undefined
  const token = records.tokens.get(tokenKey(principal))
  if (!token) return `there is no token ${tokenKey(principal)}`
  return token.expiresAt !== undefined && token.expiresAt <= wallMs ? `${tokenKey(token)} has expired` : undefined
}

const NOBODY = 'nobody has signed in'

interface AccessIndex {
  /** By the object's own path. */
  readonly permissionsOn: ReadonlyMap<string, readonly AccessPermission[]>
  readonly groupsOf: ReadonlyMap<string, ReadonlySet<string>>
}

const NONE: ReadonlySet<string> = new Set()
const indices = new WeakMap<AccessRecords, AccessIndex>()

/** Made once for the same records: a list asks for each of its items. */
function indexOf(records: AccessRecords): AccessIndex {
  const known = indices.get(records)
  if (known) return known
  const permissionsOn = new Map<string, AccessPermission[]>()
  for (const permission of records.permissions) {
    const path = ownPath(permission.path)
    permissionsOn.set(path, [...(permissionsOn.get(path) ?? []), permission])
  }
  const groupsOf = new Map<string, Set<string>>()
  for (const { name, members } of records.groups.values())
    for (const member of members) groupsOf.set(member, (groupsOf.get(member) ?? new Set()).add(name))
  const index = { permissionsOn, groupsOf }
  indices.set(records, index)
  return index
}

interface Asker {
  readonly kind: SubjectKind
  readonly names: ReadonlySet<string>
}

/** From the object up; on each level who is named first is asked first. */
function walker(
  records: AccessRecords,
  privilege: Privilege,
  askers: readonly Asker[],
): (path: string) => AccessDecision {
  const { permissionsOn } = indexOf(records)
  /** By the level that holds an object. */
  const inherited = new Map<string, AccessDecision | undefined>()
  const at = (level: string, isOwn: boolean): AccessDecision | undefined => {
    const there = permissionsOn.get(ownPath(level))
    if (there)
      for (const { kind, names } of askers) {
        const said = there.filter(
          ({ subject, propagate }) => subject.kind === kind && names.has(subject.name) && (propagate || isOwn),
        )
        if (said.length > 0) return judge(records, privilege, said)
      }
    const above = levelAbove(level)
    if (above === undefined) return undefined
    if (inherited.has(above)) return inherited.get(above)
    const decision = at(above, false)
    inherited.set(above, decision)
    return decision
  }
  return (path) => at(path, true) ?? refused(`nothing is said of ${path} or of what it lies in`)
}

function judge(records: AccessRecords, privilege: Privilege, said: readonly AccessPermission[]): AccessDecision {
  const ban = said.find(({ role }) => role === NO_ACCESS)
  if (ban) return { allowed: false, because: `${sentence(ban)}`, by: ban }
  const grant = said.find(({ role }) => roleOf(records, role)?.privileges.includes(privilege))
  if (grant) return { allowed: true, because: sentence(grant), by: grant }
  const first = said[0]!
  return { allowed: false, because: `${sentence(first)}, which does not include ${privilege}`, by: first }
}

export function roleOf(records: Pick<AccessRecords, 'roles'>, name: string): Role | undefined {
  return BUILT_IN_ROLES.find((role) => role.name === name) ?? records.roles.get(name)
}

function sentence({ subject, role, path }: AccessPermission): string {
  return `the ${subject.kind} ${subject.name} has the role ${role} on ${path}`
}

function refused(because: string): AccessDecision {
  return { allowed: false, because }
}

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
import { ownPath, projectInPath, projectPath } from './object-path.ts'
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
  const askers: readonly Asker[] = [
    { kind: 'user', names: new Set([userName]) },
    { kind: 'group', names: indexOf(records).groupsOf.get(userName) ?? NONE },
  ]
  const ofUser = withDelegated(records, privilege, askers, walker(records, privilege, askers))
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
  /** By the object's own path; what was delegated is not among them. */
  readonly permissionsOn: ReadonlyMap<string, readonly AccessPermission[]>
  /** By the project. */
  readonly delegatedIn: ReadonlyMap<string, readonly AccessPermission[]>
  readonly groupsOf: ReadonlyMap<string, ReadonlySet<string>>
}

const NONE: ReadonlySet<string> = new Set()
const indices = new WeakMap<AccessRecords, AccessIndex>()

/** Made once for the same records: a list asks for each of its items. */
function indexOf(records: AccessRecords): AccessIndex {
  const known = indices.get(records)
  if (known) return known
  const permissionsOn = new Map<string, AccessPermission[]>()
  const delegatedIn = new Map<string, AccessPermission[]>()
  const add = (map: Map<string, AccessPermission[]>, key: string, permission: AccessPermission) => {
    const known = map.get(key)
    if (known) known.push(permission)
    else map.set(key, [permission])
  }
  for (const permission of records.permissions)
    if (permission.delegated) add(delegatedIn, permission.delegated.project, permission)
    else add(permissionsOn, ownPath(permission.path), permission)
  const groupsOf = new Map<string, Set<string>>()
  for (const { name, members } of records.groups.values())
    for (const member of members) groupsOf.set(member, (groupsOf.get(member) ?? new Set()).add(name))
  const index = { permissionsOn, delegatedIn, groupsOf }
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

/**
 * What was delegated within a project only adds: it takes nothing from anybody, and where an administrator has said
 * NoAccess it is good for nothing. So whoever may delegate keeps nobody out, and taking back gives nobody more.
 */
function withDelegated(
  records: AccessRecords,
  privilege: Privilege,
  askers: readonly Asker[],
  decideAlone: (path: string) => AccessDecision,
): (path: string) => AccessDecision {
  const { delegatedIn } = indexOf(records)
  if (delegatedIn.size === 0) return decideAlone
  const includes = ({ role }: AccessPermission) => roleOf(records, role)?.privileges.includes(privilege) === true
  /** By project, and there by own path: what is said of who asks; what includes the privilege before what does not. */
  const said = new Map<string, ReadonlyMap<string, AccessPermission>>()
  const saidIn = (project: string) => {
    const known = said.get(project)
    if (known) return known
    const found = new Map<string, AccessPermission>()
    for (const permission of delegatedIn.get(project) ?? []) {
      const { kind, name } = permission.subject
      if (!askers.some((asker) => asker.kind === kind && asker.names.has(name))) continue
      const before = found.get(permission.path)
      if (!before || !includes(before)) found.set(permission.path, permission)
    }
    said.set(project, found)
    return found
  }
  return (path) => {
    const alone = decideAlone(path)
    const project = alone.allowed || alone.by?.role === NO_ACCESS ? undefined : projectInPath(path)
    if (project === undefined) return alone
    const there = saidIn(project)
    const [first, second] = [there.get(ownPath(path)), there.get(projectPath(project))]
    const grant = [first, second].find((permission) => permission && includes(permission))
    if (grant) return { allowed: true, because: sentence(grant), by: grant }
    const lacking = alone.by ? undefined : (first ?? second)
    return lacking ? lacks(lacking, privilege) : alone
  }
}

function judge(records: AccessRecords, privilege: Privilege, said: readonly AccessPermission[]): AccessDecision {
  const ban = said.find(({ role }) => role === NO_ACCESS)
  if (ban) return { allowed: false, because: `${sentence(ban)}`, by: ban }
  const grant = said.find(({ role }) => roleOf(records, role)?.privileges.includes(privilege))
  if (grant) return { allowed: true, because: sentence(grant), by: grant }
  return lacks(said[0]!, privilege)
}

function lacks(permission: AccessPermission, privilege: Privilege): AccessDecision {
  return { allowed: false, because: `${sentence(permission)}, which does not include ${privilege}`, by: permission }
}

export function roleOf(records: Pick<AccessRecords, 'roles'>, name: string): Role | undefined {
  return BUILT_IN_ROLES.find((role) => role.name === name) ?? records.roles.get(name)
}

function sentence({ subject, role, path, delegated }: AccessPermission): string {
  const given = delegated ? ` (given by ${delegated.by})` : ''
  return `the ${subject.kind} ${subject.name} has the role ${role} on ${path}${given}`
}

function refused(because: string): AccessDecision {
  return { allowed: false, because }
}

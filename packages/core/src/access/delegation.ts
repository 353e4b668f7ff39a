/**
 * What somebody who is no administrator may give to others within a project: never more than he has there himself, and to
 * nobody of whom he must not know. Pure. docs/internals/access.md.
 */
import { failure, type Failure } from '../errors.ts'
import { principalName, type AccessPermission, type AccessRecords, type Principal } from '../model/access.ts'
import { decider, levelAbove, roleOf } from './decide.ts'
import { ACCESS_PATH, ownPath, projectInPath, projectPath } from './object-path.ts'
import { BUILT_IN_ROLES, NO_ACCESS, type Role } from './privilege.ts'

export interface Giver {
  readonly records: AccessRecords
  readonly principal: Principal
  readonly wallMs: number
  /** A path as people know it. */
  readonly shown: (path: string) => string
}

export interface Gift {
  readonly role: string
  /** Of the project, or of a guest in it. */
  readonly path: string
  /**
   * Of the objects in the project of which permissions speak: there the giver may have less than in the project. What
   * comes later has nothing said of it.
   */
  readonly spokenOf: readonly string[]
}

/** Why it may not be given, nor taken back; undefined: it may. */
export function whyNotGiven(giver: Giver, { role: name, path, spokenOf }: Gift): Failure | undefined {
  const { records, principal, wallMs, shown } = giver
  const who = principalName(principal)
  const project = projectInPath(path)
  const role = roleOf(records, name)
  if (!role || name === NO_ACCESS || project === undefined)
    return failure('bad_request', `The role ${name} cannot be given within a project`, {
      hint: name === NO_ACCESS ? 'Take back what was given instead' : 'See `stead project grantable`',
    })
  const right = decider(records, principal, 'project.delegate', wallMs)(projectPath(project))
  if (!right.allowed)
    return failure('forbidden', `${who} may give nothing in ${project}: ${right.because}`, {
      hint: 'An administrator can give the role ProjectAdmin on the project',
    })
  const covered = path === projectPath(project) ? coveredBy(path, spokenOf) : [path]
  for (const privilege of role.privileges) {
    const decideOn = decider(records, principal, privilege, wallMs)
    const lacking = covered.find((each) => !decideOn(each).allowed)
    if (lacking !== undefined)
      return failure(
        'forbidden',
        `The role ${name} includes ${privilege}, which ${who} lacks on ${placeName(lacking, shown)}`,
        {
          hint: 'Nobody can give more than he has. Give another role, or give it on single guests: `--guest`',
        },
      )
  }
  return undefined
}

/** The roles that may be given there. */
export function rolesToGive(giver: Giver, where: Omit<Gift, 'role'>): readonly Role[] {
  const roles = [...BUILT_IN_ROLES, ...giver.records.roles.values()]
  return roles.filter(({ name }) => whyNotGiven(giver, { ...where, role: name }) === undefined)
}

export interface Nameable {
  readonly user: ReadonlySet<string>
  readonly group: ReadonlySet<string>
}

/** `people`: the groups that the project's administrators may name, with their members. */
export function nameableBy({ records, principal, wallMs }: Giver, people: readonly string[]): Nameable {
  if (decider(records, principal, 'access.view', wallMs)(ACCESS_PATH).allowed)
    return { user: new Set(records.users.keys()), group: new Set(records.groups.keys()) }
  const groups = people.flatMap((name) => records.groups.get(name) ?? [])
  const members = groups.flatMap((group) => group.members).filter((name) => records.users.has(name))
  return { user: new Set(members), group: new Set(groups.map(({ name }) => name)) }
}

/** Of which of these objects permissions speak; `paths`: of the objects of the project. */
export function spokenOfAmong(permissions: readonly AccessPermission[], paths: Iterable<string>): string[] {
  const named = new Set(permissions.map(({ path }) => ownPath(path)))
  return [...paths].filter((path) => named.has(ownPath(path)))
}

/** Stands for each object of which nothing is said. */
const ANY = '*'

function coveredBy(project: string, spokenOf: readonly string[]): readonly string[] {
  return [project, `${project}/guests/${ANY}`, `${project}/images/${ANY}`, ...spokenOf]
}

function placeName(path: string, shown: (path: string) => string): string {
  return path.endsWith(`/${ANY}`) ? `what lies in ${levelAbove(path)}` : shown(path)
}

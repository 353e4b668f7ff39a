/**
 * A cluster as a file says that it is to be: what the API's own creation and change endpoints take, by kind. What a file
 * does not say stays as it is. docs/internals/declarative.md.
 */
import { failure } from '@stead/core/errors.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import { z } from 'zod'
import { ACCESS_ENDPOINTS } from '../endpoints/access.ts'
import { CERTIFICATE_ENDPOINTS } from '../endpoints/certificate.ts'
import { CLUSTER_ENDPOINTS } from '../endpoints/cluster.ts'
import { createGuestBody, setGuestBody } from '../endpoints/guests.ts'
import { setPolicyBody } from '../endpoints/policy.ts'
import { PROJECT_ENDPOINTS } from '../endpoints/projects.ts'
import { createRuleBody } from '../endpoints/rules.ts'
import { describeIssues } from '../issues.ts'

const ITEMS_MAX = 10_000

/** Settings that a new guest gets by a change after its creation. */
export const GUEST_SETTINGS = [
  ...(['priority', 'maxRestart', 'maxRelocate', 'failback', 'autostart'] as const),
  ...(['protectedFrom', 'tags', 'notes'] as const),
] as const

const settings = Object.fromEntries(GUEST_SETTINGS.map((name) => [name, true])) as Record<
  (typeof GUEST_SETTINGS)[number],
  true
>
const guest = z.strictObject({
  ...createGuestBody.omit({ acceptBreach: true }).shape,
  ...setGuestBody.pick(settings).shape,
  rootCopy: setGuestBody.shape.rootCopy,
})
const user = z.strictObject({
  ...ACCESS_ENDPOINTS['user.create'].body.shape,
  disabled: ACCESS_ENDPOINTS['user.set'].body.shape.disabled,
})
const host = z.strictObject({ name: z.string(), ...CLUSTER_ENDPOINTS['host.set'].body.shape })
const list = <T extends z.ZodType>(item: T) => z.array(item).max(ITEMS_MAX).optional()

export const declaredClusterSchema = z.strictObject({
  stead: z.literal(1).describe('Version of this form'),
  policy: setPolicyBody.optional(),
  certificate: CERTIFICATE_ENDPOINTS['certificate.order'].body.optional(),
  hosts: list(host),
  projects: list(PROJECT_ENDPOINTS['project.create'].body),
  roles: list(ACCESS_ENDPOINTS['role.create'].body),
  users: list(user),
  groups: list(ACCESS_ENDPOINTS['group.create'].body),
  permissions: list(ACCESS_ENDPOINTS['permission.grant'].body),
  guests: list(guest),
  rules: list(createRuleBody),
})

export type Fields = Readonly<Record<string, unknown>>
export const DECLARED_KINDS = [
  'hosts',
  'projects',
  'roles',
  'users',
  'groups',
  'permissions',
  'guests',
  'rules',
] as const
export type DeclaredKind = (typeof DECLARED_KINDS)[number]

/** Checked, but as it was written: what the file does not say is not filled in, since it is not to be changed. */
export type DeclaredCluster = { readonly policy?: Fields; readonly certificate?: Fields } & {
  readonly [Kind in DeclaredKind]?: readonly Fields[]
}

export function readDeclaredCluster(document: unknown): Result<DeclaredCluster> {
  const checked = declaredClusterSchema.safeParse(document)
  if (!checked.success) {
    const { message, hint } = describeIssues(checked.error.issues, declaredClusterSchema)
    return fail(
      failure('bad_request', `The file is not valid: ${message}`, {
        hint: hint ?? '`stead export` prints a file of what there is; docs/operating/declarative.md has the form',
      }),
    )
  }
  const { stead: _version, ...declared } = document as { readonly stead: 1 } & DeclaredCluster
  const twice = firstTwice(declared)
  if (twice !== undefined) return fail(failure('bad_request', `The file says twice what ${twice} is to be`))
  return ok(withRulesOfGroups(declared))
}

/** What an item is known by, in words. */
export function nameOf(kind: DeclaredKind, item: Fields): string {
  if (kind !== 'permissions') return String(item['name'])
  const subject = item['subject'] as Fields
  return `${String(subject['kind'])} ${String(subject['name'])} as ${String(item['role'])} on ${String(item['path'])}`
}

function firstTwice(declared: DeclaredCluster): string | undefined {
  for (const kind of DECLARED_KINDS) {
    const seen = new Set<string>()
    for (const item of declared[kind] ?? []) {
      const name = nameOf(kind, item)
      if (seen.has(name)) return `${kind.slice(0, -1)} ${name}`
      seen.add(name)
    }
  }
  return undefined
}

/** A `group` is two rules, as the cluster shows them. */
function withRulesOfGroups(declared: DeclaredCluster): DeclaredCluster {
  if (!declared.rules) return declared
  return {
    ...declared,
    rules: declared.rules.flatMap((rule) => (rule['kind'] === 'group' ? rulesOfGroup(rule) : [rule])),
  }
}

function rulesOfGroup({ name, guests, readyAfterMs, until, ...rest }: Fields): Fields[] {
  const order = {
    ...(readyAfterMs === undefined ? {} : { readyAfterMs }),
    ...(until === undefined ? {} : { until }),
  }
  return [
    { ...rest, kind: 'together', name, guests },
    { ...rest, kind: 'order', name: `${String(name)}-order`, guests, ...order },
  ]
}

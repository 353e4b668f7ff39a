/**
 * What must be done so that a cluster is as a file says: calls of the API, in an order in which each finds what it names.
 * Nothing is deleted but where it was asked for, and nothing is made anew that holds data. Pure.
 */
import type { EndpointId } from '../endpoints.ts'
import { certificateDifferences, certificateOrder, keyWithoutSecret } from './declared-certificate.ts'
import {
  DECLARED_KINDS,
  GUEST_SETTINGS,
  nameOf,
  type DeclaredCluster,
  type DeclaredKind,
  type Fields,
} from './declared-cluster.ts'
import { differencesOf, type Difference } from './difference.ts'
import type { Present, PresentCluster } from './present-cluster.ts'

export interface DeclaredCall {
  readonly endpoint: EndpointId
  readonly params?: Readonly<Record<string, string>>
  readonly body?: Fields
  /** What has changed meanwhile is not changed by what was planned before. */
  readonly ifMatch?: string
}

export interface DeclaredStep {
  readonly what: 'create' | 'change' | 'delete'
  readonly kind: DeclaredKind | 'policy' | 'certificate'
  readonly name: string
  readonly differences: readonly Difference[]
  /** One after the other; the revision of the first is known. */
  readonly calls: readonly DeclaredCall[]
}

/** What the file says and no call can bring about. */
export interface Obstacle {
  readonly kind: DeclaredKind | 'certificate'
  readonly name: string
  readonly why: string
}

export interface DeclaredPlan {
  readonly steps: readonly DeclaredStep[]
  readonly obstacles: readonly Obstacle[]
  /** There, not in the file, and of a kind of which the file tells: what `prune` would delete. */
  readonly unlisted: readonly { readonly kind: DeclaredKind; readonly name: string }[]
}

export function planDeclared(
  declared: DeclaredCluster,
  present: PresentCluster,
  options: { readonly prune?: boolean } = {},
): DeclaredPlan {
  const steps: DeclaredStep[] = []
  const obstacles: Obstacle[] = []
  if (declared.policy) steps.push(...policyStep(declared.policy, present.policy))
  if (declared.certificate) {
    const outcome = certificateStep(declared.certificate, present.certificate)
    if ('why' in outcome) obstacles.push({ kind: 'certificate', name: 'certificate', why: outcome.why })
    else steps.push(...outcome.steps)
  }
  for (const kind of DECLARED_KINDS) {
    for (const wanted of declared[kind] ?? []) {
      const name = nameOf(kind, wanted)
      const known = present.kinds[kind].get(name)
      const outcome = known ? changeOf(kind, wanted, known) : creationOf(kind, wanted)
      if ('why' in outcome) obstacles.push({ kind, name, why: outcome.why })
      else if (outcome.calls.length > 0) {
        const differences = known ? differencesOf(comparable(kind, wanted), known.declared) : []
        steps.push({ what: known ? 'change' : 'create', kind, name, differences, calls: outcome.calls })
      }
    }
  }
  const unlisted = DECLARED_KINDS.flatMap((kind) => unlistedOf(kind, declared[kind], present.kinds[kind]))
  if (options.prune)
    for (const { kind, known } of unlisted.toReversed())
      steps.push({ what: 'delete', kind, name: known.name, differences: [], calls: [DELETIONS[kind](known)] })
  return { steps, obstacles, unlisted: unlisted.map(({ kind, known }) => ({ kind, name: known.name })) }
}

type Outcome = { readonly calls: readonly DeclaredCall[] } | { readonly why: string }

function policyStep(wanted: Fields, known: Present): DeclaredStep[] {
  const differences = differencesOf(wanted, known.declared)
  if (differences.length === 0) return []
  const body = pick(wanted, fieldsOf(differences))
  const calls = [{ endpoint: 'policy.set', body, ifMatch: known.revision } as const]
  return [{ what: 'change', kind: 'policy', name: 'policy', differences, calls }]
}

function certificateStep(
  wanted: Fields,
  known: Present | undefined,
): { readonly steps: DeclaredStep[] } | { readonly why: string } {
  const differences = certificateDifferences(wanted, known?.declared)
  if (differences.length === 0) return { steps: [] }
  const body = certificateOrder(wanted, known?.declared)
  const key = keyWithoutSecret(body, known?.declared)
  if (key !== undefined) return { why: `the secret of the key ${key} is neither kept nor in the file` }
  const calls = [{ endpoint: 'certificate.order', body, ...(known ? { ifMatch: known.revision } : {}) } as const]
  const what = known ? 'change' : 'create'
  return { steps: [{ what, kind: 'certificate', name: 'certificate', differences: known ? differences : [], calls }] }
}

function creationOf(kind: DeclaredKind, wanted: Fields): Outcome {
  switch (kind) {
    case 'hosts':
      return { why: 'there is no such host; hosts join by `stead join`' }
    case 'users': {
      const { disabled, ...body } = wanted
      const created = { endpoint: 'user.create', body } as const
      if (disabled !== true) return { calls: [created] }
      const off = { endpoint: 'user.set', params: { user: String(wanted['name']) }, body: { disabled } } as const
      return { calls: [created, off] }
    }
    case 'guests': {
      const { rootCopy, ...rest } = without(wanted, GUEST_SETTINGS)
      const created = { endpoint: 'guest.create', body: { ...rest, ...(rootCopy ? { rootCopy } : {}) } } as const
      const settings = pick(wanted, GUEST_SETTINGS)
      if (Object.keys(settings).length === 0) return { calls: [created] }
      return { calls: [created, { endpoint: 'guest.set', params: { guest: String(wanted['name']) }, body: settings }] }
    }
    default:
      return { calls: [{ endpoint: CREATIONS[kind], body: wanted }] }
  }
}

const CREATIONS = {
  projects: 'project.create',
  roles: 'role.create',
  groups: 'group.create',
  permissions: 'permission.grant',
  rules: 'rule.create',
} as const

const DELETIONS: { readonly [Kind in DeclaredKind]: (known: Present) => DeclaredCall } = {
  hosts: ({ name, revision }) => ({ endpoint: 'host.remove', params: { host: name }, ifMatch: revision }),
  projects: ({ name, revision }) => ({ endpoint: 'project.delete', params: { project: name }, ifMatch: revision }),
  roles: ({ name, revision }) => ({ endpoint: 'role.delete', params: { role: name }, ifMatch: revision }),
  users: ({ name, revision }) => ({ endpoint: 'user.delete', params: { user: name }, ifMatch: revision }),
  groups: ({ name, revision }) => ({ endpoint: 'group.delete', params: { group: name }, ifMatch: revision }),
  permissions: ({ id = '', revision }) => ({
    ...{ endpoint: 'permission.revoke', params: { permission: id }, ifMatch: revision },
  }),
  guests: ({ name, revision }) => ({ endpoint: 'guest.delete', params: { guest: name }, ifMatch: revision }),
  rules: ({ name, revision }) => ({ endpoint: 'rule.delete', params: { rule: name }, ifMatch: revision }),
}

function changeOf(kind: DeclaredKind, wanted: Fields, known: Present): Outcome {
  if (kind === 'guests') return guestChange(wanted, known)
  const differences = differencesOf(wanted, known.declared)
  const fields = fieldsOf(differences)
  if (fields.length === 0) return { calls: [] }
  const { name, revision: ifMatch } = known
  switch (kind) {
    case 'hosts':
      return { calls: [{ endpoint: 'host.set', params: { host: name }, body: pick(wanted, fields), ifMatch }] }
    case 'projects':
      return { calls: [{ endpoint: 'project.set', params: { project: name }, body: pick(wanted, fields), ifMatch }] }
    case 'users':
      return { calls: [{ endpoint: 'user.set', params: { user: name }, body: pick(wanted, fields), ifMatch }] }
    case 'groups': {
      const { members, ...rest } = pick(wanted, fields)
      const body = { ...rest, ...membersChange(members, known.declared['members']) }
      return { calls: [{ endpoint: 'group.set', params: { group: name }, body, ifMatch }] }
    }
    case 'rules':
      return { calls: [{ endpoint: 'rule.set', params: { rule: name }, body: without(wanted, ['name']), ifMatch }] }
    case 'roles':
      return { why: `the privileges of a role cannot be changed while it is there: ${wordsOf(differences)}` }
    case 'permissions':
      return { why: `whether it propagates cannot be changed; revoke it first` }
  }
}

function membersChange(wanted: unknown, present: unknown): Fields {
  if (wanted === undefined) return {}
  const [now, then] = [present as readonly string[], wanted as readonly string[]]
  return {
    add: then.filter((member) => !now.includes(member)),
    remove: now.filter((member) => !then.includes(member)),
  }
}

/** They say how a guest is made, not what it is: nothing shows them afterwards. */
const ONLY_AT_CREATION = ['start', 'host', 'media', 'processor'] as const
const SETTABLE: readonly string[] = [
  ...GUEST_SETTINGS,
  ...['memoryBytes', 'cpus', 'memoryMaxBytes', 'cpusMax', 'ha', 'display', 'rootCopy'],
]
const SETTABLE_OF_CONTAINER = [
  ...['hostname', 'addresses', 'gateways', 'nameservers', 'searchDomains', 'nesting', 'limits'],
]
/** Of a disk: how it is made. */
const DISK_ONLY_AT_CREATION = ['image', 'imageDisk', 'linked', 'pool'] as const

/** Without what only says how something is to be made. */
function comparable(kind: DeclaredKind, wanted: Fields): Fields {
  if (kind !== 'guests') return wanted
  const { disks, ...rest } = without(wanted, ONLY_AT_CREATION)
  if (!Array.isArray(disks)) return rest
  return { ...rest, disks: disks.map((disk: Fields) => without(disk, DISK_ONLY_AT_CREATION)) }
}

function guestChange(wanted: Fields, known: Present): Outcome {
  const params = { guest: known.name }
  const { disks, container, project, ...rest } = comparable('guests', wanted)
  const fields = fieldsOf(differencesOf(rest, known.declared))
  const unchangeable = fields.find((field) => !SETTABLE.includes(field))
  if (unchangeable !== undefined) return { why: `its ${unchangeable} cannot be changed by a file` }
  const body: Record<string, unknown> = pick(rest, fields)
  // It is set whole.
  if (body['rootCopy'])
    body['rootCopy'] = { ...(known.declared['rootCopy'] as Fields | undefined), ...(body['rootCopy'] as Fields) }
  if (container !== undefined) {
    const differing = fieldsOf(differencesOf(container as Fields, (known.declared['container'] ?? {}) as Fields))
    const other = differing.find((field) => !SETTABLE_OF_CONTAINER.includes(field))
    if (other !== undefined) return { why: `the ${other} of a container cannot be changed` }
    if (differing.length > 0) body['container'] = pick(container as Fields, differing)
  }
  const growth = diskGrowth(disks as readonly Fields[] | undefined, known)
  if ('why' in growth) return growth
  const moved = project !== undefined && project !== known.declared['project']
  const calls: DeclaredCall[] = [
    ...(Object.keys(body).length === 0 ? [] : [{ endpoint: 'guest.set', params, body } as const]),
    ...(moved ? [{ endpoint: 'guest.assign', params, body: { project } } as const] : []),
  ]
  const [first, ...more] = calls
  return { calls: [...(first ? [{ ...first, ifMatch: known.revision }] : []), ...more, ...growth.calls] }
}

function diskGrowth(wanted: readonly Fields[] | undefined, { declared, volumes = [] }: Present): Outcome {
  if (!wanted) return { calls: [] }
  const present = declared['disks'] as readonly Fields[]
  if (wanted.length !== present.length)
    return { why: `it has ${present.length} disks, not ${wanted.length}; \`stead vm disk\` adds and removes them` }
  const calls: DeclaredCall[] = []
  for (const [index, disk] of wanted.entries()) {
    const known = present[index]!
    const fields = fieldsOf(differencesOf(disk, known))
    if (fields.length === 0) continue
    const { sizeBytes } = disk
    if (fields.some((field) => field !== 'sizeBytes'))
      return { why: `the replicas of disk ${index} cannot be changed by a file` }
    if (Number(sizeBytes) < Number(known['sizeBytes'])) return { why: `disk ${index} would become smaller` }
    calls.push({ endpoint: 'volume.resize', params: { volume: volumes[index] ?? '' }, body: { sizeBytes } })
  }
  return { calls }
}

/** Whoever tells of a kind at all tells of all of it, when `prune` is given. */
function unlistedOf(
  kind: DeclaredKind,
  declared: readonly Fields[] | undefined,
  present: ReadonlyMap<string, Present>,
) {
  if (!declared || kind === 'hosts') return []
  const listed = new Set(declared.map((item) => nameOf(kind, item)))
  return [...present.values()]
    .filter(({ name, fixed }) => !fixed && !listed.has(name))
    .map((known) => ({ kind, known }))
}

const fieldsOf = (differences: readonly Difference[]) => [...new Set(differences.map(({ path }) => path[0]!))]
const wordsOf = (differences: readonly Difference[]) => differences.map(({ path }) => path.join('.')).join(', ')

function pick(fields: Fields, names: readonly string[]): Fields {
  return Object.fromEntries(Object.entries(fields).filter(([name]) => names.includes(name)))
}

function without(fields: Fields, names: readonly string[]): Fields {
  return Object.fromEntries(Object.entries(fields).filter(([name]) => !names.includes(name)))
}

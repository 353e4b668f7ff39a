/**
 * What the lists of the API show, in the form in which a file says what is to be: what `stead export` prints, and what a
 * file is compared with. Pure.
 */
import type { ResponseOf } from '../endpoint.ts'
import type { EndpointOf } from '../endpoints.ts'
import type { GuestView, RuleView } from '../views.ts'
import { presentCertificate } from './declared-certificate.ts'
import { nameOf, type DeclaredCluster, type DeclaredKind, type Fields } from './declared-cluster.ts'

/** The answers from which a present cluster is made. */
export interface ClusterViews {
  readonly policy: ResponseOf<EndpointOf<'policy.show'>>
  readonly certificate: ResponseOf<EndpointOf<'certificate.show'>>
  readonly hosts: ResponseOf<EndpointOf<'host.list'>>['items']
  readonly projects: ResponseOf<EndpointOf<'project.list'>>['items']
  readonly roles: ResponseOf<EndpointOf<'role.list'>>['items']
  readonly users: ResponseOf<EndpointOf<'user.list'>>['items']
  readonly groups: ResponseOf<EndpointOf<'group.list'>>['items']
  readonly permissions: ResponseOf<EndpointOf<'permission.list'>>['items']
  readonly guests: readonly GuestView[]
  readonly rules: readonly RuleView[]
}

/** One thing that is there. */
export interface Present {
  readonly name: string
  /** As a file would say it. */
  readonly declared: Fields
  readonly revision: string
  /** Its id, where calls need another one than its name. */
  readonly id?: string
  /** Of a guest: its disks' volumes, in order. */
  readonly volumes?: readonly string[]
  /** It was not made by anybody and cannot be deleted. */
  readonly fixed?: true
}

export interface PresentCluster {
  readonly policy: Present
  /** Undefined: no authority is asked for one. */
  readonly certificate: Present | undefined
  readonly kinds: { readonly [Kind in DeclaredKind]: ReadonlyMap<string, Present> }
}

export function presentCluster(views: ClusterViews): PresentCluster {
  const { revision, ...policy } = views.policy
  const certificate = presentCertificate(views.certificate)
  return {
    policy: { name: 'policy', declared: policy, revision },
    certificate: certificate && { name: 'certificate', declared: certificate, revision: views.certificate.revision },
    kinds: {
      hosts: byName(
        'hosts',
        views.hosts,
        ({ name, faultDomains }) => ({ name, faultDomains }),
        () => ({ fixed: true }),
      ),
      projects: byName('projects', views.projects, projectFields, ({ name }) =>
        name === 'default' ? { fixed: true } : {},
      ),
      roles: byName(
        'roles',
        views.roles,
        ({ name, privileges }) => ({ name, privileges }),
        ({ builtIn }) => (builtIn ? { fixed: true } : {}),
      ),
      users: byName('users', views.users, userFields),
      groups: byName('groups', views.groups, groupFields),
      permissions: byName(
        'permissions',
        views.permissions,
        ({ subject, role, path, propagate }) => ({ subject: { ...subject }, role, path, propagate }),
        ({ id }) => ({ id }),
      ),
      guests: byName('guests', views.guests, guestFields, ({ volumes }) => ({ volumes: volumes.map(({ id }) => id) })),
      rules: byName('rules', views.rules, ruleFields),
    },
  }
}

/** Without what comes with every cluster. */
export function exportedCluster({
  policy,
  certificate,
  kinds,
}: PresentCluster): DeclaredCluster & { readonly stead: 1 } {
  const items = (kind: DeclaredKind) =>
    [...kinds[kind].values()].filter(({ fixed }) => !fixed || kind === 'hosts').map(({ declared }) => declared)
  return {
    stead: 1,
    policy: policy.declared,
    ...(certificate ? { certificate: certificate.declared } : {}),
    hosts: items('hosts'),
    projects: items('projects'),
    roles: items('roles'),
    users: items('users'),
    groups: items('groups'),
    permissions: items('permissions'),
    guests: items('guests'),
    rules: items('rules'),
  }
}

function byName<View extends { readonly revision: string }>(
  kind: DeclaredKind,
  views: readonly View[],
  fieldsOf: (view: View) => Fields,
  more: (view: View) => Pick<Present, 'id' | 'volumes' | 'fixed'> = () => ({}),
): ReadonlyMap<string, Present> {
  return new Map(
    views.map((view) => {
      const declared = said(fieldsOf(view))
      const name = nameOf(kind, declared)
      return [name, { name, declared, revision: view.revision, ...more(view) }]
    }),
  )
}

/** What is empty is not said. */
function said(fields: Fields): Fields {
  return Object.fromEntries(
    Object.entries(fields).filter(([, value]) => value !== null && value !== undefined && value !== ''),
  )
}

const projectFields = ({ name, notes, quota }: ClusterViews['projects'][number]) => ({
  ...{ name, notes },
  ...(Object.keys(quota).length === 0 ? {} : { quota }),
})

const userFields = ({ name, fullName, email, disabled, expiresAt }: ClusterViews['users'][number]) => ({
  ...{ name, fullName, email, expiresAt },
  ...(disabled ? { disabled } : {}),
})

const groupFields = ({ name, members, notes, demandsSecondFactor }: ClusterViews['groups'][number]) => ({
  ...{ name, members, notes },
  ...(demandsSecondFactor ? { demandsSecondFactor } : {}),
})

function guestFields(guest: GuestView): Fields {
  const { name, project, memoryBytes, cpus, maximum, volumes, ha, nics, display, container } = guest
  const disks = volumes.map(({ sizeBytes, replicas }) => {
    const pools = new Set(replicas.map(({ pool }) => pool))
    const [pool] = pools
    return { sizeBytes, replicas: replicas.length, ...(pools.size === 1 ? { pool } : {}) }
  })
  const { priority, maxRestart, maxRelocate, failback, autostart, protectedFrom, tags, notes, rootCopy } = guest
  const platform = platformFields(guest.platform)
  return {
    ...{ name, project, memoryBytes, cpus },
    ...(maximum.memoryBytes === null ? {} : { memoryMaxBytes: maximum.memoryBytes }),
    ...(maximum.cpus === null ? {} : { cpusMax: maximum.cpus }),
    ...{ disks, boot: { ...guest.boot }, ha, nic: nics.length > 0 },
    ...(container ? { container: containerFields(guest, container) } : { display }),
    ...(Object.keys(platform).length === 0 ? {} : { platform }),
    ...(rootCopy ? { rootCopy: said(rootCopy) } : {}),
    ...{ priority, maxRestart, maxRelocate, failback, autostart },
    ...(protectedFrom.length === 0 ? {} : { protectedFrom: [...protectedFrom] }),
    ...(tags.length === 0 ? {} : { tags: [...tags] }),
    notes,
  }
}

function containerFields({ nics: [nic], volumes }: GuestView, container: NonNullable<GuestView['container']>) {
  const { template, hostname, privileged, nesting, nameservers, searchDomains, limits, mounts } = container
  return {
    ...{ template, root: volumes[0]?.form === 'subvolume' ? 'native' : 'image', hostname, privileged, nesting },
    ...{ addresses: [...(nic?.addresses ?? [])], gateways: [...(nic?.gateways ?? [])] },
    ...{ nameservers: [...nameservers], searchDomains: [...searchDomains], limits },
    mounts: mounts.map(({ path }) => path),
  }
}

function platformFields({
  firmware,
  tpm,
  watchdog,
  hugePages,
  dedicatedCpus,
  numaNodes,
  devices,
}: GuestView['platform']) {
  return {
    ...(firmware === 'bios' ? {} : { firmware }),
    ...(tpm ? { tpm } : {}),
    ...(watchdog ? { watchdog } : {}),
    ...(hugePages ? { hugePages } : {}),
    ...(dedicatedCpus ? { dedicatedCpus } : {}),
    ...(numaNodes > 1 ? { numaNodes } : {}),
    ...(Object.keys(devices).length === 0 ? {} : { devices }),
  }
}

function ruleFields({
  name,
  kind,
  guests,
  strict,
  across,
  hosts,
  readyAfterMs,
  mode,
  until,
  comment,
}: RuleView): Fields {
  const common = { kind, name, comment, guests: [...guests] }
  switch (kind) {
    case 'together':
      return { ...common, strict }
    case 'apart':
      return { ...common, strict, across }
    case 'hosts':
      return { ...common, strict, hosts: hosts.map((host) => ({ ...host })) }
    case 'ban':
      return { ...common, hosts: hosts.map(({ host }) => host) }
    case 'order':
      return { ...common, readyAfterMs, mode, until }
  }
}

/** What there is to be allowed, and the roles that come with the product. docs/internals/access.md. */

export const PRIVILEGES = [
  'cluster.view',
  'cluster.configure',
  'cluster.failover',
  'host.view',
  'host.configure',
  'host.drain',
  'host.shutdown',
  'guest.view',
  'guest.create',
  'guest.operate',
  'guest.configure',
  'guest.snapshot',
  'guest.delete',
  'guest.console',
  'guest.execute',
  'volume.view',
  'event.view',
  'operation.view',
  'image.view',
  'image.manage',
  'rule.view',
  'rule.manage',
  'project.view',
  'project.manage',
  'project.delegate',
  'access.view',
  'access.manage',
  'audit.view',
] as const
export type Privilege = (typeof PRIVILEGES)[number]

export interface Role {
  readonly name: string
  readonly privileges: readonly Privilege[]
}

const VIEWS = PRIVILEGES.filter((privilege) => privilege.endsWith('.view'))
const USE = ['guest.view', 'guest.operate', 'guest.console', 'volume.view', 'operation.view'] as const

/** A role that stands for the refusal of everything. */
export const NO_ACCESS = 'NoAccess'

/** Nobody can change or remove these. */
export const BUILT_IN_ROLES: readonly Role[] = [
  { name: 'Administrator', privileges: PRIVILEGES },
  {
    name: 'Operator',
    privileges: PRIVILEGES.filter((privilege) => !/^(access|audit|project)\.|^cluster\.configure$/.test(privilege)),
  },
  { name: 'Auditor', privileges: VIEWS },
  {
    name: 'ProjectAdmin',
    privileges: [
      ...PRIVILEGES.filter((privilege) => /^(guest|image)\./.test(privilege)),
      ...(['volume.view', 'operation.view', 'event.view', 'project.view', 'project.delegate', 'access.view'] as const),
    ],
  },
  { name: 'GuestUser', privileges: USE },
  { name: NO_ACCESS, privileges: [] },
]

/** `stead project permissions`, `grant`, `revoke`, `grantable`: what those who administer a project give to others in it. */
import type { Command } from 'commander'
import { ENDPOINTS } from '@stead/api/endpoints.ts'
import { formatTable } from '../output.ts'
import { badArgument } from '../quantities.ts'
import { action, valueOf, type Terminal } from '../session.ts'

const NAME = ['<name>', "the project's name"] as const
const GUEST = ['--guest <name>', 'on this guest alone; on the whole project when absent'] as const

export function addProjectPermissions(project: Command, terminal: Terminal): void {
  project
    .command('permissions')
    .description(ENDPOINTS['delegation.list'].summary)
    .argument(...NAME)
    .action(
      action(terminal, async (session, [name = '']) => {
        const client = await session.client()
        const { items } = valueOf(await client.call(ENDPOINTS['delegation.list'], { params: { project: name } }))
        session.print(items, () =>
          formatTable(items, [
            { title: 'PATH', of: (row) => row.path },
            { title: 'WHO', of: (row) => `${row.subject.kind} ${row.subject.name}` },
            { title: 'ROLE', of: (row) => row.role },
            { title: 'GIVEN BY', of: (row) => row.delegated?.by ?? 'an administrator' },
            { title: 'ID', of: (row) => row.id },
          ]),
        )
      }),
    )
  project
    .command('grantable')
    .description(ENDPOINTS['delegation.grantable'].summary)
    .argument(...NAME)
    .option(...GUEST)
    .action(
      action(terminal, async (session, [name = ''], options) => {
        const client = await session.client()
        const input = { params: { project: name }, query: guestOf(options) }
        const view = valueOf(await client.call(ENDPOINTS['delegation.grantable'], input))
        const rows = [
          ...view.roles.map((role) => ({ what: 'role', name: role.name, more: role.privileges.join(', ') })),
          ...view.subjects.map(({ kind, name: who, fullName }) => ({ what: kind, name: who, more: fullName })),
        ]
        session.print(view, () =>
          formatTable(rows, [
            { title: 'WHAT', of: (row) => row.what },
            { title: 'NAME', of: (row) => row.name },
            { title: '', of: (row) => row.more },
          ]),
        )
      }),
    )
  project
    .command('grant')
    .description(ENDPOINTS['delegation.grant'].summary)
    .argument(...NAME)
    .argument('<role>', 'a role; see `stead project grantable`')
    .option('--user <name>', 'to this user')
    .option('--group <name>', 'to the members of this group')
    .option(...GUEST)
    .action(
      action(terminal, async (session, [name = '', role = ''], options) => {
        const body = { subject: subjectOf(options), role, ...guestOf(options) }
        const client = await session.client()
        const view = valueOf(await client.call(ENDPOINTS['delegation.grant'], { params: { project: name }, body }))
        const { kind, name: who } = view.subject
        session.print(view, () => `${kind} ${who} has the role ${view.role} on ${view.path}\n`)
      }),
    )
  project
    .command('revoke')
    .description(ENDPOINTS['delegation.revoke'].summary)
    .argument(...NAME)
    .argument('<id>', "the permission's id; see `stead project permissions`")
    .action(
      action(terminal, async (session, [name = '', id = '']) => {
        const client = await session.client()
        const params = { project: name, permission: id }
        valueOf(await client.call(ENDPOINTS['delegation.revoke'], { params }))
        session.print({ revoked: id }, () => `permission ${id} revoked\n`)
      }),
    )
}

function guestOf({ guest }: Readonly<Record<string, unknown>>): { readonly guest?: string } {
  return typeof guest === 'string' ? { guest } : {}
}

function subjectOf({ user, group }: Readonly<Record<string, unknown>>) {
  if (typeof user === 'string' && group === undefined) return { kind: 'user', name: user } as const
  if (typeof group === 'string' && user === undefined) return { kind: 'group', name: group } as const
  throw badArgument('To whom is not said', 'Give one of --user and --group.')
}

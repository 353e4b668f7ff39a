/** `stead role`, `stead permission`, `stead token`, `stead auth`: who may what. */
import type { Command } from 'commander'
import { ENDPOINTS } from '@stead/api/endpoints.ts'
import type { PermissionView } from '@stead/api/endpoints/access.ts'
import { PRIVILEGES, type Privilege } from '@stead/core/access/privilege.ts'
import { formatFields, formatTable } from '../output.ts'
import { badArgument } from '../quantities.ts'
import { action, valueOf, type Terminal } from '../session.ts'
import { addPasswordCommands } from './password.ts'
import { wordsOf } from './user.ts'

export function addPermissionCommands(program: Command, terminal: Terminal): void {
  addRoleCommands(program.command('role').description('Roles: lists of privileges'), terminal)
  addGrantCommands(program.command('permission').description('Who has which role on what'), terminal)
  addTokenCommands(program.command('token').description('API tokens of users'), terminal)
  addAuthCommands(program.command('auth').description('Who you are, and who may what'), terminal)
}

function addRoleCommands(role: Command, terminal: Terminal): void {
  role
    .command('list')
    .description(ENDPOINTS['role.list'].summary)
    .action(
      action(terminal, async (session) => {
        const client = await session.client()
        const { items } = valueOf(await client.call(ENDPOINTS['role.list']))
        session.print(items, () =>
          formatTable(items, [
            { title: 'NAME', of: (row) => row.name },
            { title: 'BUILT IN', of: (row) => (row.builtIn ? 'yes' : 'no') },
            { title: 'PRIVILEGES', of: (row) => row.privileges.join(', ') },
          ]),
        )
      }),
    )
  role
    .command('create')
    .description(ENDPOINTS['role.create'].summary)
    .argument('<name>', "the role's name")
    .requiredOption('--privileges <privileges>', 'separated by commas: guest.view,guest.operate')
    .action(
      action(terminal, async (session, [name = ''], options) => {
        const body = { name, privileges: wordsOf(options['privileges']).map(privilegeOf) }
        const client = await session.client()
        const view = valueOf(await client.call(ENDPOINTS['role.create'], { body }))
        session.print(view, () => `role ${name} created\n`)
      }),
    )
  role
    .command('delete')
    .description(ENDPOINTS['role.delete'].summary)
    .argument('<name>', "the role's name")
    .action(
      action(terminal, async (session, [name = '']) => {
        const client = await session.client()
        valueOf(await client.call(ENDPOINTS['role.delete'], { params: { role: name } }))
        session.print({ deleted: name }, () => `role ${name} deleted\n`)
      }),
    )
}

function addGrantCommands(permission: Command, terminal: Terminal): void {
  permission
    .command('list')
    .description(ENDPOINTS['permission.list'].summary)
    .action(
      action(terminal, async (session) => {
        const client = await session.client()
        const { items } = valueOf(await client.call(ENDPOINTS['permission.list']))
        session.print(items, () =>
          formatTable(items, [
            { title: 'PATH', of: (row) => row.path },
            { title: 'WHO', of: (row) => `${row.subject.kind} ${row.subject.name}` },
            { title: 'ROLE', of: (row) => row.role },
            { title: 'BELOW', of: (row) => (row.propagate ? 'yes' : 'no') },
            { title: 'GIVEN BY', of: (row) => row.delegated?.by ?? '' },
            { title: 'ID', of: (row) => row.id },
          ]),
        )
      }),
    )
  permission
    .command('grant')
    .description(ENDPOINTS['permission.grant'].summary)
    .argument('<path>', '/, /access, /projects/NAME, /guests/NAME, /hosts/NAME or /images/NAME')
    .argument('<role>', 'a role; see `stead role list`')
    .option('--user <name>', 'to this user')
    .option('--group <name>', 'to the members of this group')
    .option('--token <name>', 'to this token, as USER!NAME, where it was made --separated')
    .option('--no-propagate', 'not on what lies below')
    .action(
      action(terminal, async (session, [path = '', role = ''], options) => {
        const body = { subject: subjectOf(options), role, path, propagate: options['propagate'] !== false }
        const client = await session.client()
        const view = valueOf(await client.call(ENDPOINTS['permission.grant'], { body }))
        session.print(view, () => `${sentenceOf(view)}\n`)
      }),
    )
  permission
    .command('revoke')
    .description(ENDPOINTS['permission.revoke'].summary)
    .argument('<id>', "the permission's id; see `stead permission list`")
    .action(
      action(terminal, async (session, [id = '']) => {
        const client = await session.client()
        valueOf(await client.call(ENDPOINTS['permission.revoke'], { params: { permission: id } }))
        session.print({ revoked: id }, () => `permission ${id} revoked\n`)
      }),
    )
}

function addTokenCommands(token: Command, terminal: Terminal): void {
  token
    .command('list')
    .description(ENDPOINTS['token.list'].summary)
    .argument('[user]', 'only of this user')
    .action(
      action(terminal, async (session, [user]) => {
        const client = await session.client()
        const query = user === undefined ? {} : { user }
        const { items } = valueOf(await client.call(ENDPOINTS['token.list'], { query }))
        session.print(items, () =>
          formatTable(items, [
            { title: 'USER', of: (row) => row.user },
            { title: 'NAME', of: (row) => row.name },
            { title: 'SEPARATED', of: (row) => (row.separated ? 'yes' : 'no') },
            { title: 'EXPIRES', of: (row) => row.expiresAt },
            { title: 'CREATED', of: (row) => row.createdAt },
          ]),
        )
      }),
    )
  token
    .command('create')
    .description(ENDPOINTS['token.create'].summary)
    .argument('<user>', 'whose it is')
    .argument('<name>', "the token's name, unique among the user's")
    .option('--separated', 'it has only what is given to itself, as far as its user has it too')
    .option('--expires <time>', 'when it ends: 2026-12-31T12:00:00Z')
    .action(
      action(terminal, async (session, [user = '', name = ''], options) => {
        const { expires } = options
        const body = {
          ...{ name, separated: options['separated'] === true },
          ...(typeof expires === 'string' ? { expiresAt: expires } : {}),
        }
        const client = await session.client()
        const view = valueOf(await client.call(ENDPOINTS['token.create'], { params: { user }, body }))
        session.note('Keep it well: it is shown this once.')
        session.print(view, () => `${view.token}\n`)
      }),
    )
  token
    .command('revoke')
    .description(ENDPOINTS['token.revoke'].summary)
    .argument('<user>', 'whose it is')
    .argument('<name>', "the token's name")
    .action(
      action(terminal, async (session, [user = '', name = '']) => {
        const client = await session.client()
        valueOf(await client.call(ENDPOINTS['token.revoke'], { params: { user, token: name } }))
        session.print({ revoked: `${user}!${name}` }, () => `token ${user}!${name} revoked\n`)
      }),
    )
}

function addAuthCommands(auth: Command, terminal: Terminal): void {
  auth
    .command('whoami')
    .description(ENDPOINTS['auth.whoami'].summary)
    .action(
      action(terminal, async (session) => {
        const client = await session.client()
        const view = valueOf(await client.call(ENDPOINTS['auth.whoami']))
        session.print(view, () =>
          formatFields([
            ['name', view.name],
            ['kind', view.kind],
            ['groups', view.groups.join(', ')],
            ['expires', view.expiresAt],
          ]),
        )
      }),
    )
  addPasswordCommands(auth, terminal)
  auth
    .command('explain')
    .description(ENDPOINTS['auth.explain'].summary)
    .argument('<user>', 'a user, or a token as USER!NAME')
    .argument('<path>', '/, /access, /projects/default, /guests/NAME, /hosts/NAME or /images/NAME')
    .argument('<privilege>', 'such as guest.operate')
    .action(
      action(terminal, async (session, [principal = '', path = '', wanted = '']) => {
        const query = { principal, path, privilege: privilegeOf(wanted) }
        const client = await session.client()
        const view = valueOf(await client.call(ENDPOINTS['auth.explain'], { query }))
        const { allowed, because, privilege } = view
        session.print(
          view,
          () =>
            `${allowed ? 'yes' : 'no'}: ${principal} ${allowed ? 'has' : 'lacks'} ${privilege} on ${view.path}, since ${because}\n`,
        )
      }),
    )
}

function privilegeOf(text: string): Privilege {
  const found = PRIVILEGES.find((one) => one === text)
  if (found) return found
  throw badArgument(`\`${text}\` is not a privilege`, `There are ${PRIVILEGES.join(', ')}.`)
}

function subjectOf(options: Readonly<Record<string, unknown>>): PermissionView['subject'] {
  const kinds = (['user', 'group', 'token'] as const).filter((kind) => typeof options[kind] === 'string')
  const [kind] = kinds
  if (kind && kinds.length === 1) return { kind, name: String(options[kind]) }
  throw badArgument('To whom is not said', 'Give one of --user, --group and --token.')
}

function sentenceOf({ subject, role, path, propagate }: PermissionView): string {
  return `${subject.kind} ${subject.name} has the role ${role} on ${path}${propagate ? '' : ', but not below'}`
}

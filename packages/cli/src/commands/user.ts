/** `stead user`, `stead group`: who there is. */
import type { Command } from 'commander'
import { ENDPOINTS } from '@stead/api/endpoints.ts'
import type { GroupView, UserView } from '@stead/api/endpoints/access.ts'
import { formatFields, formatTable } from '../output.ts'
import { badArgument } from '../quantities.ts'
import { action, valueOf, type Terminal } from '../session.ts'

type Options = Readonly<Record<string, unknown>>

const NAME = ['<name>', "the user's name"] as const
const GROUP = ['<name>', "the group's name"] as const
const DEMAND = ['--demand-second-factor', 'its members must sign in with one'] as const
const EXPIRES = ['--expires <time>', 'from when on he counts as disabled: 2026-12-31T12:00:00Z'] as const

export function addUserCommands(program: Command, terminal: Terminal): void {
  const user = program.command('user').description('Users, who may what they have been given')
  user
    .command('list')
    .description(ENDPOINTS['user.list'].summary)
    .action(
      action(terminal, async (session) => {
        const client = await session.client()
        const { items } = valueOf(await client.call(ENDPOINTS['user.list']))
        session.print(items, () =>
          formatTable(items, [
            { title: 'NAME', of: (row) => row.name },
            { title: 'FULL NAME', of: (row) => row.fullName },
            { title: 'STATE', of: stateOf },
            { title: 'GROUPS', of: (row) => row.groups.join(', ') },
            { title: 'TOKENS', of: (row) => row.tokens },
          ]),
        )
      }),
    )
  user
    .command('show')
    .description(ENDPOINTS['user.show'].summary)
    .argument(...NAME)
    .action(
      action(terminal, async (session, [name = '']) => {
        const client = await session.client()
        const view = valueOf(await client.call(ENDPOINTS['user.show'], { params: { user: name } }))
        session.print(view, () => userText(view))
      }),
    )
  user
    .command('create')
    .description(ENDPOINTS['user.create'].summary)
    .argument(...NAME)
    .option('--full-name <text>')
    .option('--email <address>')
    .option(...EXPIRES)
    .action(
      action(terminal, async (session, [name = ''], options) => {
        const client = await session.client()
        const body = { name, ...textsOf(options) }
        const view = valueOf(await client.call(ENDPOINTS['user.create'], { body }))
        session.print(view, () => `user ${name} created\n`)
      }),
    )
  user
    .command('set')
    .description(ENDPOINTS['user.set'].summary)
    .argument(...NAME)
    .option('--full-name <text>')
    .option('--email <address>')
    .option(...EXPIRES)
    .option('--no-expires', 'for good')
    .option('--disable', 'he can neither sign in nor use a token')
    .option('--enable', 'he can again')
    .action(
      action(terminal, async (session, [name = ''], options) => {
        const { disable, enable, expires } = options
        if (disable && enable) throw badArgument('--disable and --enable are opposites')
        const body = {
          ...textsOf(options),
          ...(expires === false ? { expiresAt: null } : {}),
          ...(disable || enable ? { disabled: disable === true } : {}),
        }
        const client = await session.client()
        const view = valueOf(await client.call(ENDPOINTS['user.set'], { params: { user: name }, body }))
        session.print(view, () => userText(view))
      }),
    )
  user
    .command('delete')
    .description(ENDPOINTS['user.delete'].summary)
    .argument(...NAME)
    .action(
      action(terminal, async (session, [name = '']) => {
        const client = await session.client()
        valueOf(await client.call(ENDPOINTS['user.delete'], { params: { user: name } }))
        session.print({ deleted: name }, () => `user ${name} deleted\n`)
      }),
    )
  user
    .command('reset-password')
    .description(ENDPOINTS['user.reset-password'].summary)
    .argument(...NAME)
    .action(
      action(terminal, async (session, [name = '']) => {
        const client = await session.client()
        const view = valueOf(await client.call(ENDPOINTS['user.reset-password'], { params: { user: name } }))
        session.note(`Give it to ${name}: it works once, until ${view.expiresAt}, and is shown this once.`)
        session.print(view, () => `${view.password}\n`)
      }),
    )
  user
    .command('remove-second-factors')
    .description(ENDPOINTS['user.remove-second-factors'].summary)
    .argument(...NAME)
    .action(
      action(terminal, async (session, [name = '']) => {
        const client = await session.client()
        valueOf(await client.call(ENDPOINTS['user.remove-second-factors'], { params: { user: name } }))
        session.print({ user: name }, () => `${name} signs in with the password alone\n`)
      }),
    )
  user
    .command('end-sessions')
    .description(ENDPOINTS['user.end-sessions'].summary)
    .argument(...NAME)
    .action(
      action(terminal, async (session, [name = '']) => {
        const client = await session.client()
        valueOf(await client.call(ENDPOINTS['user.end-sessions'], { params: { user: name } }))
        session.print({ ended: name }, () => `${name} is signed out everywhere\n`)
      }),
    )
  addGroupCommands(program, terminal)
}

function addGroupCommands(program: Command, terminal: Terminal): void {
  const group = program.command('group').description('Groups of users')
  group
    .command('list')
    .description(ENDPOINTS['group.list'].summary)
    .action(
      action(terminal, async (session) => {
        const client = await session.client()
        const { items } = valueOf(await client.call(ENDPOINTS['group.list']))
        session.print(items, () =>
          formatTable(items, [
            { title: 'NAME', of: (row) => row.name },
            { title: 'MEMBERS', of: (row) => row.members.join(', ') },
            { title: 'SECOND FACTOR', of: (row) => (row.demandsSecondFactor ? 'demanded' : '') },
            { title: 'NOTES', of: (row) => row.notes },
          ]),
        )
      }),
    )
  group
    .command('create')
    .description(ENDPOINTS['group.create'].summary)
    .argument(...GROUP)
    .option('--members <users>', "users' names, separated by commas", '')
    .option('--notes <text>')
    .option(...DEMAND)
    .action(
      action(terminal, async (session, [name = ''], options) => {
        const { notes } = options
        const body = {
          ...{ name, members: wordsOf(options['members']), ...demandOf(options) },
          ...(typeof notes === 'string' ? { notes } : {}),
        }
        const client = await session.client()
        const view = valueOf(await client.call(ENDPOINTS['group.create'], { body }))
        session.print(view, () => groupText(view))
      }),
    )
  group
    .command('set')
    .description(ENDPOINTS['group.set'].summary)
    .argument(...GROUP)
    .option('--add <users>', 'users who become members, separated by commas', '')
    .option('--remove <users>', 'members who leave it, separated by commas', '')
    .option('--notes <text>')
    .option(...DEMAND)
    .option('--no-demand-second-factor', 'the password is enough')
    .action(
      action(terminal, async (session, [name = ''], options) => {
        const { notes } = options
        const body = {
          ...{ add: wordsOf(options['add']), remove: wordsOf(options['remove']), ...demandOf(options) },
          ...(typeof notes === 'string' ? { notes } : {}),
        }
        const client = await session.client()
        const view = valueOf(await client.call(ENDPOINTS['group.set'], { params: { group: name }, body }))
        session.print(view, () => groupText(view))
      }),
    )
  group
    .command('delete')
    .description(ENDPOINTS['group.delete'].summary)
    .argument(...GROUP)
    .action(
      action(terminal, async (session, [name = '']) => {
        const client = await session.client()
        valueOf(await client.call(ENDPOINTS['group.delete'], { params: { group: name } }))
        session.print({ deleted: name }, () => `group ${name} deleted\n`)
      }),
    )
}

function demandOf({ demandSecondFactor: demands }: Options) {
  return typeof demands === 'boolean' ? { demandsSecondFactor: demands } : {}
}

function textsOf({ fullName, email, expires }: Options) {
  return {
    ...(typeof fullName === 'string' ? { fullName } : {}),
    ...(typeof email === 'string' ? { email } : {}),
    ...(typeof expires === 'string' ? { expiresAt: expires } : {}),
  }
}

export function wordsOf(text: unknown): string[] {
  return String(text)
    .split(',')
    .map((word) => word.trim())
    .filter((word) => word !== '')
}

function stateOf({ disabled, expiresAt }: UserView): string {
  if (disabled) return 'disabled'
  return expiresAt === null ? 'enabled' : `until ${expiresAt}`
}

function userText(view: UserView): string {
  return formatFields([
    ['name', view.name],
    ['realm', view.realm],
    ['full name', view.fullName],
    ['email', view.email],
    ['state', stateOf(view)],
    ['groups', view.groups.join(', ')],
    ['tokens', view.tokens],
    ['created', view.createdAt],
  ])
}

function groupText(view: GroupView): string {
  return formatFields([
    ['name', view.name],
    ['members', view.members.join(', ')],
    ['second factor', view.demandsSecondFactor ? 'demanded' : 'not demanded'],
    ['notes', view.notes],
  ])
}

/** `stead realm`: who else says who somebody is. */
import { readFile } from 'node:fs/promises'
import type { Command } from 'commander'
import { directoryUrls } from '@stead/api/directory-urls.ts'
import { ENDPOINTS } from '@stead/api/endpoints.ts'
import type { RealmTest, RealmView } from '@stead/api/endpoints/realms.ts'
import { formatFields, formatTable } from '../output.ts'
import { Prompts } from '../prompts.ts'
import { badArgument } from '../quantities.ts'
import { action, valueOf, type Session, type Terminal } from '../session.ts'

type Options = Readonly<Record<string, unknown>>

const NAME = ['<name>', "the realm's name: its users are NAME@REALM"] as const

export function addRealmCommands(program: Command, terminal: Terminal): void {
  const realm = program.command('realm').description('Realms: OpenID providers and directories that know users')
  realm
    .command('list')
    .description(ENDPOINTS['realm.list'].summary)
    .action(
      action(terminal, async (session) => {
        const { items } = valueOf(await (await session.client()).call(ENDPOINTS['realm.list']))
        session.print(items, () =>
          formatTable(items, [
            { title: 'NAME', of: (row) => row.name },
            { title: 'KIND', of: (row) => row.service.kind },
            { title: 'STATE', of: (row) => (row.disabled ? 'disabled' : 'enabled') },
            { title: 'USERS', of: (row) => row.users },
            { title: 'WHERE', of: (row) => whereOf(row) },
          ]),
        )
      }),
    )
  realm
    .command('show')
    .description(ENDPOINTS['realm.show'].summary)
    .argument(...NAME)
    .action(
      action(terminal, async (session, [name = '']) => {
        const view = valueOf(await (await session.client()).call(ENDPOINTS['realm.show'], { params: { realm: name } }))
        session.print(view, () => realmText(view))
      }),
    )
  addChanges(realm, terminal)
  realm
    .command('remove')
    .description(ENDPOINTS['realm.remove'].summary)
    .argument(...NAME)
    .action(
      action(terminal, async (session, [name = '']) => {
        valueOf(await (await session.client()).call(ENDPOINTS['realm.remove'], { params: { realm: name } }))
        session.print({ removed: name }, () => `realm ${name} removed\n`)
      }),
    )
  realm
    .command('test')
    .description(ENDPOINTS['realm.test'].summary)
    .argument(...NAME)
    .option('--user <name>', 'what a directory knows of this user, without @REALM')
    .action(
      action(terminal, async (session, [name = ''], { user }) => {
        const input = { params: { realm: name }, body: typeof user === 'string' ? { user } : {} }
        const told = valueOf(await (await session.client()).call(ENDPOINTS['realm.test'], input))
        session.print(told, () => testText(told))
      }),
    )
}

function addChanges(realm: Command, terminal: Terminal): void {
  const add = realm
    .command('add')
    .description(ENDPOINTS['realm.add'].summary)
    .argument(...NAME)
  settings(
    add
      .option('--oidc <issuer>', 'an OpenID provider: https://login.example.org/realms/campus')
      .option('--ldap <urls>', 'a directory: ldaps://ldap1.example.org,ldaps://ldap2.example.org')
      .option('--controllers <hosts>', 'Active Directory: dc1.example.org,dc2.example.org; its domain when absent')
      .option('--public-client', 'the provider has given no client secret'),
  ).action(
    action(terminal, async (session, [name = ''], options) => {
      const { oidc, ldap, activeDirectory, controllers } = options
      if ([oidc, ldap, activeDirectory].filter((given) => given !== undefined).length !== 1)
        throw badArgument('Give one of --oidc, --ldap and --active-directory')
      if (controllers !== undefined && activeDirectory === undefined)
        throw badArgument('--controllers is for --active-directory')
      const kind = oidc === undefined ? 'ldap' : 'oidc'
      const servers = ldap ?? controllers
      const isSecret = kind === 'oidc' ? options['publicClient'] !== true : options['bindDn'] !== undefined
      const service = {
        ...(await serviceOf(options, kind)),
        ...(kind === 'oidc' ? { issuer: oidc } : {}),
        ...(servers === undefined ? {} : { urls: directoryUrls(String(servers)) }),
        ...(isSecret ? await askedSecret(session, kind) : {}),
      }
      const { makesUsers, title, groups } = commonOf(options)
      const body = { name, service, ...(title ? { title } : {}), ...(makesUsers ? { makesUsers } : {}), ...groups }
      // What the endpoint takes is checked there, with the same words for whoever asks.
      const input = { body: body as never }
      const view = valueOf(await (await session.client()).call(ENDPOINTS['realm.add'], input))
      session.print(view, () => `realm ${name} added; try it: stead realm test ${name}\n`)
    }),
  )
  const set = realm
    .command('set')
    .description(ENDPOINTS['realm.set'].summary)
    .argument(...NAME)
  settings(
    set
      .option('--issuer <url>', 'the address of the OpenID provider')
      .option('--urls <urls>', 'the addresses of the directory, separated by commas')
      .option('--secret', 'another client secret or password of the account, which is asked for')
      .option('--disable', 'nobody signs in by it')
      .option('--enable', 'people sign in by it again'),
  ).action(
    action(terminal, async (session, [name = ''], options) => {
      const { disable, enable, issuer, urls, secret } = options
      if (disable && enable) throw badArgument('--disable and --enable are opposites')
      const client = await session.client()
      const params = { realm: name }
      const { kind } = valueOf(await client.call(ENDPOINTS['realm.show'], { params })).service
      const service = {
        ...(await serviceOf(options, kind)),
        ...(issuer === undefined ? {} : { issuer }),
        ...(urls === undefined ? {} : { urls: directoryUrls(String(urls)) }),
        ...(secret === true ? await askedSecret(session, kind) : {}),
      }
      const { makesUsers, title, groups } = commonOf(options)
      const body = {
        ...groups,
        ...(title === undefined ? {} : { title: title === '' ? null : title }),
        ...(makesUsers === undefined ? {} : { makesUsers }),
        ...(disable || enable ? { disabled: disable === true } : {}),
        ...(Object.keys(service).length > 1 ? { service } : {}),
      }
      const view = valueOf(await client.call(ENDPOINTS['realm.set'], { params, body: body as never }))
      session.print(view, () => realmText(view))
    }),
  )
}

function settings(command: Command): Command {
  return command
    .option('--title <text>', 'what the page on which people sign in calls it')
    .option('--make-users', 'whoever it lets in becomes a user when he comes first')
    .option('--no-make-users', 'only users that were made beforehand come in')
    .option('--group <theirs=ours>', "members of the realm's group are in the cluster's; again for each", collected, [])
    .option('--authority <file>', 'PEM: the authority of its certificate, instead of those of the hosts')
    .option('--client-id <id>', 'OpenID: as what the provider knows this cluster')
    .option('--scope <scopes>', 'OpenID: separated by blanks; `openid profile email` when absent')
    .option('--user-claim <claim>', 'OpenID: whose value is the name; `preferred_username` when absent')
    .option('--groups-claim <claim>', 'OpenID: whose values are the groups; `groups` when absent')
    .option('--domain <domain>', 'OpenID: names end in @ and this, and are taken without it')
    .option('--second-factor-there', 'OpenID: it asks for a second factor itself, none is asked for here')
    .option('--no-second-factor-there', 'OpenID: as users of the cluster show one')
    .option('--base <dn>', 'directory: below which users are')
    .option('--active-directory <domain>', 'it is an Active Directory: ad.example.org; needs --bind-dn and no --base')
    .option('--bind-dn <dn>', 'directory: as whom users are looked for; its password is asked for')
    .option('--user-attribute <name>', 'directory: what people type; `uid`, of Active Directory `sAMAccountName`')
    .option('--user-filter <filter>', "directory: what else must be true of a user's entry")
    .option('--group-base <dn>', 'directory: below which groups are')
}

function collected(value: string, before: readonly string[]): string[] {
  return [...before, value]
}

const SERVICE_OPTIONS = {
  oidc: {
    ...{ clientId: 'clientId', scope: 'scope', userClaim: 'userClaim', groupsClaim: 'groupsClaim', domain: 'domain' },
    secondFactorThere: 'checksSecondFactor',
  },
  ldap: {
    ...{ base: 'baseDn', bindDn: 'bindDn', userAttribute: 'userAttribute', userFilter: 'userFilter' },
    ...{ groupBase: 'groupBaseDn', activeDirectory: 'activeDirectory' },
  },
} as const

async function serviceOf(options: Options, kind: 'oidc' | 'ldap') {
  const other = SERVICE_OPTIONS[kind === 'oidc' ? 'ldap' : 'oidc']
  const foreign = Object.keys(other).find((option) => options[option] !== undefined)
  if (foreign !== undefined) throw badArgument(`--${kebab(foreign)} is for the other kind of realm`)
  const given = Object.entries(SERVICE_OPTIONS[kind]).filter(([option]) => options[option] !== undefined)
  return {
    kind,
    ...Object.fromEntries(given.map(([option, field]) => [field, options[option]])),
    ...(options['authority'] === undefined ? {} : { authority: await fileText(String(options['authority'])) }),
  }
}

function commonOf({ title, makeUsers, group }: Options) {
  const mapped = (group as readonly string[]).map((text) => {
    // A whole DN has equals signs of its own.
    const at = text.lastIndexOf('=')
    if (at < 1) throw badArgument(`--group: \`${text}\` is not THEIRS=OURS`)
    return { theirs: text.slice(0, at), ours: text.slice(at + 1) }
  })
  return {
    title: typeof title === 'string' ? title : undefined,
    makesUsers: typeof makeUsers === 'boolean' ? makeUsers : undefined,
    groups: mapped.length === 0 ? {} : { groups: mapped },
  }
}

async function askedSecret(session: Session, kind: 'oidc' | 'ldap') {
  const prompts = new Prompts(session.terminal)
  try {
    return kind === 'oidc'
      ? { clientSecret: await prompts.secret('Client secret: ') }
      : { bindPassword: await prompts.secret('Password of the account: ') }
  } finally {
    prompts.close()
  }
}

function fileText(path: string): Promise<string> {
  return readFile(path, 'utf8').catch((cause: unknown) => {
    throw badArgument(`--authority: ${path} cannot be read: ${(cause as Error).message}`)
  })
}

function kebab(option: string): string {
  return option.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)
}

function whereOf({ service }: RealmView): string {
  return service.kind === 'oidc' ? service.issuer : service.urls.join(', ')
}

function realmText(view: RealmView): string {
  const { authority, ...service } = view.service
  return formatFields([
    ['name', view.name],
    ['title', view.title],
    ['state', view.disabled ? 'disabled' : 'enabled'],
    ['users', `${view.users}, ${view.makesUsers ? 'and whoever else it lets in' : 'and nobody else'}`],
    ...Object.entries(service).map(
      ([field, value]) => [words(field), Array.isArray(value) ? value.join(', ') : String(value)] as const,
    ),
    ['authority', authority === undefined ? 'those of the hosts' : 'its own'],
    ['groups', view.groups.map(({ theirs, ours }) => `${theirs} -> ${ours}`).join('; ')],
  ])
}

function words(field: string): string {
  return kebab(field).replaceAll('-', ' ')
}

function testText({ realm, answered, user }: RealmTest): string {
  if (!user) return `${realm} answers: ${answered}\n`
  return formatFields([
    ['answered', answered],
    ['user', `${user.name}${user.known ? '' : ' (not known here yet)'}`],
    ['full name', user.fullName],
    ['email', user.email],
    ...(user.barriers.length > 0 ? [['kept out there', user.barriers.map(words).join(', ')] as const] : []),
    ['theirs', user.theirs.join('; ')],
    ['ours', user.ours.join(', ')],
  ])
}

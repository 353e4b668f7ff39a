/** `stead login`, `stead logout`: who this machine is to a cluster. */
import type { Command } from 'commander'
import { createClient, type Client } from '@stead/api/client.ts'
import { ENDPOINTS } from '@stead/api/endpoints.ts'
import type { SignInView } from '@stead/api/endpoints/sign-in.ts'
import type { ApiTarget } from '@stead/api/transport.ts'
import { failure, FailureError } from '@stead/core/errors.ts'
import { contextPath, readContext, writeContext, type SteadContext } from '../context.ts'
import { Prompts } from '../prompts.ts'
import { badArgument } from '../quantities.ts'
import { authorityShownBy, sameFingerprint } from '../server-authority.ts'
import { action, valueOf, type Session, type Terminal } from '../session.ts'
import { chooseOwn } from './password.ts'

type Options = Readonly<Record<string, unknown>>

export function addLoginCommands(program: Command, terminal: Terminal): void {
  program
    .command('login')
    .description('Sign in to a cluster')
    .argument('<url...>', 'a host, or several of them: https://192.0.2.1:8443')
    .option('--user <name>', 'who you are; asked for when absent')
    .option('--realm <name>', 'as a user of this realm; of an OpenID realm by its own page, in a browser')
    .option('--token', 'with an API token, which is asked for')
    .option('--fingerprint <sha256>', "of the cluster's authority, as `stead auth fingerprint` shows it on a host")
    .action(
      action(terminal, async (session, args, options) => {
        const prompts = new Prompts(session.terminal)
        try {
          await login(session, prompts, args.flat(), options)
        } finally {
          prompts.close()
        }
      }),
    )
  program
    .command('logout')
    .description('Sign out, and forget the session')
    .action(
      action(terminal, async (session) => {
        const context = valueOf(await readContext(session.terminal.env))
        const { token, ...rest } = context
        const isSession = token?.startsWith('stead-session-') === true
        // Forgotten here also where no host answers; there it ends by itself.
        const ended = isSession ? await (await session.client()).call(ENDPOINTS['auth.sign-out']) : undefined
        await writeContext(session.terminal.env, rest)
        if (ended && !ended.ok && ended.error.code !== 'unauthorized') throw new FailureError(ended.error)
        session.print({ context: contextPath(session.terminal.env) }, () => 'signed out\n')
      }),
    )
}

async function login(session: Session, prompts: Prompts, urls: readonly string[], options: Options): Promise<void> {
  const { terminal } = session
  const hosts = urls.map(parsedUrl)
  const authority = await believedAuthority(session, prompts, hosts[0] as URL, options['fingerprint'])
  const endpoints: ApiTarget[] = hosts.map((url) => ({ url: url.origin, ...(authority ? { authority } : {}) }))
  const before = await readContext(terminal.env)
  const known = before.ok ? before.value : undefined
  const client = createClient({ targets: endpoints, transport: terminal.transport })
  if (options['token'] === true) {
    const token = await prompts.secret('Token: ')
    const asToken = createClient({ targets: endpoints, transport: terminal.transport, token })
    const { name } = valueOf(await asToken.call(ENDPOINTS['auth.whoami']))
    await save(session, { ...named(hosts, known), endpoints, token, ...(authority ? { authority } : {}) })
    return session.print({ user: name }, () => `signed in as ${name}\n`)
  }
  const realm = typeof options['realm'] === 'string' ? options['realm'] : undefined
  if (realm !== undefined && (await kindOf(client, realm)) === 'oidc') {
    const view = await byProvider(session, prompts, client, realm)
    return signedIn(session, prompts, client, view, { ...named(hosts, known), endpoints, authority, known })
  }
  const typed = typeof options['user'] === 'string' ? options['user'] : await prompts.ask('User: ')
  const user = realm === undefined || typed.includes('@') ? typed : `${typed}@${realm}`
  const password = await prompts.secret('Password: ')
  const device = known?.devices?.[user]
  const body = { user, password, form: 'token' as const, ...(device === undefined ? {} : { device }) }
  const view = valueOf(await client.call(ENDPOINTS['auth.sign-in'], { body }))
  await signedIn(session, prompts, client, view, { ...named(hosts, known), endpoints, authority, known })
}

interface Kept extends Pick<SteadContext, 'name' | 'endpoints'> {
  readonly authority: string | undefined
  readonly known: SteadContext | undefined
}

/** Whatever is still asked for, and then the session is kept. */
async function signedIn(
  session: Session,
  prompts: Prompts,
  client: Client,
  first: SignInView,
  { name, endpoints, authority, known }: Kept,
): Promise<void> {
  let view = first
  const { user } = first
  while (view.state === 'second-factor') view = await secondFactor(session, prompts, client, view)
  if (view.must === 'change-password') {
    session.note('This password works only once. Choose your own now.')
    const own = createClient({ targets: endpoints, transport: session.terminal.transport, token: view.token ?? '' })
    view = await chooseOwn(session, prompts, own)
  }
  await save(session, {
    ...{ name, endpoints, ...(authority ? { authority } : {}) },
    ...(view.token === null ? {} : { token: view.token }),
    devices: { ...known?.devices, ...(view.device === null ? {} : { [user]: view.device }) },
  })
  session.print({ user, expiresAt: view.expiresAt, must: view.must }, () => {
    const duty = view.must === 'add-second-factor' ? 'now add a second factor: `stead auth second-factor add`\n' : ''
    return `signed in as ${user} until ${view.expiresAt}\n${duty}`
  })
}

async function kindOf(client: Client, realm: string): Promise<'oidc' | 'ldap'> {
  const { items } = valueOf(await client.call(ENDPOINTS['auth.realms']))
  const found = items.find(({ name }) => name === realm)
  if (found) return found.kind
  const names = items.map(({ name }) => name).join(', ')
  throw badArgument(`There is no realm ${realm}`, names === '' ? 'There is none at all.' : `There are ${names}.`)
}

/** In any browser, also of another machine: what its last page shows is typed here. */
async function byProvider(session: Session, prompts: Prompts, client: Client, realm: string): Promise<SignInView> {
  const begun = valueOf(await client.call(ENDPOINTS['auth.oidc-begin'], { body: { realm, form: 'token' } }))
  session.note(`Open this in a browser and sign in there:\n  ${begun.url}`)
  const shown = (await prompts.ask('The code that the last page shows: ')).trim()
  const answer = Buffer.from(shown, 'base64url').toString()
  const body = { answer, ...(begun.sealed === null ? {} : { sealed: begun.sealed }) }
  return valueOf(await client.call(ENDPOINTS['auth.oidc-finish'], { body }))
}

/** Asks again while somebody is there who can answer. */
async function secondFactor(
  session: Session,
  prompts: Prompts,
  client: Client,
  { pending, methods, ...view }: SignInView,
): Promise<SignInView> {
  const codes = [
    ...(methods.includes('totp') ? ['Code of your app'] : []),
    ...(methods.includes('recovery-code') ? ['Recovery code'] : []),
  ]
  if (codes.length === 0)
    throw new FailureError(
      failure('forbidden', 'Your second factor is a security key, which only a browser can ask', {
        hint: 'Sign in to the web interface, and add an app there; programs use API tokens',
      }),
    )
  const shown = (await prompts.ask(`${codes.join(' or ').replace('or R', 'or r')}: `)).trim()
  const body = { pending: pending ?? '', ...(/^\d{6}$/.test(shown) ? { code: shown } : { recoveryCode: shown }) }
  const answer = await client.call(ENDPOINTS['auth.second-factor'], { body })
  if (answer.ok) return answer.value
  if (!prompts.isInteractive || answer.error.code !== 'unauthorized') throw new FailureError(answer.error)
  if (!answer.error.message.startsWith('The code')) throw new FailureError(answer.error)
  session.note(answer.error.message)
  return { ...view, pending, methods }
}

/** Undefined: the machine believes it anyway. */
async function believedAuthority(session: Session, prompts: Prompts, url: URL, expected: unknown) {
  const { believed, pem, fingerprint } = valueOf(await authorityShownBy(url))
  if (typeof expected === 'string') {
    if (sameFingerprint(expected, fingerprint)) return pem
    throw new FailureError(
      failure('unauthorized', `${url.host} shows an authority with the fingerprint ${fingerprint}, not that one`, {
        hint: 'Nothing was sent to it. Either the fingerprint was mistyped, or somebody is in between',
      }),
    )
  }
  if (believed) return undefined
  const before = await readContext(session.terminal.env)
  if (before.ok && before.value.authority === pem) return pem
  if (!prompts.isInteractive)
    throw new FailureError(
      failure('unauthorized', `Nobody has confirmed the authority of ${url.host}: ${fingerprint}`, {
        hint: 'If that is the one, give it with --fingerprint',
      }),
    )
  session.note(`${url.host} shows this authority, which is not known here:\n  SHA256:${fingerprint}`)
  session.note('On a host of the cluster, `stead auth fingerprint` shows what it should be.')
  const answer = await prompts.ask('Is it the same? (yes/no) ')
  if (answer.trim().toLowerCase() === 'yes') return pem
  throw new FailureError(failure('unauthorized', 'The authority was not confirmed', { hint: 'Nothing was sent to it' }))
}

function named(hosts: readonly URL[], known: SteadContext | undefined): Pick<SteadContext, 'name'> {
  const isSame = known?.endpoints.some((one) => 'url' in one && hosts.some(({ origin }) => origin === one.url))
  return { name: isSame ? known!.name : (hosts[0]?.hostname ?? 'default') }
}

async function save(session: Session, context: SteadContext): Promise<void> {
  await writeContext(session.terminal.env, context)
}

function parsedUrl(text: string): URL {
  const url = URL.parse(text)
  if (url?.protocol === 'https:' && url.pathname === '/' && url.username === '') return url
  throw badArgument(`\`${text}\` is no address of a host`, 'Write https://, its name or address, and its port.')
}

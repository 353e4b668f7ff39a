/**
 * A directory (LDAP, Active Directory), asked who somebody is and whether a password is his. Always over TLS: what is
 * refused is the connection, never the check.
 */
import { readFileSync } from 'node:fs'
import { connect as connectTcp, type Socket } from 'node:net'
import { connect as connectTls, rootCertificates, type ConnectionOptions } from 'node:tls'
import { failure, type Failure } from '@stead/core/errors.ts'
import { barrierOfRefusal, type AccountBarrier } from '@stead/core/access/active-directory.ts'
import { localPart } from '@stead/core/access/realm-user.ts'
import type { LdapService, Realm, RealmIdentity } from '@stead/core/model/realm.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import { ACTIVE_DIRECTORY } from './active-directory.ts'
import { PLAIN_DIRECTORY, type Line, type People } from './directory-people.ts'

const CONNECT_MS = 3_000
const ANSWER_MS = 5_000
/** Of one server, whatever it does. */
const WHOLE_MS = 8_000
const AT_ONCE_MAX = 64

type Directory = Realm & { readonly service: LdapService }

/** What a directory says to a name and a password. */
export type PasswordAnswer =
  | { readonly kind: 'right'; readonly identity: RealmIdentity }
  /** Or there is nobody of that name, or more than one; all take as long. */
  | { readonly kind: 'wrong'; readonly isLocked: boolean }
  /** The password is right, and he may not sign in. */
  | { readonly kind: 'barred'; readonly by: Exclude<AccountBarrier, 'locked'> | 'not-now' }

const WRONG: PasswordAnswer = { kind: 'wrong', isLocked: false }

let busy = 0

export async function whoHasPassword(
  realm: Directory,
  name: string,
  password: string,
): Promise<Result<PasswordAnswer>> {
  // A directory takes an empty password as a wish to stay unknown, and says yes.
  if (password === '' || !localPart(name).ok) return ok(WRONG)
  const people = peopleOf(realm)
  return asking<PasswordAnswer>(realm, async (line) => {
    const dn = await people.find(line, name)
    const refused = await refusalOf(line, dn ?? `cn=nobody,${realm.service.baseDn}`, password)
    if (dn === undefined) return ok(WRONG)
    if (refused !== undefined) return ok(barredBy(refused, realm.service) ?? WRONG)
    await bindAsOneself(line)
    const identity = await people.describe(line, dn, name)
    return identity.ok ? ok({ kind: 'right', identity: identity.value }) : identity
  })
}

/** What it knows of a user, without his password. */
export function lookUp(
  realm: Directory,
  name: string | undefined,
): Promise<Result<{ readonly answered: string; readonly identity?: RealmIdentity }>> {
  const people = peopleOf(realm)
  return asking(realm, async (line) => {
    const answered = line.url
    await line.client.search(realm.service.baseDn, { scope: 'base', attributes: ['1.1'] })
    const dn = name === undefined ? undefined : await people.find(line, name)
    if (name === undefined || dn === undefined) return ok({ answered })
    const identity = await people.describe(line, dn, name)
    return identity.ok ? ok({ answered, identity: identity.value }) : identity
  })
}

function peopleOf({ service }: Directory): People {
  return service.activeDirectory === undefined ? PLAIN_DIRECTORY : ACTIVE_DIRECTORY
}

/** Of the servers the first that answers. */
async function asking<T>(realm: Directory, ask: (line: Line) => Promise<Result<T>>): Promise<Result<T>> {
  if (busy >= AT_ONCE_MAX)
    return fail(failure('too_many_requests', `${realm.name} is asked too much at the moment`, { retryAfterMs: 1_000 }))
  busy += 1
  try {
    let last: Failure = failure('realm_unreachable', `${realm.name} has no server`)
    for (const url of realm.service.urls) {
      const answer = await askOne(realm, url, ask)
      if (answer.ok || answer.error.code !== 'realm_unreachable') return answer
      last = answer.error
    }
    return fail(last)
  } finally {
    busy -= 1
  }
}

async function askOne<T>(
  { name, service }: Directory,
  url: string,
  ask: (line: Line) => Promise<Result<T>>,
): Promise<Result<T>> {
  // When it is first needed: most clusters have no such realm.
  const ldap = await import('ldapts')
  const sockets: Socket[] = []
  const isPlain = new URL(url).protocol === 'ldap:'
  const tls = tlsOptions(new URL(url).hostname, service.authority)
  /** The library would connect anew by itself, without TLS where that was begun by StartTLS. */
  const once = <Args extends unknown[], S extends Socket>(make: (...args: Args) => S) => {
    let isUsed = false
    return (...args: Args): S => {
      if (isUsed) throw new Error('the connection has ended')
      isUsed = true
      const socket = make(...args)
      sockets.push(socket)
      return socket
    }
  }
  const client = new ldap.Client({
    ...{ url, timeout: ANSWER_MS, connectTimeout: CONNECT_MS, strictDN: false },
    // With them it speaks TLS from the first byte, whatever the address says.
    ...(isPlain ? {} : { tlsOptions: tls }),
    createConnection: once(connectTcp as (...args: unknown[]) => Socket) as typeof connectTcp,
    createSecureConnection: once(connectTls as (...args: unknown[]) => Socket) as typeof connectTls,
  })
  const timer = setTimeout(() => {
    for (const socket of sockets) socket.destroy(new Error('it takes too long'))
  }, WHOLE_MS)
  try {
    if (isPlain) await client.startTLS({ ...tls })
    const line = { ldap, client, url, service }
    await bindAsOneself(line)
    return await ask(line)
  } catch (cause) {
    const { message } = cause as Error
    const what = cause instanceof ldap.ResultCodeError ? 'refuses what it is asked' : 'does not answer'
    return fail(failure('realm_unreachable', `${name} ${what} at ${url}: ${message.trim()}`, { cause }))
  } finally {
    clearTimeout(timer)
    for (const socket of sockets) socket.destroy()
  }
}

/** `host`: the certificate must be of the very host that was asked, also where StartTLS has no name to go by. */
function tlsOptions(host: string, authority: string | undefined): ConnectionOptions {
  const name = host.replace(/^\[|\]$/g, '')
  const isName = !/^[\d.]+$|:/.test(name)
  return {
    ...{ host: name, minVersion: 'TLSv1.2', rejectUnauthorized: true, ...(isName ? { servername: name } : {}) },
    ca: authority ?? machineAuthorities(),
  }
}

/** Debian's, so that an authority that the administrator has installed there counts; Node reads its own otherwise. */
function machineAuthorities(): string[] {
  try {
    return [readFileSync('/etc/ssl/certs/ca-certificates.crt', 'utf8')]
  } catch {
    return [...rootCertificates]
  }
}

async function bindAsOneself({ client, service: { bindDn = '', bindPassword = '' } }: Line): Promise<void> {
  await client.bind(bindDn, bindPassword)
}

/** Undefined: it is his password. Otherwise what the directory says. */
async function refusalOf({ ldap, client }: Line, dn: string, password: string): Promise<string | undefined> {
  try {
    await client.bind(dn, password)
    return undefined
  } catch (error) {
    // Wrong, expired, locked, or no such entry: the directory does not let him in.
    if (error instanceof ldap.ResultCodeError) return error.message
    throw error
  }
}

function barredBy(refusal: string, { activeDirectory }: LdapService): PasswordAnswer | undefined {
  const by = activeDirectory === undefined ? undefined : barrierOfRefusal(refusal)
  // That is said to whoever types a wrong password, too.
  if (by === 'locked') return { kind: 'wrong', isLocked: true }
  return by && { kind: 'barred', by }
}

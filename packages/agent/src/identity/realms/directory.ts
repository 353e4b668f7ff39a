/**
 * A directory (LDAP, Active Directory), asked who somebody is and whether a password is his. Always over TLS: what is
 * refused is the connection, never the check.
 */
import { readFileSync } from 'node:fs'
import { connect as connectTcp, type Socket } from 'node:net'
import { connect as connectTls, rootCertificates, type ConnectionOptions } from 'node:tls'
import type { Client, Entry } from 'ldapts'
import { failure, type Failure } from '@stead/core/errors.ts'
import { localPart } from '@stead/core/access/realm-user.ts'
import type { LdapService, Realm, RealmIdentity } from '@stead/core/model/realm.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'

const CONNECT_MS = 3_000
const ANSWER_MS = 5_000
/** Of one server, whatever it does. */
const WHOLE_MS = 8_000
const AT_ONCE_MAX = 64
const GROUPS_MAX = 1_000

type Directory = Realm & { readonly service: LdapService }

type Library = typeof import('ldapts')

/** An open connection, over TLS. */
interface Line {
  readonly ldap: Library
  readonly client: Client
  readonly url: string
  readonly service: LdapService
}

let busy = 0

/** Undefined: the password is wrong, or there is nobody of that name; both take as long. */
export function whoHasPassword(
  realm: Directory,
  name: string,
  password: string,
): Promise<Result<RealmIdentity | undefined>> {
  // A directory takes an empty password as a wish to stay unknown, and says yes.
  if (password === '' || !localPart(name).ok) return Promise.resolve(ok(undefined))
  return asking(realm, async (line) => {
    const dn = await dnOf(line, name)
    if (!(await isPasswordOf(line, dn ?? `cn=nobody,${realm.service.baseDn}`, password)) || dn === undefined)
      return undefined
    await bindAsOneself(line)
    return identityOf(line, dn, name)
  })
}

/** What it knows of a user, without his password. */
export function lookUp(
  realm: Directory,
  name: string | undefined,
): Promise<Result<{ readonly answered: string; readonly identity?: RealmIdentity }>> {
  return asking(realm, async (line) => {
    const answered = line.url
    await line.client.search(realm.service.baseDn, { scope: 'base', attributes: ['1.1'] })
    const dn = name === undefined ? undefined : await dnOf(line, name)
    return name === undefined || dn === undefined
      ? { answered }
      : { answered, identity: await identityOf(line, dn, name) }
  })
}

/** Of the servers the first that answers. */
async function asking<T>(realm: Directory, ask: (line: Line) => Promise<T>): Promise<Result<T>> {
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
  ask: (line: Line) => Promise<T>,
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
    return ok(await ask(line))
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

async function isPasswordOf({ ldap, client }: Line, dn: string, password: string): Promise<boolean> {
  try {
    await client.bind(dn, password)
    return true
  } catch (error) {
    // Wrong, expired, locked, or no such entry: the directory does not let him in.
    if (error instanceof ldap.ResultCodeError) return false
    throw error
  }
}

/** Undefined: nobody, or more than one. */
async function dnOf({ ldap, client, service }: Line, name: string): Promise<string | undefined> {
  const { userAttribute, userFilter, baseDn } = service
  // Sent by the library as a value of its own, never as text: nothing in a name is taken for a filter.
  const named = new ldap.EqualityFilter({ attribute: userAttribute, value: name })
  const filter =
    userFilter === undefined
      ? named
      : new ldap.AndFilter({ filters: [named, ldap.FilterParser.parseString(userFilter)] })
  try {
    const { searchEntries } = await client.search(baseDn, { scope: 'sub', filter, attributes: ['1.1'], sizeLimit: 2 })
    return searchEntries.length === 1 ? searchEntries[0]?.dn : undefined
  } catch (error) {
    if (error instanceof ldap.SizeLimitExceededError) return undefined
    throw error
  }
}

async function identityOf(line: Line, dn: string, name: string): Promise<RealmIdentity> {
  const { searchEntries } = await line.client.search(dn, {
    scope: 'base',
    attributes: ['cn', 'displayName', 'mail', 'entryUUID', 'objectGUID'],
    explicitBufferAttributes: ['objectGUID'],
  })
  const entry = searchEntries[0]
  const [fullName] = [...textsOf(entry, 'displayName'), ...textsOf(entry, 'cn')]
  const [email] = textsOf(entry, 'mail')
  const guid = entry?.['objectGUID']
  const [subject] = [...textsOf(entry, 'entryUUID'), ...(Buffer.isBuffer(guid) ? [guid.toString('hex')] : [])]
  return {
    name,
    groups: await groupsOf(line, dn, name),
    ...(subject === undefined ? {} : { subject }),
    ...(fullName === undefined ? {} : { fullName: fullName.slice(0, 200) }),
    ...(email === undefined ? {} : { email: email.slice(0, 254) }),
  }
}

/** By `cn` and by DN: those that name him as a member, by his DN or, as POSIX groups do, by his name. */
async function groupsOf({ ldap, client, service }: Line, dn: string, name: string): Promise<string[]> {
  const filters = [
    new ldap.EqualityFilter({ attribute: 'member', value: dn }),
    new ldap.EqualityFilter({ attribute: 'uniqueMember', value: dn }),
    new ldap.EqualityFilter({ attribute: 'memberUid', value: name }),
  ]
  const { searchEntries } = await client.search(service.groupBaseDn ?? service.baseDn, {
    ...{ scope: 'sub', filter: new ldap.OrFilter({ filters }), attributes: ['cn'], sizeLimit: GROUPS_MAX },
  })
  return searchEntries.flatMap((group) => [...textsOf(group, 'cn'), group.dn])
}

function textsOf(entry: Entry | undefined, attribute: string): string[] {
  const value = entry?.[attribute]
  const all = Array.isArray(value) ? value : [value]
  return all.filter((one): one is string => typeof one === 'string' && one !== '')
}

/** Who is who in a directory that says no more of itself than that it is one, as OpenLDAP. */
import type { Client, Entry } from 'ldapts'
import type { LdapService, RealmIdentity } from '@stead/core/model/realm.ts'
import { ok, type Result } from '@stead/core/result.ts'

const GROUPS_MAX = 1_000

/** An open connection to a directory, over TLS, by which it is asked. */
export interface Line {
  readonly ldap: typeof import('ldapts')
  readonly client: Client
  readonly url: string
  readonly service: LdapService
}

export interface People {
  /** His DN; undefined: nobody has that name, or more than one. */
  find(line: Line, name: string): Promise<string | undefined>
  describe(line: Line, dn: string, name: string): Promise<Result<RealmIdentity>>
}

export const PLAIN_DIRECTORY: People = { find: dnOf, describe: identityOf }

async function dnOf(line: Line, name: string): Promise<string | undefined> {
  const { ldap, client } = line
  const { userAttribute, baseDn } = line.service
  // Sent by the library as a value of its own, never as text: nothing in a name is taken for a filter.
  const named = new ldap.EqualityFilter({ attribute: userAttribute, value: name })
  const filter = new ldap.AndFilter({ filters: [named, ...filterOf(line)] })
  try {
    const { searchEntries } = await client.search(baseDn, { scope: 'sub', filter, attributes: ['1.1'], sizeLimit: 2 })
    return searchEntries.length === 1 ? searchEntries[0]?.dn : undefined
  } catch (error) {
    if (error instanceof ldap.SizeLimitExceededError) return undefined
    throw error
  }
}

async function identityOf(line: Line, dn: string, name: string): Promise<Result<RealmIdentity>> {
  const { searchEntries } = await line.client.search(dn, {
    scope: 'base',
    attributes: ['cn', 'displayName', 'mail', 'entryUUID', 'objectGUID'],
    explicitBufferAttributes: ['objectGUID'],
  })
  const entry = searchEntries[0]
  const guid = entry?.['objectGUID']
  const [subject] = [...textsOf(entry, 'entryUUID'), ...(Buffer.isBuffer(guid) ? [guid.toString('hex')] : [])]
  return ok({
    name,
    groups: await groupsOf(line, dn, name),
    ...(subject === undefined ? {} : { subject }),
    ...shownOf(entry),
  })
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

export function textsOf(entry: Entry | undefined, attribute: string): string[] {
  const value = entry?.[attribute]
  const all = Array.isArray(value) ? value : [value]
  return all.filter((one): one is string => typeof one === 'string' && one !== '')
}

/** The `userFilter` of the settings, where there is one. */
export function filterOf({ ldap, service: { userFilter } }: Line) {
  return userFilter === undefined ? [] : [ldap.FilterParser.parseString(userFilter)]
}

/** What is shown of somebody, in the lengths that a user's record takes. */
export function shownOf(entry: Entry | undefined): Pick<RealmIdentity, 'fullName' | 'email'> {
  const [fullName] = [...textsOf(entry, 'displayName'), ...textsOf(entry, 'cn')]
  const [email] = textsOf(entry, 'mail')
  return {
    ...(fullName === undefined ? {} : { fullName: fullName.slice(0, 200) }),
    ...(email === undefined ? {} : { email: email.slice(0, 254) }),
  }
}

/** Who is who in Active Directory. docs/internals/realms.md. */
import type { Entry, Filter } from 'ldapts'
import { barriersOf, baseDnOfDomain, securityId } from '@stead/core/access/active-directory.ts'
import { localPart } from '@stead/core/access/realm-user.ts'
import { failure } from '@stead/core/errors.ts'
import type { RealmIdentity } from '@stead/core/model/realm.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import { filterOf, shownOf, textsOf, type Line, type People } from './directory-people.ts'

/** In one question, well below the thousand entries that a controller answers with at most. */
const GROUPS_AT_ONCE = 200
const BINARY = ['objectGUID', 'objectSid', 'tokenGroups']

export const ACTIVE_DIRECTORY: People = { find, describe }

/**
 * By the name of the account, or by what stands before the @ of his `userPrincipalName`. Both are always asked for, so
 * that time does not tell which names there are; the account's name counts first, so that nobody who may give out
 * principal names can take a colleague's.
 */
async function find(line: Line, name: string): Promise<string | undefined> {
  const { ldap, service } = line
  const [byAccount, byPrincipal] = await Promise.all([
    onlyPerson(line, new ldap.EqualityFilter({ attribute: service.userAttribute, value: name })),
    onlyPerson(line, new ldap.SubstringFilter({ attribute: 'userPrincipalName', initial: `${name}@` })),
  ])
  return byAccount ?? byPrincipal
}

async function onlyPerson(line: Line, named: Filter): Promise<string | undefined> {
  const { ldap, client, service } = line
  const person = [
    new ldap.EqualityFilter({ attribute: 'objectCategory', value: 'person' }),
    new ldap.EqualityFilter({ attribute: 'objectClass', value: 'user' }),
  ]
  const filter = new ldap.AndFilter({ filters: [...person, named, ...filterOf(line)] })
  try {
    const { searchEntries } = await client.search(service.baseDn, {
      ...{ scope: 'sub', filter, attributes: ['1.1'], sizeLimit: 2 },
    })
    return searchEntries.length === 1 ? searchEntries[0]?.dn : undefined
  } catch (error) {
    if (error instanceof ldap.SizeLimitExceededError) return undefined
    throw error
  }
}

async function describe(line: Line, dn: string): Promise<Result<RealmIdentity>> {
  const { userAttribute } = line.service
  const { searchEntries } = await line.client.search(dn, {
    // Read of this one entry: tokenGroups and the computed control are told in no other way.
    scope: 'base',
    attributes: [
      ...[userAttribute, 'cn', 'displayName', 'mail', 'objectGUID', 'tokenGroups', 'userAccountControl'],
      ...['msDS-User-Account-Control-Computed', 'accountExpires', 'pwdLastSet'],
    ],
    explicitBufferAttributes: BINARY,
  })
  const [entry] = searchEntries
  const [account = ''] = textsOf(entry, userAttribute)
  // Whichever way he was found: by another name he would be another user here.
  const name = localPart(account)
  if (!name.ok) return name
  const groups = await groupsOf(line, account, bytesOf(entry, 'tokenGroups'))
  if (!groups.ok) return groups
  const [guid] = bytesOf(entry, 'objectGUID')
  return ok({
    name: name.value,
    groups: groups.value,
    ...(guid === undefined ? {} : { subject: guid.toString('hex') }),
    ...shownOf(entry),
    barriers: barriersOf(
      {
        userAccountControl: textsOf(entry, 'userAccountControl')[0],
        computed: textsOf(entry, 'msDS-User-Account-Control-Computed')[0],
        accountExpires: textsOf(entry, 'accountExpires')[0],
        pwdLastSet: textsOf(entry, 'pwdLastSet')[0],
      },
      Date.now(),
    ),
  })
}

/**
 * The directory itself has followed groups in groups, and the primary group, which no `memberOf` names. By account name,
 * DN and SID; not by `cn`, which two groups may share when they lie in different places.
 */
async function groupsOf(line: Line, account: string, identifiers: readonly Buffer[]): Promise<Result<string[]>> {
  const { bindDn = '' } = line.service
  // Everybody is in his primary group at least.
  if (identifiers.length === 0)
    return fail(
      failure('realm_unreachable', `${bindDn} may not read in which groups ${account} is`, {
        hint: 'Make the account a member of the group `Windows Authorization Access Group`',
      }),
    )
  const names = identifiers.flatMap((bytes) => securityId(bytes) ?? [])
  for (let at = 0; at < identifiers.length; at += GROUPS_AT_ONCE)
    names.push(...(await namesOf(line, identifiers.slice(at, at + GROUPS_AT_ONCE))))
  return ok(names)
}

/** Of groups of other domains, which this one does not hold, only the SID is known. */
async function namesOf({ ldap, client, service }: Line, identifiers: readonly Buffer[]): Promise<string[]> {
  const filters = identifiers.map((value) => new ldap.EqualityFilter({ attribute: 'objectSid', value }))
  const { searchEntries } = await client.search(service.groupBaseDn ?? baseDnOfDomain(service.activeDirectory ?? ''), {
    ...{ scope: 'sub', filter: new ldap.OrFilter({ filters }), attributes: ['sAMAccountName'] },
  })
  return searchEntries.flatMap((group) => [...textsOf(group, 'sAMAccountName'), group.dn])
}

function bytesOf(entry: Entry | undefined, attribute: string): Buffer[] {
  const value = entry?.[attribute]
  const all: readonly unknown[] = Array.isArray(value) ? value : [value]
  return all.filter((one) => Buffer.isBuffer(one))
}

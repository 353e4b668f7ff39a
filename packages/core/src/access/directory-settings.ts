/** The settings of a directory, with what goes without saying. Pure. */
import { failure } from '../errors.ts'
import type { LdapService } from '../model/realm.ts'
import { fail, ok, type Result } from '../result.ts'
import { accountOfDomain, baseDnOfDomain } from './active-directory.ts'

/** Of an Active Directory its domain is enough, and an account that may read it. */
export function completeDirectory(given: Partial<LdapService>): Result<LdapService> {
  const { activeDirectory: domain, bindDn, urls, baseDn, userAttribute, ...rest } = given
  if (domain !== undefined) {
    // Unlike others it answers nobody who has not said who he is.
    if (bindDn === undefined)
      return fail(
        failure('bad_request', `An account is missing by which ${domain} is asked`, {
          hint: 'Make one that may do nothing else: every user of a domain may read it',
        }),
      )
    return ok({
      ...{ ...rest, kind: 'ldap', activeDirectory: domain, userAttribute: userAttribute ?? 'sAMAccountName' },
      // The name of a domain is an address of each of its controllers.
      ...{ urls: urls ?? [`ldaps://${domain}`], baseDn: baseDn ?? baseDnOfDomain(domain) },
      bindDn: accountOfDomain(bindDn, domain),
    })
  }
  const missing = urls === undefined ? 'its addresses' : baseDn === undefined ? 'below what its users are' : undefined
  if (urls === undefined || baseDn === undefined)
    return fail(
      failure('bad_request', `A directory needs ${missing}; only of an Active Directory its domain tells that`),
    )
  if (bindDn !== undefined && !bindDn.includes('='))
    return fail(failure('bad_request', `\`${bindDn}\` is not a distinguished name: cn=reader,dc=example,dc=org`))
  return ok({
    ...{ ...rest, kind: 'ldap', urls, baseDn, userAttribute: userAttribute ?? 'uid' },
    ...(bindDn === undefined ? {} : { bindDn }),
  })
}

/** Who else says that somebody is who he claims to be: an OpenID provider, or a directory. docs/internals/realms.md. */

import type { AccountBarrier } from '../access/active-directory.ts'

export interface Realm {
  /** `campus`: its users are `alice@campus`. */
  readonly name: string
  /** For the page on which people sign in. */
  readonly title?: string
  /** Whom it lets in becomes a user when he comes first; otherwise only users that are known come in. */
  readonly makesUsers?: true
  /** Nobody signs in by it. */
  readonly disabled?: true
  /** Whoever is in the realm's group is, from his next sign-in on, in the cluster's. */
  readonly groups: readonly RealmGroup[]
  readonly service: OidcService | LdapService
  readonly createdAt: number
}

export interface RealmGroup {
  /** As the realm calls it; of a directory its `cn` or its whole DN; of Active Directory its `sAMAccountName`, DN or SID. */
  readonly theirs: string
  readonly ours: string
}

export interface OidcService {
  readonly kind: 'oidc'
  readonly issuer: string
  readonly clientId: string
  /** Absent: of a public client, which PKCE alone protects. */
  readonly clientSecret?: string
  /** Separated by blanks. */
  readonly scope: string
  readonly userClaim: string
  readonly groupsClaim: string
  /** Names that end in `@` and this are taken without it; those of another domain are refused. */
  readonly domain?: string
  /** PEM: what is believed instead of the machine's own authorities. */
  readonly authority?: string
  /** It asks for a second factor itself, so none is asked for here. */
  readonly checksSecondFactor?: true
}

export interface LdapService {
  readonly kind: 'ldap'
  /** `ldaps://…`, or `ldap://…` with StartTLS; asked in this order. */
  readonly urls: readonly string[]
  readonly baseDn: string
  /** As whom users and groups are looked for; absent: as nobody. Of Active Directory also `reader@ad.example.org`. */
  readonly bindDn?: string
  readonly bindPassword?: string
  /** The domain `ad.example.org`: it is an Active Directory, and asked as one. */
  readonly activeDirectory?: string
  /** Whose value people type as their name. */
  readonly userAttribute: string
  /** What else must be true of a user's entry. */
  readonly userFilter?: string
  /** Below which groups are; absent: below `baseDn`. */
  readonly groupBaseDn?: string
  readonly authority?: string
}

/** What a realm says of somebody who has shown who he is. */
export interface RealmIdentity {
  /** As the realm knows him: `alice`. */
  readonly name: string
  /** What the realm never gives to another person, where it has such a thing. */
  readonly subject?: string
  readonly fullName?: string
  readonly email?: string
  /** What keeps him from signing in there, as far as it says so. */
  readonly barriers?: readonly AccountBarrier[]
  /** By each of the names that a mapping may use. */
  readonly groups: readonly string[]
}

/** The realm that keeps this user's password; undefined of the cluster's own users, and where there is no such realm. */
export function realmOf<T extends { readonly value: Realm }>(
  realms: ReadonlyMap<string, T>,
  user: string,
): Realm | undefined {
  const [, realm] = user.split('@')
  return realm === undefined ? undefined : realms.get(realm)?.value
}

/** Realms, as the store keeps them. Their secrets are left out of whatever is shown. */
import { z } from 'zod'
import { wallMs } from './record-values.ts'
import { secret } from './secrets.ts'

const authority = z.string().describe('PEM: what is believed instead of the authorities of the host')

export const oidcServiceSchema = z.object({
  kind: z.literal('oidc'),
  issuer: z.string().describe('https://…, as its discovery document says'),
  clientId: z.string(),
  clientSecret: secret(z.string()).exactOptional(),
  scope: z.string().describe('Separated by blanks'),
  userClaim: z.string().describe('Whose value is the name of the user'),
  groupsClaim: z.string().describe('Whose values are the groups of the user'),
  domain: z.string().exactOptional().describe('Names end in @ and this, and are taken without it'),
  authority: authority.exactOptional(),
  checksSecondFactor: z.literal(true).exactOptional().describe('None is asked for here'),
})

export const ldapServiceSchema = z.object({
  kind: z.literal('ldap'),
  urls: z.array(z.string()).describe('ldaps://…, or ldap://… with StartTLS; asked in this order'),
  baseDn: z.string().describe('Below which users are'),
  bindDn: z.string().exactOptional().describe('As whom users and groups are looked for; absent: as nobody'),
  bindPassword: secret(z.string()).exactOptional(),
  activeDirectory: z.string().exactOptional().describe('The domain of an Active Directory, which is asked as one'),
  userAttribute: z.string().describe('Whose value people type as their name'),
  userFilter: z.string().exactOptional().describe("What else must be true of a user's entry"),
  groupBaseDn: z.string().exactOptional().describe('Below which groups are; absent: below `baseDn`'),
  authority: authority.exactOptional(),
})

export const realmGroupSchema = z.object({
  theirs: z
    .string()
    .describe('As the realm calls it; of a directory its `cn` or DN, of Active Directory `sAMAccountName`, DN or SID'),
  ours: z.string().describe('A group of the cluster'),
})

export const realmSchema = z.object({
  name: z.string().describe('Its users are `NAME@` and this'),
  title: z.string().exactOptional().describe('For the page on which people sign in'),
  makesUsers: z.literal(true).exactOptional().describe('Whom it lets in becomes a user when he comes first'),
  disabled: z.literal(true).exactOptional().describe('Nobody signs in by it'),
  groups: z.array(realmGroupSchema),
  service: z.discriminatedUnion('kind', [oidcServiceSchema, ldapServiceSchema]),
  createdAt: wallMs('When it was added'),
})

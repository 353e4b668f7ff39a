/** Realms: who else says who somebody is. And signing in by one whose page asks for the password itself. */
import { z } from 'zod'
import { ACCOUNT_BARRIERS } from '@stead/core/access/active-directory.ts'
import { accessNameSchema } from '../access-records.ts'
import { endpoint } from '../endpoint.ts'
import { ldapServiceSchema, oidcServiceSchema, realmGroupSchema } from '../realm-records.ts'
import { noContent } from './parameters.ts'
import { form, signInViewSchema } from './sign-in.ts'

const text = z.string().min(1).max(200)
const attribute = z.string().regex(/^[A-Za-z][A-Za-z0-9-]{0,63}$/, 'must be the name of an attribute')
const claim = z.string().regex(/^[^\s]{1,200}$/, 'must be the name of a claim')
const dn = z.string().max(500).regex(/=/, 'must be a distinguished name: `dc=example,dc=org`')
const account = z.string().min(1).max(500).describe('A distinguished name; of Active Directory a name of the domain')
const authority = z.string().max(20_000).includes('-----BEGIN CERTIFICATE-----', { error: 'must be PEM' })
const secretText = z.string().min(1).max(1_000)
const domain = z.string().regex(/^[A-Za-z0-9.-]{1,253}$/, 'must be a domain: `example.org`')
const scope = z
  .string()
  .max(500)
  .regex(/(^| )openid( |$)/, 'must name `openid` among others, separated by blanks')
const issuer = z.url({ protocol: /^https$/, error: 'must be an address with https://' }).max(500)
const directory = z.url({ protocol: /^ldaps?$/, error: 'must be an address with ldaps:// or ldap://' }).max(500)
const urls = z.array(directory).min(1).max(8)

const oidcSettings = z.strictObject({
  kind: z.literal('oidc'),
  issuer,
  clientId: text,
  clientSecret: secretText.optional(),
  scope: scope.default('openid profile email'),
  userClaim: claim.default('preferred_username'),
  groupsClaim: claim.default('groups'),
  domain: domain.optional().describe('Names end in @ and this, and are taken without it'),
  authority: authority.optional(),
  checksSecondFactor: z.boolean().default(false).describe('It asks for a second factor itself; none is asked for here'),
})

const activeDirectory = domain.describe('The domain of an Active Directory: from it follows what is not said')

const ldapSettings = z
  .strictObject({
    kind: z.literal('ldap'),
    activeDirectory: activeDirectory.optional(),
    urls: urls.optional().describe('Of Active Directory `ldaps://` and its domain, when absent'),
    baseDn: dn.optional().describe('Of Active Directory the whole domain, when absent'),
    bindDn: account.optional(),
    bindPassword: secretText.optional(),
    userAttribute: attribute.optional().describe('`uid`, of Active Directory `sAMAccountName`, when absent'),
    userFilter: text.optional(),
    groupBaseDn: dn.optional(),
    authority: authority.optional(),
  })
  .superRefine((given, context) => {
    const required = given.activeDirectory === undefined ? (['urls', 'baseDn'] as const) : (['bindDn'] as const)
    for (const path of required)
      if (given[path] === undefined) context.addIssue({ code: 'custom', path: [path], message: 'is missing' })
  })

/** Null: as if it had never been set. */
const oidcChange = z.strictObject({
  kind: z.literal('oidc'),
  issuer: issuer.optional(),
  clientId: text.optional(),
  clientSecret: secretText.nullable().optional(),
  scope: scope.optional(),
  userClaim: claim.optional(),
  groupsClaim: claim.optional(),
  domain: domain.nullable().optional(),
  authority: authority.nullable().optional(),
  checksSecondFactor: z.boolean().optional(),
})

const ldapChange = z.strictObject({
  kind: z.literal('ldap'),
  activeDirectory: activeDirectory.nullable().optional(),
  urls: urls.optional(),
  baseDn: dn.optional(),
  bindDn: account.nullable().optional(),
  bindPassword: secretText.nullable().optional(),
  userAttribute: attribute.optional(),
  userFilter: text.nullable().optional(),
  groupBaseDn: dn.nullable().optional(),
  authority: authority.nullable().optional(),
})
export type RealmServiceChange = z.output<typeof oidcChange> | z.output<typeof ldapChange>

const groups = z.array(z.strictObject({ theirs: z.string().min(1).max(500), ours: accessNameSchema })).max(500)
const revision = z.string().describe('Of the record; for If-Match')

export const realmViewSchema = z.object({
  name: z.string(),
  title: z.string(),
  makesUsers: z.boolean().describe('Whom it lets in becomes a user when he comes first'),
  disabled: z.boolean().describe('Nobody signs in by it'),
  groups: z.array(realmGroupSchema),
  service: z
    .discriminatedUnion('kind', [oidcServiceSchema, ldapServiceSchema])
    .describe('Secrets are shown as `(secret)`'),
  users: z.number().int(),
  createdAt: z.string(),
  revision,
})
export type RealmView = z.output<typeof realmViewSchema>

export const realmTestSchema = z.object({
  realm: z.string(),
  answered: z.string().describe('Who has answered: an address'),
  user: z
    .object({
      name: z.string(),
      known: z.boolean().describe('There is such a user in the cluster'),
      fullName: z.string(),
      email: z.string(),
      barriers: z
        .array(z.enum(ACCOUNT_BARRIERS))
        .describe('What keeps him from signing in there; of Active Directory only'),
      theirs: z.array(z.string()).describe('Groups, as the realm calls them'),
      ours: z.array(z.string()).describe('Groups of the cluster in which he would be by them'),
    })
    .nullable()
    .describe('Whom was asked for; of a directory only'),
})
export type RealmTest = z.output<typeof realmTestSchema>

const OWN = { permission: 'none', on: 'self', whatIf: 'none', public: true } as const
const VIEW = { permission: 'access.view', on: 'access' } as const
const MANAGE = { permission: 'access.manage', on: 'access', whatIf: 'none' } as const
const params = z.strictObject({ realm: z.string() })

export const REALM_ENDPOINTS = {
  'auth.realms': endpoint({
    ...{ id: 'auth.realms', method: 'GET', path: '/v1/auth/realms', ...OWN },
    summary: 'List by which realms one can sign in',
    response: z.object({
      items: z.array(z.object({ name: z.string(), title: z.string(), kind: z.enum(['oidc', 'ldap']) })),
    }),
    listedBy: ['name'],
    status: 200,
  }),
  'auth.oidc-begin': endpoint({
    ...{ id: 'auth.oidc-begin', method: 'POST', path: '/v1/auth/oidc', ...OWN },
    summary: 'Begin to sign in by an OpenID realm: the address to open in a browser',
    body: z.strictObject({ realm: z.string().max(100), form }),
    response: z.object({
      url: z.string(),
      sealed: z.string().nullable().describe('To be sent with the answer; null of a browser, which has it as a cookie'),
    }),
    unrecorded: true,
    status: 200,
    answerWithinMs: 15_000,
  }),
  'auth.oidc-finish': endpoint({
    ...{ id: 'auth.oidc-finish', method: 'POST', path: '/v1/auth/oidc/answer', ...OWN },
    summary: 'Sign in with the answer of an OpenID realm',
    body: z.strictObject({
      answer: z.string().max(8_000).describe('The query with which the realm has sent the browser back'),
      sealed: z.string().max(4_000).optional(),
    }),
    response: signInViewSchema,
    unrecorded: true,
    status: 200,
    answerWithinMs: 25_000,
  }),
  'realm.list': endpoint({
    ...{ id: 'realm.list', method: 'GET', path: '/v1/realms', summary: 'List the realms', ...VIEW },
    response: z.object({ items: z.array(realmViewSchema) }),
    listedBy: ['name'],
    status: 200,
  }),
  'realm.show': endpoint({
    ...{ id: 'realm.show', method: 'GET', path: '/v1/realms/{realm}', summary: 'Show a realm', ...VIEW },
    params,
    response: realmViewSchema,
    status: 200,
  }),
  'realm.add': endpoint({
    ...{ id: 'realm.add', method: 'POST', path: '/v1/realms', ...MANAGE },
    summary: 'Add a realm: an OpenID provider or a directory that says who somebody is',
    body: z.strictObject({
      name: accessNameSchema,
      title: text.optional(),
      makesUsers: z.boolean().default(false),
      groups: groups.default([]),
      service: z.discriminatedUnion('kind', [oidcSettings, ldapSettings]),
    }),
    response: realmViewSchema,
    status: 201,
  }),
  'realm.set': endpoint({
    ...{ id: 'realm.set', method: 'PATCH', path: '/v1/realms/{realm}', summary: 'Change a realm', ...MANAGE },
    params,
    body: z.strictObject({
      title: text.nullable().optional(),
      makesUsers: z.boolean().optional(),
      disabled: z.boolean().optional(),
      groups: groups.optional().describe('Instead of those that there are'),
      service: z.discriminatedUnion('kind', [oidcChange, ldapChange]).optional(),
    }),
    response: realmViewSchema,
    status: 200,
  }),
  'realm.remove': endpoint({
    ...{ id: 'realm.remove', method: 'DELETE', path: '/v1/realms/{realm}', ...MANAGE },
    summary: 'Remove a realm that has no users',
    params,
    response: noContent,
    status: 204,
  }),
  'realm.test': endpoint({
    ...{ id: 'realm.test', method: 'POST', path: '/v1/realms/{realm}/test', ...MANAGE, whatIf: 'harmless' },
    summary: 'Ask a realm whether it answers, and what it knows of a user',
    params,
    body: z.strictObject({ user: z.string().min(1).max(100).optional().describe('Of a directory: `alice`') }),
    response: realmTestSchema,
    unrecorded: true,
    status: 200,
    answerWithinMs: 25_000,
  }),
} as const

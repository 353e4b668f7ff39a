/** Who there is, and what they may: users, groups, roles, permissions, API tokens. */
import { z } from 'zod'
import {
  accessNameSchema,
  groupSchema,
  permissionSchema,
  privilegeSchema,
  roleNameSchema,
  roleSchema,
  subjectSchema,
  userNameSchema,
} from '../access-records.ts'
import { endpoint } from '../endpoint.ts'
import { noContent } from './parameters.ts'

const isoTime = z.string().describe('ISO 8601, UTC').nullable()
const revision = z.string().describe('Of the record; for If-Match')
const moment = z.iso.datetime({ offset: true, error: 'must be a time such as 2026-12-31T12:00:00Z' })
const text = z.string().max(200)
const email = z.email().max(254)

export const userViewSchema = z.object({
  name: z.string(),
  realm: z.string(),
  fullName: z.string(),
  email: z.string(),
  disabled: z.boolean(),
  expiresAt: isoTime,
  groups: z.array(z.string()),
  tokens: z.number().int(),
  createdAt: z.string(),
  revision,
})
export type UserView = z.output<typeof userViewSchema>

const demandsSecondFactor = z.boolean().describe('Its members sign in with a second factor')
export const groupViewSchema = groupSchema.extend({ notes: z.string(), demandsSecondFactor, revision })
export type GroupView = z.output<typeof groupViewSchema>

export const roleViewSchema = roleSchema.extend({
  builtIn: z.boolean().describe('Comes with Stead; nobody can change it'),
  revision,
})
export type RoleView = z.output<typeof roleViewSchema>

const shownPermissionSchema = permissionSchema.extend({ path: z.string().describe('Of a guest: `/guests/NAME`') })
export const permissionViewSchema = shownPermissionSchema.extend({ revision })
export type PermissionView = z.output<typeof permissionViewSchema>

export const tokenViewSchema = z.object({
  user: z.string(),
  name: z.string(),
  separated: z.boolean(),
  expiresAt: isoTime,
  createdAt: z.string(),
  revision,
})
export type TokenView = z.output<typeof tokenViewSchema>

export const accessExplanationSchema = z.object({
  principal: z.string(),
  privilege: privilegeSchema,
  path: z.string(),
  allowed: z.boolean(),
  because: z.string().describe('One sentence'),
  permission: shownPermissionSchema.nullable().describe('What decided; null where nothing was said'),
  groups: z.array(z.string()).describe("The user's, whose permissions count as well"),
})
export type AccessExplanation = z.output<typeof accessExplanationSchema>

export const whoAmISchema = z.object({
  kind: z.enum(['root', 'user', 'token']),
  name: z.string().describe('`root@HOST`, a user, or `USER!TOKEN`'),
  must: z.enum(['change-password', 'add-second-factor']).nullable().describe('What must be done before anything else'),
  forgeryToken: z.string().nullable().describe('Of a cookie: to be sent as `X-Stead-Forgery-Token` with every change'),
  groups: z.array(z.string()),
  expiresAt: isoTime.describe('When the token or the session ends'),
})
export type WhoAmI = z.output<typeof whoAmISchema>

const userParams = z.strictObject({ user: z.string() })
const groupParams = z.strictObject({ group: z.string() })
const members = z
  .array(z.string())
  .max(10_000)
  .refine((names) => new Set(names).size === names.length, 'must name each user once')

const VIEW = { permission: 'access.view', on: 'access' } as const
const MANAGE = { permission: 'access.manage', on: 'access', whatIf: 'none' } as const

export const ACCESS_ENDPOINTS = {
  'user.list': endpoint({
    ...{ id: 'user.list', method: 'GET', path: '/v1/users', summary: 'List the users', ...VIEW },
    response: z.object({ items: z.array(userViewSchema) }),
    listedBy: ['name'],
    status: 200,
  }),
  'user.show': endpoint({
    ...{ id: 'user.show', method: 'GET', path: '/v1/users/{user}', summary: 'Show a user', ...VIEW },
    params: userParams,
    response: userViewSchema,
    status: 200,
  }),
  'user.create': endpoint({
    ...{
      id: 'user.create',
      method: 'POST',
      path: '/v1/users',
      summary: 'Create a user, who may nothing yet',
      ...MANAGE,
    },
    body: z.strictObject({
      name: userNameSchema,
      fullName: text.optional(),
      email: email.optional(),
      expiresAt: moment.optional().describe('From when on he counts as disabled'),
    }),
    response: userViewSchema,
    status: 201,
  }),
  'user.set': endpoint({
    ...{ id: 'user.set', method: 'PATCH', path: '/v1/users/{user}', summary: 'Change a user', ...MANAGE },
    params: userParams,
    body: z.strictObject({
      fullName: text.optional(),
      email: email.nullable().optional(),
      disabled: z.boolean().optional().describe('He can neither sign in nor use a token'),
      expiresAt: moment.nullable().optional().describe('From when on he counts as disabled; null: never'),
    }),
    response: userViewSchema,
    status: 200,
  }),
  'user.delete': endpoint({
    ...{ id: 'user.delete', method: 'DELETE', path: '/v1/users/{user}', ...MANAGE },
    summary: 'Delete a user with his tokens and permissions',
    params: userParams,
    response: noContent,
    status: 204,
  }),
  'group.list': endpoint({
    ...{ id: 'group.list', method: 'GET', path: '/v1/groups', summary: 'List the groups of users', ...VIEW },
    response: z.object({ items: z.array(groupViewSchema) }),
    listedBy: ['name'],
    status: 200,
  }),
  'group.create': endpoint({
    ...{ id: 'group.create', method: 'POST', path: '/v1/groups', summary: 'Create a group of users', ...MANAGE },
    body: z.strictObject({
      ...{ name: accessNameSchema, members: members.default([]), notes: text.optional() },
      demandsSecondFactor: demandsSecondFactor.optional(),
    }),
    response: groupViewSchema,
    status: 201,
  }),
  'group.set': endpoint({
    ...{ id: 'group.set', method: 'PATCH', path: '/v1/groups/{group}', summary: 'Change a group', ...MANAGE },
    params: groupParams,
    body: z.strictObject({
      add: members.default([]).describe('Users who become members'),
      remove: members.default([]).describe('Members who leave it'),
      notes: text.optional(),
      demandsSecondFactor: demandsSecondFactor.optional(),
    }),
    response: groupViewSchema,
    status: 200,
  }),
  'group.delete': endpoint({
    ...{ id: 'group.delete', method: 'DELETE', path: '/v1/groups/{group}', ...MANAGE },
    summary: 'Delete a group with its permissions',
    params: groupParams,
    response: noContent,
    status: 204,
  }),
  'role.list': endpoint({
    ...{ id: 'role.list', method: 'GET', path: '/v1/roles', summary: 'List the roles and their privileges', ...VIEW },
    response: z.object({ items: z.array(roleViewSchema) }),
    listedBy: ['name'],
    status: 200,
  }),
  'role.create': endpoint({
    ...{ id: 'role.create', method: 'POST', path: '/v1/roles', summary: 'Create a role', ...MANAGE },
    body: z.strictObject({ name: roleNameSchema, privileges: z.array(privilegeSchema).min(1) }),
    response: roleViewSchema,
    status: 201,
  }),
  'role.delete': endpoint({
    ...{
      id: 'role.delete',
      method: 'DELETE',
      path: '/v1/roles/{role}',
      summary: 'Delete a role that nobody has',
      ...MANAGE,
    },
    params: z.strictObject({ role: z.string() }),
    response: noContent,
    status: 204,
  }),
  'permission.list': endpoint({
    ...{
      id: 'permission.list',
      method: 'GET',
      path: '/v1/permissions',
      summary: 'List who has which role on what',
      ...VIEW,
    },
    response: z.object({ items: z.array(permissionViewSchema) }),
    listedBy: ['id'],
    status: 200,
  }),
  'permission.grant': endpoint({
    ...{ id: 'permission.grant', method: 'POST', path: '/v1/permissions', ...MANAGE },
    summary: 'Give somebody a role on an object',
    body: z.strictObject({
      subject: z.strictObject(subjectSchema.shape),
      role: z.string(),
      path: z.string().max(300),
      propagate: z.boolean().default(true).describe('Also on what lies below'),
    }),
    response: permissionViewSchema,
    status: 201,
  }),
  'permission.revoke': endpoint({
    ...{ id: 'permission.revoke', method: 'DELETE', path: '/v1/permissions/{permission}', ...MANAGE },
    summary: 'Take a role on an object away from somebody',
    params: z.strictObject({ permission: z.string().describe("The permission's id") }),
    response: noContent,
    status: 204,
  }),
  'token.list': endpoint({
    ...{ id: 'token.list', method: 'GET', path: '/v1/tokens', summary: 'List the API tokens', ...VIEW },
    query: z.strictObject({ user: z.string().optional().describe('Only of this user') }),
    response: z.object({ items: z.array(tokenViewSchema) }),
    listedBy: ['user', 'name'],
    status: 200,
  }),
  'token.create': endpoint({
    ...{ id: 'token.create', method: 'POST', path: '/v1/users/{user}/tokens', ...MANAGE },
    summary: 'Make an API token of a user; it is shown this once',
    params: userParams,
    body: z.strictObject({
      name: accessNameSchema,
      separated: z
        .boolean()
        .default(false)
        .describe('Has only permissions that are given to itself, as far as its user has them too'),
      expiresAt: moment.optional(),
    }),
    response: tokenViewSchema.extend({ token: z.string().describe('The token itself; nobody can ever see it again') }),
    status: 201,
  }),
  'token.revoke': endpoint({
    ...{ id: 'token.revoke', method: 'DELETE', path: '/v1/users/{user}/tokens/{token}', ...MANAGE },
    summary: 'Revoke an API token',
    params: z.strictObject({ user: z.string(), token: z.string().describe("The token's name") }),
    response: noContent,
    status: 204,
  }),
  'auth.whoami': endpoint({
    ...{ id: 'auth.whoami', method: 'GET', path: '/v1/auth/whoami', summary: 'Say who asks' },
    permission: 'none',
    on: 'self',
    dutiful: true,
    response: whoAmISchema,
    status: 200,
  }),
  'auth.privileges': endpoint({
    ...{ id: 'auth.privileges', method: 'GET', path: '/v1/auth/privileges' },
    summary: 'Say which privileges one has on an object oneself',
    permission: 'none',
    on: 'self',
    query: z.strictObject({ path: z.string().max(300) }),
    response: z.object({
      path: z.string(),
      privileges: z.array(privilegeSchema).describe('None where the object may not be seen or does not exist'),
    }),
    status: 200,
  }),
  'auth.explain': endpoint({
    ...{ id: 'auth.explain', method: 'GET', path: '/v1/auth/explanation', ...VIEW },
    summary: 'Say whether somebody has a privilege on an object, and why',
    query: z.strictObject({
      principal: z.string().describe('A user, or a token as `USER!NAME`'),
      path: z.string().max(300),
      privilege: privilegeSchema,
    }),
    response: accessExplanationSchema,
    status: 200,
  }),
} as const

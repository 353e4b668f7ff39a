/** Who there is and what they may, as the store keeps it. What proves who somebody is lies elsewhere. */
import { PRIVILEGES } from '@stead/core/access/privilege.ts'
import { z } from 'zod'
import { wallMs } from './record-values.ts'

/** An exclamation mark, a slash or a blank would make keys and paths ambiguous. */
const NAME = '[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?'
export const userNameSchema = z
  .string()
  .regex(
    new RegExp(`^${NAME}(@${NAME})?$`),
    'must be 1 to 63 lower-case letters, digits, inner dots, dashes and underscores, with @REALM where it is not local',
  )
export const accessNameSchema = z
  .string()
  .regex(new RegExp(`^${NAME}$`), 'must be 1 to 63 lower-case letters, digits, inner dots, dashes and underscores')
export const roleNameSchema = z
  .string()
  .regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/, 'must be 1 to 63 letters, digits, dots, dashes and underscores')

export const privilegeSchema = z.enum(PRIVILEGES)

export const userSchema = z.object({
  name: z.string().describe('`alice`, or `alice@campus` of the realm `campus`'),
  realm: z.string().describe('Who says whether a password is right; `local`: this cluster'),
  subject: z.string().exactOptional().describe('What the realm itself knows him by, which it gives to nobody else'),
  fullName: z.string().exactOptional(),
  email: z.string().exactOptional(),
  disabled: z.literal(true).exactOptional().describe('He can neither sign in nor use a token'),
  expiresAt: wallMs('From when on he counts as disabled').exactOptional(),
  createdAt: wallMs('When he was created'),
})

export const groupSchema = z.object({
  name: z.string(),
  members: z.array(z.string()).describe("Users' names"),
  demandsSecondFactor: z
    .literal(true)
    .exactOptional()
    .describe('Its members sign in with a second factor, or do nothing before they have one'),
  notes: z.string().exactOptional(),
})

export const sessionSchema = z.object({
  user: z.string(),
  form: z.enum(['cookie', 'token']).describe('`cookie`: of a browser; `token`: of a program, as the command line'),
  createdAt: wallMs('When he signed in'),
  usedAt: wallMs('Of the last request, to the minute'),
  expiresAt: wallMs('When it ends, however much it is used'),
  address: z.string().describe('From where he signed in'),
  client: z.string().describe('What the client calls itself'),
  must: z.enum(['change-password', 'add-second-factor']).exactOptional().describe('Nothing else is permitted before'),
})

export const roleSchema = z.object({ name: z.string(), privileges: z.array(privilegeSchema) })

export const tokenSchema = z.object({
  user: z.string().describe('It may at most what this user may'),
  name: z.string().describe("Unique among the user's"),
  separated: z
    .literal(true)
    .exactOptional()
    .describe('Has the permissions that were given to itself, as far as its user has them too'),
  expiresAt: wallMs('From when on it counts no more').exactOptional(),
  createdAt: wallMs('When it was created'),
})

export const subjectSchema = z.object({
  kind: z.enum(['user', 'group', 'token']),
  name: z.string().describe("A user's or group's name; a token's is `USER!NAME`"),
})

export const permissionSchema = z.object({
  id: z.string(),
  subject: subjectSchema,
  role: z.string(),
  path: z.string().describe('On what: docs/operating/access.md'),
  propagate: z.boolean().describe('Also on what lies below'),
  delegated: z
    .object({ project: z.string().describe('Where alone it counts'), by: z.string().describe('Who has given it') })
    .exactOptional()
    .describe('Given within a project: it adds to what an administrator has said, and takes nothing away'),
})

/** What is given and taken back within a project, by those who administer it. */
import { z } from 'zod'
import { roleSchema, subjectSchema } from '../access-records.ts'
import { endpoint } from '../endpoint.ts'
import { permissionViewSchema } from './access.ts'
import { noContent } from './parameters.ts'

const project = z.string().describe("The project's name")
const guest = z.string().max(100).optional()
const somebody = subjectSchema.extend({ kind: z.enum(['user', 'group']) })
const DELEGATE = { permission: 'project.delegate', on: 'project', whatIf: 'none' } as const

export const grantableSchema = z.object({
  subjects: z.array(somebody.extend({ fullName: z.string() })).describe('Whom one may name'),
  roles: z.array(roleSchema).describe('Which roles one may give there: those that include nothing that one lacks'),
})
export type Grantable = z.output<typeof grantableSchema>

export const DELEGATION_ENDPOINTS = {
  'delegation.list': endpoint({
    ...{ id: 'delegation.list', method: 'GET', path: '/v1/projects/{project}/permissions' },
    summary: 'List who has which role on a project and on its guests',
    permission: 'access.view',
    on: 'project',
    params: z.strictObject({ project }),
    response: z.object({ items: z.array(permissionViewSchema) }),
    listedBy: ['id'],
    status: 200,
  }),
  'delegation.grantable': endpoint({
    ...{ id: 'delegation.grantable', method: 'GET', path: '/v1/projects/{project}/grantable', ...DELEGATE },
    summary: 'Say which roles one may give to whom within a project',
    params: z.strictObject({ project }),
    query: z.strictObject({ guest: guest.describe('On this one alone; on the whole project when absent') }),
    response: grantableSchema,
    status: 200,
  }),
  'delegation.grant': endpoint({
    ...{ id: 'delegation.grant', method: 'POST', path: '/v1/projects/{project}/permissions', ...DELEGATE },
    summary: 'Give somebody a role on a project or on one of its guests, at most what one has oneself',
    params: z.strictObject({ project }),
    body: z.strictObject({
      subject: z.strictObject(somebody.shape),
      role: z.string().max(63),
      guest: guest.describe('On this one alone; on the whole project when absent'),
    }),
    response: permissionViewSchema,
    status: 201,
  }),
  'delegation.revoke': endpoint({
    ...{ id: 'delegation.revoke', method: 'DELETE', path: '/v1/projects/{project}/permissions/{permission}' },
    ...DELEGATE,
    summary: 'Take back a role that was given within a project',
    params: z.strictObject({ project, permission: z.string().describe("The permission's id") }),
    response: noContent,
    status: 204,
  }),
} as const

/** Tenants: what belongs together, and to whom. */
import { z } from 'zod'
import { accessNameSchema } from '../access-records.ts'
import { endpoint } from '../endpoint.ts'
import { quotaSchema } from '../project-records.ts'
import { guestParams, noContent } from './parameters.ts'

const notes = z.string().max(200)
const limits = z
  .strictObject({
    guests: z.number().int().min(0).nullable().optional(),
    cpus: z.number().int().min(0).nullable().optional().describe('Of all guests, running or not'),
    memoryBytes: z.number().int().min(0).nullable().optional().describe('Of all guests, running or not'),
    diskBytes: z.number().int().min(0).nullable().optional().describe('Each replica counts'),
    snapshots: z.number().int().min(0).nullable().optional(),
    backups: z.number().int().min(0).nullable().optional().describe('While they are being made too'),
    addresses: z.number().int().min(0).nullable().optional().describe('Of network cards'),
  })
  .describe('What is left out stays as it is; null: no limit')
const people = z
  .array(accessNameSchema)
  .max(50)
  .describe('Groups: those who may delegate within the project may name them and their members')
const projectParams = z.strictObject({ project: z.string().describe("The project's name") })

export const projectViewSchema = z.object({
  name: z.string(),
  notes: z.string(),
  quota: quotaSchema.describe('What is absent has no limit'),
  usage: z.object({
    guests: z.number().int(),
    cpus: z.number().int(),
    memoryBytes: z.number().int(),
    diskBytes: z.number().int(),
    snapshots: z.number().int(),
    backups: z.number().int(),
    addresses: z.number().int(),
  }),
  images: z.number().int(),
  people: z.array(z.string()).describe('Groups that may be named, with their members, by whoever delegates here'),
  createdAt: z.string().nullable().describe('null: of the project that has always been there'),
  revision: z.string().describe('Of the record; for If-Match'),
})
export type ProjectView = z.output<typeof projectViewSchema>

export const usageViewSchema = z.object({
  project: z.string(),
  hour: z.string().describe('Its beginning: ISO 8601, UTC'),
  complete: z.boolean().describe('False: the hour is not over'),
  cpuHours: z.number().describe('Processors of guests that ran, times hours'),
  memoryGibHours: z.number().describe('Memory of guests that ran'),
  diskGibHours: z.number().describe('Disks, each replica, whether their guests ran or not'),
  receivedBytes: z.number().describe('What guests received from the network'),
  sentBytes: z.number().describe('What guests sent'),
})
export type UsageView = z.output<typeof usageViewSchema>

const moment = z.iso.datetime({ offset: true, error: 'must be a time such as 2026-12-31T12:00:00Z' })
const MANAGE = { permission: 'project.manage', whatIf: 'none' } as const

export const PROJECT_ENDPOINTS = {
  'project.list': endpoint({
    ...{ id: 'project.list', method: 'GET', path: '/v1/projects', summary: 'List the projects' },
    permission: 'project.view',
    on: 'projects',
    response: z.object({ items: z.array(projectViewSchema) }),
    listedBy: ['name'],
    status: 200,
  }),
  'project.show': endpoint({
    ...{ id: 'project.show', method: 'GET', path: '/v1/projects/{project}', summary: 'Show a project' },
    permission: 'project.view',
    on: 'project',
    params: projectParams,
    response: projectViewSchema,
    status: 200,
  }),
  'project.create': endpoint({
    ...{ id: 'project.create', method: 'POST', path: '/v1/projects', summary: 'Create a project', ...MANAGE },
    on: 'cluster',
    body: z.strictObject({
      name: accessNameSchema,
      notes: notes.optional(),
      quota: limits.optional(),
      people: people.optional(),
    }),
    response: projectViewSchema,
    status: 201,
  }),
  'project.set': endpoint({
    ...{ id: 'project.set', method: 'PATCH', path: '/v1/projects/{project}', summary: 'Change a project', ...MANAGE },
    on: 'project',
    params: projectParams,
    body: z.strictObject({
      notes: notes.optional(),
      quota: limits.optional(),
      people: people.optional().describe('In place of those that were named before'),
    }),
    response: projectViewSchema,
    status: 200,
  }),
  'project.delete': endpoint({
    ...{ id: 'project.delete', method: 'DELETE', path: '/v1/projects/{project}', ...MANAGE },
    summary: 'Delete a project that nothing belongs to, with its permissions',
    on: 'project',
    params: projectParams,
    response: noContent,
    status: 204,
  }),
  'usage.list': endpoint({
    ...{ id: 'usage.list', method: 'GET', path: '/v1/usage', summary: 'List what projects used, hour by hour' },
    permission: 'project.view',
    on: 'usages',
    query: z.strictObject({
      project: z.string().optional().describe('Only of this one'),
      from: moment.optional().describe('Hours that begin then or later; the last 31 days when absent'),
      to: moment.optional().describe('Hours that begin before that'),
    }),
    response: z.object({ items: z.array(usageViewSchema) }),
    listedBy: ['project', 'hour'],
    status: 200,
  }),
  'guest.assign': endpoint({
    ...{ id: 'guest.assign', method: 'POST', path: '/v1/guests/{guest}/project', whatIf: 'none' },
    summary: 'Move a guest with its volumes and snapshots to another project',
    permission: 'guest.delete',
    on: 'moved-guest',
    params: guestParams,
    body: z.strictObject({ project: z.string().describe('Where guests may be created by who asks') }),
    response: z.object({ guest: z.string(), project: z.string() }),
    status: 200,
  }),
  'image.assign': endpoint({
    ...{ id: 'image.assign', method: 'POST', path: '/v1/images/{image}/project', whatIf: 'none' },
    summary: 'Move an image or a template to a project, or back to the cluster',
    permission: 'image.manage',
    on: 'image',
    params: z.strictObject({ image: z.string().describe("The image's name") }),
    body: z.strictObject({ project: z.string().nullable().describe('null: to the cluster') }),
    response: z.object({ image: z.string(), project: z.string().nullable() }),
    status: 200,
  }),
} as const

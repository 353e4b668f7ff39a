/** Webhooks: who is told of events by HTTP. */
import { EVENT_KINDS } from '@stead/core/model/event.ts'
import { z } from 'zod'
import { accessNameSchema } from '../access-records.ts'
import { endpoint } from '../endpoint.ts'
import { noContent } from './parameters.ts'

const URL_LENGTH_MAX = 2_048

const url = z
  .string()
  .max(URL_LENGTH_MAX)
  .refine(isWebAddress, 'must be an https:// address without a user or password in it')
  .describe('Where events are sent: https://, or http:// to an address of `outboundAllow` of the policy')
const kinds = z.array(z.enum(EVENT_KINDS)).max(EVENT_KINDS.length).describe('Of which events it is told; empty: all')
const notes = z.string().max(200)
const moment = z.string().nullable().describe('ISO 8601, UTC')

const tells = z
  .enum(['events', 'usage'])
  .describe('Events as they happen, or what each project used in each hour that is over')

export const webhookViewSchema = z.object({
  name: z.string(),
  url: z.string(),
  tells,
  kinds,
  project: z.string().nullable().describe('Only of what belongs to this project'),
  notes: z.string(),
  disabled: z.boolean(),
  createdAt: z.string(),
  deliveredAt: moment.describe('When it last took what it was told'),
  failing: z
    .object({
      since: z.string(),
      attempts: z.number().int(),
      nextAt: z.string().describe('When it is tried again'),
      error: z.string(),
    })
    .nullable()
    .describe('Why it has not taken what it is being told; null: it has'),
  lost: z
    .number()
    .int()
    .describe('Events that were given up, since it took none for a day; hours, since it took none for 14'),
  revision: z.string().describe('Of the record; for If-Match'),
})
export type WebhookView = z.output<typeof webhookViewSchema>

const params = z.strictObject({ webhook: z.string().describe("The webhook's name") })
const project = z.string().max(63)
const VIEW = { permission: 'cluster.view', on: 'cluster' } as const
const MANAGE = { permission: 'cluster.configure', on: 'cluster', whatIf: 'none' } as const

export const WEBHOOK_ENDPOINTS = {
  'webhook.list': endpoint({
    ...{ id: 'webhook.list', method: 'GET', path: '/v1/webhooks', summary: 'List the webhooks', ...VIEW },
    response: z.object({ items: z.array(webhookViewSchema) }),
    listedBy: ['name'],
    status: 200,
  }),
  'webhook.show': endpoint({
    ...{ id: 'webhook.show', method: 'GET', path: '/v1/webhooks/{webhook}', summary: 'Show a webhook', ...VIEW },
    params,
    response: webhookViewSchema,
    status: 200,
  }),
  'webhook.create': endpoint({
    ...{ id: 'webhook.create', method: 'POST', path: '/v1/webhooks', ...MANAGE },
    summary: 'Have events or usage sent to an address; what signs them is shown this once',
    body: z.strictObject({
      name: accessNameSchema,
      url,
      tells: tells.default('events'),
      kinds: kinds.default([]),
      project: project.optional().describe('Only of what belongs to this project'),
      notes: notes.optional(),
    }),
    response: webhookViewSchema.extend({
      secret: z.string().describe('With which what is sent is signed; nobody can ever see it again'),
    }),
    status: 201,
  }),
  'webhook.set': endpoint({
    ...{ id: 'webhook.set', method: 'PATCH', path: '/v1/webhooks/{webhook}', summary: 'Change a webhook', ...MANAGE },
    params,
    body: z.strictObject({
      url: url.optional(),
      kinds: kinds.optional(),
      project: project.nullable().optional().describe('null: of everything'),
      notes: notes.optional(),
      disabled: z.boolean().optional().describe('It is told nothing, and what happens meanwhile once it is enabled'),
    }),
    response: webhookViewSchema,
    status: 200,
  }),
  'webhook.delete': endpoint({
    ...{ id: 'webhook.delete', method: 'DELETE', path: '/v1/webhooks/{webhook}', ...MANAGE },
    summary: 'Delete a webhook',
    params,
    response: noContent,
    status: 204,
  }),
  'webhook.test': endpoint({
    ...{ id: 'webhook.test', method: 'POST', path: '/v1/webhooks/{webhook}/test', ...MANAGE },
    summary: 'Send nothing but a signed greeting to a webhook now, and say how that went',
    params,
    response: z.object({ status: z.number().int().describe('HTTP status of the answer'), tookMs: z.number().int() }),
    unrecorded: true,
    answerWithinMs: 15_000,
    status: 200,
  }),
} as const

function isWebAddress(text: string): boolean {
  if (!URL.canParse(text)) return false
  const { protocol, username, password, hostname } = new URL(text)
  return (protocol === 'https:' || protocol === 'http:') && username === '' && password === '' && hostname !== ''
}

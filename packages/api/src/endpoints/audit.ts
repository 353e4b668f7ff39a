/** Who did what, and what was refused. */
import { z } from 'zod'
import { endpoint } from '../endpoint.ts'
import { queryInteger } from './parameters.ts'

const text = z.string().max(200)

export const auditEntrySchema = z.object({
  sequence: z.number().int().describe('Its place in the chain, from 1; the same on every host'),
  time: z.string().describe('ISO 8601, UTC'),
  who: z.string().describe('`root@HOST`, a user, or `USER!TOKEN`'),
  from: z.string().describe("The client's address; `local`: the socket of the host itself"),
  host: z.string().describe('The host that was asked'),
  kind: z.enum(['change', 'action', 'denial']),
  what: z.string().describe('`vm.create` of a change, else the endpoint'),
  subject: z.string(),
  project: z.string().nullable(),
  operation: z.string().nullable(),
  message: z.string().describe('Why it was denied; empty when there is nothing to say'),
  changes: z.array(
    z.object({
      record: z.string(),
      before: z.unknown().describe('Fields as they were; absent when it was made'),
      after: z.unknown().describe('Fields as they became; absent when it was deleted'),
    }),
  ),
  hash: z.string().describe('SHA-256, hexadecimal, of this entry and of the hash before it'),
})
export type AuditEntryView = z.output<typeof auditEntrySchema>

export const hostAuditSchema = z.object({
  host: z.string(),
  entries: z.number().int().nullable().describe('null: it did not answer'),
  problem: z.string().nullable().describe('null: its chain is whole, and that of the others'),
})
export type HostAuditView = z.output<typeof hostAuditSchema>

const filters = {
  who: text.optional(),
  what: text.optional(),
  subject: text.optional(),
  project: text.optional(),
  kind: z.enum(['change', 'action', 'denial']).optional(),
  since: z.iso.datetime({ offset: true, error: 'must be a time such as 2026-12-31T12:00:00Z' }).optional(),
}

export const AUDIT_ENDPOINTS = {
  'audit.list': endpoint({
    ...{ id: 'audit.list', method: 'GET', path: '/v1/audit', permission: 'audit.view', on: 'cluster' },
    summary: 'List who did what and what was denied, newest first',
    query: z.strictObject({
      ...filters,
      limit: queryInteger(1, 1_000).default(100),
      before: queryInteger(1, Number.MAX_SAFE_INTEGER).optional().describe('Only those before this place: `next`'),
    }),
    response: z.object({
      items: z.array(auditEntrySchema),
      next: z.number().int().nullable().describe('For `before`, to go on; null: there are no more'),
    }),
    status: 200,
  }),
  'audit.export': endpoint({
    ...{ id: 'audit.export', method: 'GET', path: '/v1/audit/export', permission: 'audit.view', on: 'cluster' },
    summary: 'All entries of the audit with their chain, oldest first',
    query: z.strictObject({
      after: queryInteger(0, Number.MAX_SAFE_INTEGER).default(0).describe('Only those after this place'),
    }),
    response: z.string().describe('One JSON document a line: sequence, revision, text, hash'),
    streams: 'text',
    media: 'application/x-ndjson',
    status: 200,
  }),
  'audit.verify': endpoint({
    ...{ id: 'audit.verify', method: 'GET', path: '/v1/audit/verification', permission: 'audit.view', on: 'cluster' },
    summary: 'Check the chain of the audit on every host, and all against each other',
    response: z.object({ ok: z.boolean(), hosts: z.array(hostAuditSchema) }),
    status: 200,
    // Every entry is hashed anew.
    answerWithinMs: 60_000,
  }),
} as const

/** The authority that signs the certificates of the hosts. */
import { AUTHORITY_PHASES } from '@stead/core/model/authority-change.ts'
import { z } from 'zod'
import { endpoint } from '../endpoint.ts'

const fingerprint = z.string().describe('SHA-256 of its certificate, lower-case hexadecimal')

export const authorityViewSchema = z.object({
  fingerprint,
  expiresAt: z.string().describe('ISO 8601, UTC'),
  down: z.array(z.string()).describe('Hosts that are not up now: each holds a replacement until it is, or is removed'),
  replacement: z
    .object({
      phase: z
        .enum(AUTHORITY_PHASES)
        .describe('What each host does now: trust both, take a certificate of the new one, trust the new one alone'),
      fingerprint,
      begunAt: z.string().describe('ISO 8601, UTC'),
      waitsFor: z.array(z.string()).describe('Hosts that have not done so yet'),
    })
    .nullable()
    .describe('By which another one it is being replaced; null: it is not'),
})
export type AuthorityView = z.output<typeof authorityViewSchema>

export const AUTHORITY_ENDPOINTS = {
  'authority.show': endpoint({
    id: 'authority.show',
    method: 'GET',
    path: '/v1/authority',
    summary: "Show the authority of the hosts' certificates, and whether it is being replaced",
    permission: 'cluster.view',
    on: 'cluster',
    response: authorityViewSchema,
    status: 200,
  }),
  'authority.replace': endpoint({
    id: 'authority.replace',
    method: 'POST',
    path: '/v1/authority/replacement',
    summary: 'Replace the authority, and with it the certificates of all hosts',
    permission: 'cluster.configure',
    on: 'cluster',
    response: authorityViewSchema,
    unrecorded: true,
    status: 202,
    whatIf: 'none',
  }),
} as const

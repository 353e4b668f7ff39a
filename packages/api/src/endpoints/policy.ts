/** How the cluster decides where nobody says otherwise, and how it stands by that measure. */
import { z } from 'zod'
import { endpoint } from '../endpoint.ts'
import { clusterPolicySchema } from '../records.ts'
import { clusterCheckSchema, policyViewSchema } from '../views.ts'
import { warnings } from './answers.ts'

const { shape } = clusterPolicySchema

export const setPolicyBody = z.strictObject({
  cpuOvercommit: shape.cpuOvercommit.optional(),
  memoryReserveBytes: shape.memoryReserveBytes.optional(),
  admission: shape.admission.partial().strict().optional(),
  balancing: shape.balancing.partial().strict().optional(),
  shutdown: shape.shutdown.optional(),
  migration: shape.migration.unwrap().partial().strict().optional(),
  armed: shape.armed.optional(),
  whatIfRequired: shape.whatIfRequired.optional(),
  outboundAllow: shape.outboundAllow.unwrap().optional(),
  clusterAddress: z
    .ipv4({ error: 'must be an IPv4 address' })
    .nullable()
    .optional()
    .describe('One more address of the LAN, at which some host always answers; null: none'),
  templateKeys: shape.templateKeys.unwrap().optional().describe('Replaces all of them'),
  templateSignatures: shape.templateSignatures.unwrap().optional(),
  passwords: shape.passwords.unwrap().partial().strict().optional(),
})
export type SetPolicy = z.output<typeof setPolicyBody>

export const POLICY_ENDPOINTS = {
  'policy.show': endpoint({
    id: 'policy.show',
    method: 'GET',
    path: '/v1/policy',
    summary: "Show the cluster's policy",
    permission: 'cluster.view',
    on: 'cluster',
    response: policyViewSchema,
    revisionOf: 'policy',
    status: 200,
  }),
  'policy.set': endpoint({
    id: 'policy.set',
    method: 'PATCH',
    path: '/v1/policy',
    summary: "Change the cluster's policy",
    permission: 'cluster.configure',
    on: 'cluster',
    body: setPolicyBody,
    response: policyViewSchema.extend({ warnings }),
    revisionOf: 'policy',
    status: 200,
  }),
  'cluster.check': endpoint({
    id: 'cluster.check',
    method: 'GET',
    path: '/v1/cluster/check',
    summary: 'Say which losses, rules and loads the cluster would not bear',
    permission: 'cluster.view',
    on: 'cluster',
    response: clusterCheckSchema,
    status: 200,
    // Every loss is planned as recovery would plan it.
    answerWithinMs: 30_000,
  }),
} as const

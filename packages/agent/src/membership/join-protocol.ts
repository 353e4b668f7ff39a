/** What a host that wants to join and one of the cluster say to each other, each request with the token's secret. */
import { z } from 'zod'
import { addressesSchema, memberSchema } from '../config.ts'

/** The door stands open on this port while an invitation is valid. */
export const JOIN_PORT = 8446
export const JOIN_BODY_BYTES_MAX = 64 * 1024
/** What is sent to measure a network. */
export const PAYLOAD_BYTES = 32 * 1024 * 1024

/** `POST /facts`: what a host must know to judge whether it fits. */
export const factsSchema = z.object({
  clusterName: z.string(),
  role: z.enum(['compute', 'witness']),
  wallMs: z.number(),
  members: z.array(memberSchema),
  pools: z.array(z.object({ host: z.string(), name: z.string(), capacityBytes: z.number() })),
  processors: z.array(z.object({ host: z.string(), level: z.number() })),
})
export type JoinFacts = z.infer<typeof factsSchema>

/** `POST /join`. */
export const joinRequestSchema = z.strictObject({
  hostId: z.string().regex(/^[a-z]([a-z0-9-]{0,30}[a-z0-9])?$/, 'must be a DNS label of at most 32 characters'),
  addresses: addressesSchema,
  requestPem: z.string(),
})
export type JoinRequest = z.infer<typeof joinRequestSchema>

export const joinAnswerSchema = z.object({
  clusterName: z.string(),
  clusterKey: z.string(),
  clusterKeyGeneration: z.int().default(0),
  formerClusterKey: z.string().optional(),
  self: memberSchema,
  members: z.array(memberSchema),
  etcdMembers: z.array(z.string()),
  ports: z.object({ agentPort: z.int(), heartbeatPort: z.int(), etcdClientPort: z.int(), etcdPeerPort: z.int() }),
  times: z.object({ detectionMs: z.int(), heartbeatIntervalMs: z.int(), leaseTtlMs: z.int() }),
  authoritiesPem: z.string(),
  certificatePem: z.string(),
  revokedPem: z.string(),
  authorityKeyPem: z.string().optional(),
})
export type JoinAnswer = z.infer<typeof joinAnswerSchema>

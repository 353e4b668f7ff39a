/** What the API shows: the responses' schemas. Fields are stable; new ones may be added. */
import { z } from 'zod'
import { decisionSchema, haSchema, operationSchema } from './records.ts'

const revision = z.string().describe("The store's revision of the record, decimal; also sent as ETag")

export const protectionSchema = z.object({
  level: z
    .enum(['protected', 'degraded', 'unprotected', 'lost'])
    .describe(
      'protected: every replica current; degraded: fewer than wanted; unprotected: one copy only; lost: no current copy reachable',
    ),
  reason: z.string().describe('Empty when protected'),
})

export const replicaViewSchema = z.object({
  host: z.string(),
  pool: z.string(),
  state: z.enum(['in-sync', 'stale', 'syncing']),
  lagBytes: z.number().nullable().describe('What it lacks, in bytes; 0 when in-sync, null when not known now'),
  since: z.string().nullable().describe('ISO 8601: since when it is not in-sync; null when it is'),
  reason: z.string().describe('Why it is not in-sync; empty when it is'),
})

export const volumeViewSchema = z.object({
  id: z.string(),
  name: z.string(),
  guest: z.string().describe("The guest's name"),
  guestId: z.string(),
  sizeBytes: z.number().int(),
  ready: z.boolean(),
  protection: protectionSchema,
  replicas: z.array(replicaViewSchema),
  revision,
})
export type VolumeView = z.output<typeof volumeViewSchema>

export const guestStateSchema = z.enum([
  'creating',
  'stopped',
  'starting',
  'running',
  'paused',
  'stopping',
  'waiting',
  'unknown',
  'error',
  'deleting',
])

export const guestViewSchema = z.object({
  name: z.string(),
  id: z.string(),
  kind: z.literal('vm'),
  state: guestStateSchema,
  reason: z.string().describe('Why it is in this state; empty when there is nothing to say'),
  host: z.string().nullable().describe('Where it runs or waits; null when no host holds its grant'),
  preferredHost: z.string().nullable(),
  epoch: z.number().int().describe('0 when no run was ever granted'),
  ha: haSchema,
  protection: protectionSchema,
  memoryBytes: z.number().int(),
  cpus: z.number().int(),
  boot: z.object({
    kind: z.enum(['kernel', 'disk']),
    kernel: z.string().exactOptional(),
    initrd: z.string().exactOptional(),
    append: z.string().exactOptional(),
  }),
  nics: z.array(z.object({ mac: z.string(), network: z.string() })),
  volumes: z.array(
    z.object({
      id: z.string(),
      name: z.string(),
      sizeBytes: z.number().int(),
      replicas: z.array(replicaViewSchema),
    }),
  ),
  createdAt: z.string().describe('ISO 8601, UTC'),
  revision,
})
export type GuestView = z.output<typeof guestViewSchema>

export const hostViewSchema = z.object({
  name: z.string(),
  state: z.enum(['online', 'suspected', 'lost', 'maintenance', 'draining', 'unknown']),
  reason: z.string().describe('Why it is in this state; empty when there is nothing to say'),
  since: z.string().nullable().describe('ISO 8601: when the state was decided'),
  role: z.enum(['compute', 'witness']),
  coordinator: z.boolean().describe('It decides for the cluster at the moment'),
  maintenance: z.boolean(),
  addresses: z.record(z.string(), z.string()).describe('IP address by network role: lan, san, ran'),
  cpuCount: z.number().int(),
  memoryBytes: z.number().int(),
  memoryGrantedBytes: z.number().int().describe('Memory of the guests granted to it'),
  accelerator: z.enum(['kvm', 'tcg', 'none']),
  pools: z.array(
    z.object({
      name: z.string(),
      capacityBytes: z.number().int(),
      allocatedBytes: z.number().int().describe('Sum of the sizes of the replicas placed there'),
    }),
  ),
  guests: z.array(z.string()).describe('Names of the guests granted to it'),
  bootId: z.string(),
  revision,
})
export type HostView = z.output<typeof hostViewSchema>

export const clusterViewSchema = z.object({
  id: z.string(),
  name: z.string(),
  coordinator: z.string().nullable(),
  term: z.number().int(),
  answeredBy: z.string().describe('The host whose agent answered'),
  hosts: z.object({ total: z.number().int(), online: z.number().int() }),
  guests: z.object({ total: z.number().int(), running: z.number().int(), waiting: z.number().int() }),
  protection: protectionSchema.describe('The worst of all guests'),
  detectionMs: z.number(),
  heartbeatIntervalMs: z.number(),
  leaseTtlMs: z.number(),
  warnings: z.array(z.string()).describe('What the administrator should know, one sentence each'),
  createdAt: z.string().describe('ISO 8601, UTC'),
})
export type ClusterView = z.output<typeof clusterViewSchema>

export const operationViewSchema = operationSchema.extend({
  id: z.string(),
  subjectName: z.string().describe("The guest's or host's name"),
})
export type OperationView = z.output<typeof operationViewSchema>

export const explanationSchema = z.object({
  name: z.string(),
  id: z.string(),
  state: guestStateSchema,
  reason: z.string(),
  decision: decisionSchema.nullable().describe('The last decision about the guest; null when there was none'),
})
export type Explanation = z.output<typeof explanationSchema>

/** Where a guest would go, and why; the answer of a dry run. */
export const placementSchema = z.object({
  host: z.string(),
  volumes: z.array(
    z.object({
      name: z.string(),
      sizeBytes: z.number().int(),
      replicas: z.array(z.object({ host: z.string(), pool: z.string() })),
    }),
  ),
  warnings: z.array(z.string()).describe('What the user should know of it, such as that it is unprotected'),
  decision: decisionSchema,
})
export type Placement = z.output<typeof placementSchema>

/** What the API shows of the cluster as a whole. */
import { z } from 'zod'
import { protectionSchema } from './views.ts'

export const clusterViewSchema = z.object({
  id: z.string(),
  name: z.string(),
  coordinator: z.string().nullable(),
  term: z.number().int(),
  address: z
    .object({
      address: z.string(),
      holder: z.string().nullable().describe('Who answers at it; null while it changes hands'),
    })
    .nullable()
    .describe("The cluster's own address on the LAN; null: none is set"),
  heartbeatKey: z
    .object({
      generation: z.number().int().describe('How often it was replaced'),
      changedAt: z.string().nullable().describe('ISO 8601: when it was replaced last; null: never'),
      knownBy: z.array(z.string()).describe('Removed hosts by whose key heartbeats are still taken'),
      waitsFor: z.array(z.string()).describe('Hosts that have not got the new key yet'),
    })
    .describe('By which hosts know each other’s heartbeats; a removed host’s is replaced'),
  answeredBy: z.string().describe('The host whose agent answered'),
  hosts: z.object({ total: z.number().int(), online: z.number().int() }),
  guests: z.object({ total: z.number().int(), running: z.number().int(), waiting: z.number().int() }),
  protection: protectionSchema.describe('The worst of all guests'),
  detectionMs: z.number(),
  heartbeatIntervalMs: z.number(),
  leaseTtlMs: z.number(),
  secrets: z
    .object({
      state: z
        .enum(['clear', 'key-beside', 'sealed'])
        .describe('`clear`: not sealed yet; `key-beside`: the key lies on the same disks; `sealed`: no disk has it'),
      holders: z.array(z.string()).describe('Who has a share of the key, or the key'),
      sharesNeeded: z.number().int().describe('Members whose shares make the key; 0: it is not shared'),
    })
    .describe('Passwords, second factors, secrets of realms and webhooks as they lie on the disks'),
  warnings: z.array(z.string()).describe('What the administrator should know, one sentence each'),
  createdAt: z.string().describe('ISO 8601, UTC'),
})
export type ClusterView = z.output<typeof clusterViewSchema>

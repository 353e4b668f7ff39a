/** What guests use, hold and were refused, and whether hosts have promised more than they have. */
import { z } from 'zod'
import { COMMITMENT_MEASURES } from '@stead/core/model/container-overcommit.ts'
import { CONTAINER_RESOURCE_NAMES } from '@stead/core/model/container-resources.ts'
import { endpoint } from '../endpoint.ts'
import { guestParams, queryInteger } from './parameters.ts'

const AGE_MS_MAX = 60_000
const amount = (of: string) => z.number().nullable().describe(of)

export const containerCounterSchema = z.object({
  resource: z.enum(CONTAINER_RESOURCE_NAMES).describe('As OpenVZ named it'),
  held: amount("Now, in the resource's unit; null: nobody counts it"),
  maxHeld: amount("The highest since the container's start"),
  barrier: amount('null: none'),
  limit: amount('null: none'),
  failures: amount("Refusals since the container's start; null: nobody counts them"),
  enforced: z
    .enum(['limit', 'counted'])
    .describe("`limit`: the host's kernel refuses what is above; `counted`: nobody"),
  unit: z.string(),
  meaning: z.string(),
})
export type ContainerCounterView = z.output<typeof containerCounterSchema>

export const guestUseSchema = z.object({
  guest: z.string().describe("The guest's name"),
  id: z.string(),
  kind: z.enum(['vm', 'ct']),
  host: z.string(),
  cpuPercent: amount('100 is one processor; null before the second look'),
  memoryHeldBytes: amount("Of a virtual machine what its QEMU has of the host's memory"),
  memoryLimitBytes: amount('null: none'),
  swapHeldBytes: amount('null where nobody counts it'),
  processes: amount('Processes and threads; null of a virtual machine'),
  processesMax: amount('null: no limit'),
  readBytesPerSecond: amount('Disks; null of a virtual machine'),
  writtenBytesPerSecond: amount('Disks; null of a virtual machine'),
  receivedBytesPerSecond: amount('Network'),
  sentBytesPerSecond: amount('Network'),
  refused: z
    .partialRecord(z.enum(CONTAINER_RESOURCE_NAMES), z.number())
    .describe('How often since its start, by resource; a processor that was used up is not among them'),
})
export type GuestUseView = z.output<typeof guestUseSchema>

const silentHosts = z.array(z.string()).describe('Hosts that did not answer in time and are missing here')

const commitmentSchema = z.object({
  measure: z.enum(COMMITMENT_MEASURES),
  capacity: z.number().describe('Bytes, processes, or CPU units'),
  used: z.number(),
  promised: z.number(),
  allowed: amount('null: some container has no limit'),
  utilization: z.number().describe('What is used, as a part of the capacity'),
  commitment: z.number().describe('What is promised, as a part of the capacity'),
  reach: amount('What is allowed, as a part of the capacity'),
  level: z.enum(['normal', 'high', 'unsafe', 'dangerous']),
})
export const overcommitSchema = z.object({
  host: z.string(),
  vmMemoryBytes: z.number().describe('Memory of its virtual machines, which is not counted as capacity'),
  rows: z.array(commitmentSchema),
  oversold: z.boolean().describe('More memory or processes are promised than there are'),
  tooLarge: z.array(z.string()).describe('Containers that alone may take more than 60 % of the memory'),
})
export type OvercommitView = z.output<typeof overcommitSchema>

export const COUNTER_ENDPOINTS = {
  'guest.counters': endpoint({
    id: 'guest.counters',
    method: 'GET',
    path: '/v1/guests/{guest}/counters',
    summary: 'Show what a guest holds, may have and was refused; of a virtual machine, the packets that it sends',
    permission: 'guest.view',
    on: 'guest',
    params: guestParams,
    response: z.object({ guest: z.string(), host: z.string(), items: z.array(containerCounterSchema) }),
    listedBy: ['resource'],
    status: 200,
  }),
  'counter.list': endpoint({
    id: 'counter.list',
    method: 'GET',
    path: '/v1/counters',
    summary: 'Show what the running guests use',
    permission: 'guest.view',
    on: 'guests',
    query: z.strictObject({
      ageMs: queryInteger(1_000, AGE_MS_MAX)
        .default(10_000)
        .describe('How old the figures may be, ms; hosts look every ten seconds, and when they have only older ones'),
    }),
    response: z.object({ items: z.array(guestUseSchema), silent: silentHosts }),
    listedBy: ['id'],
    status: 200,
  }),
  'host.overcommit': endpoint({
    id: 'host.overcommit',
    method: 'GET',
    path: '/v1/overcommit',
    summary: 'Show what hosts have promised to their containers, and whether they have it',
    permission: 'host.view',
    on: 'cluster',
    query: z.strictObject({ host: z.string().optional().describe('Only this one; all and the cluster when absent') }),
    response: z.object({
      hosts: z.array(overcommitSchema),
      cluster: overcommitSchema.nullable().describe('All hosts as one; null when one was asked for'),
      silent: silentHosts,
    }),
    status: 200,
  }),
} as const

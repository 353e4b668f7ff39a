/** What a guest's disks were at earlier moments. */
import { z } from 'zod'
import { endpoint } from '../endpoint.ts'
import { snapshotScheduleSchema } from '../snapshot-records.ts'
import { started } from './answers.ts'
import { dnsLabel, guestParams } from './parameters.ts'

const snapshotParams = guestParams.extend({ snapshot: z.string().describe("The snapshot's name") })

const snapshotViewSchema = z.object({
  name: z.string(),
  id: z.string(),
  createdAt: z.string().describe('The moment that it shows, ISO 8601, UTC'),
  state: z.enum(['being-made', 'ready', 'rolling-back']),
  consistent: z
    .enum(['crash', 'filesystem'])
    .describe('`crash`: as after a power cut; `filesystem`: the guest had its file systems in order'),
  memory: z
    .object({ bytes: z.number(), hosts: z.array(z.string()).describe('Those that have it') })
    .nullable()
    .describe("The guest's memory at that moment; null: a guest that is rolled back boots"),
  scheduled: z.boolean().describe("Taken by the guest's schedule, which also removes it"),
  hosts: z.array(z.string()).describe('Whose replicas hold it'),
  changedBytes: z
    .number()
    .nullable()
    .describe('What was written since, up to the next snapshot, on the host with the most; null where nobody knows'),
})
export type SnapshotView = z.output<typeof snapshotViewSchema>

const snapshotsViewSchema = z.object({
  guest: z.string(),
  items: z.array(snapshotViewSchema),
  schedule: snapshotScheduleSchema.nullable(),
  mergeDebt: z
    .array(
      z.object({
        host: z.string(),
        volume: z.string(),
        bytes: z.number(),
        since: z.string().nullable().describe('ISO 8601, UTC'),
        layers: z.number().describe('Through which a read may have to look, beside the lowest one'),
      }),
    )
    .describe('What the hosts must still copy because snapshots were deleted'),
  notAsked: z.array(z.string()).describe('Hosts that did not tell what they hold'),
})
export type SnapshotsView = z.output<typeof snapshotsViewSchema>

export const SNAPSHOT_ENDPOINTS = {
  'snapshot.list': endpoint({
    id: 'snapshot.list',
    method: 'GET',
    path: '/v1/guests/{guest}/snapshots',
    summary: "List a guest's snapshots, and what must still be merged",
    permission: 'guest.view',
    on: 'guest',
    params: guestParams,
    response: snapshotsViewSchema,
    listedBy: ['name'],
    status: 200,
    answerWithinMs: 5_000,
  }),
  'snapshot.create': endpoint({
    id: 'snapshot.create',
    method: 'POST',
    path: '/v1/guests/{guest}/snapshots',
    summary: 'Take a snapshot of all disks of a guest at one moment, and of its memory if asked for',
    permission: 'guest.snapshot',
    on: 'guest',
    params: guestParams,
    body: z.strictObject({
      name: dnsLabel.describe("A DNS label, unique among the guest's snapshots"),
      wanted: z
        .enum(['crash', 'filesystem'])
        .default('filesystem')
        .describe('`filesystem`: freeze the file systems meanwhile, if an agent in the guest can'),
      memory: z
        .boolean()
        .default(false)
        .describe('Also what the running guest has in its memory; its file systems are not frozen then'),
    }),
    response: started,
    status: 202,
    long: true,
  }),
  'snapshot.delete': endpoint({
    id: 'snapshot.delete',
    method: 'DELETE',
    path: '/v1/guests/{guest}/snapshots/{snapshot}',
    summary: 'Delete a snapshot; its space is freed in the background',
    permission: 'guest.snapshot',
    on: 'guest',
    params: snapshotParams,
    response: started,
    status: 202,
    long: true,
  }),
  'snapshot.rollback': endpoint({
    id: 'snapshot.rollback',
    method: 'POST',
    path: '/v1/guests/{guest}/snapshots/{snapshot}/rollback',
    summary: 'Make a guest what a snapshot shows; what was written since is lost',
    permission: 'guest.snapshot',
    on: 'guest',
    params: snapshotParams,
    body: z.strictObject({
      start: z.boolean().optional().describe('Start the guest afterwards; when absent: if it runs now'),
      deleteNewer: z.boolean().default(false).describe('Delete newer snapshots, which do not survive it'),
      withoutMemory: z
        .boolean()
        .default(false)
        .describe('Boot from the disks, also where the snapshot has the memory too'),
    }),
    response: started,
    status: 202,
    long: true,
  }),
  'snapshot.schedule': endpoint({
    id: 'snapshot.schedule',
    method: 'PUT',
    path: '/v1/guests/{guest}/snapshot-schedule',
    summary: 'Have snapshots of a guest taken and removed by themselves',
    permission: 'guest.snapshot',
    on: 'guest',
    params: guestParams,
    body: z.strictObject({
      schedule: snapshotScheduleSchema
        .omit({ lastAt: true })
        .nullable()
        .describe('null: none any more; those that there are stay'),
    }),
    response: started,
    status: 202,
    long: true,
  }),
} as const

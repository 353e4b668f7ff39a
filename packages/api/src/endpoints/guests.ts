import { z } from 'zod'
import { endpoint } from '../endpoint.ts'
import { blobIdSchema } from '../blob-id-schema.ts'
import { containerChangeSchema, containerRequestSchema } from '../container-records.ts'
import { notesSchema, protectedFromSchema, tagSchema, tagsSchema } from '../lifecycle-records.ts'
import { platformRequestSchema } from '../platform-records.ts'
import { displaySchema, guestSchema, haSchema } from '../records.ts'
import { rootCopyPolicySchema } from '../root-copy-records.ts'
import {
  explanationSchema,
  guestViewSchema,
  moveTargetsSchema,
  operationViewSchema,
  placementSchema,
} from '../views.ts'
import { mediaRequestSchema } from './media.ts'
import { acceptBreach, started, startedWithWarnings, warnings } from './answers.ts'
import { MEBIBYTE, dnsLabel, guestParams, queryBoolean, queryInteger } from './parameters.ts'

export const newDiskSchema = z.strictObject({
  sizeBytes: z
    .number()
    .int()
    .min(MEBIBYTE, 'must be at least 1 MiB')
    .multipleOf(4096, 'must be a multiple of 4096')
    .describe('Size of the disk, in bytes; a multiple of 4096, at least 1 MiB'),
  replicas: z
    .union([z.literal(1), z.literal(2), z.literal(3)], 'must be 1, 2 or 3')
    .default(2)
    .describe('How many hosts hold a copy; with 1 the guest is unprotected'),
  pool: z.string().optional().describe('Pool on each host; the roomiest when absent'),
  image: z.string().optional().describe('Image that fills the disk at first; zeros when absent'),
  imageDisk: z.number().int().min(0).max(15).default(0).describe('Which disk of an image of several, from 0'),
  linked: z.boolean().default(false).describe("Share the image's blocks instead of copying them"),
})

const bootRequestSchema = z.discriminatedUnion('kind', [
  z.strictObject({
    kind: z.literal('kernel'),
    kernel: blobIdSchema,
    initrd: blobIdSchema.optional(),
    append: z.string().max(4096).default('').describe("The kernel's command line"),
  }),
  z.strictObject({ kind: z.literal('disk') }),
  z.strictObject({ kind: z.literal('container') }),
])

const memoryBytes = z
  .number()
  .int()
  .min(16 * MEBIBYTE, 'must be at least 16 MiB')
  .multipleOf(MEBIBYTE, 'must be a multiple of 1 MiB')
  .describe('Memory, in bytes; a multiple of 1 MiB')
const cpus = z.number().int().min(1).max(256)

const project = z.string().max(63)

const rootCopy = z
  .strictObject({
    ...rootCopyPolicySchema.shape,
    to: z.string().nullable().optional().describe('Null or absent: one that has room'),
  })
  .optional()

export const createGuestBody = z.strictObject({
  name: dnsLabel.describe('A DNS label, unique in the cluster'),
  project: project.optional().describe('Whose it is to be; of the project `default` when absent'),
  memoryBytes,
  cpus: cpus.default(1),
  memoryMaxBytes: memoryBytes
    .optional()
    .describe('Memory up to which it can grow while it runs, with a balloon; absent: it changes at its next start'),
  cpusMax: cpus
    .optional()
    .describe('Processors up to which it can grow while it runs; default: four times `cpus`, 16 at most'),
  disks: z.array(newDiskSchema).max(12).default([]),
  host: z.string().optional().describe('Where it should run; a preference'),
  boot: bootRequestSchema,
  container: containerRequestSchema.optional().describe('Of a container, which boots from `container`'),
  ha: haSchema.optional().describe('Default: `started` with `start`, else `stopped`'),
  start: z.boolean().default(false).describe('Start it once its disks exist'),
  nic: z.boolean().default(true).describe('A network card on the LAN'),
  display: displaySchema.optional(),
  media: mediaRequestSchema.optional().describe('CD, boot order, cloud-init'),
  platform: platformRequestSchema.optional().describe('An ordinary machine when absent'),
  processor: z
    .enum(['baseline', 'host'])
    .optional()
    .describe(
      '`baseline` (default): what all hosts can, so that it moves live anywhere; `host`: all that its host can',
    ),
  rootCopy: rootCopy.describe('Of a container with a native root: a copy of it on another host; absent: none'),
  acceptBreach,
})
export type CreateGuest = z.output<typeof createGuestBody>

const { priority, maxRestart, maxRelocate, failback, agent } = guestSchema.shape

export const setGuestBody = z.strictObject({
  ha: haSchema.optional(),
  priority: priority.unwrap().optional(),
  maxRestart: maxRestart.unwrap().optional(),
  maxRelocate: maxRelocate.unwrap().optional(),
  failback: failback.unwrap().optional(),
  agent: agent.unwrap().optional(),
  watchdog: platformRequestSchema.shape.watchdog
    .unwrap()
    .nullable()
    .optional()
    .describe('Of a stopped guest only; null takes it away'),
  memoryBytes: memoryBytes
    .optional()
    .describe(
      'In bytes, a multiple of 1 MiB; a running guest has it up to its maximum at once, else at its next start',
    ),
  cpus: cpus.optional().describe('A running guest has them up to its maximum at once, else at its next start'),
  memoryMaxBytes: memoryBytes.optional().describe('Memory up to which it can grow while it runs; from its next start'),
  cpusMax: cpus.optional().describe('Processors up to which it can grow while it runs; from its next start'),
  container: containerChangeSchema.optional(),
  rootCopy: rootCopy
    .nullable()
    .describe('Of a container with a native root: a copy of it on another host; null: none any more'),
  balloonBytes: memoryBytes
    .nullable()
    .optional()
    .describe('What the balloon should leave a running guest of its memory; null: all'),
  display: displaySchema.optional().describe('Of a stopped guest only: a screen, or the serial console alone'),
  autostart: z.boolean().optional().describe('Of a guest that HA ignores: start it when its host has booted'),
  protectedFrom: protectedFromSchema.optional().describe('Replaces what there was; empty: nothing'),
  tags: tagsSchema.optional().describe('Replaces what there was'),
  notes: notesSchema.optional().describe('Markdown; replaces what there was'),
  acceptBreach,
})
export type SetGuest = z.output<typeof setGuestBody>

export const GUEST_ENDPOINTS = {
  'guest.list': endpoint({
    id: 'guest.list',
    method: 'GET',
    path: '/v1/guests',
    summary: 'List the guests',
    permission: 'guest.view',
    on: 'guests',
    query: z.strictObject({
      kind: z.enum(['vm', 'ct']).optional().describe('Only virtual machines, or only containers'),
      project: project.optional().describe('Only those of this project'),
      tag: z
        .string()
        .max(2_048)
        .optional()
        .describe('Only those that have all of these tags, separated by commas')
        .refine((text) => text === undefined || text.split(',').every((tag) => tagSchema.safeParse(tag).success), {
          error: 'must be tags, separated by commas',
        }),
    }),
    response: z.object({ items: z.array(guestViewSchema) }),
    listedBy: ['id'],
    status: 200,
  }),
  'guest.create': endpoint({
    id: 'guest.create',
    method: 'POST',
    path: '/v1/guests',
    summary: 'Create a guest',
    permission: 'guest.create',
    on: 'new-guest',
    body: createGuestBody,
    response: z.object({
      guest: z.object({ id: z.string(), name: z.string() }),
      warnings,
      operation: operationViewSchema,
    }),
    status: 202,
    long: true,
  }),
  'guest.plan': endpoint({
    id: 'guest.plan',
    method: 'POST',
    path: '/v1/guest-plans',
    summary: 'Say where a guest would be placed, creating nothing',
    permission: 'guest.create',
    on: 'new-guest',
    body: createGuestBody,
    response: placementSchema,
    unrecorded: true,
    status: 200,
  }),
  'guest.show': endpoint({
    id: 'guest.show',
    method: 'GET',
    path: '/v1/guests/{guest}',
    summary: 'Show a guest',
    permission: 'guest.view',
    on: 'guest',
    params: guestParams,
    response: guestViewSchema,
    status: 200,
  }),
  'guest.set': endpoint({
    id: 'guest.set',
    method: 'PATCH',
    path: '/v1/guests/{guest}',
    summary: "Change a guest's settings",
    permission: 'guest.configure',
    on: 'guest',
    params: guestParams,
    body: setGuestBody,
    response: guestViewSchema.extend({ warnings }),
    status: 200,
  }),
  'guest.delete': endpoint({
    id: 'guest.delete',
    method: 'DELETE',
    path: '/v1/guests/{guest}',
    summary: 'Delete a guest and its volumes',
    permission: 'guest.delete',
    on: 'guest',
    params: guestParams,
    response: started,
    status: 202,
    long: true,
  }),
  'guest.start': endpoint({
    id: 'guest.start',
    method: 'POST',
    path: '/v1/guests/{guest}/start',
    summary: 'Start a guest',
    permission: 'guest.operate',
    on: 'guest',
    params: guestParams,
    body: z.strictObject({
      acceptDataLoss: z
        .boolean()
        .default(false)
        .describe('Start from a stale copy when no current one can be reached; what was written since is lost'),
      acceptBreach,
    }),
    response: startedWithWarnings,
    status: 202,
    long: true,
  }),
  'guest.stop': endpoint({
    id: 'guest.stop',
    method: 'POST',
    path: '/v1/guests/{guest}/stop',
    summary: 'Stop a guest',
    permission: 'guest.operate',
    on: 'guest',
    params: guestParams,
    body: z.strictObject({
      force: z.boolean().default(false).describe("Do not wait for the guest's own shutdown"),
      timeoutMs: z
        .number()
        .int()
        .min(1000)
        .max(3_600_000)
        .optional()
        .describe("How long to wait for the guest's own shutdown before its power is cut, ms; for ever when absent"),
    }),
    response: started,
    status: 202,
    long: true,
  }),
  'guest.restart': endpoint({
    id: 'guest.restart',
    method: 'POST',
    path: '/v1/guests/{guest}/restart',
    summary: 'Stop a running guest in order and start it again; what waited for its next start takes effect',
    permission: 'guest.operate',
    on: 'guest',
    params: guestParams,
    response: started,
    status: 202,
    long: true,
  }),
  'guest.relocate': endpoint({
    id: 'guest.relocate',
    method: 'POST',
    path: '/v1/guests/{guest}/relocate',
    summary: 'Move a guest to another host by a restart there',
    permission: 'guest.operate',
    on: 'guest',
    params: guestParams,
    body: z.strictObject({ to: z.string().describe('The host; of a stopped guest where it starts next') }),
    response: started,
    status: 202,
    long: true,
  }),
  'guest.migrate': endpoint({
    id: 'guest.migrate',
    method: 'POST',
    path: '/v1/guests/{guest}/migrate',
    summary: 'Move a running guest to another host without a break',
    permission: 'guest.operate',
    on: 'guest',
    params: guestParams,
    body: z.strictObject({
      to: z.string().exactOptional().describe('The host; the one that suits it best when absent'),
      postCopy: z.boolean().default(false).describe('Let it go on there before all of its memory has come; a VM only'),
    }),
    response: started,
    status: 202,
    long: true,
  }),
  'guest.cancel-migration': endpoint({
    id: 'guest.cancel-migration',
    method: 'POST',
    path: '/v1/guests/{guest}/migrate/cancel',
    summary: 'Call off the live move of a guest: it goes on where it is',
    permission: 'guest.operate',
    on: 'guest',
    params: guestParams,
    response: started,
    status: 202,
    long: true,
  }),
  'guest.move-targets': endpoint({
    id: 'guest.move-targets',
    method: 'GET',
    path: '/v1/guests/{guest}/move-targets',
    summary: 'Say to which hosts a guest can move, and why not to the others',
    permission: 'guest.view',
    on: 'guest',
    params: guestParams,
    response: moveTargetsSchema,
    status: 200,
  }),
  'guest.log': endpoint({
    id: 'guest.log',
    method: 'GET',
    path: '/v1/guests/{guest}/console-log',
    summary: "Print the guest's console of the present boot",
    permission: 'guest.console',
    on: 'guest',
    params: guestParams,
    query: z.strictObject({
      follow: queryBoolean.optional().describe('Go on as the guest writes'),
      offset: queryInteger(0, Number.MAX_SAFE_INTEGER)
        .optional()
        .describe('Skip so many bytes; beyond the end of the log (a new boot) it begins at 0'),
    }),
    response: z.string().describe('The bytes as the guest wrote them'),
    streams: 'text',
    status: 200,
  }),
  'guest.explain': endpoint({
    id: 'guest.explain',
    method: 'GET',
    path: '/v1/guests/{guest}/explanation',
    summary: 'Explain the last decision about a guest',
    permission: 'guest.view',
    on: 'guest',
    params: guestParams,
    response: explanationSchema,
    status: 200,
  }),
} as const

/** Dumps of containers that the cluster holds. */
import { DUMP_COMPRESSIONS, DUMP_MODES } from '@stead/core/model/backup.ts'
import { z } from 'zod'
import { blobIdSchema } from '../blob-id-schema.ts'
import { endpoint } from '../endpoint.ts'
import { dnsLabel, guestParams, noContent } from './parameters.ts'

/** Of a dump that is fetched as soon as it is made. */
const KEPT_HOURS = 6
const KEPT_HOURS_MAX = 10 * 366 * 24

const backupParams = z.strictObject({ backup: z.string().describe("The backup's id") })

export const backupViewSchema = z.object({
  id: z.string(),
  guest: z.string().describe('As the guest was called then'),
  guestId: z.string().describe('The guest may be gone'),
  project: z.string(),
  host: z.string().describe('Which has the file'),
  state: z.enum(['being-made', 'ready', 'out-of-reach']).describe('`out-of-reach`: its host is not up'),
  mode: z.enum(DUMP_MODES),
  compress: z.enum(DUMP_COMPRESSIONS).describe('How the tar is packed'),
  createdAt: z.string().describe('ISO 8601, UTC'),
  keptUntil: z.string().describe('When it goes by itself, ISO 8601, UTC'),
  blob: blobIdSchema.nullable().describe('null: it is being made'),
  sizeBytes: z.number().int().nullable().describe('Size of the file'),
  revision: z.string().describe('Of the record; for If-Match'),
})
export type BackupView = z.output<typeof backupViewSchema>

export const BACKUP_ENDPOINTS = {
  'guest.dump': endpoint({
    id: 'guest.dump',
    // A container that runs stands still for it.
    whatIf: 'none',
    method: 'POST',
    path: '/v1/guests/{guest}/dump',
    summary: 'Dump a container, its settings and its disks, into a file, held as a backup until it goes by itself',
    permission: 'image.manage',
    on: 'guest',
    params: guestParams,
    body: z.strictObject({
      snapshot: dnsLabel
        .optional()
        .describe('As this snapshot shows it; absent: as it is now, suspended meanwhile if it runs'),
      compress: z.enum(DUMP_COMPRESSIONS).default('zstd'),
      keepHours: z
        .number()
        .int()
        .min(1)
        .max(KEPT_HOURS_MAX)
        .default(KEPT_HOURS)
        .describe('How long the cluster holds it, unless it is deleted before'),
    }),
    response: z.object({
      backup: z.string().describe("The backup's id"),
      keptUntil: z.string().describe('ISO 8601, UTC'),
      blob: blobIdSchema.describe('Digest of the file'),
      sizeBytes: z.number().int().describe('Size of the file, in bytes'),
      mode: z.enum(DUMP_MODES),
      tookMs: z.number().int(),
      pausedMs: z.number().int().describe('How long it was suspended; 0 where it was not'),
    }),
    status: 200,
    // Read, packed and digested.
    answerWithinMs: 1_200_000,
  }),
  'backup.list': endpoint({
    ...{ id: 'backup.list', method: 'GET', path: '/v1/backups', summary: 'List the backups that the cluster holds' },
    permission: 'guest.view',
    on: 'backups',
    query: z.strictObject({ guest: z.string().optional().describe('Only of this guest: its name then, or its id') }),
    response: z.object({ items: z.array(backupViewSchema) }),
    listedBy: ['id'],
    status: 200,
  }),
  'backup.show': endpoint({
    ...{ id: 'backup.show', method: 'GET', path: '/v1/backups/{backup}', summary: 'Show a backup' },
    permission: 'guest.view',
    on: 'backup',
    params: backupParams,
    response: backupViewSchema,
    status: 200,
  }),
  'backup.fetch': endpoint({
    ...{
      id: 'backup.fetch',
      method: 'GET',
      path: '/v1/backups/{backup}/content',
      summary: 'Fetch the file of a backup',
    },
    permission: 'image.manage',
    on: 'backup',
    params: backupParams,
    response: z.string().describe("The file's bytes: a tar, packed with zstd unless asked otherwise"),
    streams: 'text',
    media: 'application/octet-stream',
    status: 200,
  }),
  'backup.delete': endpoint({
    ...{ id: 'backup.delete', method: 'DELETE', path: '/v1/backups/{backup}', whatIf: 'none' },
    summary: 'Delete a backup; of one that is being made, call that off',
    permission: 'image.manage',
    on: 'backup',
    params: backupParams,
    response: noContent,
    status: 204,
  }),
} as const

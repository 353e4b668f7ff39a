/** Containers as files. */
import { z } from 'zod'
import { blobIdSchema } from '../blob-id-schema.ts'
import { DUMP_MODES } from '../container-dump.ts'
import { endpoint } from '../endpoint.ts'
import { dnsLabel, guestParams } from './parameters.ts'

export const CONTAINER_DUMP_ENDPOINTS = {
  'guest.dump': endpoint({
    id: 'guest.dump',
    // A container that runs stands still for it.
    whatIf: 'none',
    method: 'POST',
    path: '/v1/guests/{guest}/dump',
    summary: 'Dump a container, its settings and its disks, into a file, to be fetched by its digest',
    permission: 'image.manage',
    on: 'guest',
    params: guestParams,
    body: z.strictObject({
      snapshot: dnsLabel
        .optional()
        .describe('As this snapshot shows it; absent: as it is now, suspended meanwhile if it runs'),
      compress: z.enum(['zstd', 'none']).default('zstd'),
    }),
    response: z.object({
      blob: blobIdSchema,
      sizeBytes: z.number().int().describe('Size of the file, in bytes'),
      mode: z.enum(DUMP_MODES),
      tookMs: z.number().int(),
      pausedMs: z.number().int().describe('How long it was suspended; 0 where it was not'),
    }),
    unrecorded: true,
    status: 200,
    // Read, packed and digested.
    answerWithinMs: 1_200_000,
  }),
} as const

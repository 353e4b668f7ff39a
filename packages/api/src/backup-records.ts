/** Dumps of containers that the cluster holds, as the store keeps them. */
import { DUMP_COMPRESSIONS, DUMP_MODES, type BackupId } from '@stead/core/model/backup.ts'
import { z } from 'zod'
import { blobIdSchema } from './blob-id-schema.ts'
import { projectName } from './project-records.ts'
import { bytes, guestId, hostId, id, wallMs } from './record-values.ts'

export const backupSchema = z.object({
  id: id<BackupId>("The guest's name and the time"),
  guest: guestId,
  guestName: z.string().describe('As the guest was called then'),
  project: projectName.exactOptional(),
  host: hostId.describe('Which made the file, and has it'),
  mode: z.enum(DUMP_MODES),
  compress: z.enum(DUMP_COMPRESSIONS).describe('How the tar is packed'),
  createdAt: wallMs('When it was asked for'),
  expiresAt: wallMs('When it goes by itself; of one that is being made, when it is given up'),
  file: z
    .object({
      blob: blobIdSchema,
      sizeBytes: bytes('Of the file'),
      tookMs: z.number(),
      pausedMs: z.number().describe('How long the container was suspended'),
    })
    .exactOptional()
    .describe('Absent: it is being made'),
})

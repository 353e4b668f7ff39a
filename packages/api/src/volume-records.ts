/** The schema of a volume's record, and of what it says of its replicas. */
import { NETWORK_ROLES } from '@stead/core/model/host.ts'
import { z } from 'zod'
import { blobIdSchema } from './blob-id-schema.ts'
import { diskLimitsSchema } from './hardware-records.ts'
import { volumeRoleSchema } from './platform-records.ts'
import { projectName } from './project-records.ts'
import { bytes, epoch, guestId, hostId, volumeId, wallMs, wholeNumber } from './record-values.ts'
import { rootCopySchema } from './root-copy-records.ts'
import { snapshotId } from './snapshot-records.ts'

const stalenessSchema = z.object({
  sinceEpoch: epoch,
  since: wallMs('When it became stale'),
  reason: z.string(),
  cause: z.enum(['leg-lost', 'run-lost', 'unknown']),
})

const replicaSchema = z.object({
  host: hostId,
  pool: z.string(),
  state: z.enum(['in-sync', 'stale', 'syncing']),
  stale: stalenessSchema.exactOptional(),
  redirected: z.enum(NETWORK_ROLES).exactOptional().describe('By which network its running guest reaches it'),
  incoming: z
    .enum(['to-be-made', 'taking-snapshots', 'being-filled'])
    .exactOptional()
    .describe('It has never been current yet'),
})

const replicaMoveSchema = z.object({
  to: hostId.exactOptional().describe('Where a replica comes'),
  from: hostId.exactOptional().describe('Whose replica leaves then'),
  incoming: replicaSchema.exactOptional().describe('Of a change of pools within a host: the new one'),
  leaving: z
    .object({ host: hostId, pool: z.string() })
    .exactOptional()
    .describe('It is no replica any more, and its file is removed next'),
  near: z.literal(true).exactOptional().describe('Of a native root: the rest is sent in a moment'),
  forDrain: z.literal(true).exactOptional().describe('Of a native root: its host is drained'),
  carried: z.array(snapshotId).exactOptional().describe("The guest's snapshots that the new replica holds too"),
  since: wallMs('When it was asked for'),
})

export const volumeSchema = z.object({
  id: volumeId,
  guest: guestId,
  project: projectName.exactOptional(),
  name: z.string(),
  role: volumeRoleSchema.exactOptional(),
  form: z
    .literal('subvolume')
    .exactOptional()
    .describe("A folder of its pool's file system, on one host; absent: the image of a disk"),
  copies: z.array(rootCopySchema).exactOptional().describe('Of a subvolume: as it was at a moment, on other hosts'),
  failedMove: z
    .object({ to: hostId, reason: z.string(), at: wallMs('When'), times: wholeNumber().describe('In a row') })
    .exactOptional()
    .describe('Of a subvolume: the last try to move it, when that failed'),
  takesOver: volumeId.exactOptional().describe('Set aside: under whose name it still lies on its host'),
  sizeBytes: bytes('Size of the disk'),
  growTo: bytes('The size that it is to have, while its replicas make room for it').exactOptional(),
  ready: z.boolean().describe("False until every replica's file exists"),
  content: z
    .object({
      blob: blobIdSchema,
      format: z.enum(['raw', 'qcow2']),
      linked: z.literal(true).exactOptional().describe('The blocks are shared with the image, not copied'),
    })
    .exactOptional()
    .describe('What the disk holds at first; zeros when absent'),
  cloneOf: volumeId.exactOptional().describe('Of a subvolume: it begins as that one was'),
  awaitsContent: z.literal(true).exactOptional().describe('That is still being copied from another disk'),
  replicas: z.array(replicaSchema),
  syncPoint: z.string().describe('The dirty bitmap kept since all in-sync replicas were equal'),
  slot: wholeNumber().exactOptional().describe('Its number, which decides its place in the machine'),
  limits: diskLimitsSchema.exactOptional(),
  attachment: z
    .enum(['joining', 'leaving', 'leaving-for-good', 'detached'])
    .exactOptional()
    .describe('Absent: part of the guest'),
  move: replicaMoveSchema.exactOptional().describe('Set while a replica comes or goes'),
  rollBackTo: snapshotId.exactOptional().describe('Set while the replicas are made to be this snapshot again'),
})

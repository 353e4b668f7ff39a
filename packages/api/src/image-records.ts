/** The schemas of what the store holds about images, and those on their way; see `records.ts`. */
import { z } from 'zod'
import { blobIdSchema } from './blob-id-schema.ts'
import { projectName } from './project-records.ts'
import { bytes, guestId, hostId, volumeId, wallMs, wholeNumber } from './record-values.ts'
import { rootFactsSchema } from './template-records.ts'

export const imageDiskSchema = z.object({
  blob: blobIdSchema,
  format: z.enum(['raw', 'qcow2']),
  virtualSizeBytes: wholeNumber(),
})

/** A disk image, a CD or a container template's root under a name. */
export const imageSchema = z.object({
  name: z.string(),
  kind: z
    .enum(['disk', 'iso', 'root'])
    .exactOptional()
    .describe('`disk` when absent; an `iso` lies in a CD drive, a `root` is the file system of containers'),
  root: rootFactsSchema.exactOptional().describe('Of kind `root`'),
  blob: blobIdSchema,
  format: z.enum(['raw', 'qcow2']),
  virtualSizeBytes: bytes('Size of the disk that it fills'),
  project: projectName.exactOptional(),
  moreDisks: z
    .array(imageDiskSchema)
    .exactOptional()
    .describe('Of a machine with several disks: those after the first'),
  hardware: z
    .object({ memoryBytes: wholeNumber().exactOptional(), cpus: wholeNumber().exactOptional() })
    .exactOptional()
    .describe('What the machine had that was imported'),
  createdAt: wallMs('When it was imported'),
})

export const uploadFormatSchema = z.enum(['raw', 'qcow2', 'vmdk', 'vhdx', 'ova', 'iso'])

const progressSchema = z.object({
  step: z.enum([
    'waiting',
    'fetching',
    'checking',
    'converting',
    'copying',
    'unpacking',
    'writing',
    'digesting',
    'sending',
  ]),
  doneBytes: bytes('Done of this step').exactOptional(),
  totalBytes: bytes('All of this step').exactOptional(),
  disk: z.object({ number: wholeNumber(), of: wholeNumber() }).exactOptional(),
})

const making = {
  name: z.string(),
  id: z.string(),
  host: hostId,
  begun: wholeNumber().describe('How often an agent has begun it'),
  progress: progressSchema,
  files: z.array(blobIdSchema).describe('Made so far, and named by nothing else yet'),
  createdAt: wallMs('When it was asked for'),
}

export const imageImportSchema = z.object({
  ...making,
  source: blobIdSchema,
  target: z.discriminatedUnion('kind', [
    z.object({ kind: z.literal('disk'), format: uploadFormatSchema }),
    z.object({
      kind: z.literal('root'),
      init: z.array(z.string()).exactOptional(),
      haltSignal: z.string().exactOptional(),
      signature: z.object({ by: z.string(), text: z.string() }).exactOptional(),
    }),
  ]),
  project: projectName.exactOptional(),
})

export const diskCopySchema = z.object({
  ...making,
  purpose: z.enum(['template', 'clone', 'file']),
  guest: guestId,
  volumes: z.array(volumeId),
  linked: z.literal(true).exactOptional(),
})

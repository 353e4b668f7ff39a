/** What a dump of a container says of it, beside its files: everything that makes it again. */
import { DUMP_MODES } from '@stead/core/model/backup.ts'
import { z } from 'zod'
import { containerLimitsSchema, containerSystemSchema, mountPathSchema } from './container-records.ts'
import { setGuestBody } from './endpoints/guests.ts'
import { bytes } from './record-values.ts'

export const containerDumpSchema = z.object({
  version: z.literal(1),
  name: z.string(),
  dumpedAt: z.string().describe('ISO 8601, UTC: the moment that the files show, or shortly before'),
  mode: z.enum(DUMP_MODES),
  memoryBytes: bytes('Of the container'),
  cpus: z.number().int(),
  template: z.string(),
  system: containerSystemSchema,
  hostname: z.string().exactOptional(),
  nameservers: z.array(z.string()),
  searchDomains: z.array(z.string()),
  privileged: z.boolean(),
  nesting: z.boolean(),
  limits: containerLimitsSchema,
  nics: z.array(z.object({ mac: z.string(), addresses: z.array(z.string()), gateways: z.array(z.string()) })),
  disks: z
    .array(
      z.object({
        sizeBytes: bytes('Of the disk'),
        replicas: z.number().int().min(1),
        path: mountPathSchema.exactOptional().describe('Where it is mounted; absent of the root'),
        dumped: z.literal(true).exactOptional().describe('Of a further disk: its files are in the dump'),
      }),
    )
    .min(1),
  settings: setGuestBody
    .pick({
      ...{ ha: true, priority: true, maxRestart: true, maxRelocate: true, failback: true },
      ...{ autostart: true, protectedFrom: true, tags: true, notes: true },
    })
    .describe('As `guest.set` takes them'),
})
export type ContainerDump = z.output<typeof containerDumpSchema>

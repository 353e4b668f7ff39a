/** Tenants, as the store keeps them. */
import { z } from 'zod'
import { wallMs } from './record-values.ts'

export const projectName = z.string().describe('Whose it is: the name of a project')

const limit = (of: string) => z.number().int().min(0).describe(of)

export const quotaSchema = z.object({
  guests: limit('Guests').exactOptional(),
  cpus: limit('Processors of all guests, running or not').exactOptional(),
  memoryBytes: limit('Memory of all guests, running or not').exactOptional(),
  diskBytes: limit('Disks, each replica counted').exactOptional(),
  snapshots: limit('Snapshots').exactOptional(),
  backups: limit('Backups, while they are being made too').exactOptional(),
  addresses: limit("Addresses of containers' network cards").exactOptional(),
})

export const projectSchema = z.object({
  name: z.string(),
  notes: z.string().exactOptional(),
  quota: quotaSchema.exactOptional().describe('What it may have'),
  people: z
    .array(z.string())
    .exactOptional()
    .describe('Groups that may be named, with their members, by whoever delegates within the project'),
  createdAt: wallMs('When it was created'),
})

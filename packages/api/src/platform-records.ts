/** What a guest's machine is made with: as a record, and as it is asked for. See `core/model/platform.ts`. */
import { DEVICE_KINDS } from '@stead/core/model/host-shares.ts'
import { HUGE_PAGES, WATCHDOG_ACTIONS, type HugePages } from '@stead/core/model/platform.ts'
import { z } from 'zod'
import { blobIdSchema } from './blob-id-schema.ts'

const watchdog = z
  .enum(WATCHDOG_ACTIONS)
  .describe('What follows when the guest does not feed its watchdog; `poweroff`: the run ends and HA starts it anew')
const hugePages = z
  .enum(Object.keys(HUGE_PAGES) as [HugePages, ...HugePages[]])
  .describe('Its memory stands on pages of this size, which its host must have free')
const dedicatedCpus = z.boolean().describe('Each of its processors has a processor of the host for itself')
const numaNodes = z.number().int().min(1).max(16).describe('Nodes into which its memory and processors are divided')
const devices = z
  .record(
    z.string().regex(/^[a-z][a-z0-9-]*\/[a-z0-9][a-z0-9._-]*$/, 'must be like gpu/nvidia-l4'),
    z.number().int().min(1).max(16),
  )
  .describe('Classes of devices of the host, and how many of each')

export const platformSchema = z.object({
  firmware: z
    .object({ kind: z.literal('uefi'), secureBoot: z.boolean(), code: blobIdSchema })
    .exactOptional()
    .describe('Legacy BIOS when absent'),
  tpm: z.boolean().exactOptional().describe('A TPM 2.0'),
  watchdog: watchdog.exactOptional(),
  hugePages: hugePages.exactOptional(),
  dedicatedCpus: dedicatedCpus.exactOptional(),
  numaNodes: numaNodes.exactOptional(),
  devices: devices.exactOptional(),
})

export const volumeRoleSchema = z
  .enum(['firmware', 'tpm'])
  .describe("The variables of the guest's firmware, or the state of its TPM; a disk when absent")

export const platformRequestSchema = z.strictObject({
  firmware: z.enum(['bios', 'uefi', 'uefi-secure']).optional().describe('Default: `bios`'),
  tpm: z.boolean().optional().describe('A TPM 2.0'),
  watchdog: watchdog.optional(),
  hugePages: hugePages.optional(),
  dedicatedCpus: dedicatedCpus.optional(),
  numaNodes: numaNodes.optional(),
  devices: devices.optional(),
})
export type PlatformRequest = z.output<typeof platformRequestSchema>

export const hostDevicesSchema = z.array(
  z.object({
    name: z.string().describe('The class: `gpu/nvidia-l4`'),
    kind: z.enum(DEVICE_KINDS).describe('How a guest is given one; `mig` and `render` only to containers'),
    count: z.number().int().min(0).describe('How many there are, those that guests hold included'),
  }),
)
export const hostHugePagesSchema = z
  .object({ '2M': z.number().int().exactOptional(), '1G': z.number().int().exactOptional() })
  .describe('How many huge pages are set aside, by size')

export const platformViewSchema = z.object({
  firmware: z.enum(['bios', 'uefi', 'uefi-secure']),
  tpm: z.boolean(),
  watchdog: watchdog.nullable(),
  hugePages: hugePages.nullable(),
  dedicatedCpus,
  numaNodes,
  devices,
  whyNotMigratable: z.string().describe('Why it cannot be moved while it runs; empty when it can'),
})

/** The record of the key that seals the cluster's secrets: `core/model/vault.ts`. */
import { z } from 'zod'
import { hostId, wholeNumber } from './record-values.ts'

export const vaultSchema = z.object({
  generation: wholeNumber(),
  keyId: z.string(),
  check: z.string(),
  keeping: z.enum(['beside', 'shares']),
  holders: z.array(hostId),
  revokedCount: wholeNumber(),
  retired: z.array(z.object({ generation: wholeNumber(), sealedKey: z.string() })),
})

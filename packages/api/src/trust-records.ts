/** What the store holds of the trust between hosts, and of the key that seals secrets. */
import { AUTHORITY_PHASES } from '@stead/core/model/authority-change.ts'
import { z } from 'zod'
import { hostId, wallMs, wholeNumber } from './record-values.ts'

export const heartbeatKeySchema = z.object({
  generation: wholeNumber().describe('Grows with each new key'),
  due: z.array(hostId).describe('Removed hosts that know it: another is due'),
  formerCounts: z.boolean().describe('The one before is still taken'),
  sealed: z.string().describe('The keys, readable by each host that was a member'),
  madeAt: wallMs('When it was made'),
  madeFor: z.array(hostId).describe('For whose removal it was made'),
})

export const authorityChangeSchema = z.object({
  phase: z.enum(AUTHORITY_PHASES).describe('What every host does now'),
  former: z.string().describe('SHA-256 of the one that goes'),
  next: z.string().describe('SHA-256 of the one that comes'),
  certificate: z.string().describe('Of the one that comes, PEM'),
  begunAt: wallMs('When it was asked for'),
})

export const vaultSchema = z.object({
  generation: wholeNumber(),
  keyId: z.string(),
  check: z.string(),
  keeping: z.enum(['beside', 'shares']),
  holders: z.array(hostId),
  revokedCount: wholeNumber(),
  retired: z.array(z.object({ generation: wholeNumber(), sealedKey: z.string() })),
})

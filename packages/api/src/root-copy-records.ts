/** The schemas of copies of native roots, and of what an administrator wants of them. */
import { COPY_EVERY_MS_MAX, COPY_EVERY_MS_MIN } from '@stead/core/model/root-copy.ts'
import { z } from 'zod'
import { epoch, hostId, wallMs, wholeNumber } from './record-values.ts'

export const rootCopyPolicySchema = z.object({
  to: hostId.exactOptional().describe('The host of the copy; one that has room when absent'),
  everyMs: wholeNumber().min(COPY_EVERY_MS_MIN).max(COPY_EVERY_MS_MAX).describe('How often it is brought up to date'),
  onLoss: z
    .enum(['wait', 'start-from-copy'])
    .describe(
      "When the root's host is lost: wait for it, or start from the newest copy without what was written since",
    ),
})

export const rootCopyViewSchema = z.object({
  host: z.string(),
  pool: z.string(),
  at: z.string().nullable().describe('ISO 8601, UTC: it shows the root as it was then; null: there is none yet'),
  late: z.boolean().describe('It is older than three intervals'),
  trouble: z.string().describe('Why the last try came to nothing; empty when it did not'),
})

export const rootCopySchema = z.object({
  host: hostId,
  pool: z.string(),
  since: wallMs('When it was asked for'),
  newest: z
    .object({ at: wallMs('The moment that it shows'), epoch })
    .exactOptional()
    .describe('The newest whole one; absent: none yet'),
  trouble: z
    .object({ message: z.string(), since: wallMs('Since when it cannot be made') })
    .exactOptional()
    .describe('Why the last try came to nothing'),
  late: z.literal(true).exactOptional().describe('It is older than three intervals, and that was told'),
})

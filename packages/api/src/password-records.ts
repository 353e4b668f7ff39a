/** What the passwords of the cluster's own users must be, as the policy keeps it. */
import { z } from 'zod'

export const passwordPolicySchema = z
  .object({
    lengthMin: z.number().int().min(8).max(64).describe('Characters that a password has at least; 12 when absent'),
    refuseGuessable: z.boolean().describe('Refuse those that are tried first; yes when absent'),
  })
  .describe("What the passwords of the cluster's own users must be")

/** The schema of a rule's record. */
import type { RuleId } from '@stead/core/model/rule.ts'
import { z } from 'zod'
import { guestId, hostId, id, wholeNumber } from './record-values.ts'

const ruleId = id<RuleId>("A rule's name, a DNS label")
const ruleBase = { id: ruleId, comment: z.string().max(500).exactOptional() }
const ruledGuests = z.array(guestId).min(1).max(1000)
const strict = z.boolean().describe('False: a wish, weighed against others')
export const ruleSchema = z.discriminatedUnion('kind', [
  z.object({ ...ruleBase, kind: z.literal('together'), guests: ruledGuests, strict }),
  z.object({
    ...ruleBase,
    kind: z.literal('apart'),
    guests: ruledGuests,
    strict,
    across: z.string().describe('`host`, or a kind of fault domain such as `rack`'),
  }),
  z.object({
    ...ruleBase,
    kind: z.literal('hosts'),
    guests: ruledGuests,
    hosts: z
      .array(z.object({ host: hostId, priority: wholeNumber().describe('The highest that is available wins') }))
      .min(1)
      .max(1000),
    strict,
  }),
  z.object({ ...ruleBase, kind: z.literal('ban'), guests: ruledGuests, hosts: z.array(hostId).min(1).max(1000) }),
  z.object({
    ...ruleBase,
    kind: z.literal('order'),
    guests: ruledGuests,
    readyAfterMs: z
      .number()
      .int()
      .min(0)
      .max(3_600_000)
      .describe('How long a guest must have run to count as ready, ms'),
    mode: z
      .enum(['required', 'optional'])
      .describe('`required`: only while the one before runs; `optional`: only if that one is to run as well'),
    until: z
      .enum(['running', 'ready'])
      .exactOptional()
      .describe('What the later one waits for; `ready`: that the probe of the one before has found it so'),
  }),
])

/** The schemas of `core/model/webhook.ts`. */
import { EVENT_KINDS } from '@stead/core/model/event.ts'
import { z } from 'zod'
import { wallMs } from './record-values.ts'
import { secret } from './secrets.ts'

export const webhookSchema = z.object({
  name: z.string(),
  url: z.string(),
  tells: z.literal('usage').exactOptional().describe('What projects used, hour by hour; events when absent'),
  kinds: z.array(z.enum(EVENT_KINDS)).describe('Of which events it is told; empty: all'),
  project: z.string().exactOptional().describe('Only of what belongs to this project'),
  notes: z.string().exactOptional(),
  disabled: z.literal(true).exactOptional(),
  secret: secret(z.string()),
  createdAt: wallMs('When it was made'),
})

export const webhookDeliverySchema = z.object({
  after: z.object({ id: z.string(), time: z.string() }).describe('The last event that was told or passed over'),
  deliveredAt: wallMs('When somebody took what it was told').exactOptional(),
  failing: z
    .object({
      since: wallMs('When it failed first'),
      attempts: z.number().int(),
      nextAt: wallMs('When it is tried again'),
      error: z.string(),
    })
    .exactOptional(),
  lost: z.number().int().describe('Events that were given up'),
})

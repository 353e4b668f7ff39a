/** What a webhook is sent, and how it knows that we have sent it. Pure. */
import { createHmac } from 'node:crypto'
import type { ClusterEvent } from '@stead/core/model/event.ts'
import type { Webhook } from '@stead/core/model/webhook.ts'
import type { Posting } from '../outbound/guarded-post.ts'

export interface MessageOf {
  readonly cluster: { readonly id: string; readonly name: string }
  /** Oldest first; none: a greeting. */
  readonly events: readonly ClusterEvent[]
  readonly attempt: number
  readonly wallMs: number
}

export function webhookMessage(
  { name, url, secret }: Webhook,
  { cluster, events, attempt, wallMs }: MessageOf,
): Posting {
  const body = JSON.stringify({ version: 1, cluster, webhook: name, events })
  const seconds = Math.floor(wallMs / 1_000)
  return {
    url,
    body,
    headers: {
      'content-type': 'application/json',
      'user-agent': 'Stead',
      'stead-delivery': events.at(-1)?.id ?? 'greeting',
      'stead-attempt': String(attempt),
      'stead-signature': `t=${seconds},v1=${signatureOf(secret, seconds, body)}`,
    },
  }
}

/** The time is signed too, so that what somebody has overheard is good for a moment only. */
export function signatureOf(secret: string, seconds: number, body: string): string {
  return createHmac('sha256', secret).update(`${seconds}.${body}`).digest('hex')
}

/** What a webhook is sent, and how it knows that we have sent it. Pure. */
import { createHmac } from 'node:crypto'
import type { Webhook } from '@stead/core/model/webhook.ts'
import type { Posting } from '../outbound/guarded-post.ts'
import { idOf, type Told } from './next-told.ts'

export interface MessageOf {
  readonly cluster: { readonly id: string; readonly name: string }
  /** Oldest first; nothing: a greeting. */
  readonly told: Told
  readonly attempt: number
  readonly wallMs: number
}

export function webhookMessage({ name, url, secret }: Webhook, { cluster, told, attempt, wallMs }: MessageOf): Posting {
  const body = JSON.stringify({ version: 1, cluster, webhook: name, ...told })
  const seconds = Math.floor(wallMs / 1_000)
  return {
    url,
    body,
    headers: {
      'content-type': 'application/json',
      'user-agent': 'Stead',
      'stead-delivery': idOf(told),
      'stead-attempt': String(attempt),
      'stead-signature': `t=${seconds},v1=${signatureOf(secret, seconds, body)}`,
    },
  }
}

/** The time is signed too, so that what somebody has overheard is good for a moment only. */
export function signatureOf(secret: string, seconds: number, body: string): string {
  return createHmac('sha256', secret).update(`${seconds}.${body}`).digest('hex')
}

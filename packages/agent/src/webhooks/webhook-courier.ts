/**
 * Tells webhooks of events, or of usage, in their order, on the coordinator (a witness, which has not their secrets, leaves
 * it to a host). How far each has been told, and when it is tried again, is in the store: another host goes on there. Each
 * event, and each project's hour, is told at least once.
 */
import { recordDecoder } from '@stead/api/records.ts'
import { failure } from '@stead/core/errors.ts'
import type { ClusterMirror } from '@stead/core/host/cluster-mirror.ts'
import type { Versioned } from '@stead/core/model/cluster.ts'
import type { HostId } from '@stead/core/model/ids.ts'
import { KEYS } from '@stead/core/model/keys.ts'
import { secretKeeper } from '@stead/core/model/vault.ts'
import { giveUpAfterMs, pauseAfter, type Webhook, type WebhookDelivery } from '@stead/core/model/webhook.ts'
import type { Clock } from '@stead/core/ports/clock.ts'
import type { Log } from '@stead/core/ports/log.ts'
import type { Store } from '@stead/core/ports/store.ts'
import { fail, type Result } from '@stead/core/result.ts'
import { guardedPost } from '../outbound/guarded-post.ts'
import { permittedBy } from '../outbound/outbound-guard.ts'
import { beginningOf, nextTold, type Told, type ToldFrom } from './next-told.ts'
import { webhookMessage } from './webhook-message.ts'

const LOOK_MS = 1_000

export interface CourierContext extends ToldFrom {
  readonly self: HostId
  readonly store: Store
  readonly mirror: ClusterMirror
  readonly clock: Clock
  readonly log: Log
}

export async function keepWebhooksTold(context: CourierContext, signal: AbortSignal): Promise<void> {
  const { clock, log } = context
  while (!signal.aborted) {
    await clock.sleep(LOOK_MS, signal)
    if (signal.aborted) return
    try {
      await tellNow(context)
    } catch (error) {
      log.error('webhooks could not be told', { error })
    }
  }
}

/** One look: whatever is due is sent once. */
export async function tellNow(context: CourierContext): Promise<void> {
  const { mirror, self } = context
  if (secretKeeper(mirror.state) !== self) return
  await Promise.all([...mirror.state.webhooks.values()].map((webhook) => tell(context, webhook)))
}

async function tell(context: CourierContext, known: Versioned<Webhook>): Promise<void> {
  const { mirror, clock } = context
  const webhook = known.value
  if (webhook.disabled) return
  const before = mirror.state.webhookDeliveries.get(webhook.name)
  const delivery: WebhookDelivery = before?.value ?? { after: beginningOf(webhook), lost: 0 }
  const { failing } = delivery
  const wallMs = clock.wallMs()
  if (failing && wallMs < failing.nextAt) return
  const next = nextTold(context, webhook, delivery.after, wallMs)
  if (!next) return
  const { told, count, after } = next
  const { failing: _over, ...rest } = delivery
  if (count === 0) return record(context, known, before, { ...rest, after })
  const sent = await send(context, webhook, told, (failing?.attempts ?? 0) + 1)
  if (sent.ok) return record(context, known, before, { ...rest, after, deliveredAt: wallMs })
  // It is this host that cannot, and not for long.
  if (sent.error.code === 'secrets_locked') return
  const since = failing?.since ?? wallMs
  if (wallMs - since >= giveUpAfterMs(webhook))
    return record(context, known, before, { ...rest, after, lost: delivery.lost + count })
  const attempts = (failing?.attempts ?? 0) + 1
  const again = { since, attempts, nextAt: wallMs + pauseAfter(attempts), error: sent.error.message }
  return record(context, known, before, { ...delivery, failing: again })
}

/** The status of the answer. */
export async function send(
  { store, mirror, clock }: Pick<CourierContext, 'store' | 'mirror' | 'clock'>,
  { name: webhook }: Pick<Webhook, 'name'>,
  told: Told,
  attempt: number,
): Promise<Result<number>> {
  const { id = '', name = '' } = mirror.state.settings?.value ?? {}
  const opened = await withSecret(store, webhook)
  if (!opened.ok) return opened
  const message = webhookMessage(opened.value, { cluster: { id, name }, told, attempt, wallMs: clock.wallMs() })
  const status = await guardedPost(message, permittedBy(mirror.state))
  if (!status.ok || (status.value >= 200 && status.value < 300)) return status
  const followed = status.value >= 300 && status.value < 400 ? ', which is not followed' : ''
  return fail(failure('conflict', `It answered with HTTP status ${status.value}${followed}`))
}

/** This host's copy of the records has the secret sealed. */
export async function withSecret(store: Pick<Store, 'get'>, name: string): Promise<Result<Webhook>> {
  const kept = await store.get(KEYS.webhook(name))
  if (!kept.ok) return kept
  if (!kept.value) return fail(failure('not_found', `There is no webhook ${name}`))
  return recordDecoder.webhook(JSON.parse(kept.value.value))
}

/** Only by whom still coordinates, of a webhook that is as it was. */
async function record(
  { store, mirror }: CourierContext,
  { value: { name }, revision }: Versioned<Webhook>,
  before: Versioned<WebhookDelivery> | undefined,
  next: WebhookDelivery,
): Promise<void> {
  const key = KEYS.webhookDelivery(name)
  const outcome = await store.transact({
    compares: [
      { key: KEYS.coordinator, modRevision: mirror.state.coordinator?.revision ?? 0n },
      { key: KEYS.webhook(name), modRevision: revision },
      { key, modRevision: before?.revision ?? 0n },
    ],
    writes: [{ kind: 'put', key, value: JSON.stringify(next) }],
  })
  // The next look must find what this one has done.
  if (outcome.ok && outcome.value.committed) {
    const { revision: written } = outcome.value
    await mirror.until(() => mirror.revision >= written, new Promise((resolve) => setTimeout(resolve, LOOK_MS)))
  }
}

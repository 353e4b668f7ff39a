/** What a webhook is to be told next, after what it has been told: events, or what projects used in hours that are over. */
import type { UsageView } from '@stead/api/endpoints/projects.ts'
import type { ClusterEvent } from '@stead/core/model/event.ts'
import { hourOf } from '@stead/core/model/metering.ts'
import type { Webhook, WebhookDelivery } from '@stead/core/model/webhook.ts'
import type { History } from '../history.ts'
import type { UsageLog } from '../metering/usage-log.ts'
import { usageRows } from '../metering/usage-rows.ts'

const AT_ONCE = 50
const EVENTS_LOOKED_AT = 500
const HOUR_MS = 3_600_000
/** Hosts tell what guests sent every five minutes, and when the hour is over; one that is late misses two of these. */
const USAGE_SETTLES_MS = 600_000

/** `id`: the same whenever this project's hour is told, by whatever host. */
export type ToldUsage = UsageView & { readonly id: string }

export type Told = { readonly events: readonly ClusterEvent[] } | { readonly usage: readonly ToldUsage[] }

export interface NextTold {
  readonly told: Told
  /** Of what is told; none: it is only passed over, since it is not for this one. */
  readonly count: number
  readonly after: WebhookDelivery['after']
}

export interface ToldFrom {
  readonly history: Pick<History, 'after'>
  readonly usage: Pick<UsageLog, 'list' | 'network'>
}

/** Undefined when there is nothing. */
export function nextTold(from: ToldFrom, webhook: Webhook, after: WebhookDelivery['after'], wallMs: number) {
  return webhook.tells === 'usage' ? nextUsage(from, webhook, after, wallMs) : nextEvents(from, webhook, after)
}

/** Before the first: what happens from its making on; of usage the hour in which that was. */
export function beginningOf({ tells, createdAt }: Pick<Webhook, 'tells' | 'createdAt'>): WebhookDelivery['after'] {
  return { id: '', time: tells === 'usage' ? hourOf(createdAt) : new Date(createdAt).toISOString() }
}

/** Nothing, in the form of what it is told. */
export function greeting({ tells }: Pick<Webhook, 'tells'>): Told {
  return tells === 'usage' ? { usage: [] } : { events: [] }
}

/** What names the message: the last of what it tells. */
export function idOf(told: Told): string {
  const last = 'events' in told ? told.events.at(-1) : told.usage.at(-1)
  return last?.id ?? 'greeting'
}

function nextEvents(
  { history }: ToldFrom,
  { kinds, project }: Webhook,
  from: WebhookDelivery['after'],
): NextTold | undefined {
  const seen = history.after(from, kinds, EVENTS_LOOKED_AT)
  const wanted = seen.filter((event) => project === undefined || event.project === project)
  const events = wanted.slice(0, AT_ONCE)
  // What is not for it is passed over for good only now and then.
  if (events.length === 0 && seen.length < EVENTS_LOOKED_AT) return undefined
  const last = events.length > 0 && wanted.length > AT_ONCE ? events.at(-1)! : seen.at(-1)!
  return { told: { events }, count: events.length, after: { id: last.id, time: last.time } }
}

/** `after.time`: an hour; `after.id`: the last project of it that was told, all of them when it is the hour itself. */
function nextUsage(
  { usage }: ToldFrom,
  { project }: Webhook,
  after: WebhookDelivery['after'],
  wallMs: number,
): NextTold | undefined {
  const settled = hourOf(wallMs - USAGE_SETTLES_MS)
  const isWhole = after.id === after.time
  const from = isWhole ? new Date(Date.parse(after.time) + HOUR_MS).toISOString() : after.time
  if (from >= settled) return undefined
  const [hour] = usage.list(from, settled)
  if (!hour) return undefined
  const end = new Date(Date.parse(hour.hour) + HOUR_MS).toISOString()
  const all = usageRows(hour, true, usage.network(hour.hour, end).get(hour.hour))
  const wanted = all.filter((row) => project === undefined || row.project === project)
  const rest = hour.hour === after.time ? wanted.filter((row) => row.project > after.id) : wanted
  const now = rest.slice(0, AT_ONCE).map((row) => ({ id: `${row.hour}/${row.project}`, ...row }))
  const id = rest.length > AT_ONCE ? now.at(-1)!.project : hour.hour
  return { told: { usage: now }, count: now.length, after: { id, time: hour.hour } }
}

/** Who is told of events by HTTP. docs/internals/webhooks.md. */
import type { EventKind } from './event.ts'

export interface Webhook {
  readonly name: string
  readonly url: string
  /** What projects used in each hour that is over; events when absent. */
  readonly tells?: 'usage'
  /** Of which events it is told; empty: all. */
  readonly kinds: readonly EventKind[]
  /** Only of what belongs to this project. */
  readonly project?: string
  readonly notes?: string
  readonly disabled?: true
  /** With which what is sent is signed. */
  readonly secret: string
  readonly createdAt: number
}

/** How far one has been told. */
export interface WebhookDelivery {
  /**
   * The last event that was told or passed over, and its time, by which it is found where the event is not known any more.
   * Of usage: the hour, and of its projects the last one that was told; the hour itself once all were.
   */
  readonly after: { readonly id: string; readonly time: string }
  readonly deliveredAt?: number
  /** Of those told since the last failure: absent. */
  readonly failing?: {
    readonly since: number
    readonly attempts: number
    readonly nextAt: number
    readonly error: string
  }
  /** Events, or projects' hours, that were given up, since nobody took them for so long. */
  readonly lost: number
}

const FIRST_PAUSE_MS = 5_000
const PAUSE_MS_MAX = 3_600_000
/** After so long what is to be told next is given up: events are news, hours are bills. */
export function giveUpAfterMs({ tells }: Pick<Webhook, 'tells'>): number {
  return (tells === 'usage' ? 14 * 24 : 24) * 3_600_000
}

/** Twice as long after each attempt. */
export function pauseAfter(attempts: number): number {
  return Math.min(FIRST_PAUSE_MS * 2 ** Math.min(attempts - 1, 30), PAUSE_MS_MAX)
}

/** What projects used, by the hour. */
import type { UsageHour } from '@stead/core/model/metering.ts'
import { ok } from '@stead/core/result.ts'
import type { ApiBackend } from '../http/backend.ts'
import { usageRows } from '../metering/usage-rows.ts'
import type { Desk } from './desk.ts'

const HOUR_MS = 3_600_000
/** What is listed when nothing is said of the time. */
const LISTED_MS = 31 * 24 * HOUR_MS

export function usageEndpoints({ context: { usage, clock } }: Desk): Pick<ApiBackend, 'usage.list'> {
  return {
    'usage.list': async ({ query }) => {
      const now = clock.wallMs()
      const from = new Date(query.from ?? now - LISTED_MS).toISOString()
      const to = new Date(query.to ?? now).toISOString()
      const { open } = usage
      const isAsked = open !== undefined && open.hour >= from && open.hour < to
      const hours = [...usage.list(from, to), ...(isAsked ? [open] : [])]
      const network = usage.network(from, to)
      // An hour of which only hosts have told yet.
      const more = [...network.keys()]
        .filter((hour) => !hours.some((known) => known.hour === hour))
        .map((hour): UsageHour => ({ hour, projects: {} }))
      const items = [...hours, ...more]
        .toSorted((a, b) => a.hour.localeCompare(b.hour))
        .flatMap((hour) =>
          usageRows(hour, hour !== open && Date.parse(hour.hour) + HOUR_MS <= now, network.get(hour.hour)),
        )
      return ok({ items: items.filter(({ project }) => query.project === undefined || project === query.project) })
    },
  }
}

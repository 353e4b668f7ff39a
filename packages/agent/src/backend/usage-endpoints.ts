/** What projects used, by the hour. */
import type { MeteredUsage, UsageHour } from '@stead/core/model/metering.ts'
import { ok } from '@stead/core/result.ts'
import type { ApiBackend } from '../http/backend.ts'
import type { Desk } from './desk.ts'

/** What is listed when nothing is said of the time. */
const LISTED_MS = 31 * 24 * 3_600_000

export function usageEndpoints({ context: { usage, clock } }: Desk): Pick<ApiBackend, 'usage.list'> {
  return {
    'usage.list': async ({ query }) => {
      const now = clock.wallMs()
      const from = new Date(query.from ?? now - LISTED_MS).toISOString()
      const to = new Date(query.to ?? now).toISOString()
      const { open } = usage
      const isAsked = open !== undefined && open.hour >= from && open.hour < to
      return ok({
        items: [
          ...usage.list(from, to).flatMap((hour) => rows(hour, true)),
          ...(isAsked ? rows(open, false) : []),
        ].filter(({ project }) => query.project === undefined || project === query.project),
      })
    },
  }
}

function rows({ hour, projects }: UsageHour, complete: boolean) {
  return Object.entries(projects)
    .toSorted(([a], [b]) => a.localeCompare(b))
    .map(([project, usage]: [string, MeteredUsage]) => ({ project, hour, complete, ...usage }))
}

/** What projects used, hour by hour as the cluster keeps it, by day and as a file. Pure. */
import type { UsageView } from '@stead/api/endpoints/projects.ts'

export const USED = ['cpuHours', 'memoryGibHours', 'diskGibHours', 'receivedBytes', 'sentBytes'] as const
type Used = Pick<UsageView, (typeof USED)[number]>

export interface UsageDay extends Used {
  /** `2026-11-23`, UTC. */
  readonly day: string
}

/** The newest first. */
export function usageDays(hours: readonly UsageView[]): readonly UsageDay[] {
  const days = Map.groupBy(hours, ({ hour }) => hour.slice(0, 10))
  return [...days].map(([day, of]) => ({ day, ...usageSum(of) })).toSorted((a, b) => (a.day < b.day ? 1 : -1))
}

export function usageSum(of: readonly Used[]): Used {
  const sum = { cpuHours: 0, memoryGibHours: 0, diskGibHours: 0, receivedBytes: 0, sentBytes: 0 }
  for (const one of of) for (const name of USED) sum[name] += one[name]
  return sum
}

export function usageCsv(hours: readonly UsageView[]): string {
  const lines = hours.map(({ project, hour, complete, ...used }) =>
    [project, hour, complete, ...USED.map((name) => used[name])].join(','),
  )
  return `${['project', 'hour', 'complete', ...USED].join(',')}\n${lines.map((line) => `${line}\n`).join('')}`
}

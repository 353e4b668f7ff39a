/** What projects used in an hour, as it is listed and told. Pure. */
import type { UsageView } from '@stead/api/endpoints/projects.ts'
import type { MeteredUsage, NetworkUse, UsageHour } from '@stead/core/model/metering.ts'

const NO_USAGE: MeteredUsage = { cpuHours: 0, memoryGibHours: 0, diskGibHours: 0 }
const NO_TRAFFIC: NetworkUse = { receivedBytes: 0, sentBytes: 0 }

/** One for each project, in their order. */
export function usageRows(
  { hour, projects }: UsageHour,
  complete: boolean,
  network: ReadonlyMap<string, NetworkUse> = new Map(),
): UsageView[] {
  return [...new Set([...Object.keys(projects), ...network.keys()])].toSorted().map((project) => ({
    ...{ project, hour, complete },
    ...(projects[project] ?? NO_USAGE),
    ...(network.get(project) ?? NO_TRAFFIC),
  }))
}

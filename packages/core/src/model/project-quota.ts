/**
 * What a project may have, and what it has by its records. The sum is never kept: it cannot drift from what it counts,
 * and what is deleted is free again with its record. Pure.
 */
import type { ClusterState } from './cluster.ts'
import { promisedTo } from './growth.ts'
import type { Guest } from './guest.ts'
import { DEFAULT_PROJECT, projectOf, projectOfVolume } from './project.ts'
import type { Volume } from './volume.ts'

export const QUOTA_MEASURES = [
  'guests',
  'cpus',
  'memoryBytes',
  'diskBytes',
  'snapshots',
  'backups',
  'addresses',
] as const
export type QuotaMeasure = (typeof QUOTA_MEASURES)[number]

/** What is absent has no limit. */
export type ProjectQuota = { readonly [Measure in QuotaMeasure]?: number }
export type ProjectUsage = { readonly [Measure in QuotaMeasure]: number }

type Counted = Pick<ClusterState, 'guests' | 'volumes' | 'snapshots' | 'backups'>

export const NO_USAGE: ProjectUsage = {
  ...{ guests: 0, cpus: 0, memoryBytes: 0, diskBytes: 0, snapshots: 0, backups: 0, addresses: 0 },
}

/** Of every project that has anything. A guest that is stopped holds what it is to have when it runs. */
export function usageByProject(state: Counted): ReadonlyMap<string, ProjectUsage> {
  const sums = new Map<string, Record<QuotaMeasure, number>>()
  const of = (project: string) => {
    const known = sums.get(project)
    if (known) return known
    const sum = { ...NO_USAGE }
    sums.set(project, sum)
    return sum
  }
  for (const { value: guest } of state.guests.values()) {
    const sum = of(projectOf(guest))
    // A running guest that was asked for less holds what it has until it has given it back.
    const { cpus, memoryBytes } = promisedTo(guest, true)
    sum.guests += 1
    sum.cpus += cpus
    sum.memoryBytes += memoryBytes
    sum.addresses += addressesOf(guest)
  }
  for (const { value: volume } of state.volumes.values())
    of(projectOfVolume(state, volume)).diskBytes += diskBytes(volume)
  for (const { value: snapshot } of state.snapshots.values()) {
    const guest = state.guests.get(snapshot.guest)?.value
    of(guest ? projectOf(guest) : DEFAULT_PROJECT).snapshots += 1
  }
  for (const { value: backup } of state.backups.values()) of(projectOf(backup)).backups += 1
  return sums
}

export function usageOf(state: Counted, project: string): ProjectUsage {
  return usageByProject(state).get(project) ?? NO_USAGE
}

/** Projects that have more of something after a change. */
export function growingProjects(before: Counted, after: Counted): readonly string[] {
  const held = usageByProject(before)
  return [...usageByProject(after)].flatMap(([project, usage]) =>
    QUOTA_MEASURES.some((measure) => usage[measure] > (held.get(project) ?? NO_USAGE)[measure]) ? [project] : [],
  )
}

export interface QuotaBreach {
  readonly measure: QuotaMeasure
  readonly held: number
  readonly wanted: number
  readonly limit: number
}

/** What goes beyond the limit, and by this change: less than before is never refused, however much there still is. */
export function quotaBreaches(quota: ProjectQuota, before: ProjectUsage, after: ProjectUsage): readonly QuotaBreach[] {
  return QUOTA_MEASURES.flatMap((measure): QuotaBreach[] => {
    const limit = quota[measure]
    if (limit === undefined || after[measure] <= limit || after[measure] <= before[measure]) return []
    return [{ measure, held: before[measure], wanted: after[measure] - before[measure], limit }]
  })
}

/** All replicas and copies count; one that only takes another's place does not. */
function diskBytes({ form, replicas, copies = [], move, sizeBytes, growTo = sizeBytes }: Volume): number {
  if (form === 'subvolume') {
    const lasting = copies.filter(({ host }) => host !== move?.to)
    return (replicas.length + lasting.length) * Math.max(sizeBytes, growTo)
  }
  const { to, from, leaving, incoming } = move ?? {}
  // From pool to pool of one host the new one is none of `replicas` until the old one has left.
  const isBoth = to !== undefined && from !== undefined && leaving === undefined && incoming === undefined
  return (replicas.length - (isBoth ? 1 : 0)) * Math.max(sizeBytes, growTo)
}

function addressesOf({ nics }: Guest): number {
  return nics.reduce((sum, { addresses = [] }) => sum + addresses.length, 0)
}

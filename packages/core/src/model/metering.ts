/**
 * What projects use by the hour. One record holds the hour that is not over yet and the moment up to which it was counted;
 * each count reads it, adds, and writes it in one transaction that compares it. So whoever coordinates goes on exactly
 * where the last one stopped: nothing is counted twice, and no time is left out. Pure.
 */
import type { ClusterState } from './cluster.ts'
import { promisedTo } from './growth.ts'
import { DEFAULT_PROJECT, projectOf } from './project.ts'
import { usageByProject } from './project-quota.ts'
import { isActive } from './records.ts'

const HOUR_MS = 3_600_000
const GIB = 2 ** 30

/**
 * When nobody counted for longer, it is not known what ran meanwhile: disks are counted, since they were there, and
 * processors and memory are not, in favour of whoever pays.
 */
export const UNSEEN_MS_MAX = 600_000

/** Over a time: how much for how long. */
export interface MeteredUsage {
  /** Processors of guests that run, times hours. */
  readonly cpuHours: number
  /** Memory of guests that run. */
  readonly memoryGibHours: number
  /** Disks, each replica, whether their guests run or not. */
  readonly diskGibHours: number
}

export interface UsageHour {
  /** Its beginning: `2026-11-22T23:00:00.000Z`. */
  readonly hour: string
  readonly projects: Readonly<Record<string, MeteredUsage>>
}

export interface NetworkUse {
  readonly receivedBytes: number
  readonly sentBytes: number
}

/** What the guests of one host sent and received, up to now where the hour is not over. */
export interface NetworkHour {
  readonly hour: string
  readonly host: string
  readonly projects: Readonly<Record<string, NetworkUse>>
}

/** The hour that is not over. */
export interface OpenHour extends UsageHour {
  /** Wall clock, ms: up to when it was counted. */
  readonly throughMs: number
}

export interface ProjectRate {
  readonly cpus: number
  readonly memoryBytes: number
  readonly diskBytes: number
}

/** What each project uses at this moment. */
export function ratesOf(
  state: Pick<ClusterState, 'guests' | 'volumes' | 'snapshots' | 'backups' | 'grants'>,
): ReadonlyMap<string, ProjectRate> {
  const running = new Map<string, { cpus: number; memoryBytes: number }>()
  for (const { value: grant } of state.grants.values()) {
    const guest = state.guests.get(grant.guest)?.value
    if (!guest || !isActive(grant)) continue
    const sum = running.get(projectOf(guest)) ?? { cpus: 0, memoryBytes: 0 }
    const { cpus, memoryBytes } = promisedTo(guest, true)
    running.set(projectOf(guest), { cpus: sum.cpus + cpus, memoryBytes: sum.memoryBytes + memoryBytes })
  }
  const rates = new Map<string, ProjectRate>()
  for (const [project, { diskBytes }] of usageByProject(state))
    rates.set(project, { ...(running.get(project) ?? { cpus: 0, memoryBytes: 0 }), diskBytes })
  return rates
}

export interface Count {
  readonly open: OpenHour
  /** Hours that are over now. */
  readonly closed: readonly UsageHour[]
}

/** Undefined when there is nothing to count: a clock that is behind waits until it has caught up. */
export function counted(
  before: OpenHour | undefined,
  rates: ReadonlyMap<string, ProjectRate>,
  wallMs: number,
): Count | undefined {
  if (!before) return { open: { hour: hourOf(wallMs), throughMs: wallMs, projects: {} }, closed: [] }
  if (wallMs <= before.throughMs) return undefined
  const isUnseen = wallMs - before.throughMs > UNSEEN_MS_MAX
  const closed: UsageHour[] = []
  let open = before
  while (open.throughMs < wallMs) {
    const endMs = Date.parse(open.hour) + HOUR_MS
    const untilMs = Math.min(endMs, wallMs)
    open = { ...open, throughMs: untilMs, projects: added(open.projects, rates, untilMs - open.throughMs, isUnseen) }
    if (untilMs < endMs) break
    closed.push({ hour: open.hour, projects: open.projects })
    open = { hour: hourOf(endMs), throughMs: endMs, projects: {} }
  }
  return { open, closed }
}

export function hourOf(wallMs: number): string {
  return new Date(Math.floor(wallMs / HOUR_MS) * HOUR_MS).toISOString()
}

function added(
  projects: UsageHour['projects'],
  rates: ReadonlyMap<string, ProjectRate>,
  ms: number,
  isUnseen: boolean,
): UsageHour['projects'] {
  const hours = ms / HOUR_MS
  const sums: Record<string, MeteredUsage> = { ...projects }
  for (const [project, { cpus, memoryBytes, diskBytes }] of rates) {
    const { cpuHours, memoryGibHours, diskGibHours } = sums[project] ?? NOTHING
    const seen = isUnseen ? 0 : hours
    sums[project] = {
      cpuHours: cpuHours + cpus * seen,
      memoryGibHours: memoryGibHours + (memoryBytes / GIB) * seen,
      diskGibHours: diskGibHours + (diskBytes / GIB) * hours,
    }
  }
  // So that each hour that was counted can be told from one that was not.
  sums[DEFAULT_PROJECT] ??= NOTHING
  return sums
}

const NOTHING: MeteredUsage = { cpuHours: 0, memoryGibHours: 0, diskGibHours: 0 }

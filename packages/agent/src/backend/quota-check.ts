/**
 * Every change that gives a project more than it has is judged here, and takes the project's turn: of two that are made
 * at a time, on whatever hosts, the second is judged by what the first has made of the records.
 */
import { failure, type Failure } from '@stead/core/errors.ts'
import type { ClusterState } from '@stead/core/model/cluster.ts'
import { KEYS, PREFIX } from '@stead/core/model/keys.ts'
import {
  growingProjects,
  NO_USAGE,
  quotaBreaches,
  usageByProject,
  type ProjectQuota,
  type QuotaBreach,
  type QuotaMeasure,
} from '@stead/core/model/project-quota.ts'
import type { Compare, Write } from '@stead/core/ports/store.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import { stateAfter } from './admission-check.ts'
import type { Change } from './change.ts'

const COUNTED = ['guests', 'volumes', 'snapshots', 'backups'].map((collection) => `${PREFIX}${collection}/`)

/** Projects whose turn a change must take: those to which it adds, but for the default one while nothing is set of it. */
export function projectsAddedTo(state: ClusterState, writes: readonly Write[]): readonly string[] {
  const isCounted = ({ key }: { readonly key: string }) => COUNTED.some((prefix) => key.startsWith(prefix))
  if (!writes.some((write) => write.kind === 'put' && isCounted(write))) return []
  return growingProjects(state, stateAfter(state, writes))
}

/** `turns`: of those projects, taken before `state` was read; none to see only what would be. */
export function withinQuotas(
  state: ClusterState,
  change: Change,
  projects: readonly string[],
  turns: readonly Compare[],
): Result<Change> {
  const before = usageByProject(state)
  const after = usageByProject(stateAfter(state, change.writes))
  for (const project of projects) {
    const quota = state.projects.get(project)?.value.quota ?? {}
    const breaches = quotaBreaches(quota, before.get(project) ?? NO_USAGE, after.get(project) ?? NO_USAGE)
    if (breaches.length > 0) return fail(refusal(project, breaches))
  }
  return ok({
    ...change,
    compares: [
      ...change.compares,
      // A limit that is set meanwhile, or a project that is deleted, has a say in it.
      ...projects.map((name) => ({ key: KEYS.project(name), modRevision: state.projects.get(name)?.revision ?? 0n })),
      ...turns,
    ],
    writes: [
      ...change.writes,
      ...turns.map(({ key }): Write => ({ kind: 'put', key, value: JSON.stringify(change.subject) })),
    ],
  })
}

function refusal(project: string, breaches: readonly QuotaBreach[]): Failure {
  const texts = breaches.map(({ measure, held, wanted, limit }) => {
    const { noun, text } = MEASURES[measure]
    return `${noun} ${text(limit)}, of which ${text(held)} are held, and this needs ${text(wanted)} more`
  })
  return failure('quota', `The quota of ${project} is exceeded: ${texts.join('; ')}`)
}

/** Why the limits cannot be set: the project has more already. */
export function lowerThanHeld(state: ClusterState, project: string, quota: ProjectQuota): Failure | undefined {
  const held = usageByProject(state).get(project) ?? NO_USAGE
  const [first] = quotaBreaches(quota, NO_USAGE, held)
  if (!first) return undefined
  const { noun, text } = MEASURES[first.measure]
  return failure(
    'conflict',
    `${project} holds more: ${noun} ${text(held[first.measure])}, the limit would be ${text(first.limit)}`,
    {
      hint: 'Delete or move guests first; limits that are not set anew stay as they are',
    },
  )
}

const count = (value: number) => String(value)
const bytes = (value: number) => `${value} bytes (${(value / 2 ** 30).toFixed(2)} GiB)`
const MEASURES: Readonly<Record<QuotaMeasure, { readonly noun: string; readonly text: (value: number) => string }>> = {
  guests: { noun: 'guests', text: count },
  cpus: { noun: 'processors', text: count },
  memoryBytes: { noun: 'memory', text: bytes },
  diskBytes: { noun: 'disk, all replicas', text: bytes },
  snapshots: { noun: 'snapshots', text: count },
  backups: { noun: 'backups', text: count },
  addresses: { noun: 'addresses', text: count },
}

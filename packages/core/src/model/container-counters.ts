/** What a container holds, held at most and was refused: the rows of `ct counters`, as `/proc/user_beancounters` had them. */
import type { ContainerLimits } from './container-limits.ts'
import { CONTAINER_RESOURCE_NAMES, containerResource, type ContainerResourceName } from './container-resources.ts'

/** `null`: nobody counts it; of barrier and limit: there is none. */
export interface ContainerCounter {
  readonly resource: ContainerResourceName
  readonly held: number | null
  /** Since the container's start: the kernel's own maximum where it keeps one, else the highest that was sampled. */
  readonly maxHeld: number | null
  readonly barrier: number | null
  readonly limit: number | null
  /** Since the container's start. */
  readonly failures: number | null
  readonly enforced: 'limit' | 'counted'
}

export interface CounterReading {
  readonly held?: number | undefined
  readonly maxHeld?: number | undefined
  readonly failures?: number | undefined
}

export type CounterReadings = { readonly [Name in ContainerResourceName]?: CounterReading }

export type Enforcement = (resource: ContainerResourceName) => 'limit' | 'counted'

export function containerCounters(
  limits: ContainerLimits,
  readings: CounterReadings,
  enforced: Enforcement,
): ContainerCounter[] {
  return CONTAINER_RESOURCE_NAMES.map((resource) => {
    const { held, maxHeld, failures } = readings[resource] ?? {}
    return {
      resource,
      held: held ?? null,
      maxHeld: maxHeld ?? held ?? null,
      barrier: limits[resource]?.barrier ?? null,
      limit: limits[resource]?.limit ?? containerResource(resource).ordinary ?? null,
      failures: failures ?? null,
      enforced: enforced(resource),
    }
  })
}

/** A container was refused something: an event of the cluster. */
export interface LimitFailure {
  readonly resource: ContainerResourceName
  /** Since the last look. */
  readonly failures: number
  readonly total: number
  readonly limit: number | null
}

/** How often each resource was refused between two looks; of a counter that began anew, all of it. */
export function newLimitFailures(
  before: { readonly [Name in ContainerResourceName]?: number },
  counters: readonly ContainerCounter[],
): LimitFailure[] {
  return counters.flatMap(({ resource, failures, limit }) => {
    if (failures === null || containerResource(resource).failuresAreOrdinary === true) return []
    const known = before[resource] ?? 0
    const grown = failures < known ? failures : failures - known
    return grown > 0 ? [{ resource, failures: grown, total: failures, limit }] : []
  })
}

/** Judges places by the words of a cluster file alone, without any code of the planner. */
import type { PlannerCluster } from './planner-cluster.ts'

export interface PlannerScore {
  /** Guests that are not where they were. */
  readonly moved: number
  readonly unplaced: number
  readonly rulesBroken: number
  readonly preferencesMissed: number
  readonly hostsOverfull: number
  /** Standard deviation of the shares of memory taken, plus that of processors; as Ganeti's hbal counts. */
  readonly spread: number
}

/** `places`: guest -> host, of all guests that have one. */
export function scoreOf(
  { nodes, guests, constraints }: PlannerCluster,
  places: ReadonlyMap<string, string>,
  failed: ReadonlySet<string>,
): PlannerScore {
  const up = nodes.filter(({ id }) => !failed.has(id))
  const memory = new Map(up.map(({ id }) => [id, 0]))
  const cpus = new Map(up.map(({ id }) => [id, 0]))
  let moved = 0
  let unplaced = 0
  for (const guest of guests) {
    const host = places.get(guest.id)
    if (host !== guest.node) moved++
    if (host === undefined || !memory.has(host)) {
      unplaced++
      continue
    }
    memory.set(host, memory.get(host)! + guest.memMiB)
    cpus.set(host, cpus.get(host)! + guest.cpu)
  }
  let rulesBroken = 0
  let preferencesMissed = 0
  for (const constraint of constraints) {
    if (constraint.kind === 'apart' || constraint.kind === 'together') {
      const [one, other] = constraint.guests.map((guest) => places.get(guest))
      if (one === undefined || other === undefined) continue
      if ((one === other) === (constraint.kind === 'apart')) rulesBroken++
    } else if (constraint.kind === 'ban') {
      if (places.get(constraint.guest) === constraint.node) rulesBroken++
    } else if (constraint.kind === 'prefer' && places.get(constraint.guest) !== constraint.node) preferencesMissed++
  }
  return {
    moved,
    unplaced,
    rulesBroken,
    preferencesMissed,
    hostsOverfull: up.filter(({ id, memMiB, cpu }) => memory.get(id)! > memMiB || cpus.get(id)! > cpu).length,
    spread:
      deviation(up.map(({ id, memMiB }) => memory.get(id)! / memMiB)) +
      deviation(up.map(({ id, cpu }) => cpus.get(id)! / cpu)),
  }
}

function deviation(values: readonly number[]): number {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length
  return Math.sqrt(values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length)
}

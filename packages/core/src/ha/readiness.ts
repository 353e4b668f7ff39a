/** From single tries of a probe to whether a guest is ready. Pure. */
import type { ReadinessProbe } from '../model/probe.ts'

export interface ProbeCount {
  readonly ready: boolean
  /** In a row, up to now; one of the two is 0. */
  readonly successes: number
  readonly failures: number
}

export const NOTHING_TRIED: ProbeCount = { ready: false, successes: 0, failures: 0 }

/** A try as its host tells of it. */
export type ProbeOutcome = { readonly succeeded: true } | { readonly succeeded: false; readonly reason: string }

export function counted(
  before: ProbeCount,
  { successThreshold, failureThreshold }: Pick<ReadinessProbe, 'successThreshold' | 'failureThreshold'>,
  { succeeded }: ProbeOutcome,
): ProbeCount {
  const successes = succeeded ? before.successes + 1 : 0
  const failures = succeeded ? 0 : before.failures + 1
  if (before.ready) return { ready: failures < failureThreshold, successes, failures }
  return { ready: successes >= successThreshold, successes, failures }
}

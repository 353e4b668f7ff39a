/**
 * What the loss of hosts would mean for the guests, as the cluster's policy asks: now, and after a change that somebody
 * is about to make. Changes that are judged by it are made one after the other (see `KEYS.admissionTurn`).
 */
import type { ClusterState } from '../model/cluster.ts'
import type { GuestId, HostId } from '../model/ids.ts'
import { isActive } from '../model/records.ts'
import { admission, type Admission, type AdmissionBreach } from '../planning/admission.ts'
import { clusterPolicyOf, problemOf } from './planning-problem.ts'
import { freezes } from './start-gate.ts'

/** Guests that are to run and have no place, or have to leave the one they have. */
export function guestsNeedingPlace(state: ClusterState, isUp: (host: HostId) => boolean): Set<GuestId> {
  const needing = new Set<GuestId>()
  for (const { value: guest } of state.guests.values()) {
    if (guest.deleting || guest.desired === 'stopped') continue
    const grant = state.grants.get(guest.id)?.value
    const host = grant?.host
    if (isActive(grant) && isUp(grant.host) && !mustLeave(state, grant.host)) continue
    // What waits for its host, or stays with it, has its place there.
    const waits = host !== undefined && isFrozen(state, host)
    const isIgnored = guest.ha === 'ignored' && isActive(grant)
    if (!waits && !isIgnored) needing.add(guest.id)
  }
  return needing
}

function mustLeave(state: ClusterState, host: HostId): boolean {
  const wish = state.policies.get(host)?.value
  return wish?.maintenance === true || wish?.shutdown !== undefined
}

function isFrozen(state: ClusterState, host: HostId): boolean {
  const how = state.policies.get(host)?.value.shutdown
  return how !== undefined && freezes(state, how)
}

/** Undefined where the policy tolerates no loss, or where fewer than two hosts run guests: then every loss is one. */
export function lossAdmission(state: ClusterState, isUp: (host: HostId) => boolean): Admission | undefined {
  const { hostFailures } = clusterPolicyOf(state).admission
  const compute = [...state.hosts.values()].filter(({ value }) => value.role === 'compute')
  if (hostFailures === 0 || compute.length < 2) return undefined
  const problem = problemOf({ state, isUp, needing: guestsNeedingPlace(state, isUp), afterLoss: true })
  return admission(problem, {
    hostFailures,
    isProtected: ({ id }) => state.guests.get(id)?.value.ha !== 'ignored',
  })
}

/**
 * Breaches that a change makes: losses that had no such consequence before, or not for as many guests. `isUpAfter`: for
 * a change that takes hosts away.
 */
export function breachesMadeBy(
  before: ClusterState,
  after: ClusterState,
  isUp: (host: HostId) => boolean,
  isUpAfter = isUp,
): readonly AdmissionBreach[] {
  const made = lossAdmission(after, isUpAfter)?.breaches ?? []
  if (made.length === 0) return []
  const known = new Map(
    (lossAdmission(before, isUp)?.breaches ?? []).map((breach) => [keyOf(breach), breach.unplaced.length]),
  )
  return made.filter((breach) => breach.unplaced.length > (known.get(keyOf(breach)) ?? 0))
}

function keyOf({ lost }: AdmissionBreach): string {
  return lost.toSorted().join(' ')
}

/**
 * The smallest change that would alter what was decided about a guest: found by changing one thing in the records and
 * asking again what kept it. Sentences for an administrator, the smallest change first.
 */
import type { ClusterState } from '../model/cluster.ts'
import type { Guest } from '../model/guest.ts'
import type { HostId } from '../model/ids.ts'
import { isActive, volumesOf } from '../model/records.ts'
import { smallestChanges } from '../planning/smallest-change.ts'
import { guestsNeedingPlace } from './loss-admission.ts'
import { clusterPolicyOf, problemOf } from './planning-problem.ts'
import { planServing } from './serving.ts'
import { startGate, type Gate } from './start-gate.ts'

/** `isUp`: hosts that can be used, by the asker's own view. Empty when no single change was found. */
export function whatWouldHelp(state: ClusterState, isUp: (host: HostId) => boolean, guest: Guest): string[] {
  if (guest.deleting || guest.desired === 'stopped') return []
  const grant = state.grants.get(guest.id)?.value
  const holds = isActive(grant) && isUp(grant.host)
  if (!holds) {
    const gate = gateOf(state, guest)
    if (gate.kind === 'wait') return gateChanges(state, guest)
    if (gate.kind !== 'open') return []
    const missing = hostsWithItsData(state, isUp, guest)
    if (missing.length > 0) return missing.map((host) => `if ${host} were back, its data could be reached`)
  }
  const needing = guestsNeedingPlace(state, isUp).add(guest.id)
  const problem = problemOf({ state, isUp, needing })
  return smallestChanges(problem, guest.id)
    .filter(({ host }) => !(holds && grant.host === host))
    .map(({ text }) => text)
}

/** A guest that runs counts as ready: what only takes time needs no change. */
function gateOf(state: ClusterState, guest: Guest): Gate {
  const runningForMs = new Map(
    [...state.observations.values()].flatMap(({ value: seen }) => {
      const grant = state.grants.get(seen.guest)?.value
      const runs = isActive(grant) && grant.epoch === seen.epoch && seen.phase === 'running'
      return runs ? [[seen.guest, Infinity] as const] : []
    }),
  )
  return startGate({ state, pausedRetries: new Map(), runningForMs }, guest, state.grants.get(guest.id)?.value)
}

/** What an administrator has set and could unset: HA disarmed, a host's shutdown, the order of starts. */
function gateChanges(state: ClusterState, guest: Guest): string[] {
  const found: string[] = []
  const attempt = (changed: ClusterState, text: string) => {
    if (gateOf(changed, guest).kind === 'open') found.push(text)
  }
  const policy = clusterPolicyOf(state)
  const revision = state.clusterPolicy?.revision ?? 0n
  if (!policy.armed)
    attempt(
      { ...state, clusterPolicy: { value: { ...policy, armed: true }, revision } },
      'if HA were armed, it could start',
    )
  for (const [host, known] of state.policies) {
    const { shutdown, ...rest } = known.value
    if (shutdown === undefined) continue
    const policies = new Map(state.policies).set(host, { ...known, value: rest })
    attempt({ ...state, policies }, `if ${host} had booted again, or its shutdown were called off, it could start`)
  }
  for (const { value: rule } of state.rules.values()) {
    if (rule.kind !== 'order' || !rule.guests.includes(guest.id)) continue
    const rules = new Map(state.rules)
    rules.delete(rule.id)
    const earlier = rule.guests.slice(0, rule.guests.indexOf(guest.id)).map((id) => nameOf(state, id))
    attempt({ ...state, rules }, `if ${earlier.join(' and ')} ran, or there were no rule ${rule.id}, it could start`)
  }
  return found
}

function nameOf(state: ClusterState, id: Guest['id']): string {
  return state.guests.get(id)?.value.name ?? id
}

/** Hosts that are down and whose return alone would give it a current copy of every disk. */
function hostsWithItsData(state: ClusterState, isUp: (host: HostId) => boolean, guest: Guest): HostId[] {
  const grant = state.grants.get(guest.id)?.value
  const volumes = (volumesOf(state, guest) ?? []).map(({ value }) => value)
  const isServed = (isUsable: (host: HostId) => boolean) =>
    volumes.every((volume) => planServing(volume, grant, isUsable, undefined, 0).kind === 'serve')
  if (isServed(isUp)) return []
  const holders = new Set(volumes.flatMap(({ replicas }) => replicas.map(({ host }) => host)))
  return [...holders].filter((holder) => isServed((host) => host === holder || isUp(host)))
}

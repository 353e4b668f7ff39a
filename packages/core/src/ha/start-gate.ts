/**
 * Why a guest that is to run is not started yet, although a host could take it. Each reason is one that an
 * administrator has set or that passes by itself; what data or room it lacks is asked later.
 */
import type { ClusterState } from '../model/cluster.ts'
import type { Grant } from '../model/grant.ts'
import { failuresMax, type Guest } from '../model/guest.ts'
import type { GuestId, HostId } from '../model/ids.ts'
import { isActive, nativeRootOf, volumesOf } from '../model/records.ts'
import { clusterPolicyOf } from './planning-problem.ts'
import { homeOf, isLostHost } from './root-copies.ts'

export interface GateInput {
  readonly state: ClusterState
  /** Guests that must not be tried again yet, with the remaining time, ms (see `RestartPacer`). */
  readonly pausedRetries: ReadonlyMap<GuestId, number>
  /** How long each guest has been seen running without a break, ms. */
  readonly runningForMs: ReadonlyMap<GuestId, number>
}

export type Gate =
  | { readonly kind: 'open' }
  /** Nothing to be said: its disks are being made, its root is being moved, or it is in `error`. */
  | { readonly kind: 'shut' }
  /** Opens by itself after this time. */
  | { readonly kind: 'later'; readonly inMs: number }
  /** To be explained. `inMs`: when it may be worth another look although nothing changes. */
  | {
      readonly kind: 'wait'
      readonly for: 'order' | 'policy'
      readonly reason: string
      readonly inMs?: number
      /** Of `order`: the guest that it starts after. */
      readonly after?: GuestId
    }

/** News of the others wakes the coordinator sooner. */
const LOOK_AGAIN_MS = 1_000

const OPEN: Gate = { kind: 'open' }

/** `grant`: the last one; active when its host is lost. */
export function startGate(input: GateInput, guest: Guest, grant: Grant | undefined): Gate {
  const { state, pausedRetries } = input
  const volumes = volumesOf(state, guest)
  if (!volumes || !volumes.every((volume) => volume.value.ready)) return { kind: 'shut' }
  if (isRootOnItsWay(state, guest)) return { kind: 'shut' }
  const lastHost = grant?.host
  const recovering = isActive(grant)
  const failures = state.observations.get(guest.id)?.value.failures ?? 0
  if (!recovering && failures >= failuresMax(guest)) return { kind: 'shut' }
  if (!clusterPolicyOf(state).armed && (recovering || failures > 0))
    return { kind: 'wait', for: 'policy', reason: 'HA is disarmed: nothing is recovered until it is armed again' }
  const frozen = whyFrozen(state, grant)
  if (frozen !== undefined) return { kind: 'wait', for: 'policy', reason: frozen }
  const pauseMs = pausedRetries.get(guest.id) ?? 0
  if (!recovering && pauseMs > 0) return { kind: 'later', inMs: pauseMs }
  if (!recovering && isComingBack(state, lastHost)) return { kind: 'later', inMs: LOOK_AGAIN_MS }
  if (isMovingWithOthers(state, guest)) return { kind: 'later', inMs: LOOK_AGAIN_MS }
  return orderGate(input, guest)
}

/** The rest of it is sent while the guest stands still. Not for ever: from a lost host nothing comes. */
function isRootOnItsWay(state: ClusterState, guest: Guest): boolean {
  const root = nativeRootOf(state, guest)?.value
  return root?.move !== undefined && !isLostHost(state, homeOf(root))
}

function whyFrozen(state: ClusterState, grant: Grant | undefined): string | undefined {
  if (!grant) return undefined
  const how = state.policies.get(grant.host)?.value.shutdown
  if (!how || !freezes(state, how)) return undefined
  const what = how === 'reboot' ? 'is being rebooted' : 'was shut down'
  return `it waits for ${grant.host}, which ${what}`
}

/** Whether guests wait for a host that is shut down in this way. */
export function freezes(state: ClusterState, how: 'power-off' | 'reboot'): boolean {
  const { shutdown } = clusterPolicyOf(state)
  return shutdown === 'freeze' || (shutdown === 'conditional' && how === 'reboot')
}

/**
 * A host that is recorded online has booted anew, by its own word, and is not heard yet: in a moment its guests can go on
 * where they were. If it stays silent it is recorded lost, and this ends.
 */
function isComingBack(state: ClusterState, host: HostId | undefined): boolean {
  if (host === undefined) return false
  const status = state.statuses.get(host)?.value
  return status?.state === 'online' && status.bootId !== state.hosts.get(host)?.value.bootId
}

/** Guests that must be on one host get their next one together, once the last of them has stopped. */
function isMovingWithOthers(state: ClusterState, guest: Guest): boolean {
  for (const id of boundTo(state, guest.id))
    if (id !== guest.id && state.grants.get(id)?.value.state === 'recalled') return true
  return false
}

/** The guest, and all that strict rules keep together with it, directly or through others. */
export function boundTo(state: ClusterState, guest: GuestId): ReadonlySet<GuestId> {
  const bound = new Set([guest])
  for (let size = 0; size < bound.size;) {
    size = bound.size
    for (const { value: rule } of state.rules.values())
      if (rule.kind === 'together' && rule.strict && rule.guests.some((id) => bound.has(id)))
        for (const id of rule.guests) bound.add(id)
  }
  return bound
}

function orderGate({ state, runningForMs }: GateInput, guest: Guest): Gate {
  for (const { value: rule } of state.rules.values()) {
    if (rule.kind !== 'order') continue
    const place = rule.guests.indexOf(guest.id)
    for (const earlierId of rule.guests.slice(0, Math.max(0, place))) {
      const earlier = state.guests.get(earlierId)?.value
      if (!earlier || (rule.mode === 'optional' && !isToRun(state, earlier))) continue
      const forMs = runningForMs.get(earlierId)
      if (forMs === undefined)
        return {
          kind: 'wait',
          for: 'order',
          reason: `it starts after ${earlier.name} (rule ${rule.id}), which does not run yet`,
          after: earlierId,
        }
      if (rule.until === 'ready' && earlier.lifecycle?.probe && !isReady(state, earlierId))
        return {
          kind: 'wait',
          for: 'order',
          reason: `it starts after ${earlier.name} (rule ${rule.id}), which runs but is not ready yet`,
          after: earlierId,
        }
      if (forMs < rule.readyAfterMs)
        return {
          kind: 'wait',
          for: 'order',
          reason: `it starts ${rule.readyAfterMs / 1000} s after ${earlier.name} (rule ${rule.id})`,
          inMs: rule.readyAfterMs - forMs,
          after: earlierId,
        }
    }
  }
  return OPEN
}

/** By the word of the probe, in the run that was granted last. */
function isReady(state: ClusterState, id: GuestId): boolean {
  const seen = state.observations.get(id)?.value
  return seen?.epoch === state.grants.get(id)?.value.epoch && seen?.readiness?.ready === true
}

/** Whether it is worth waiting for: it is to run, has tries left, and lacks nothing but its own turn. */
function isToRun(state: ClusterState, guest: Guest): boolean {
  if (guest.deleting || guest.desired === 'stopped') return false
  const decision = state.decisions.get(guest.id)?.value
  if (decision?.action === 'wait' && decision.waitsFor !== 'order') return false
  return (state.observations.get(guest.id)?.value.failures ?? 0) < failuresMax(guest)
}

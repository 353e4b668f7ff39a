/**
 * The last look before an action is committed. It knows nothing of how the plan was made: it only asks whether the
 * records, as they would read afterwards, could let a guest run twice on the same data or lose an acknowledged
 * write. Each rule names the harm. It runs in production and in the simulator.
 */
import type { ClusterState } from '../model/cluster.ts'
import { newestEpoch } from '../model/grant.ts'
import type { HostId } from '../model/ids.ts'
import { inSync, isActive, replicaOn } from '../model/records.ts'
import type { Volume } from '../model/volume.ts'
import type { Action } from './plan.ts'

/** Why the action must not be committed; undefined when nothing speaks against it. */
export function objectionTo(action: Action, state: ClusterState): string | undefined {
  switch (action.kind) {
    case 'grant':
      return objectionToGrant(action, state)
    case 'hand-over':
      return objectionToHandover(action, state)
    case 'send-root':
      return objectionToSending(action, state)
    case 'erase':
      return isActive(state.grants.get(action.guest.id)?.value) &&
        !isLost(state, state.grants.get(action.guest.id)!.value.host)
        ? 'a guest that still runs would lose its disks'
        : undefined
    case 'release-lost':
      if (!isLost(state, action.grant.host)) return 'a guest may still run there'
      return action.volumes.some((volume) => inSync(volume).length === 0)
        ? 'a volume would have no current replica'
        : undefined
    default:
      return undefined
  }
}

function objectionToGrant(action: Extract<Action, { kind: 'grant' }>, state: ClusterState): string | undefined {
  const { grant, volumes } = action
  const old = state.grants.get(grant.guest)?.value
  if (grant.epoch !== newestEpoch(old) + 1)
    return `epochs grow by one: ${newestEpoch(old)} is followed by ${grant.epoch}`
  if (isActive(old) && !isLost(state, old.host))
    return `${old.host} holds the guest at epoch ${old.epoch} and is not lost`
  const host = state.hosts.get(grant.host)?.value
  if (!host || host.role === 'witness') return `${grant.host} runs no guests`
  if (isLost(state, grant.host)) return `${grant.host} is lost`
  for (const volume of volumes) {
    const objection = objectionToVolume(
      volume,
      state,
      action.acceptedLoss,
      old === undefined || (old.state === 'released' && old.clean),
    )
    if (objection) return objection
  }
  for (const aside of action.aside ?? [])
    if (state.volumes.has(aside.id) || aside.attachment !== 'detached' || aside.takesOver === undefined)
      return `volume ${aside.id} would be overwritten, or run`
  return undefined
}

/** It may promise the next epoch to another host, and change nothing else. */
function objectionToHandover(
  { grant, guest }: Extract<Action, { kind: 'hand-over' }>,
  state: ClusterState,
): string | undefined {
  const old = state.grants.get(guest.id)?.value
  const { handover } = grant
  if (!old || !handover) return 'there is nothing to hand over'
  if (old.state !== 'held' || old.handover) return `the guest is not simply held by ${old.host}`
  if (grant.epoch !== old.epoch || grant.host !== old.host || grant.state !== 'held')
    return 'the guest would change hands before it stands still'
  if (handover.epoch !== newestEpoch(old) + 1)
    return `epochs grow by one: ${newestEpoch(old)} is followed by ${handover.epoch}`
  const host = state.hosts.get(handover.to)?.value
  if (!host || host.role === 'witness' || handover.to === old.host) return `${handover.to} cannot take it over`
  return isLost(state, handover.to) ? `${handover.to} is lost` : undefined
}

/** It may ask for a copy of the root elsewhere, and change nothing about who has the root now. */
function objectionToSending(
  { guest, root }: Extract<Action, { kind: 'send-root' }>,
  state: ClusterState,
): string | undefined {
  const old = state.volumes.get(root.id)?.value
  const to = root.move?.to
  if (!old || old.guest !== guest.id || old.move || to === undefined) return 'there is nothing to send'
  if (JSON.stringify(old.replicas) !== JSON.stringify(root.replicas))
    return 'the root would change hands before it is sent'
  if (replicaOn(old, to)) return `${to} has the root itself, which would be overwritten`
  const host = state.hosts.get(to)?.value
  if (!host || host.role === 'witness') return `${to} cannot take it`
  return isLost(state, to) ? `${to} is lost` : undefined
}

function objectionToVolume(
  next: Volume,
  state: ClusterState,
  acceptedLoss: HostId | undefined,
  wasClean: boolean,
): string | undefined {
  const old = state.volumes.get(next.id)?.value
  if (!old) return `volume ${next.id} is not known`
  const serving = inSync(next)
  if (serving.length === 0) return `volume ${next.id} would have no current replica`
  for (const replica of serving) {
    if (replicaOn(old, replica.host)?.state !== 'in-sync' && acceptedLoss !== replica.host)
      return `the replica on ${replica.host} lacks acknowledged writes`
  }
  if (!wasClean && serving.length > 1) return `the replicas of ${next.id} may differ in writes that were in flight`
  return undefined
}

function isLost(state: ClusterState, host: HostId): boolean {
  return state.statuses.get(host)?.value.state === 'lost'
}

/** Whether a user's wish to have a guest elsewhere can be granted: asked before anything is written. */
import { failure, type Failure } from '../errors.ts'
import type { ClusterState } from '../model/cluster.ts'
import type { Guest } from '../model/guest.ts'
import type { HostId } from '../model/ids.ts'
import { isActive, nativeRootOf } from '../model/records.ts'
import { sentenceOf } from '../planning/objection.ts'
import { placeGuests } from '../planning/place.ts'
import { objectionToLiveMove, unfitForLiveMove } from './live-move.ts'
import { problemOf } from './planning-problem.ts'

/**
 * Undefined when it can. A guest that is stopped may be asked for anywhere: it starts there next, if it can then. Fails
 * with `conflict` and a reason in words.
 */
export function objectionToMove(
  state: ClusterState,
  guest: Guest,
  to: HostId,
  isUp: (host: HostId) => boolean,
  how: 'live' | 'restart' = 'restart',
): Failure | undefined {
  const refuse = (message: string, hint?: string) => failure('conflict', message, hint === undefined ? {} : { hint })
  if (guest.deleting) return refuse(`${guest.name} is being deleted`)
  const grant = state.grants.get(guest.id)?.value
  if (guest.desired === 'stopped' && !isActive(grant)) return undefined
  if (isActive(grant) && grant.host === to && guest.moveTo === undefined)
    return refuse(`${guest.name} is on ${to} already`, 'Name another host')
  if (guest.desired === 'stopped' || (isActive(grant) && grant.state === 'recalled'))
    return refuse(`${guest.name} is being stopped`, 'Wait until it has stopped')
  if (isActive(grant) && !isUp(grant.host))
    return refuse(
      `${guest.name} cannot be moved off ${grant.host}, which is not online`,
      'It is recovered by itself once the host is recorded lost',
    )
  const reason = moveTargets(state, guest, isUp, how).find(({ host }) => host === to)?.reason
  if (!reason) return undefined
  return refuse(
    `${guest.name} cannot move to ${to}: ${reason}`,
    `\`stead vm move-targets ${guest.name}\` says where it can`,
  )
}

/** Undefined when it can go there without a break. */
export function objectionToLiveMoveOf(
  state: ClusterState,
  guest: Guest,
  to: HostId,
  isUp: (host: HostId) => boolean,
): Failure | undefined {
  const grant = state.grants.get(guest.id)?.value
  if (!isActive(grant) || guest.desired === 'stopped')
    return failure('conflict', `${guest.name} does not run`, {
      hint: `\`stead vm relocate ${guest.name} --to ${to}\` lets it start there next`,
    })
  if (grant.handover) return failure('conflict', `${guest.name} is being moved to ${grant.handover.to} already`)
  // A native root never goes along live: what speaks against that is said, not where else the root could be.
  const objection = objectionToMove(state, guest, to, isUp, nativeRootOf(state, guest) ? 'restart' : 'live')
  if (objection) return objection
  const reason = objectionToLiveMove(state, guest, grant)
  if (reason === '') return undefined
  return failure('conflict', `${guest.name} cannot be moved live: ${reason}`, {
    hint: `\`stead vm relocate ${guest.name} --to ${to}\` moves it by a restart`,
  })
}

export interface MoveTarget {
  readonly host: HostId
  /** Why it can't go there; empty when it can. */
  readonly reason: string
  readonly merits: readonly string[]
}

/** Every host judged for the guest as the coordinator would, the best first. */
export function moveTargets(
  state: ClusterState,
  guest: Guest,
  isUp: (host: HostId) => boolean,
  how: 'live' | 'restart' = 'restart',
): MoveTarget[] {
  const { moveTo: _asked, moveHow: _how, ...free } = guest
  const changed = new Map([[guest.id, free]])
  const roots = how === 'restart' ? { rootsMayMove: true as const } : {}
  const placement = placeGuests(problemOf({ state, isUp, needing: new Set([guest.id]), changed, ...roots }))
  const grant = state.grants.get(guest.id)?.value
  const unfit = how === 'live' && isActive(grant) ? unfitForLiveMove(state, grant.host, grant, guest.kind) : {}
  return placement.judge(guest.id).map(({ host, objection, merits }) => ({
    host,
    reason: objection === undefined ? (unfit[host] ?? '') : sentenceOf(objection),
    merits,
  }))
}

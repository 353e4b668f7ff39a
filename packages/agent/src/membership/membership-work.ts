/** What every agent does all the time for the membership: follow it, and let in who was invited. */
import { followMembership, type MembershipContext } from './follow-membership.ts'
import { keepJoinDoor, type JoinDoorContext } from './join-door.ts'

export function membershipWork(context: MembershipContext & JoinDoorContext, signal: AbortSignal): Promise<unknown>[] {
  return [followMembership(context, signal), keepJoinDoor(context, signal)]
}

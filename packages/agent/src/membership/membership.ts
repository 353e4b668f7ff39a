/**
 * Who the hosts of the cluster are: one record, written when a host joins or is removed, by which every agent keeps
 * its own configuration. Not below the prefix that the agents mirror: only what is here reads it.
 *
 * A cluster whose hosts were all configured at once (the lab's) has none until the first change.
 */
import { z } from 'zod'
import { storeVoters } from '@stead/core/ha/store-voters.ts'
import { memberSchema, type AgentConfig } from '../config.ts'

export const MEMBERSHIP_KEY = '/stead-membership'

const membershipSchema = z.strictObject({
  members: z.array(memberSchema),
  etcdMembers: z.array(z.string()),
  /** Serial numbers of certificates that count no more. */
  revoked: z.array(z.string()),
  /** The same, signed, for etcd. Empty: nothing has been revoked yet. */
  revokedPem: z.string(),
  /** Hosts that were removed: whoever did not hear that it is done may ask again. */
  removed: z.array(z.string()).default([]),
})
export type Membership = z.infer<typeof membershipSchema>
export type Member = Membership['members'][number]

export function readMembership(text: string): Membership {
  return membershipSchema.parse(JSON.parse(text))
}

export function membershipOf({ members, etcdMembers }: Pick<AgentConfig, 'members' | 'etcdMembers'>): Membership {
  return { members, etcdMembers, revoked: [], revokedPem: '', removed: [] }
}

/** Who votes already goes on doing so: a voter more or less is a change of its own. */
export function withMember(membership: Membership, member: Member): Membership {
  const members = [...membership.members, member]
  const wanted = storeVoters(members).map(({ hostId }) => hostId)
  const added = wanted.filter((id) => !membership.etcdMembers.includes(id))
  return {
    ...membership,
    members,
    etcdMembers: [...membership.etcdMembers, ...added],
    removed: membership.removed.filter((id) => id !== member.hostId),
  }
}

export function withoutMember(membership: Membership, hostId: string): Membership {
  return {
    ...membership,
    members: membership.members.filter((member) => member.hostId !== hostId),
    etcdMembers: membership.etcdMembers.filter((id) => id !== hostId),
    removed: [...membership.removed.filter((id) => id !== hostId), hostId],
  }
}

/** Undefined when the configuration says the same already. */
export function reconfigured(config: AgentConfig, { members, etcdMembers }: Membership): AgentConfig | undefined {
  const same = JSON.stringify([config.members, config.etcdMembers]) === JSON.stringify([members, etcdMembers])
  return same ? undefined : { ...config, members, etcdMembers }
}

/** What every agent does all the time to be a host of the cluster: follow its members, let in who was invited, renew. */
import { followMembership, type MembershipContext } from './follow-membership.ts'
import { keepJoinDoor, type JoinDoorContext } from './join-door.ts'
import { followAuthority, type FollowAuthorityContext } from './follow-authority.ts'
import type { AuthorityReplacement } from './replace-authority.ts'
import { OwnHeartbeatKeys, type OwnHeartbeatKeysOptions } from './own-heartbeat-keys.ts'
import { replaceHeartbeatKey } from './replace-heartbeat-key.ts'
import type { Peers } from '../peers.ts'
import { changeConfig, heartbeatKeysOf, withHeartbeatKeys } from '../config.ts'
import type { GuardianCompanions } from '../process/guardian-companions.ts'
import { keepCertificate, signFor } from '../trust/keep-certificate.ts'
import { failure } from '@stead/core/errors.ts'
import { fail, type Result } from '@stead/core/result.ts'

export type MembershipWorkContext = MembershipContext &
  Omit<JoinDoorContext, 'own'> &
  Pick<FollowAuthorityContext, 'member' | 'acknowledge'> &
  Pick<OwnHeartbeatKeysOptions, 'guardian'> &
  Pick<GuardianCompanions, 'writeKeys'> & { readonly peers: Peers; readonly authority: AuthorityReplacement }

export function membershipWork(context: MembershipWorkContext, signal: AbortSignal): Promise<unknown>[] {
  const { config, configPath, writeKeys } = context
  const askAnother = (requestPem: string) => signedByAny(context.peers, requestPem)
  const own = new OwnHeartbeatKeys({
    ...{ ...context, host: config.hostId, keys: heartbeatKeysOf(config) },
    keep: (keys) => {
      changeConfig(configPath, (present) => withHeartbeatKeys(present, keys))
      writeKeys(keys)
    },
  })
  return [
    followMembership(context, signal),
    keepJoinDoor({ ...context, own }, signal),
    own.follow(signal),
    replaceHeartbeatKey({ ...context, own }, signal),
    followAuthority({ ...context, askAnother }, signal),
    context.authority.lead(signal),
    keepCertificate({ ...context, askAnother }, signal),
  ]
}

/** What other hosts may ask for: their own certificate, anew. */
export function signingCalls({ config, vault, clock }: Pick<JoinDoorContext, 'config' | 'vault' | 'clock'>) {
  return {
    'sign-certificate': (input: unknown, caller: string) =>
      signFor(config, vault, caller, String(input), clock.wallMs()),
  }
}

async function signedByAny(peers: Peers, requestPem: string): Promise<Result<string>> {
  let last: Result<unknown> = fail(failure('host_unreachable', 'No other host is up'))
  for (const host of peers.online()) {
    last = await peers.client(host).callGuest('sign-certificate', requestPem)
    if (last.ok && typeof last.value === 'string') return { ok: true, value: last.value }
  }
  return last.ok ? fail(failure('internal', 'Another host signed nothing')) : last
}

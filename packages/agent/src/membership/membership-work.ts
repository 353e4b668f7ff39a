/** What every agent does all the time to be a host of the cluster: follow its members, let in who was invited, renew. */
import { followMembership, type MembershipContext } from './follow-membership.ts'
import { keepJoinDoor, type JoinDoorContext } from './join-door.ts'
import { replaceHeartbeatKey } from './replace-heartbeat-key.ts'
import type { Peers } from '../peers.ts'
import { keepCertificate, signFor } from '../trust/keep-certificate.ts'
import { failure } from '@stead/core/errors.ts'
import { fail, type Result } from '@stead/core/result.ts'

export function membershipWork(
  context: MembershipContext & JoinDoorContext & { readonly peers: Peers },
  signal: AbortSignal,
): Promise<unknown>[] {
  const askAnother = (requestPem: string) => signedByAny(context.peers, requestPem)
  return [
    followMembership(context, signal),
    keepJoinDoor(context, signal),
    context.own.follow(signal),
    replaceHeartbeatKey(context, signal),
    keepCertificate({ ...context, askAnother }, signal),
  ]
}

/** What other hosts may ask for: their own certificate, anew. */
export function signingCalls({ config, clock }: Pick<JoinDoorContext, 'config' | 'clock'>) {
  return {
    'sign-certificate': (input: unknown, caller: string) => signFor(config, caller, String(input), clock.wallMs()),
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

/**
 * How the heartbeats get another key without losing one of them, after a host was removed that knows the present one.
 * First each host is given the new key, and sends by both and takes both; when all have it, none does so by the former
 * one any more. A host that is slow thus is heard by all and hears all, however long it takes. docs/internals/trust.md.
 */
import type { ClusterState } from '../model/cluster.ts'
import type { HostId } from '../model/ids.ts'

/**
 * A host that has not got the key is waited for while its lease lives: its own guardian renews that, with the host's
 * certificate, so that nobody can keep a dead host waited for. Once it has been without one for so long, it is not.
 */
export const WAIT_WITHOUT_LEASE_MS = 60_000

export type HeartbeatKeyStep =
  | { readonly kind: 'none' }
  | { readonly kind: 'make' }
  | { readonly kind: 'drop-former' }
  | { readonly kind: 'wait'; readonly for: readonly HostId[] }

export interface HeartbeatKeyInput {
  readonly state: Pick<ClusterState, 'heartbeatKey' | 'hosts'>
  /** All hosts, witness included, dead or alive. */
  readonly members: readonly HostId[]
  /** Whether a key can be written so that only this host reads it. */
  readonly canReceive: (host: HostId) => boolean
  /** Monotonic ms: since when the host is seen to have no lease. Undefined: it has one. */
  readonly leaselessSince: (host: HostId) => number | undefined
  /** Monotonic ms. */
  readonly now: number
}

export function heartbeatKeyStep(input: HeartbeatKeyInput): HeartbeatKeyStep {
  const { state, members, canReceive } = input
  const key = state.heartbeatKey?.value
  if (!key || (key.due.length === 0 && !key.formerCounts)) return { kind: 'none' }
  const lacking = key.formerCounts
    ? hostsWithoutKey(state, members).filter((host) => isWaitedFor(input, host))
    : members.filter((host) => !canReceive(host))
  if (lacking.length > 0) return { kind: 'wait', for: lacking }
  return { kind: key.formerCounts ? 'drop-former' : 'make' }
}

/** Who has not said yet that it takes heartbeats by the present key. */
export function hostsWithoutKey(
  { heartbeatKey, hosts }: HeartbeatKeyInput['state'],
  members: readonly HostId[],
): readonly HostId[] {
  const wanted = heartbeatKey?.value.generation ?? 0
  return members.filter((host) => (hosts.get(host)?.value.heartbeatKey ?? 0) < wanted)
}

function isWaitedFor({ leaselessSince, now }: HeartbeatKeyInput, host: HostId): boolean {
  const since = leaselessSince(host)
  return since === undefined || now - since < WAIT_WITHOUT_LEASE_MS
}

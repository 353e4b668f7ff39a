/** How the cluster's secrets are sealed at present. Nothing in it opens anything by itself. docs/internals/secrets.md. */
import type { ClusterState } from './cluster.ts'
import type { HostId } from './ids.ts'

export interface Vault {
  /** Of the key: grows with each new one, and stands before all that it seals. */
  readonly generation: number
  /** Tells two keys apart that were made for the same generation, of which one counts. */
  readonly keyId: string
  /** Known to whoever has the key: what was put together of shares is compared with it. */
  readonly check: string
  /** `beside`: fewer than three members cannot share it, so it lies on the hosts that run guests. */
  readonly keeping: 'beside' | 'shares'
  /** Who has a share of it, or the key. */
  readonly holders: readonly HostId[]
  /** Certificates that had been revoked when it was made. */
  readonly revokedCount: number
  /** Older keys, oldest first, each sealed by the present one: what they have sealed opens until it is sealed anew. */
  readonly retired: readonly { readonly generation: number; readonly sealedKey: string }[]
}

/** Of the members; as many as a majority of three needs anyway. */
export const SHARES_NEEDED = 2
const MEMBERS_TO_SHARE = 3

export function keepingOf(memberCount: number): Vault['keeping'] {
  return memberCount >= MEMBERS_TO_SHARE ? 'shares' : 'beside'
}

/** Who does what needs the cluster's secrets: the coordinator, unless that is a witness, which has them not. */
export function secretKeeper({ coordinator, hosts, statuses }: ClusterState): HostId | undefined {
  const coordinating = coordinator?.value.host
  if (coordinating === undefined || hosts.get(coordinating)?.value.role === 'compute') return coordinating
  const able = [...hosts.values()]
    .map(({ value }) => value)
    .filter(({ id, role }) => role === 'compute' && statuses.get(id)?.value.state === 'online')
  return able.toSorted((a, b) => a.order - b.order)[0]?.id
}

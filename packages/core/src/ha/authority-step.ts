/**
 * How the cluster's authority is replaced without a host that does not believe another one: no certificate of the new
 * one is shown before every host trusts both, and no host ends to trust the old one before every host shows a
 * certificate of the new one. A host that is away holds that, whatever the reason. docs/internals/trust.md.
 */
import type { AuthorityChange, AuthorityPhase } from '../model/authority-change.ts'
import type { HostId } from '../model/ids.ts'

/** What a host says of itself, checked by whoever asks. */
export interface HostTrustReport {
  /** Fingerprints of the authorities that its agent and its member of the store trust; undefined while they differ. */
  readonly trusts: readonly string[] | undefined
  /** It shows a certificate of the new authority. */
  readonly isSignedByNext: boolean
}

export type AuthorityStep =
  | { readonly kind: 'wait'; readonly for: readonly HostId[] }
  | { readonly kind: 'go-on'; readonly to: AuthorityPhase | 'done' }

const FOLLOWS = { trust: 'sign', sign: 'drop', drop: 'done' } as const

export function authorityStep(
  change: AuthorityChange,
  members: readonly HostId[],
  report: (host: HostId) => HostTrustReport,
): AuthorityStep {
  const lacking = members.filter((host) => !hasDone(change, report(host)))
  return lacking.length > 0 ? { kind: 'wait', for: lacking } : { kind: 'go-on', to: FOLLOWS[change.phase] }
}

function hasDone({ phase, former, next }: AuthorityChange, { trusts, isSignedByNext }: HostTrustReport): boolean {
  if (phase === 'trust') return trusts?.includes(next) === true
  if (phase === 'sign') return isSignedByNext
  return trusts !== undefined && !trusts.includes(former)
}

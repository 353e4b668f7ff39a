/** What a user's word about one host changes in the records. */
import { failure } from '@stead/core/errors.ts'
import type { EventDraft } from '@stead/core/ha/plan.ts'
import type { ClusterState } from '@stead/core/model/cluster.ts'
import type { Host, HostPolicy } from '@stead/core/model/host.ts'
import { KEYS } from '@stead/core/model/keys.ts'
import type { Compare, Write } from '@stead/core/ports/store.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import type { Change } from './change.ts'
import { contradiction, newContradictions, type RuleBook } from './rule-plan.ts'

export function maintenanceChange(state: ClusterState, host: Host, maintenance: boolean): Result<Change> {
  return ok(
    change(state, host, maintenance ? 'host.drain' : 'host.undrain', (policy) => ({ ...policy, maintenance }), {
      kind: 'host.maintenance',
      message: maintenance ? `${host.id} is being drained` : `${host.id} may run guests again`,
    }),
  )
}

export function shutdownChange(
  state: ClusterState,
  host: Host,
  how: NonNullable<HostPolicy['shutdown']>,
): Result<Change> {
  if (state.statuses.get(host.id)?.value.state === 'lost')
    return fail(failure('conflict', `${host.id} is lost: there is nothing left to shut down`, { hint: NOTHING_TO_DO }))
  return ok(
    change(state, host, 'host.shutdown', (policy) => ({ ...policy, shutdown: how }), {
      kind: 'host.shutdown',
      message: how === 'reboot' ? `${host.id} is to be rebooted` : `${host.id} is to be shut down`,
    }),
  )
}

export function cancelShutdownChange(state: ClusterState, host: Host): Result<Change> {
  if (state.policies.get(host.id)?.value.shutdown === undefined)
    return fail(failure('conflict', `${host.id} is not being shut down`, { hint: NOTHING_TO_DO }))
  return ok(
    change(state, host, 'host.cancel-shutdown', ({ shutdown: _called, ...policy }) => policy, {
      kind: 'host.shutdown',
      message: `the shutdown of ${host.id} is called off`,
    }),
  )
}

const NOTHING_TO_DO = 'See `stead host list`'

export interface HostSettings {
  /** Kind -> name; null takes one away. */
  readonly faultDomains?: Readonly<Record<string, string | null>> | undefined
}

/** Refused where a rule, which could be kept until now, could not be kept any more. */
export function setChange(
  state: ClusterState,
  host: Host,
  { faultDomains }: HostSettings,
  book: RuleBook,
): Result<Change> {
  if (faultDomains === undefined || Object.keys(faultDomains).length === 0)
    return fail(failure('bad_request', 'Nothing is to be changed', { hint: 'Give at least one setting' }))
  const withDomains = (policy: HostPolicy): HostPolicy => {
    const all = Object.entries({ ...policy.faultDomains, ...faultDomains })
    const kept = all.filter((entry): entry is [string, string] => entry[1] !== null)
    return { ...policy, faultDomains: Object.fromEntries(kept) }
  }
  const policies = new Map(book.policies).set(
    host.id,
    withDomains(book.policies.get(host.id) ?? { maintenance: false }),
  )
  const proofs = newContradictions(state, book, { rules: book.rules, policies })
  if (proofs.length > 0) return fail(contradiction(`Rules could not be kept any more`, proofs))
  const words = Object.entries(faultDomains).map(([kind, name]) => (name === null ? `no ${kind}` : `${kind} ${name}`))
  const made = change(state, host, 'host.set', withDomains, {
    kind: 'host.changed',
    message: `${host.id} is in ${words.join(', ')}`,
  })
  return ok({
    ...made,
    compares: [...made.compares, book.unchanged],
    writes: [...made.writes, { kind: 'put', key: KEYS.rulesTurn, value: host.id }],
  })
}

function change(
  state: ClusterState,
  host: Host,
  kind: string,
  make: (policy: HostPolicy) => HostPolicy,
  event: Pick<EventDraft, 'kind' | 'message'>,
): Change {
  const known = state.policies.get(host.id)
  const key = KEYS.policy(host.id)
  const compares: Compare[] = [{ key, modRevision: known?.revision ?? 0n }]
  const writes: Write[] = [{ kind: 'put', key, value: JSON.stringify(make(known?.value ?? { maintenance: false })) }]
  const subject = `host/${host.id}`
  return { kind, subject, compares, writes, events: [{ ...event, subject }] }
}

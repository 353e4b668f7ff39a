/**
 * From a request to rules, refused with the proof where they could not be kept together with those that there are.
 * Judged on what the store says at this moment, not on a copy; the transaction compares that it still says so.
 */
import type { CreateRule } from '@stead/api/endpoints/rules.ts'
import { recordDecoder } from '@stead/api/records.ts'
import { failure, type Failure } from '@stead/core/errors.ts'
import type { ClusterState, Versioned } from '@stead/core/model/cluster.ts'
import type { Guest } from '@stead/core/model/guest.ts'
import type { HostPolicy } from '@stead/core/model/host.ts'
import type { GuestId, HostId } from '@stead/core/model/ids.ts'
import { KEYS } from '@stead/core/model/keys.ts'
import { guestByName } from '@stead/core/model/records.ts'
import { withoutGuest, type Rule, type RuleId } from '@stead/core/model/rule.ts'
import { contradictionsIn } from '@stead/core/planning/contradictions.ts'
import type { Compare, Store } from '@stead/core/ports/store.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'

/** What bears on whether rules can be kept, read linearizably. */
export interface RuleBook {
  readonly rules: readonly Rule[]
  readonly policies: ReadonlyMap<HostId, HostPolicy>
  /** Holds as long as nobody else has changed what could bring rules into contradiction. */
  readonly unchanged: Compare
}

/** The turn is read first: what is read after it is at least as new. */
export async function readRuleBook(store: Store): Promise<Result<RuleBook>> {
  const turn = await store.get(KEYS.rulesTurn)
  if (!turn.ok) return turn
  const rules = await store.range(KEYS.rule('' as RuleId))
  if (!rules.ok) return rules
  const policies = await store.range(KEYS.policy('' as HostId))
  if (!policies.ok) return policies
  const readable = <T>(decoded: Result<T>): T[] => (decoded.ok ? [decoded.value] : [])
  return ok({
    rules: rules.value.entries.flatMap(({ value }) => readable(recordDecoder.rule(JSON.parse(value)))),
    policies: new Map(
      policies.value.entries.flatMap(({ key, value }) => {
        const host = key.slice(KEYS.policy('' as HostId).length) as HostId
        return readable(recordDecoder.policy(JSON.parse(value))).map((policy) => [host, policy] as const)
      }),
    ),
    unchanged: { key: KEYS.rulesTurn, modRevision: turn.value?.modRevision ?? 0n },
  })
}

/** The records of the rules, and the guests that they name. */
export interface RequestedRules {
  readonly rules: readonly Rule[]
  readonly guests: readonly Versioned<Guest>[]
}

/** Nothing is said yet of whether they can be kept. */
export function rulesOfRequest(state: ClusterState, body: CreateRule): Result<RequestedRules> {
  const guests: Versioned<Guest>[] = []
  for (const name of body.guests) {
    const guest = state.guests.get(name as GuestId) ?? guestByName(state, name)
    if (!guest) return fail(failure('not_found', `There is no guest ${name}`, { hint: 'See `stead vm list`' }))
    if (guest.value.deleting) return fail(failure('conflict', `${name} is being deleted`))
    if (guests.includes(guest)) return fail(failure('bad_request', `${guest.value.name} is named twice`))
    guests.push(guest)
  }
  for (const name of hostsNamedIn(body)) {
    const host = state.hosts.get(name as HostId)?.value
    const hosts = [...state.hosts.values()].filter(({ value }) => value.role === 'compute').map(({ value }) => value.id)
    const hint = `The hosts that run guests are ${hosts.toSorted().join(', ')}`
    if (!host) return fail(failure('not_found', `There is no host ${name}`, { hint }))
    if (host.role === 'witness') return fail(failure('conflict', `${name} is a witness and runs no guests`, { hint }))
  }
  return ok({
    rules: recordsOf(
      body,
      guests.map(({ value }) => value.id),
    ),
    guests,
  })
}

function hostsNamedIn(body: CreateRule): readonly string[] {
  if (body.kind === 'hosts') return body.hosts.map(({ host }) => host)
  return body.kind === 'ban' ? body.hosts : []
}

function recordsOf(body: CreateRule, guests: readonly GuestId[]): Rule[] {
  const base = {
    id: body.name as RuleId,
    guests,
    ...(body.comment === undefined ? {} : { comment: body.comment }),
  }
  switch (body.kind) {
    case 'together':
      return [{ ...base, kind: 'together', strict: body.strict }]
    case 'apart':
      return [{ ...base, kind: 'apart', strict: body.strict, across: body.across }]
    case 'hosts': {
      const hosts = body.hosts.map(({ host, priority }) => ({ host: host as HostId, priority }))
      return [{ ...base, kind: 'hosts', hosts, strict: body.strict }]
    }
    case 'ban':
      return [{ ...base, kind: 'ban', hosts: body.hosts as HostId[] }]
    case 'order':
      return [{ ...base, kind: 'order', readyAfterMs: body.readyAfterMs, mode: body.mode, ...untilOf(body) }]
    case 'group':
      return [
        { ...base, kind: 'together', strict: true },
        {
          ...base,
          id: `${body.name}-order` as RuleId,
          kind: 'order',
          readyAfterMs: body.readyAfterMs,
          mode: 'required',
          ...untilOf(body),
        },
      ]
  }
}

function untilOf({ until }: { readonly until: 'running' | 'ready' }) {
  return until === 'ready' ? { until } : {}
}

/** Proofs that were not true before the change, in words. */
export function newContradictions(
  state: ClusterState,
  before: Omit<RuleBook, 'unchanged'>,
  after: Omit<RuleBook, 'unchanged'>,
): string[] {
  const known = new Set(proofsOf(state, before))
  return proofsOf(state, after).filter((proof) => !known.has(proof))
}

export function contradiction(what: string, proofs: readonly string[]): Failure {
  return failure('conflict', `${what}: ${proofs.join('; ')}`, {
    hint: 'Change or delete one of the rules named; `stead rule list` shows them all',
  })
}

export function proofsOf(state: ClusterState, { rules, policies }: Omit<RuleBook, 'unchanged'>): string[] {
  const guests = [...state.guests.values()].map(({ value }) => value).filter((guest) => !guest.deleting)
  const isThere = new Set(guests.map(({ id }) => id))
  // Those that are being deleted leave their rules in a moment, and prove nothing until then.
  const present = rules.flatMap((rule) => {
    const gone = rule.guests.filter((id) => !isThere.has(id))
    return gone.reduce<Rule | undefined>((left, id) => left && withoutGuest(left, id), rule) ?? []
  })
  const hosts = [...state.hosts.values()]
    .filter(({ value }) => value.role === 'compute')
    .map(({ value }) => ({ id: value.id, faultDomains: policies.get(value.id)?.faultDomains ?? {} }))
  return contradictionsIn(present, guests, hosts).map(({ proof }) => proof)
}

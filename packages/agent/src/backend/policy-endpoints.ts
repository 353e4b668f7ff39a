/** The cluster's policy, and how the cluster stands by it. */
import type { SetPolicy } from '@stead/api/endpoints/policy.ts'
import { failure } from '@stead/core/errors.ts'
import { guestsNeedingPlace, lossAdmission } from '@stead/core/ha/loss-admission.ts'
import { clusterPolicyOf, problemOf } from '@stead/core/ha/planning-problem.ts'
import type { EventDraft } from '@stead/core/ha/plan.ts'
import { DEFAULT_MIGRATION, DEFAULT_PASSWORDS, type ClusterPolicy } from '@stead/core/model/cluster-policy.ts'
import type { ClusterState } from '@stead/core/model/cluster.ts'
import type { GuestId } from '@stead/core/model/ids.ts'
import { KEYS } from '@stead/core/model/keys.ts'
import { balance } from '@stead/core/planning/balance.ts'
import { violationsIn } from '@stead/core/planning/violations.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import type { ApiBackend } from '../http/backend.ts'
import type { Change } from './change.ts'
import type { Desk } from './desk.ts'
import { proofsOf } from './rule-plan.ts'

/** More would be a rebuild, not a recommendation. */
const MOVES_SHOWN_MAX = 20

export function policyEndpoints(desk: Desk): Pick<ApiBackend, 'policy.show' | 'policy.set' | 'cluster.check'> {
  return {
    'policy.show': async () => desk.loaded((state) => ok(policyView(state))),
    'policy.set': async ({ body }, request) => {
      const operation = await desk.change(request, () => setChange(desk, body))
      if (!operation.ok) return operation
      await desk.started(operation.value)
      const breaches = body.admission === undefined ? [] : (lossAdmission(desk.state, desk.isUp)?.breaches ?? [])
      return ok({ ...policyView(desk.state), warnings: breaches.map(({ text }) => text) })
    },
    'cluster.check': async () => desk.loaded((state) => ok(clusterCheck(state, desk.isUp))),
  }
}

function policyView(state: ClusterState) {
  return { ...clusterPolicyOf(state), revision: String(state.clusterPolicy?.revision ?? 0n) }
}

function setChange(desk: Desk, body: SetPolicy): Result<Change> {
  return desk.loaded((state) => {
    const revision = state.clusterPolicy?.revision ?? 0n
    const before = clusterPolicyOf(state)
    const after = merged(before, body)
    if (after.balancing.scoreGoal > after.balancing.scoreMax)
      return fail(
        failure(
          'bad_request',
          `Balancing would end at ${after.balancing.scoreGoal} and begin at ${after.balancing.scoreMax}`,
          {
            hint: 'The goal must not be above the score at which balancing begins',
          },
        ),
      )
    const owner = hostWith(state, after.clusterAddress)
    if (owner !== undefined)
      return fail(
        failure('conflict', `${after.clusterAddress} is an address of ${owner}`, {
          hint: "The cluster's address is one more, which no host has by itself",
        }),
      )
    const events = changesOf(before, after)
    if (Object.keys(body).length === 0)
      return fail(failure('bad_request', 'Nothing is to be changed', { hint: 'Give at least one setting' }))
    return ok({
      kind: 'policy.set',
      subject: 'cluster',
      compares: [{ key: KEYS.clusterPolicy, modRevision: revision }],
      writes: [{ kind: 'put', key: KEYS.clusterPolicy, value: JSON.stringify(after) }],
      events,
    })
  })
}

function hostWith(state: ClusterState, address: string | undefined): string | undefined {
  const hosts = [...state.hosts.values()].map(({ value }) => value)
  return hosts.find(({ addresses }) => address !== undefined && Object.values(addresses).includes(address))?.id
}

function merged(
  policy: ClusterPolicy,
  { admission = {}, balancing = {}, migration, passwords, clusterAddress, ...rest }: SetPolicy,
): ClusterPolicy {
  const { clusterAddress: before, ...others } = policy
  // Null takes it away.
  const address = clusterAddress === undefined ? before : (clusterAddress ?? undefined)
  return {
    ...others,
    ...(address === undefined ? {} : { clusterAddress: address }),
    ...said(rest),
    admission: { ...policy.admission, ...said(admission) },
    balancing: { ...policy.balancing, ...said(balancing) },
    ...(migration ? { migration: { ...(policy.migration ?? DEFAULT_MIGRATION), ...said(migration) } } : {}),
    ...(passwords ? { passwords: { ...(policy.passwords ?? DEFAULT_PASSWORDS), ...said(passwords) } } : {}),
  }
}

/** Without what is undefined: that was not said. */
function said<T extends object>(values: T): { [Key in keyof T]?: NonNullable<T[Key]> } {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as never
}

function changesOf(before: ClusterPolicy, after: ClusterPolicy): EventDraft[] {
  const events: EventDraft[] = []
  if (before.armed !== after.armed)
    events.push(
      after.armed
        ? { kind: 'ha.armed', subject: 'cluster', message: 'HA is armed again: guests of lost hosts are recovered' }
        : {
            kind: 'ha.disarmed',
            subject: 'cluster',
            message: 'HA is disarmed: nothing is recovered or moved by itself',
          },
    )
  const [old, now] = [flat({ ...before, armed: after.armed }), flat(after)]
  const names = Object.keys({ ...old, ...now }).filter((name) => old[name] !== now[name])
  const changes = names.map((name) => `${name} ${old[name] ?? 'none'} -> ${now[name] ?? 'none'}`)
  if (changes.length > 0)
    events.push({
      kind: 'policy.changed',
      subject: 'cluster',
      message: `the policy is changed: ${changes.join(', ')}`,
    })
  return events
}

/** `admission.hostFailures`: 1, … */
function flat(policy: ClusterPolicy): Record<string, string> {
  return Object.fromEntries(
    Object.entries(policy).flatMap(([name, value]): [string, string][] =>
      typeof value === 'object' && !Array.isArray(value)
        ? Object.entries(value).map(([part, inner]) => [`${name}.${part}`, String(inner)])
        : [[name, String(value)]],
    ),
  )
}

function clusterCheck(state: ClusterState, isUp: Desk['isUp']) {
  const policy = clusterPolicyOf(state)
  const nameOf = (id: GuestId) => state.guests.get(id)?.value.name ?? id
  const found = lossAdmission(state, isUp)
  const running = problemOf({ state, isUp, needing: new Set() })
  const violations = violationsIn(running)
  const policies = new Map([...state.policies].map(([host, { value }]) => [host, value]))
  const contradictions = proofsOf(state, { rules: [...state.rules.values()].map(({ value }) => value), policies })
  // While guests wait for a place, evening out is not what the room is for.
  const waiting = guestsNeedingPlace(state, isUp).size > 0
  const even = balance(running, { movesMax: waiting ? 0 : MOVES_SHOWN_MAX })
  return {
    ok: (found?.ok ?? true) && violations.length === 0 && contradictions.length === 0,
    admission: {
      hostFailures: policy.admission.hostFailures,
      checked: found?.checked ?? 0,
      possible: found?.possible ?? 0,
      note: found ? '' : whyNotChecked(policy),
      breaches: (found?.breaches ?? []).map(({ lost, text, unplaced }) => ({
        lost: [...lost],
        text,
        unplaced: unplaced.map(({ guest, reason }) => ({ guest: nameOf(guest), reason })),
      })),
    },
    violations: violations.map(({ guest, host, rules, why }) => ({
      guest: nameOf(guest),
      host,
      rules: [...rules],
      why,
    })),
    contradictions,
    balance: {
      mode: policy.balancing.mode,
      score: even.scoreBefore,
      scoreAfter: even.scoreAfter,
      moves: even.moves.map(({ guest, from, to, gain, cost, why }) => ({
        guest: nameOf(guest),
        from,
        to,
        gain,
        bytes: cost.bytes,
        why,
      })),
    },
  }
}

function whyNotChecked(policy: ClusterPolicy): string {
  return policy.admission.hostFailures === 0
    ? 'the policy wants no loss to be survived'
    : 'fewer than two hosts run guests: no loss could be survived'
}

/** Rules for the places and the order of guests. */
import type { CreateRule } from '@stead/api/endpoints/rules.ts'
import { failure } from '@stead/core/errors.ts'
import { problemOf } from '@stead/core/ha/planning-problem.ts'
import type { Versioned } from '@stead/core/model/cluster.ts'
import { KEYS } from '@stead/core/model/keys.ts'
import type { Rule, RuleId } from '@stead/core/model/rule.ts'
import { violationsIn } from '@stead/core/planning/violations.ts'
import type { Write } from '@stead/core/ports/store.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import type { ApiBackend } from '../http/backend.ts'
import type { Change } from './change.ts'
import type { Desk } from './desk.ts'
import {
  contradiction,
  newContradictions,
  readRuleBook,
  rulesOfRequest,
  type RequestedRules,
  type RuleBook,
} from './rule-plan.ts'
import { ruleView } from './rule-views.ts'

type Answers = Pick<ApiBackend, 'rule.list' | 'rule.show' | 'rule.create' | 'rule.set' | 'rule.delete'>

export function ruleEndpoints(desk: Desk): Answers {
  return {
    'rule.list': async () =>
      desk.loaded((state) =>
        ok({
          items: [...state.rules.values()]
            .map((rule) => ruleView(state, rule))
            .toSorted((a, b) => a.name.localeCompare(b.name)),
        }),
      ),
    'rule.show': async ({ params }) => {
      const rule = findRule(desk, params.rule)
      return rule.ok ? ok(ruleView(desk.state, rule.value)) : rule
    },
    'rule.create': async ({ body }, request) => {
      const created = await desk.changeAdmitted(request, body.acceptBreach, () => createChange(desk, body))
      if (!created.ok) return created
      await desk.started(created.value.operation)
      const names = body.kind === 'group' ? [body.name, `${body.name}-order`] : [body.name]
      const rules = names.flatMap((name) => desk.state.rules.get(name as RuleId) ?? [])
      return ok({
        rules: rules.map((rule) => ruleView(desk.state, rule)),
        warnings: [...created.value.warnings, ...brokenNow(desk, rules)],
      })
    },
    'rule.set': async ({ params, body }, request) => {
      const wanted = { ...body, name: params.rule }
      const set = await desk.changeAdmitted(request, body.acceptBreach, () => setChange(desk, wanted))
      if (!set.ok) return set
      await desk.started(set.value.operation)
      const rule = findRule(desk, params.rule)
      if (!rule.ok) return rule
      const warnings = [...set.value.warnings, ...brokenNow(desk, [rule.value])]
      return ok({ ...ruleView(desk.state, rule.value), warnings })
    },
    'rule.delete': async ({ params }, request) => {
      const operation = await desk.change(request, () => {
        const rule = findRule(desk, params.rule)
        return rule.ok ? ok(deleteChange(rule.value)) : rule
      })
      if (!operation.ok) return operation
      await desk.started(operation.value)
      return ok()
    },
  }
}

function findRule(desk: Desk, name: string): Result<Versioned<Rule>> {
  return desk.loaded((state) => {
    const rule = state.rules.get(name as RuleId)
    return rule ? ok(rule) : fail(failure('not_found', `There is no rule ${name}`, { hint: 'See `stead rule list`' }))
  })
}

async function createChange(desk: Desk, body: CreateRule): Promise<Result<Change>> {
  const book = await readRuleBook(desk.context.store)
  if (!book.ok) return book
  const made = desk.loaded((state) => rulesOfRequest(state, body))
  if (!made.ok) return made
  const { rules } = made.value
  const taken = rules.find(({ id }) => book.value.rules.some((rule) => rule.id === id))
  if (taken)
    return fail(
      failure('name_taken', `A rule named ${taken.id} exists`, {
        hint: `Choose another name, or delete it first: \`stead rule delete ${taken.id}\``,
      }),
    )
  return ruleChange(desk, { kind: 'rule.create', event: 'rule.created', name: body.name }, book.value, made.value)
}

async function setChange(desk: Desk, body: CreateRule): Promise<Result<Change>> {
  const book = await readRuleBook(desk.context.store)
  if (!book.ok) return book
  const present = findRule(desk, body.name)
  if (!present.ok) return present
  const made = desk.loaded((state) => rulesOfRequest(state, body))
  if (!made.ok) return made
  const { id } = present.value.value
  const others = { ...book.value, rules: book.value.rules.filter((rule) => rule.id !== id) }
  const what = { kind: 'rule.set', event: 'rule.changed', name: body.name, replaces: present.value } as const
  return ruleChange(desk, what, others, made.value)
}

interface RuleChange {
  readonly kind: 'rule.create' | 'rule.set'
  readonly event: 'rule.created' | 'rule.changed'
  readonly name: string
  readonly replaces?: Versioned<Rule>
}

/** `others`: the rules beside which the new ones must be kept. */
function ruleChange(
  desk: Desk,
  { kind, event, name, replaces }: RuleChange,
  others: RuleBook,
  { rules, guests }: RequestedRules,
): Result<Change> {
  const before = replaces ? { ...others, rules: [...others.rules, replaces.value] } : others
  const after = { ...others, rules: [...others.rules, ...rules] }
  const proofs = newContradictions(desk.state, before, after)
  if (proofs.length > 0) return fail(contradiction(`Rule ${name} cannot be kept`, proofs))
  return ok({
    ...{ kind, subject: `rule/${name}` },
    compares: [
      others.unchanged,
      ...rules.map(({ id }) => ({ key: KEYS.rule(id), modRevision: replaces?.revision ?? 0n })),
      // A guest that is deleted meanwhile must not stay in the rule: see `transactionFor`.
      ...guests.map(({ value, revision }) => ({ key: KEYS.guest(value.id), modRevision: revision })),
    ],
    writes: [
      { kind: 'put', key: KEYS.rulesTurn, value: name },
      ...rules.map((rule): Write => ({ kind: 'put', key: KEYS.rule(rule.id), value: JSON.stringify(rule) })),
    ],
    events: rules.map((rule) => ({
      kind: event,
      subject: `rule/${rule.id}`,
      message: `rule ${rule.id} is ${replaces ? 'changed' : 'set'}: ${ruleView(desk.state, { value: rule, revision: 0n }).text}`,
    })),
  })
}

function deleteChange({ value: rule, revision }: Versioned<Rule>): Change {
  return {
    kind: 'rule.delete',
    subject: `rule/${rule.id}`,
    compares: [{ key: KEYS.rule(rule.id), modRevision: revision }],
    writes: [{ kind: 'delete', key: KEYS.rule(rule.id) }],
    events: [{ kind: 'rule.deleted', subject: `rule/${rule.id}`, message: `rule ${rule.id} is deleted` }],
  }
}

/** Guests that run against the rules at this moment, which the coordinator is about to move. */
function brokenNow(desk: Desk, rules: readonly Versioned<Rule>[]): string[] {
  const problem = problemOf({ state: desk.state, isUp: desk.isUp, needing: new Set() })
  const ids = new Set(rules.map(({ value }) => value.id))
  return violationsIn(problem)
    .filter((violation) => violation.rules.some((id) => ids.has(id)))
    .map(({ guest, host, why }) => `${desk.state.guests.get(guest)?.value.name ?? guest} runs on ${host}, but ${why}`)
}

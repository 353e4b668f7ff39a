/** What the form of a rule holds, and the request that comes of it. The API's own schema judges it. */
import { createRuleBody, setRuleBody } from '@stead/api/endpoints/rules.ts'
import type { RuleView } from '@stead/api/views.ts'
import type { z } from 'zod'
import { complaintOf } from '../parts/schema-complaint.ts'

export const RULE_KINDS = ['together', 'apart', 'hosts', 'ban', 'order', 'group'] as const
export type RuleKind = (typeof RULE_KINDS)[number]

export interface RuleForm {
  readonly kind: RuleKind
  readonly name: string
  readonly comment: string
  /** In the order of `order`. */
  readonly guests: readonly string[]
  /** The first before the second, of `hosts`. */
  readonly hosts: readonly string[]
  /** As a rule that is there ranks them: kept as long as their order is. */
  readonly ranked?: RuleView['hosts']
  readonly strict: boolean
  readonly across: string
  readonly readyAfterSeconds: number
  readonly untilReady: boolean
  readonly isOptional: boolean
}

export const EMPTY_RULE: RuleForm = {
  kind: 'apart',
  name: '',
  comment: '',
  guests: [],
  hosts: [],
  strict: true,
  across: 'host',
  readyAfterSeconds: 0,
  untilReady: false,
  isOptional: false,
}

export type RuleBody = z.input<typeof createRuleBody>
export type RuleChange = z.input<typeof setRuleBody>

export function formOfRule(rule: RuleView): RuleForm {
  const ranked = rule.hosts.toSorted((a, b) => b.priority - a.priority)
  return {
    ...{ kind: rule.kind, name: rule.name, comment: rule.comment, guests: rule.guests, strict: rule.strict },
    ...{ hosts: ranked.map(({ host }) => host), ranked, across: rule.across ?? EMPTY_RULE.across },
    readyAfterSeconds: (rule.readyAfterMs ?? 0) / 1_000,
    untilReady: rule.until === 'ready',
    isOptional: rule.mode === 'optional',
  }
}

/** Only what its kind takes. */
export function ruleBodyOf(form: RuleForm): RuleBody {
  const comment = form.comment.trim()
  const shared = { name: form.name.trim(), guests: [...form.guests], ...(comment === '' ? {} : { comment }) }
  const order = {
    readyAfterMs: Math.round(form.readyAfterSeconds * 1_000),
    until: form.untilReady ? ('ready' as const) : ('running' as const),
  }
  switch (form.kind) {
    case 'together':
      return { kind: 'together', ...shared, strict: form.strict }
    case 'apart':
      return { kind: 'apart', ...shared, strict: form.strict, across: form.across }
    case 'hosts':
      return {
        kind: 'hosts',
        ...shared,
        strict: form.strict,
        hosts: rankedHosts(form),
      }
    case 'ban':
      return { kind: 'ban', ...shared, hosts: [...form.hosts] }
    case 'order':
      return { kind: 'order', ...shared, ...order, mode: form.isOptional ? 'optional' : 'required' }
    case 'group':
      return { kind: 'group', ...shared, ...order }
  }
}

/** The same for a rule that is there: it keeps its name, and is no group. */
export function ruleChangeOf(form: RuleForm): RuleChange {
  const { name: _, ...change } = ruleBodyOf(form)
  return change as RuleChange
}

function rankedHosts({ hosts, ranked = [] }: RuleForm) {
  if (hosts.join() === ranked.map(({ host }) => host).join()) return [...ranked]
  return hosts.map((host, index) => ({ host, priority: hosts.length - index }))
}

/** What the schema says against it; undefined when nothing. */
export function complaintAbout(form: RuleForm, isThere = false): string | undefined {
  return isThere ? complaintOf(setRuleBody, ruleChangeOf(form)) : complaintOf(createRuleBody, ruleBodyOf(form))
}

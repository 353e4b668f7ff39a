/** What the form of a rule holds, and the request that comes of it. The API's own schema judges it. */
import { createRuleBody } from '@stead/api/endpoints/rules.ts'
import { describeIssues } from '@stead/api/issues.ts'
import type { z } from 'zod'

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
        hosts: form.hosts.map((host, index) => ({ host, priority: form.hosts.length - index })),
      }
    case 'ban':
      return { kind: 'ban', ...shared, hosts: [...form.hosts] }
    case 'order':
      return { kind: 'order', ...shared, ...order, mode: form.isOptional ? 'optional' : 'required' }
    case 'group':
      return { kind: 'group', ...shared, ...order }
  }
}

/** What the schema says against it; undefined when nothing. */
export function complaintAbout(form: RuleForm): string | undefined {
  const checked = createRuleBody.safeParse(ruleBodyOf(form))
  return checked.success ? undefined : describeIssues(checked.error.issues, createRuleBody).message
}

/** Rules for the places and the order of guests. Requests and answers hold names; ids stay inside. */
import { z } from 'zod'
import { endpoint } from '../endpoint.ts'
import { ruleViewSchema } from '../views.ts'
import { acceptBreach, warnings } from './answers.ts'
import { dnsLabel, noContent } from './parameters.ts'

const guestNames = (least: number) =>
  z
    .array(z.string())
    .min(least, `must name at least ${least} ${least === 1 ? 'guest' : 'guests'}`)
    .max(1000)
    .refine((names) => new Set(names).size === names.length, 'must name each guest once')
    .describe("Guests' names or ids")
const hostNames = z
  .array(z.string())
  .min(1)
  .max(1000)
  .refine((names) => new Set(names).size === names.length, 'must name each host once')
const shared = {
  name: dnsLabel.describe('A DNS label, unique among the rules'),
  comment: z.string().max(500).optional(),
  acceptBreach,
}
const strict = z.boolean().default(true).describe('False: a wish, weighed against others')
const until = z
  .enum(['running', 'ready'])
  .default('running')
  .describe('What the later one waits for; `ready`: that the probe of the one before, if it has one, found it so')
const readyAfterMs = z
  .number()
  .int()
  .min(0)
  .max(3_600_000)
  .default(0)
  .describe('How long a guest must have run to count as ready, ms')

export const createRuleBody = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('together'), ...shared, guests: guestNames(2), strict }),
  z.strictObject({
    kind: z.literal('apart'),
    ...shared,
    guests: guestNames(2),
    strict,
    across: z.string().min(1).default('host').describe('`host`, or a kind of fault domain such as `rack`'),
  }),
  z.strictObject({
    kind: z.literal('hosts'),
    ...shared,
    guests: guestNames(1),
    hosts: z
      .array(
        z.strictObject({
          host: z.string(),
          priority: z.number().int().min(0).max(1_000_000).default(0).describe('The highest that is available wins'),
        }),
      )
      .min(1)
      .max(1000)
      .refine((hosts) => new Set(hosts.map(({ host }) => host)).size === hosts.length, 'must name each host once'),
    strict: z.boolean().default(false).describe('True: these hosts only; false: these before all others'),
  }),
  z.strictObject({ kind: z.literal('ban'), ...shared, guests: guestNames(1), hosts: hostNames }),
  z.strictObject({
    kind: z.literal('order'),
    ...shared,
    guests: guestNames(2).describe('Each starts once the one before it is ready'),
    readyAfterMs,
    until,
    mode: z
      .enum(['required', 'optional'])
      .default('required')
      .describe('`required`: only while the one before runs; `optional`: only if that one is to run as well'),
  }),
  z
    .strictObject({ kind: z.literal('group'), ...shared, guests: guestNames(2), readyAfterMs, until })
    .describe('Two rules at once: strictly together under the name, and a required order under the name and `-order`'),
])
export type CreateRule = z.output<typeof createRuleBody>

const [together, apart, hosts, ban, order] = createRuleBody.options
const unnamed = { name: true } as const
/** What takes the place of a rule: another kind as well, under the same name. */
export const setRuleBody = z.discriminatedUnion('kind', [
  together.omit(unnamed),
  apart.omit(unnamed),
  hosts.omit(unnamed),
  ban.omit(unnamed),
  order.omit(unnamed),
])

const ruleParams = z.strictObject({ rule: z.string().describe("The rule's name") })

export const RULE_ENDPOINTS = {
  'rule.list': endpoint({
    id: 'rule.list',
    method: 'GET',
    path: '/v1/rules',
    summary: 'List the rules for the places and the order of guests',
    permission: 'rule.view',
    on: 'cluster',
    response: z.object({ items: z.array(ruleViewSchema) }),
    listedBy: ['name'],
    status: 200,
  }),
  'rule.show': endpoint({
    id: 'rule.show',
    method: 'GET',
    path: '/v1/rules/{rule}',
    summary: 'Show a rule',
    permission: 'rule.view',
    on: 'cluster',
    params: ruleParams,
    response: ruleViewSchema,
    status: 200,
  }),
  'rule.create': endpoint({
    id: 'rule.create',
    method: 'POST',
    path: '/v1/rules',
    summary: 'Create a rule',
    permission: 'rule.manage',
    on: 'cluster',
    body: createRuleBody,
    response: z.object({ rules: z.array(ruleViewSchema), warnings }),
    status: 201,
  }),
  'rule.set': endpoint({
    id: 'rule.set',
    method: 'PUT',
    path: '/v1/rules/{rule}',
    summary: 'Have a rule demand something else',
    permission: 'rule.manage',
    on: 'cluster',
    params: ruleParams,
    body: setRuleBody,
    response: ruleViewSchema.extend({ warnings }),
    status: 200,
  }),
  'rule.delete': endpoint({
    id: 'rule.delete',
    method: 'DELETE',
    path: '/v1/rules/{rule}',
    summary: 'Delete a rule',
    permission: 'rule.manage',
    on: 'cluster',
    params: ruleParams,
    response: noContent,
    status: 204,
  }),
} as const

/** `stead rule`: what is demanded of the places and the order of guests. */
import type { Command } from 'commander'
import type { CallInput } from '@stead/api/endpoint.ts'
import { ENDPOINTS } from '@stead/api/endpoints.ts'
import type { RuleView } from '@stead/api/views.ts'
import { formatFields, formatTable } from '../output.ts'
import { badArgument, parseCount, parseDuration } from '../quantities.ts'
import { action, valueOf, type Session, type Terminal } from '../session.ts'
import { ACCEPT_BREACH } from './host.ts'

type RuleBody = CallInput<(typeof ENDPOINTS)['rule.create']>['body']
type Options = Readonly<Record<string, unknown>>

const NAME = ['<name>', "the rule's name"] as const

export function addRuleCommands(program: Command, terminal: Terminal): void {
  const rule = program.command('rule').description('Rules for the places and the order of guests')
  rule
    .command('list')
    .description(ENDPOINTS['rule.list'].summary)
    .action(
      action(terminal, async (session) => {
        const client = await session.client()
        const { items } = valueOf(await client.call(ENDPOINTS['rule.list']))
        session.print(items, () =>
          formatTable(items, [
            { title: 'NAME', of: (row) => row.name },
            { title: 'KIND', of: (row) => row.kind },
            { title: 'STRICT', of: (row) => (row.strict ? 'yes' : 'no') },
            { title: 'WHAT', of: (row) => row.text },
          ]),
        )
      }),
    )
  rule
    .command('show')
    .description(ENDPOINTS['rule.show'].summary)
    .argument(...NAME)
    .action(
      action(terminal, async (session, [name = '']) => {
        const client = await session.client()
        const view = valueOf(await client.call(ENDPOINTS['rule.show'], { params: { rule: name } }))
        session.print(view, () => ruleText(view))
      }),
    )
  rule
    .command('delete')
    .description(ENDPOINTS['rule.delete'].summary)
    .argument(...NAME)
    .action(
      action(terminal, async (session, [name = '']) => {
        const client = await session.client()
        valueOf(await client.call(ENDPOINTS['rule.delete'], { params: { rule: name } }))
        session.print({ deleted: name }, () => `rule ${name} deleted\n`)
      }),
    )
  addKindCommands(rule.command('create').description(ENDPOINTS['rule.create'].summary), terminal, createRule)
  addKindCommands(rule.command('set').description(ENDPOINTS['rule.set'].summary), terminal, setRule)
}

function addKindCommands(
  parent: Command,
  terminal: Terminal,
  send: (session: Session, body: RuleBody) => Promise<void>,
): void {
  const kind = (name: RuleBody['kind'], description: string, make: (options: Options) => object) =>
    parent
      .command(name)
      .description(description)
      .argument('<name>', 'a DNS label, unique among the rules')
      .requiredOption('--guests <names>', "guests' names, separated by commas")
      .option('--comment <text>', 'why there is this rule')
      .option(...ACCEPT_BREACH)
      .action(
        action(terminal, async (session, [ruleName = ''], options) => {
          const { guests, comment } = options
          await send(session, {
            kind: name,
            name: ruleName,
            guests: words(guests),
            ...(typeof comment === 'string' ? { comment } : {}),
            acceptBreach: options['acceptBreach'] === true,
            ...make(options),
          } as RuleBody)
        }),
      )
  const preferred = ['--preferred', 'a wish, weighed against others'] as const
  const readyAfter = [
    '--ready-after <duration>',
    'how long a guest must have run to count as ready: 10s',
    '0s',
  ] as const
  const untilOption = [
    '--until <what>',
    'what the later guest waits for: running, or ready by the probe of the one before',
    'running',
  ] as const
  const readyAfterMs = (options: Options) => parseDuration(String(options['readyAfter']), '--ready-after')

  kind('together', 'All on one host', (options) => ({ strict: options['preferred'] !== true })).option(...preferred)
  kind('apart', 'No two on one host, or in one fault domain', (options) => ({
    strict: options['preferred'] !== true,
    across: String(options['across']),
  }))
    .option('--across <kind>', '`host`, or a kind of fault domain such as `rack`', 'host')
    .option(...preferred)
  kind('hosts', 'On these hosts before all others', (options) => ({
    hosts: words(options['hosts']).map(rankedHost),
    strict: options['strict'] === true,
  }))
    .requiredOption('--hosts <hosts>', 'with priorities, the highest that is available wins: h1:2,h2:1')
    .option('--strict', 'on no others at all')
  kind('ban', 'Never on these hosts', (options) => ({ hosts: words(options['hosts']) })).requiredOption(
    '--hosts <hosts>',
    "hosts' names, separated by commas",
  )
  kind('order', 'Each starts only once the one before it is ready', (options) => ({
    readyAfterMs: readyAfterMs(options),
    mode: options['optional'] === true ? 'optional' : 'required',
    until: untilOf(options),
  }))
    .option(...readyAfter)
    .option(...untilOption)
    .option('--optional', 'wait only for guests that are to run as well')
  if (send === setRule) return
  kind('group', 'Together on one host and started in this order: two rules, NAME and NAME-order', (options) => ({
    readyAfterMs: readyAfterMs(options),
    until: untilOf(options),
  }))
    .option(...readyAfter)
    .option(...untilOption)
}

function untilOf(options: Options): 'running' | 'ready' {
  const { until } = options
  if (until === 'running' || until === 'ready') return until
  throw badArgument(`--until: \`${String(until)}\` is not known`, 'Write running or ready.')
}

async function createRule(session: Session, body: RuleBody): Promise<void> {
  const client = await session.client()
  const { rules, warnings } = valueOf(await client.call(ENDPOINTS['rule.create'], { body }))
  session.warn(warnings)
  session.print({ rules, warnings }, () => rules.map(({ name, text }) => `rule ${name} set: ${text}\n`).join(''))
}

/** All of it anew: what is not said is as at its creation. */
async function setRule(session: Session, { name, ...body }: RuleBody): Promise<void> {
  const client = await session.client()
  if (body.kind === 'group') throw badArgument('a group is two rules', 'Change one of them.')
  const { warnings, ...rule } = valueOf(await client.call(ENDPOINTS['rule.set'], { params: { rule: name }, body }))
  session.warn(warnings)
  session.print({ rule, warnings }, () => `rule ${name} changed: ${rule.text}\n`)
}

function words(text: unknown): string[] {
  return String(text)
    .split(',')
    .map((word) => word.trim())
    .filter((word) => word !== '')
}

function rankedHost(text: string): { host: string; priority: number } {
  const [host = '', priority = '0', ...more] = text.split(':')
  if (host === '' || more.length > 0)
    throw badArgument(`--hosts: \`${text}\` is not a host and a priority`, 'Write h1:2,h2:1.')
  return { host, priority: parseCount(priority, '--hosts') }
}

function ruleText(view: RuleView): string {
  return formatFields([
    ['name', view.name],
    ['kind', view.kind],
    ['what', view.text],
    ['strict', view.strict ? 'yes' : 'no'],
    ['guests', view.guests.join(', ')],
    ['across', view.across],
    ['hosts', view.hosts.map(({ host, priority }) => (view.kind === 'ban' ? host : `${host}:${priority}`)).join(', ')],
    ['ready after', view.readyAfterMs === null ? null : `${view.readyAfterMs / 1000} s`],
    ['mode', view.mode],
    ['until', view.until],
    ['comment', view.comment],
  ])
}

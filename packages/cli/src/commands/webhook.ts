/** `stead webhook`: who is told of events by HTTP. */
import type { Command } from 'commander'
import { ENDPOINTS } from '@stead/api/endpoints.ts'
import type { WebhookView } from '@stead/api/endpoints/webhooks.ts'
import { formatFields, formatTable } from '../output.ts'
import { badArgument } from '../quantities.ts'
import { action, valueOf, type Terminal } from '../session.ts'

type Kinds = WebhookView['kinds']
const NAME = ['<name>', "the webhook's name"] as const
const KINDS = ['--kinds <kinds>', 'of which events: host.lost,guest.failed; `all`: of every one'] as const

export function addWebhookCommands(program: Command, terminal: Terminal): void {
  const webhook = program.command('webhook').description('Webhooks: events or usage are sent to an address, signed')
  addLooks(webhook, terminal)
  webhook
    .command('create')
    .description(ENDPOINTS['webhook.create'].summary)
    .argument(...NAME)
    .argument('<url>', 'https://…')
    .option('--usage', 'what each project used in each hour that is over, instead of events')
    .option(...KINDS)
    .option('--project <name>', 'only of what belongs to this project')
    .option('--notes <text>', 'for people')
    .action(
      action(terminal, async (session, [name = '', url = ''], { usage, kinds, project, notes }) => {
        const tells = usage === true ? ('usage' as const) : ('events' as const)
        const body = { name, url, tells, kinds: kindsOf(kinds) ?? [], ...texts({ project, notes }) }
        const made = valueOf(await (await session.client()).call(ENDPOINTS['webhook.create'], { body }))
        session.note('What it is told is signed with this secret, which is shown this once:')
        session.print(made, () => `${made.secret}\n`)
      }),
    )
  webhook
    .command('set')
    .description(ENDPOINTS['webhook.set'].summary)
    .argument(...NAME)
    .option('--url <url>', 'https://…')
    .option(...KINDS)
    .option('--project <name>', 'only of what belongs to this project')
    .option('--no-project', 'of everything')
    .option('--notes <text>', 'for people')
    .option('--disable', 'tell it nothing for now')
    .option('--enable', 'tell it again, also of what happened meanwhile')
    .action(
      action(terminal, async (session, [name = ''], options) => {
        const { url, kinds, project, notes, disable, enable } = options
        if (disable && enable) throw badArgument('--disable and --enable', 'Give one of them.')
        const wanted = kindsOf(kinds)
        const body = {
          ...texts({ url, notes }),
          ...(wanted ? { kinds: wanted } : {}),
          ...(project === false ? { project: null } : texts({ project })),
          ...(disable || enable ? { disabled: disable === true } : {}),
        }
        if (Object.keys(body).length === 0) throw badArgument('Nothing to set', '`stead webhook set --help`')
        const input = { params: { webhook: name }, body }
        const view = valueOf(await (await session.client()).call(ENDPOINTS['webhook.set'], input))
        session.print(view, () => textOf(view))
      }),
    )
  webhook
    .command('delete')
    .description(ENDPOINTS['webhook.delete'].summary)
    .argument(...NAME)
    .action(
      action(terminal, async (session, [name = '']) => {
        valueOf(await (await session.client()).call(ENDPOINTS['webhook.delete'], { params: { webhook: name } }))
        session.print({ deleted: name }, () => `webhook ${name} deleted\n`)
      }),
    )
  webhook
    .command('test')
    .description(ENDPOINTS['webhook.test'].summary)
    .argument(...NAME)
    .action(
      action(terminal, async (session, [name = '']) => {
        const client = await session.client()
        const told = valueOf(await client.call(ENDPOINTS['webhook.test'], { params: { webhook: name } }))
        session.print(told, () => `${name} answered with HTTP status ${told.status} after ${told.tookMs} ms\n`)
      }),
    )
}

function addLooks(webhook: Command, terminal: Terminal): void {
  webhook
    .command('list')
    .description(ENDPOINTS['webhook.list'].summary)
    .action(
      action(terminal, async (session) => {
        const { items } = valueOf(await (await session.client()).call(ENDPOINTS['webhook.list']))
        session.print(items, () =>
          formatTable(items, [
            { title: 'NAME', of: (row) => row.name },
            { title: 'STATE', of: stateOf },
            { title: 'TOLD OF', of: wordsFor },
            { title: 'PROJECT', of: (row) => row.project },
            { title: 'URL', of: (row) => row.url },
          ]),
        )
      }),
    )
  webhook
    .command('show')
    .description(ENDPOINTS['webhook.show'].summary)
    .argument(...NAME)
    .action(
      action(terminal, async (session, [name = '']) => {
        const input = { params: { webhook: name } }
        const view = valueOf(await (await session.client()).call(ENDPOINTS['webhook.show'], input))
        session.print(view, () => textOf(view))
      }),
    )
}

function texts<Name extends string>(options: Record<Name, unknown>): { [Key in Name]?: string } {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => typeof value === 'string')) as {
    [Key in Name]?: string
  }
}

/** Which there are, the server knows best. */
function kindsOf(option: unknown): Kinds | undefined {
  if (typeof option !== 'string') return undefined
  return option === 'all' ? [] : (option.split(',') as Kinds)
}

function wordsFor({ tells, kinds }: WebhookView): string {
  return tells === 'usage' ? 'usage' : kinds.length === 0 ? 'all events' : kinds.join(',')
}

function stateOf({ disabled, failing, deliveredAt }: WebhookView): string {
  if (disabled) return 'disabled'
  if (failing) return 'failing'
  return deliveredAt === null ? 'not told yet' : 'told'
}

function textOf(view: WebhookView): string {
  const { name, url, project, notes, deliveredAt, failing, lost } = view
  return formatFields([
    ['name', name],
    ['url', url],
    ['state', stateOf(view)],
    ['told of', wordsFor(view)],
    ['project', project],
    ['told last', deliveredAt],
    ['failing since', failing?.since ?? null],
    ['why', failing?.error ?? null],
    ['attempts', failing?.attempts ?? null],
    ['next attempt', failing?.nextAt ?? null],
    ['given up', lost === 0 ? null : `${lost} ${view.tells === 'usage' ? 'hours' : 'events'}`],
    ['notes', notes],
  ])
}

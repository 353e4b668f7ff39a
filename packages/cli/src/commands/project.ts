/** `stead project`: tenants. What belongs to one is moved by `stead vm assign` and `stead image assign`. */
import type { Command } from 'commander'
import { ENDPOINTS } from '@stead/api/endpoints.ts'
import type { ProjectView, UsageView } from '@stead/api/endpoints/projects.ts'
import { formatFields, formatTable } from '../output.ts'
import { formatSize, parseCount, parseSince, parseSize } from '../quantities.ts'
import { action, valueOf, type Terminal } from '../session.ts'
import { addProjectPermissions } from './project-permissions.ts'
import { wordsOf } from './user.ts'

const NAME = ['<name>', "the project's name"] as const

export function addProjectCommands(program: Command, terminal: Terminal): void {
  const project = program.command('project').description('Projects: guests, volumes and images of a tenant')
  addUsage(project, terminal)
  addProjectPermissions(project, terminal)
  project
    .command('list')
    .description(ENDPOINTS['project.list'].summary)
    .action(
      action(terminal, async (session) => {
        const client = await session.client()
        const { items } = valueOf(await client.call(ENDPOINTS['project.list']))
        session.print(items, () =>
          formatTable(items, [
            { title: 'NAME', of: (row) => row.name },
            { title: 'GUESTS', of: (row) => heldText(row, 'guests') },
            { title: 'CPUS', of: (row) => heldText(row, 'cpus') },
            { title: 'MEMORY', of: (row) => heldText(row, 'memoryBytes') },
            { title: 'DISK', of: (row) => heldText(row, 'diskBytes') },
            { title: 'IMAGES', of: (row) => row.images },
            { title: 'NOTES', of: (row) => row.notes },
          ]),
        )
      }),
    )
  project
    .command('show')
    .description(ENDPOINTS['project.show'].summary)
    .argument(...NAME)
    .action(
      action(terminal, async (session, [name = '']) => {
        const client = await session.client()
        const view = valueOf(await client.call(ENDPOINTS['project.show'], { params: { project: name } }))
        session.print(view, () => projectText(view))
      }),
    )
  addLimits(
    project
      .command('create')
      .description(ENDPOINTS['project.create'].summary)
      .argument(...NAME)
      .option('--notes <text>'),
  ).action(
    action(terminal, async (session, [name = ''], options) => {
      const client = await session.client()
      const body = { name, ...settingsOf(options) }
      const view = valueOf(await client.call(ENDPOINTS['project.create'], { body }))
      session.print(view, () => `project ${name} created\n`)
    }),
  )
  addLimits(
    project
      .command('set')
      .description(ENDPOINTS['project.set'].summary)
      .argument(...NAME)
      .option('--notes <text>'),
  ).action(
    action(terminal, async (session, [name = ''], options) => {
      const client = await session.client()
      const input = { params: { project: name }, body: settingsOf(options) }
      const view = valueOf(await client.call(ENDPOINTS['project.set'], input))
      session.print(view, () => projectText(view))
    }),
  )
  project
    .command('delete')
    .description(ENDPOINTS['project.delete'].summary)
    .argument(...NAME)
    .action(
      action(terminal, async (session, [name = '']) => {
        const client = await session.client()
        valueOf(await client.call(ENDPOINTS['project.delete'], { params: { project: name } }))
        session.print({ deleted: name }, () => `project ${name} deleted\n`)
      }),
    )
}

function addUsage(project: Command, terminal: Terminal): void {
  project
    .command('usage')
    .description(ENDPOINTS['usage.list'].summary)
    .argument('[name]', 'only of this project')
    .option(
      '--from <time>',
      'hours that begin then or later: 2026-11-01T00:00:00Z, or 7d; the last 31 days when absent',
    )
    .option('--to <time>', 'hours that begin before that')
    .option('--csv', 'as comma-separated values')
    .action(
      action(terminal, async (session, [name], { from, to, csv }) => {
        const client = await session.client()
        const query = {
          ...(name === undefined ? {} : { project: name }),
          ...(typeof from === 'string' ? { from: parseSince(from, Date.now()) } : {}),
          ...(typeof to === 'string' ? { to: parseSince(to, Date.now()) } : {}),
        }
        const { items } = valueOf(await client.call(ENDPOINTS['usage.list'], { query }))
        session.print(items, () => (csv === true ? csvOf(items) : usageTable(items)))
      }),
    )
}

const USAGE_FIELDS = [
  ...(['project', 'hour', 'complete', 'cpuHours', 'memoryGibHours', 'diskGibHours'] as const),
  ...(['receivedBytes', 'sentBytes'] as const),
] as const

/** Names of projects and times need no quotes. */
function csvOf(items: readonly UsageView[]): string {
  const lines = items.map((item) => USAGE_FIELDS.map((field) => String(item[field])).join(','))
  return `${[USAGE_FIELDS.join(','), ...lines].join('\n')}\n`
}

function usageTable(items: readonly UsageView[]): string {
  return formatTable(items, [
    { title: 'PROJECT', of: (row) => row.project },
    { title: 'HOUR', of: (row) => (row.complete ? row.hour : `${row.hour} (not over)`) },
    { title: 'CPU H', of: (row) => row.cpuHours.toFixed(3) },
    { title: 'MEMORY GIB H', of: (row) => row.memoryGibHours.toFixed(3) },
    { title: 'DISK GIB H', of: (row) => row.diskGibHours.toFixed(3) },
    { title: 'RECEIVED', of: (row) => formatSize(row.receivedBytes) },
    { title: 'SENT', of: (row) => formatSize(row.sentBytes) },
  ])
}

export function addGuestAssign(guests: Command, terminal: Terminal): void {
  guests
    .command('assign')
    .description(ENDPOINTS['guest.assign'].summary)
    .argument('<name>', "the guest's name or id")
    .requiredOption('--project <name>', 'where guests may be created by you')
    .action(
      action(terminal, async (session, [guest = ''], options) => {
        const client = await session.client()
        const input = { params: { guest }, body: { project: String(options['project']) } }
        const made = valueOf(await client.call(ENDPOINTS['guest.assign'], input))
        session.print(made, () => `${made.guest} belongs to the project ${made.project}\n`)
      }),
    )
}

export function addImageAssign(image: Command, terminal: Terminal): void {
  image
    .command('assign')
    .description(ENDPOINTS['image.assign'].summary)
    .argument('<name>', "the image's or the template's name")
    .option('--project <name>', 'to this project; to the cluster when absent')
    .action(
      action(terminal, async (session, [name = ''], options) => {
        const { project } = options
        const client = await session.client()
        const input = { params: { image: name }, body: { project: typeof project === 'string' ? project : null } }
        const made = valueOf(await client.call(ENDPOINTS['image.assign'], input))
        session.print(
          made,
          () => `${made.image} belongs to ${made.project ? `the project ${made.project}` : 'the cluster'}\n`,
        )
      }),
    )
}

const LIMITS = [
  ['guests', 'guests', parseCount, 'guests'],
  ['cpus', 'cpus', parseCount, 'processors of all guests, running or not'],
  ['memory', 'memoryBytes', parseSize, 'memory of all guests, running or not'],
  ['disk', 'diskBytes', parseSize, 'disks; each replica counts'],
  ['snapshots', 'snapshots', parseCount, 'snapshots'],
  ['backups', 'backups', parseCount, 'backups'],
  ['addresses', 'addresses', parseCount, 'addresses of network cards'],
] as const

function addLimits(command: Command): Command {
  return LIMITS.reduce(
    (each, [option, , , what]) => each.option(`--${option} <limit>`, `at most so much of: ${what}; none lifts it`),
    command.option('--people <groups>', 'who may be named in `project grant`: groups, separated by commas; none'),
  )
}

function settingsOf(options: Readonly<Record<string, unknown>>) {
  const { notes, people } = options
  const quota = LIMITS.flatMap(([option, measure, parse]) => {
    const text = options[option]
    if (typeof text !== 'string') return []
    return [[measure, text === 'none' ? null : parse(text, `--${option}`)] as const]
  })
  return {
    ...(typeof notes === 'string' ? { notes } : {}),
    ...(typeof people === 'string' ? { people: people === 'none' ? [] : wordsOf(people) } : {}),
    ...(quota.length === 0 ? {} : { quota: Object.fromEntries(quota) }),
  }
}

/** `2 of 10`, or `2` where there is no limit. */
function heldText({ usage, quota }: ProjectView, measure: keyof ProjectView['usage']): string {
  const text = measure.endsWith('Bytes') ? formatSize : String
  const limit = quota[measure]
  return limit === undefined ? text(usage[measure]) : `${text(usage[measure])} of ${text(limit)}`
}

function projectText(view: ProjectView): string {
  return formatFields([
    ['name', view.name],
    ['notes', view.notes],
    ['people', view.people.join(', ')],
    ...LIMITS.map(([option, measure]) => [option, heldText(view, measure)] as const),
    ['images', view.images],
    ['created', view.createdAt],
  ])
}

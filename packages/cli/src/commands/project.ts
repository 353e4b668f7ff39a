/** `stead project`: tenants. What belongs to one is moved by `stead vm assign` and `stead image assign`. */
import type { Command } from 'commander'
import { ENDPOINTS } from '@stead/api/endpoints.ts'
import type { ProjectView } from '@stead/api/endpoints/projects.ts'
import { formatFields, formatTable } from '../output.ts'
import { formatSize, parseCount, parseSize } from '../quantities.ts'
import { action, valueOf, type Terminal } from '../session.ts'

const NAME = ['<name>', "the project's name"] as const

export function addProjectCommands(program: Command, terminal: Terminal): void {
  const project = program.command('project').description('Projects: guests, volumes and images of a tenant')
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
  ['addresses', 'addresses', parseCount, 'addresses of network cards'],
] as const

function addLimits(command: Command): Command {
  return LIMITS.reduce(
    (each, [option, , , what]) => each.option(`--${option} <limit>`, `at most so much of: ${what}; none lifts it`),
    command,
  )
}

function settingsOf(options: Readonly<Record<string, unknown>>) {
  const { notes } = options
  const quota = LIMITS.flatMap(([option, measure, parse]) => {
    const text = options[option]
    if (typeof text !== 'string') return []
    return [[measure, text === 'none' ? null : parse(text, `--${option}`)] as const]
  })
  return {
    ...(typeof notes === 'string' ? { notes } : {}),
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
    ...LIMITS.map(([option, measure]) => [option, heldText(view, measure)] as const),
    ['images', view.images],
    ['created', view.createdAt],
  ])
}

/** `stead vm schedule`: what is done to guests at set times. */
import type { Command } from 'commander'
import type { CallInput } from '@stead/api/endpoint.ts'
import { ENDPOINTS } from '@stead/api/endpoints.ts'
import type { ScheduleView } from '@stead/api/views.ts'
import { SCHEDULED_ACTIONS } from '@stead/core/model/schedule.ts'
import { formatTable } from '../output.ts'
import { badArgument, parseCount } from '../quantities.ts'
import { action, valueOf, type Session, type Terminal } from '../session.ts'

type ScheduleBody = CallInput<(typeof ENDPOINTS)['schedule.add']>['body']
type Options = Readonly<Record<string, unknown>>

export function addVmSchedule(vm: Command, terminal: Terminal): void {
  const schedule = vm.command('schedule').description('What is done to guests at set times')
  schedule
    .command('add')
    .description(ENDPOINTS['schedule.add'].summary)
    .argument('<name>', "the guest's name or id")
    .argument('<schedule>', "a DNS label, unique among the guest's schedules")
    .requiredOption('--action <action>', `what is done: ${SCHEDULED_ACTIONS.join(', ')}`)
    .requiredOption('--at <expression>', 'minute, hour, day of month, month, day of week: "30 3 * * sun"')
    .option('--time-zone <zone>', 'in which this is meant: Europe/Warsaw', 'UTC')
    .option('--missed <what>', 'a moment at which nobody could act: run (once, late) or skip', 'skip')
    .option('--keep <n>', 'of snapshot: how many of its own snapshots stay (7)')
    .option('--memory', "of snapshot: with the guest's memory, if it runs then")
    .action(action(terminal, addSchedule))
  schedule
    .command('list')
    .description(ENDPOINTS['schedule.list'].summary)
    .argument('[name]', 'only of this guest')
    .action(
      action(terminal, async (session, [guest]) => {
        const client = await session.client()
        const query = guest === undefined ? {} : { guest }
        const { items } = valueOf(await client.call(ENDPOINTS['schedule.list'], { query }))
        session.print(items, () => schedulesText(items))
      }),
    )
  schedule
    .command('remove')
    .description(ENDPOINTS['schedule.remove'].summary)
    .argument('<name>', "the guest's name or id")
    .argument('<schedule>', "the schedule's name")
    .action(
      action(terminal, async (session, [guest = '', name = '']) => {
        const client = await session.client()
        valueOf(await client.call(ENDPOINTS['schedule.remove'], { params: { guest, schedule: name } }))
        session.print({ guest, removed: name }, () => `schedule ${name} of vm ${guest} removed\n`)
      }),
    )
}

async function addSchedule(
  session: Session,
  [guest = '', name = '']: readonly string[],
  options: Options,
): Promise<void> {
  const body = bodyOf(name, options)
  const client = await session.client()
  const view = valueOf(await client.call(ENDPOINTS['schedule.add'], { params: { guest }, body }))
  session.print(view, () => `schedule ${name} of vm ${guest} set: next at ${view.nextAt}\n`)
}

function bodyOf(name: string, options: Options): ScheduleBody {
  const [wanted, missed] = [String(options['action']), String(options['missed'])]
  const found = SCHEDULED_ACTIONS.find((one) => one === wanted)
  if (!found) throw badArgument(`--action: \`${wanted}\` is not an action`, `Write ${SCHEDULED_ACTIONS.join(', ')}.`)
  if (missed !== 'run' && missed !== 'skip')
    throw badArgument(`--missed: \`${missed}\` is not known`, 'Write run or skip.')
  const { keep, memory } = options
  return {
    name,
    action: found,
    cron: String(options['at']),
    timeZone: String(options['timeZone']),
    missed,
    ...(typeof keep === 'string' ? { keep: parseCount(keep, '--keep') } : {}),
    ...(memory === true ? { memory } : {}),
  }
}

function schedulesText(items: readonly ScheduleView[]): string {
  return formatTable(items, [
    { title: 'GUEST', of: (row) => row.guest },
    { title: 'NAME', of: (row) => row.name },
    { title: 'ACTION', of: (row) => row.action },
    { title: 'AT', of: (row) => row.cron },
    { title: 'TIME ZONE', of: (row) => row.timeZone },
    { title: 'KEEP', of: (row) => row.keep },
    { title: 'MEMORY', of: (row) => (row.memory ? 'yes' : null) },
    { title: 'MISSED', of: (row) => row.missed },
    { title: 'NEXT', of: (row) => row.nextAt },
    { title: 'LAST', of: (row) => (row.lastAt === null ? null : `${row.lastAt}: ${row.lastOutcome}`) },
  ])
}

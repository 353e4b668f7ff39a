import type { Command } from 'commander'
import { ENDPOINTS } from '@stead/api/endpoints.ts'
import type { SnapshotsView, SnapshotView } from '@stead/api/endpoints/snapshots.ts'
import type { Client } from '@stead/api/client.ts'
import type { CallInput } from '@stead/api/endpoint.ts'
import type { OperationView } from '@stead/api/views.ts'
import type { Result } from '@stead/core/result.ts'
import { formatTable } from '../output.ts'
import { badArgument, formatSize, parseCount, parseDuration } from '../quantities.ts'
import { action, valueOf, type Session, type Terminal } from '../session.ts'
import { settle } from '../waiting.ts'

type ScheduleBody = CallInput<(typeof ENDPOINTS)['snapshot.schedule']>['body']['schedule']

const NAME = ['<name>', "the guest's name or id"] as const
const SNAPSHOT = ['<snapshot>', "the snapshot's name"] as const

export function addVmSnapshots(vm: Command, terminal: Terminal): void {
  const snapshot = vm.command('snapshot').description('What a guest was at earlier moments')
  snapshot
    .command('list')
    .description(ENDPOINTS['snapshot.list'].summary)
    .argument(...NAME)
    .action(action(terminal, listSnapshots))
  snapshot
    .command('create')
    .description(ENDPOINTS['snapshot.create'].summary)
    .argument(...NAME)
    .argument(...SNAPSHOT)
    .option('--no-freeze', "leave the guest's file systems alone, even where its agent could freeze them")
    .option('--memory', 'also what the running guest has in its memory: a roll-back resumes it, and does not boot it')
    .action(
      action(terminal, async (session, [guest = '', name = ''], options) => {
        const wanted = options['freeze'] === false ? ('crash' as const) : ('filesystem' as const)
        const body = { name, wanted, memory: options['memory'] === true }
        await operate(session, `snapshot ${name} of ${guest}`, 'taken', (client) =>
          client.call(ENDPOINTS['snapshot.create'], { params: { guest }, body }),
        )
      }),
    )
  snapshot
    .command('rollback')
    .description(ENDPOINTS['snapshot.rollback'].summary)
    .argument(...NAME)
    .argument(...SNAPSHOT)
    .option('--start', 'start the guest afterwards')
    .option('--no-start', 'leave the guest stopped afterwards (default: as it was before)')
    .option('--delete-newer', 'delete newer snapshots, which do not survive it')
    .option('--without-memory', 'boot from the disks, also where the snapshot has the memory too')
    .action(
      action(terminal, async (session, [guest = '', name = ''], options) => {
        const start = options['start']
        const body = {
          deleteNewer: options['deleteNewer'] === true,
          withoutMemory: options['withoutMemory'] === true,
          ...(typeof start === 'boolean' ? { start } : {}),
        }
        await operate(session, guest, `rolled back to ${name}`, (client) =>
          client.call(ENDPOINTS['snapshot.rollback'], { params: { guest, snapshot: name }, body }),
        )
      }),
    )
  snapshot
    .command('delete')
    .description(ENDPOINTS['snapshot.delete'].summary)
    .argument(...NAME)
    .argument(...SNAPSHOT)
    .action(
      action(terminal, async (session, [guest = '', name = '']) => {
        await operate(session, `snapshot ${name} of ${guest}`, 'deleted', (client) =>
          client.call(ENDPOINTS['snapshot.delete'], { params: { guest, snapshot: name } }),
        )
      }),
    )
  snapshot
    .command('schedule')
    .description(ENDPOINTS['snapshot.schedule'].summary)
    .argument(...NAME)
    .option('--every <duration>', 'time between two snapshots (1h, 30m)')
    .option('--keep <count>', 'how many of them are kept')
    .option('--memory', "each with the guest's memory, as long as that can be kept")
    .option('--off', 'no more; those that there are stay')
    .action(
      action(terminal, async (session, [guest = ''], options) => {
        const schedule = scheduleOf(options)
        const done = schedule ? 'scheduled' : 'no longer scheduled'
        await operate(session, `snapshots of ${guest}`, done, (client) =>
          client.call(ENDPOINTS['snapshot.schedule'], { params: { guest }, body: { schedule } }),
        )
      }),
    )
}

function scheduleOf({ every, keep, memory, off }: Record<string, unknown>): ScheduleBody {
  if (off === true) return null
  if (typeof every !== 'string' || typeof keep !== 'string')
    throw badArgument('--every and --keep are needed', 'Write --every 1h --keep 24, or --off.')
  return {
    everyMs: parseDuration(every, '--every'),
    keep: parseCount(keep, '--keep'),
    ...(memory === true ? { memory } : {}),
  }
}

async function listSnapshots(session: Session, [guest = '']: readonly string[]): Promise<void> {
  const client = await session.client()
  const view = valueOf(await client.call(ENDPOINTS['snapshot.list'], { params: { guest } }))
  session.print(view, () => listText(view))
}

function listText({ items, schedule, mergeDebt, notAsked }: SnapshotsView): string {
  const table = formatTable<SnapshotView>(items, [
    { title: 'NAME', of: (each) => each.name },
    { title: 'CREATED', of: (each) => each.createdAt },
    { title: 'STATE', of: (each) => each.state },
    { title: 'CONSISTENT', of: (each) => each.consistent },
    {
      title: 'MEMORY',
      of: ({ memory }) => (memory === null ? null : `${formatSize(memory.bytes)} (${memory.hosts.join(', ')})`),
    },
    { title: 'HOSTS', of: (each) => each.hosts.join(', ') },
    { title: 'CHANGED SINCE', of: (each) => (each.changedBytes === null ? null : formatSize(each.changedBytes)) },
    { title: 'BY', of: (each) => (each.scheduled ? 'schedule' : 'user') },
  ])
  const lines = [
    ...(schedule
      ? [`every ${schedule.everyMs / 60_000} min, ${schedule.keep} kept${schedule.memory ? ', with the memory' : ''}`]
      : []),
    ...mergeDebt.map(
      ({ host, volume, bytes, since }) =>
        `${host} must still merge ${formatSize(bytes)} of volume ${volume}${since === null ? '' : ` (since ${since})`}`,
    ),
    ...notAsked.map((host) => `${host} does not tell what it holds`),
  ]
  return `${table}${lines.map((line) => `${line}\n`).join('')}`
}

async function operate(
  session: Session,
  subject: string,
  done: string,
  send: (client: Client) => Promise<Result<{ readonly operation: OperationView }>>,
): Promise<void> {
  const client = await session.client()
  const operation = await settle(session, client, valueOf(await send(client)).operation)
  const isOver = operation.state === 'succeeded'
  const text = isOver ? done : `${done}: begun, see \`stead operation show ${operation.id}\``
  session.print(operation, () => `${subject} ${text}\n`)
}

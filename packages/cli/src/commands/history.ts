import type { Command } from 'commander'
import { ENDPOINTS } from '@stead/api/endpoints.ts'
import type { OperationView } from '@stead/api/views.ts'
import { eventLine } from '../event-line.ts'
import { formatFields, formatTable } from '../output.ts'
import { parseCount, parseSince } from '../quantities.ts'
import { action, valueOf, type Session, type Terminal } from '../session.ts'

export function addHistoryCommands(program: Command, terminal: Terminal): void {
  const event = program.command('event').description('What happened')
  event
    .command('list')
    .description(ENDPOINTS['event.list'].summary)
    .option('--since <when>', "an ISO 8601 time, how long ago (10m), or an event's id")
    .option('--kind <kind>', 'only this kind; may be repeated', (kind: string, before: string[] | undefined) => [
      ...(before ?? []),
      kind,
    ])
    .option('--limit <n>', 'at most so many, the newest')
    .option('-f, --follow', 'go on as things happen')
    .action(action(terminal, listEvents))
  const operation = program.command('operation').description('Long work')
  operation
    .command('list')
    .description(ENDPOINTS['operation.list'].summary)
    .action(
      action(terminal, async (session) => {
        const client = await session.client()
        const { items } = valueOf(await client.call(ENDPOINTS['operation.list']))
        session.print(items, () =>
          formatTable<OperationView>(items, [
            { title: 'ID', of: (row) => row.id },
            { title: 'KIND', of: (row) => row.kind },
            { title: 'SUBJECT', of: (row) => row.subjectName },
            { title: 'STATE', of: (row) => row.state },
            { title: 'PROGRESS', of: (row) => `${Math.round(row.progress * 100)} %` },
            { title: 'MESSAGE', of: (row) => row.message },
          ]),
        )
      }),
    )
  operation
    .command('show')
    .description(ENDPOINTS['operation.show'].summary)
    .argument('<operation>', "the operation's id")
    .action(
      action(terminal, async (session, [id = '']) => {
        const client = await session.client()
        const view = valueOf(await client.call(ENDPOINTS['operation.show'], { params: { operation: id } }))
        session.print(view, () =>
          formatFields([
            ['id', view.id],
            ['kind', view.kind],
            ['subject', view.subjectName],
            ['state', view.state],
            ['progress', `${Math.round(view.progress * 100)} %`],
            ['message', view.message],
            ['failure', view.failure?.message ?? ''],
            ['hint', view.failure?.hint ?? ''],
            ['started', new Date(view.startedAt).toISOString()],
            ['finished', view.finishedAt === undefined ? '' : new Date(view.finishedAt).toISOString()],
          ]),
        )
      }),
    )
}

async function listEvents(session: Session, _args: readonly string[], options: Record<string, unknown>): Promise<void> {
  const { since, kind, limit } = options
  const query = {
    ...(typeof since === 'string' ? { since: parseSince(since, Date.now()) } : {}),
    ...(Array.isArray(kind) ? { kinds: kind.join(',') } : {}),
    ...(typeof limit === 'string' ? { limit: parseCount(limit, '--limit') } : {}),
  }
  const client = await session.client()
  if (options['follow'] !== true) {
    const { items } = valueOf(await client.call(ENDPOINTS['event.list'], { query }))
    session.print(items, () => items.map(eventLine).join(''))
    return
  }
  for await (const item of client.follow(ENDPOINTS['event.list'], { query }, session.signal)) {
    const event = valueOf(item)
    // A stream of documents: one JSON document a line, or YAML documents one after another.
    session.terminal.stdout.write(session.format === 'table' ? eventLine(event) : `${JSON.stringify(event)}\n`)
  }
}

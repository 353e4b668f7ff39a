/** `backup`: dumps of containers that the cluster holds. */
import { createWriteStream, existsSync } from 'node:fs'
import { mkdtemp, rename, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import type { Command } from 'commander'
import type { Client } from '@stead/api/client.ts'
import type { BackupView } from '@stead/api/endpoints/backups.ts'
import { ENDPOINTS } from '@stead/api/endpoints.ts'
import { failure, FailureError } from '@stead/core/errors.ts'
import { digestOf } from '../blob-upload.ts'
import { formatFields, formatTable } from '../output.ts'
import { formatSize } from '../quantities.ts'
import { action, valueOf, type Session, type Terminal } from '../session.ts'

const ID = ['<id>', "the backup's id, from `stead backup list`"] as const

export function addBackupCommands(program: Command, terminal: Terminal): void {
  const backup = program.command('backup').description('Backups that the cluster holds, made by `stead ct dump --keep`')
  backup
    .command('list')
    .description(ENDPOINTS['backup.list'].summary)
    .option('--guest <name>', 'only of this guest: its name then, or its id')
    .action(
      action(terminal, async (session, _, { guest }) => {
        const client = await session.client()
        const query = typeof guest === 'string' ? { guest } : {}
        const { items } = valueOf(await client.call(ENDPOINTS['backup.list'], { query }))
        session.print(items, () =>
          formatTable(items, [
            { title: 'ID', of: (row) => row.id },
            { title: 'GUEST', of: (row) => row.guest },
            { title: 'PROJECT', of: (row) => row.project },
            { title: 'HOST', of: (row) => row.host },
            { title: 'STATE', of: (row) => row.state },
            { title: 'MODE', of: (row) => row.mode },
            { title: 'SIZE', of: sizeText },
            { title: 'KEPT UNTIL', of: (row) => row.keptUntil },
          ]),
        )
      }),
    )
  backup
    .command('show')
    .description(ENDPOINTS['backup.show'].summary)
    .argument(...ID)
    .action(
      action(terminal, async (session, [id = '']) => {
        const client = await session.client()
        const view = valueOf(await client.call(ENDPOINTS['backup.show'], { params: { backup: id } }))
        session.print(view, () => backupText(view))
      }),
    )
  backup
    .command('fetch')
    .description(ENDPOINTS['backup.fetch'].summary)
    .argument(...ID)
    .argument('<file>', 'made, and must not exist')
    .action(
      action(terminal, async (session, [id = '', file = '']) => {
        const client = await session.client()
        const view = await fetchBackup(session, client, id, file)
        session.print({ file, ...view }, () => `${id} fetched to ${file}: ${sizeText(view)}\n`)
      }),
    )
  backup
    .command('delete')
    .description(ENDPOINTS['backup.delete'].summary)
    .argument(...ID)
    .action(
      action(terminal, async (session, [id = '']) => {
        const client = await session.client()
        valueOf(await client.call(ENDPOINTS['backup.delete'], { params: { backup: id } }))
        session.print({ deleted: id }, () => `backup ${id} deleted\n`)
      }),
    )
}

/** Whole and as its digest says, or not there. */
export async function fetchBackup(session: Session, client: Client, id: string, file: string): Promise<BackupView> {
  if (existsSync(file)) throw fileExists(file)
  const params = { backup: id }
  const view = valueOf(await client.call(ENDPOINTS['backup.show'], { params }))
  const part = `${file}.part`
  const { body } = valueOf(await client.stream(ENDPOINTS['backup.fetch'], { params }, { signal: session.signal }))
  try {
    await pipeline(body, createWriteStream(part, { mode: 0o600 }))
    if ((await digestOf(part)) !== view.blob) throw new Error('its content was damaged on the way')
    if (existsSync(file)) throw fileExists(file)
    await rename(part, file)
    return view
  } catch (cause) {
    await rm(part, { force: true })
    if (cause instanceof FailureError) throw cause
    const why = cause instanceof Error ? cause.message : String(cause)
    throw new FailureError(failure('bad_request', `${file} could not be written: ${why}`, { cause }))
  }
}

/** For as long as `task` needs it. */
export async function withBackup<T>(
  session: Session,
  client: Client,
  id: string,
  task: (file: string) => Promise<T>,
): Promise<T> {
  const folder = await mkdtemp(join(tmpdir(), 'stead-backup-'))
  try {
    const file = join(folder, 'dump')
    await fetchBackup(session, client, id, file)
    return await task(file)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

export function fileExists(file: string): FailureError {
  return new FailureError(
    failure('bad_request', `${file} could not be written: it exists`, { hint: 'Name another file' }),
  )
}

function sizeText({ sizeBytes }: Pick<BackupView, 'sizeBytes'>): string {
  return sizeBytes === null ? '' : formatSize(sizeBytes)
}

function backupText(view: BackupView): string {
  return formatFields([
    ['id', view.id],
    ['guest', view.guest],
    ['project', view.project],
    ['host', view.host],
    ['state', view.state],
    ['mode', view.mode],
    ['size', sizeText(view)],
    ['digest', view.blob],
    ['created', view.createdAt],
    ['kept until', view.keptUntil],
  ])
}

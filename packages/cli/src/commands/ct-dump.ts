/** `ct dump`: a container in one file here. */
import { existsSync } from 'node:fs'
import type { Command } from 'commander'
import type { Client } from '@stead/api/client.ts'
import type { CallInput } from '@stead/api/endpoint.ts'
import { ENDPOINTS } from '@stead/api/endpoints.ts'
import { DUMP_MODES, type DumpMode } from '@stead/core/model/backup.ts'
import { mustWait } from '../import/container-from-archive.ts'
import { badArgument, formatSize, parseDuration } from '../quantities.ts'
import { action, valueOf, type Session, type Terminal } from '../session.ts'
import { settle } from '../waiting.ts'
import { fetchBackup, fileExists } from './backup.ts'

type DumpBody = NonNullable<CallInput<(typeof ENDPOINTS)['guest.dump']>['body']>

const HOUR_MS = 3_600_000

export function addCtDump(ct: Command, terminal: Terminal): void {
  ct.command('dump')
    .description("Dump a container, its settings and its disks, into a file here or among the cluster's backups")
    .argument('<name>', "the guest's name or id")
    .argument('[file]', 'made, and must not exist: a tar, packed with zstd')
    .option(
      '--mode <mode>',
      'snapshot: it runs on; suspend: it stands still meanwhile; stop: it is stopped',
      'snapshot',
    )
    .option('--compress <how>', 'zstd or none', 'zstd')
    .option('--keep <time>', 'have the cluster hold it as a backup for so long, as 30d, whether it is fetched or not')
    .action(
      action(terminal, async (session, [guest = '', file], options) => {
        mustWait(session)
        const { mode } = options
        const compress = compressionOf(options['compress'])
        const keepHours = keepHoursOf(options['keep'])
        if (file === undefined && keepHours === undefined)
          throw badArgument('Neither a file nor --keep is given', 'Say where the dump is to be.')
        if (file !== undefined && existsSync(file)) throw fileExists(file)
        const client = await session.client()
        const body = { compress, ...(keepHours === undefined ? {} : { keepHours }) }
        const dumped = await dumpIn(session, client, guest, modeOf(mode), body)
        try {
          if (file !== undefined) await fetchBackup(session, client, dumped.backup, file)
        } finally {
          if (keepHours === undefined) await letGo(session, client, dumped.backup)
        }
        const places = [...(file === undefined ? [] : [file]), ...(keepHours === undefined ? [] : [dumped.backup])]
        const { sizeBytes, tookMs } = dumped
        const text = `ct ${guest} dumped to ${places.join(' and ')}: ${dumped.mode}, ${formatSize(sizeBytes)}, ${(tookMs / 1000).toFixed(1)} s`
        session.print({ ...(file === undefined ? {} : { file }), ...dumped }, () => `${text}\n`)
      }),
    )
}

function compressionOf(text: unknown): DumpBody['compress'] {
  if (text === 'zstd' || text === 'none') return text
  throw badArgument(`--compress: \`${String(text)}\` is neither zstd nor none`)
}

function keepHoursOf(text: unknown): number | undefined {
  if (typeof text !== 'string') return undefined
  const hours = parseDuration(text, '--keep') / HOUR_MS
  if (hours < 1) throw badArgument('--keep: less than an hour', 'Write a time such as 12h or 30d.')
  return Math.ceil(hours)
}

/** Nobody else asks for it: the room is free again, and the quota. */
async function letGo(session: Session, client: Client, backup: string): Promise<void> {
  const removed = await client.call(ENDPOINTS['backup.delete'], { params: { backup } })
  if (!removed.ok && removed.error.code !== 'not_found')
    session.warn([`the backup ${backup} is still there: ${removed.error.message}`])
}

function modeOf(mode: unknown): DumpMode {
  const known = DUMP_MODES.find((each) => each === mode)
  if (known) return known
  throw badArgument(`--mode: \`${String(mode)}\` is not a mode`, `Write one of ${DUMP_MODES.join(', ')}.`)
}

/** A container that does not run is read as it is, whatever the mode. */
async function dumpIn(session: Session, client: Client, guest: string, mode: DumpMode, wanted: DumpBody) {
  const dump = async (snapshot?: string) => {
    const body = { ...wanted, ...(snapshot === undefined ? {} : { snapshot }) }
    return valueOf(await client.call(ENDPOINTS['guest.dump'], { params: { guest }, body }, { signal: session.signal }))
  }
  const { state, container } = valueOf(await client.call(ENDPOINTS['guest.show'], { params: { guest } }))
  if (mode === 'suspend' || state === 'stopped' || !container) return dump()
  if (mode === 'snapshot') return ofSnapshot(session, client, guest, dump)
  const stopped = valueOf(await client.call(ENDPOINTS['guest.stop'], { params: { guest }, body: {} }))
  try {
    await settle(session, client, stopped.operation)
    return await dump()
  } finally {
    // Whatever became of the dump, and also after Ctrl-C.
    const started = valueOf(await client.call(ENDPOINTS['guest.start'], { params: { guest }, body: {} }))
    if (!session.signal.aborted) await settle(session, client, started.operation)
  }
}

async function ofSnapshot<T>(
  session: Session,
  client: Client,
  guest: string,
  dump: (snapshot: string) => Promise<T>,
): Promise<T> {
  const snapshot = `dump-${Date.now().toString(36)}`
  const body = { name: snapshot, wanted: 'filesystem' as const }
  const taken = valueOf(await client.call(ENDPOINTS['snapshot.create'], { params: { guest }, body }))
  try {
    await settle(session, client, taken.operation)
    const { items } = valueOf(await client.call(ENDPOINTS['snapshot.list'], { params: { guest } }))
    if (items.find(({ name }) => name === snapshot)?.consistent === 'crash')
      session.warn(['its file systems could not be frozen: the dump is what a power cut would have left'])
    return await dump(snapshot)
  } finally {
    const removed = await client.call(ENDPOINTS['snapshot.delete'], { params: { guest, snapshot } })
    if (!removed.ok && removed.error.code !== 'not_found')
      session.warn([`the snapshot ${snapshot} is still there: ${removed.error.message}`])
  }
}

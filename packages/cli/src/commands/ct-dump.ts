/** `ct dump`: a container in one file here. */
import { createWriteStream, existsSync } from 'node:fs'
import { rename, rm } from 'node:fs/promises'
import { pipeline } from 'node:stream/promises'
import type { Command } from 'commander'
import type { Client } from '@stead/api/client.ts'
import { DUMP_MODES, type DumpMode } from '@stead/api/container-dump.ts'
import { ENDPOINTS } from '@stead/api/endpoints.ts'
import { failure, FailureError } from '@stead/core/errors.ts'
import type { BlobId } from '@stead/core/model/ids.ts'
import { digestOf } from '../blob-upload.ts'
import { mustWait } from '../import/container-from-archive.ts'
import { badArgument, formatSize } from '../quantities.ts'
import { action, valueOf, type Session, type Terminal } from '../session.ts'
import { settle } from '../waiting.ts'

type Compression = 'zstd' | 'none'

export function addCtDump(ct: Command, terminal: Terminal): void {
  ct.command('dump')
    .description('Dump a container, its settings and its disks, into a file here')
    .argument('<name>', "the guest's name or id")
    .argument('<file>', 'made, and must not exist: a tar, packed with zstd')
    .option(
      '--mode <mode>',
      'snapshot: it runs on; suspend: it stands still meanwhile; stop: it is stopped',
      'snapshot',
    )
    .option('--compress <how>', 'zstd or none', 'zstd')
    .action(
      action(terminal, async (session, [guest = '', file = ''], { mode, compress }) => {
        mustWait(session)
        if (compress !== 'zstd' && compress !== 'none')
          throw badArgument(`--compress: \`${String(compress)}\` is neither zstd nor none`)
        if (existsSync(file)) throw exists(file)
        const client = await session.client()
        const dumped = await dumpIn(session, client, guest, modeOf(mode), compress)
        await fetchWhole(session, client, dumped.blob, file)
        const { sizeBytes, tookMs } = dumped
        const text = `ct ${guest} dumped to ${file}: ${dumped.mode}, ${formatSize(sizeBytes)}, ${(tookMs / 1000).toFixed(1)} s`
        session.print({ file, ...dumped }, () => `${text}\n`)
      }),
    )
}

function modeOf(mode: unknown): DumpMode {
  const known = DUMP_MODES.find((each) => each === mode)
  if (known) return known
  throw badArgument(`--mode: \`${String(mode)}\` is not a mode`, `Write one of ${DUMP_MODES.join(', ')}.`)
}

/** A container that does not run is read as it is, whatever the mode. */
async function dumpIn(session: Session, client: Client, guest: string, mode: DumpMode, compress: Compression) {
  const dump = async (snapshot?: string) => {
    const body = { compress, ...(snapshot === undefined ? {} : { snapshot }) }
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

/** Whole and as its digest says, or not there. */
async function fetchWhole(session: Session, client: Client, blob: BlobId, file: string): Promise<void> {
  const part = `${file}.part`
  const { body } = valueOf(
    await client.stream(ENDPOINTS['blob.get'], { params: { digest: blob } }, { signal: session.signal }),
  )
  try {
    await pipeline(body, createWriteStream(part, { mode: 0o600 }))
    if ((await digestOf(part)) !== blob) throw new Error('its content was damaged on the way')
    if (existsSync(file)) throw exists(file)
    await rename(part, file)
  } catch (cause) {
    await rm(part, { force: true })
    if (cause instanceof FailureError) throw cause
    const why = cause instanceof Error ? cause.message : String(cause)
    throw new FailureError(failure('bad_request', `${file} could not be written: ${why}`, { cause }))
  }
}

function exists(file: string): FailureError {
  return new FailureError(
    failure('bad_request', `${file} could not be written: it exists`, { hint: 'Name another file' }),
  )
}

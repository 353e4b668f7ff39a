/** `vm template`, `vm clone`, and disks as files: `volume export`, `image export`. */
import { createWriteStream } from 'node:fs'
import { rm } from 'node:fs/promises'
import { join, parse } from 'node:path'
import { pipeline } from 'node:stream/promises'
import type { Command } from 'commander'
import type { Client } from '@stead/api/client.ts'
import { ENDPOINTS } from '@stead/api/endpoints.ts'
import { failure, FailureError } from '@stead/core/errors.ts'
import type { BlobId } from '@stead/core/model/ids.ts'
import { digestOf } from '../blob-upload.ts'
import { badArgument, formatSize, parseCount } from '../quantities.ts'
import { action, valueOf, type Session, type Terminal } from '../session.ts'
import { COPY_PATIENCE_MS, finished, settle } from '../waiting.ts'
import { ACCEPT_BREACH } from './host.ts'

export function addVmTemplates(vm: Command, terminal: Terminal): void {
  vm.command('template')
    .description(ENDPOINTS['guest.template'].summary)
    .argument('<name>', "the guest's name or id")
    .action(
      action(terminal, async (session, [guest = '']) => {
        const client = await session.client()
        const answer = valueOf(await client.call(ENDPOINTS['guest.template'], { params: { guest } }))
        const operation = await settle(session, client, answer.operation, COPY_PATIENCE_MS)
        finished(session, operation, `${vm.name()} ${guest} is a template; ${operation.message}`)
      }),
    )
  vm.command('clone')
    .description(ENDPOINTS['guest.clone'].summary)
    .argument('<name>', 'a template, a stopped guest, or any container with a native root')
    .argument('<new>', 'a DNS label, unique in the cluster')
    .option('--linked', 'share the blocks of the disks instead of copying them')
    .option('--host <host>', 'where it should run')
    .option('--project <name>', 'whose it is to be; as the other one when absent')
    .option('--start', 'start it once its disks exist')
    .option(...ACCEPT_BREACH)
    .action(
      action(terminal, async (session, [guest = '', name = ''], options) => {
        const client = await session.client()
        const { host, project } = options
        const body = {
          name,
          linked: options['linked'] === true,
          start: options['start'] === true,
          acceptBreach: options['acceptBreach'] === true,
          ...(typeof host === 'string' ? { host } : {}),
          ...(typeof project === 'string' ? { project } : {}),
        }
        const answer = valueOf(await client.call(ENDPOINTS['guest.clone'], { params: { guest }, body }))
        session.warn(answer.warnings)
        const operation = await settle(session, client, answer.operation, COPY_PATIENCE_MS)
        session.print({ guest: answer.guest, operation }, () => `${vm.name()} ${name} cloned from ${guest}\n`)
      }),
    )
  vm.command('cancel-copy')
    .description(ENDPOINTS['guest.cancel-copy'].summary)
    .argument('<name>', 'what was to become a template, or the new guest')
    .action(
      action(terminal, async (session, [guest = '']) => {
        const client = await session.client()
        valueOf(await client.call(ENDPOINTS['guest.cancel-copy'], { params: { guest } }))
        session.print({ cancelled: guest }, () => `the copy for ${guest} was called off\n`)
      }),
    )
}

export function addVolumeExport(volume: Command, terminal: Terminal): void {
  volume
    .command('export')
    .description('Copy the disk of a stopped guest into a qcow2 file here')
    .argument('<volume>', "the volume's id")
    .argument('<file>', 'made, and must not exist')
    .action(
      action(terminal, async (session, [id = '', file = '']) => {
        const client = await session.client()
        const begun = valueOf(await client.call(ENDPOINTS['volume.capture'], { params: { volume: id } }))
        const { made, ...operation } = await settle(session, client, begun.operation, COPY_PATIENCE_MS)
        // Not waited for: whoever does fetches it by the digest that the operation tells then.
        if (!made) return finished(session, operation, '')
        const written = await download(session, client, made.blob, file)
        session.print(written, () => `${file} written, ${formatSize(written.bytes)}\n`)
      }),
    )
  volume
    .command('cancel-export')
    .description(ENDPOINTS['volume.cancel-capture'].summary)
    .argument('<volume>', "the volume's id")
    .action(
      action(terminal, async (session, [id = '']) => {
        const client = await session.client()
        valueOf(await client.call(ENDPOINTS['volume.cancel-capture'], { params: { volume: id } }))
        session.print({ cancelled: id }, () => `the copy of ${id} was called off\n`)
      }),
    )
}

export function addImageExport(image: Command, terminal: Terminal): void {
  image
    .command('export')
    .description('Copy the disks of an image, or a CD, into files here')
    .argument('<name>', "the image's name")
    .argument('<file>', 'made, and must not exist; of several disks FILE-1, FILE-2, ..., the number before the ending')
    .option('--disk <number>', 'this one alone, from 1, into FILE')
    .action(
      action(terminal, async (session, [name = '', file = ''], options) => {
        const client = await session.client()
        const { items } = valueOf(await client.call(ENDPOINTS['image.list']))
        const found = items.find((each) => each.name === name)
        if (!found)
          throw new FailureError(failure('not_found', `There is no image ${name}`, { hint: 'See `stead image list`' }))
        const disks = [found.blob, ...(found.moreDisks ?? []).map(({ blob }) => blob)]
        const written: Written[] = []
        try {
          for (const [blob, path] of exported(disks, file, options['disk']))
            written.push(await download(session, client, blob, path))
        } catch (error) {
          // A machine with some of its disks is none.
          for (const { file: path } of written) await rm(path, { force: true })
          throw error
        }
        session.print({ files: written }, () =>
          written.map(({ file: path, bytes }) => `${path} written, ${formatSize(bytes)}\n`).join(''),
        )
      }),
    )
}

/** Which file each disk goes into. */
function exported(disks: readonly BlobId[], file: string, chosen: unknown): [BlobId, string][] {
  if (typeof chosen === 'string') {
    const blob = disks[parseCount(chosen, '--disk') - 1]
    if (blob === undefined)
      throw badArgument(`--disk: the image has no disk ${chosen}`, `Its disks have the numbers 1 to ${disks.length}.`)
    return [[blob, file]]
  }
  if (disks.length === 1) return disks.map((blob) => [blob, file])
  const { dir, name, ext } = parse(file)
  return disks.map((blob, index) => [blob, join(dir, `${name}-${index + 1}${ext}`)])
}

interface Written {
  readonly file: string
  readonly blob: BlobId
  readonly bytes: number
}

/** Whole and as its digest says, or not there. */
async function download(session: Session, client: Client, blob: BlobId, file: string): Promise<Written> {
  const { body } = valueOf(
    await client.stream(ENDPOINTS['blob.get'], { params: { digest: blob } }, { signal: session.signal }),
  )
  let bytes = 0
  const counted = async function* () {
    for await (const part of body) {
      bytes += part.length
      yield part
    }
  }
  const target = createWriteStream(file, { flags: 'wx' })
  try {
    await pipeline(counted, target)
    if ((await digestOf(file)) !== blob) throw new Error('its content was damaged on the way')
  } catch (cause) {
    const exists = (cause as NodeJS.ErrnoException).code === 'EEXIST'
    if (!exists) await rm(file, { force: true })
    const why = exists ? 'it exists' : cause instanceof Error ? cause.message : String(cause)
    throw new FailureError(failure('bad_request', `${file} could not be written: ${why}`, { cause }))
  }
  return { file, blob, bytes }
}

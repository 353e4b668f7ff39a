import type { Command } from 'commander'
import { ENDPOINTS } from '@stead/api/endpoints.ts'
import type { CallInput } from '@stead/api/endpoint.ts'
import { fileHead, uploadBlob } from '../blob-upload.ts'
import { formatTable } from '../output.ts'
import { badArgument, formatSize } from '../quantities.ts'
import { action, valueOf, type Terminal } from '../session.ts'
import { addImageAssign } from './project.ts'
import { finished, COPY_PATIENCE_MS, settle } from '../waiting.ts'
import { addImageExport } from './vm-template.ts'

export function addImageCommands(program: Command, terminal: Terminal): void {
  const image = program.command('image').description('Disk images that new disks can start from')
  image
    .command('import')
    .description('Upload a disk image')
    .argument('<name>', 'a DNS label, unique among the images')
    .argument('<file>', 'a disk image, an OVA or an ISO file')
    .option('--format <format>', 'raw, qcow2, vmdk, vhdx, ova or iso; by the name (.vmdk, .iso, ...) when absent')
    .option('--project <name>', "whose it is to be; the cluster's when absent")
    .action(
      action(terminal, async (session, [name = '', file = ''], options) => {
        const format = formatOf(options['format'], file)
        await fileHead(file)
        const client = await session.client()
        const project = typeof options['project'] === 'string' ? options['project'] : undefined
        const blob = await uploadBlob(session, client, file, project)
        const body = { name, blob, format, ...(project === undefined ? {} : { project }) }
        const begun = valueOf(await client.call(ENDPOINTS['image.import'], { body }))
        const operation = await settle(session, client, begun.operation, COPY_PATIENCE_MS)
        if (operation.state !== 'succeeded') return finished(session, operation, '')
        const { items } = valueOf(await client.call(ENDPOINTS['image.list']))
        const made = items.find((each) => each.name === name)
        const size = made ? `, ${formatSize(made.virtualSizeBytes)}` : ''
        session.print({ image: made, operation }, () => `image ${name} imported${size}; ${operation.message}\n`)
      }),
    )
  image
    .command('list')
    .description(ENDPOINTS['image.list'].summary)
    .action(
      action(terminal, async (session) => {
        const client = await session.client()
        const { items } = valueOf(await client.call(ENDPOINTS['image.list']))
        session.print(items, () =>
          formatTable(items, [
            { title: 'NAME', of: (row) => row.name },
            { title: 'KIND', of: (row) => row.kind ?? 'disk' },
            { title: 'DISKS', of: (row) => (row.kind === 'iso' ? '' : 1 + (row.moreDisks?.length ?? 0)) },
            { title: 'SIZE', of: (row) => formatSize(row.virtualSizeBytes) },
            { title: 'PROJECT', of: (row) => row.project ?? '' },
            { title: 'CREATED', of: (row) => new Date(row.createdAt).toISOString() },
          ]),
        )
      }),
    )
  addImportCancel(image, terminal)
  addImageExport(image, terminal)
  addImageAssign(image, terminal)
  image
    .command('delete')
    .description(ENDPOINTS['image.delete'].summary)
    .argument('<name>', "the image's name")
    .action(
      action(terminal, async (session, [name = '']) => {
        const client = await session.client()
        valueOf(await client.call(ENDPOINTS['image.delete'], { params: { image: name } }))
        session.print({ deleted: name }, () => `image ${name} deleted\n`)
      }),
    )
}

/** `image cancel`, `template cancel`: the import is the same, the name a template's is `NAME@VERSION`. */
export function addImportCancel(command: Command, terminal: Terminal): void {
  command
    .command('cancel')
    .description(ENDPOINTS['image.cancel-import'].summary)
    .argument('<name>', 'what it would be called; of a template NAME@VERSION')
    .action(
      action(terminal, async (session, [name = '']) => {
        const client = await session.client()
        valueOf(await client.call(ENDPOINTS['image.cancel-import'], { params: { image: name } }))
        session.print({ cancelled: name }, () => `the import of ${name} was called off\n`)
      }),
    )
}

type Format = CallInput<(typeof ENDPOINTS)['image.import']>['body']['format']

const FORMATS: readonly Format[] = ['raw', 'qcow2', 'vmdk', 'vhdx', 'ova', 'iso']
/** Other endings that mean one of the formats. */
const ENDINGS: Readonly<Record<string, Format>> = { img: 'raw', dd: 'raw', qcow: 'qcow2', qcow2: 'qcow2' }

/** Said by the administrator or by the file's name; the host checks it against the content. */
function formatOf(said: unknown, file: string): Format {
  const word = typeof said === 'string' ? said : file.slice(file.lastIndexOf('.') + 1).toLowerCase()
  const format = FORMATS.find((each) => each === word) ?? (said === undefined ? ENDINGS[word] : undefined)
  if (format !== undefined) return format
  if (said !== undefined) throw badArgument(`--format: \`${word}\` is not a format`, `Write ${FORMATS.join(', ')}.`)
  throw badArgument(`The name ${file} does not tell its format`, `Give --format: ${FORMATS.join(', ')}.`)
}

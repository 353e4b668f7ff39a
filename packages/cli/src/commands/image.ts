import type { Command } from 'commander'
import { ENDPOINTS } from '@stead/api/endpoints.ts'
import { imageFormat } from '@stead/api/kernel-format.ts'
import { fileHead, uploadBlob } from '../blob-upload.ts'
import { formatTable } from '../output.ts'
import { badArgument, formatSize } from '../quantities.ts'
import { action, valueOf, type Terminal } from '../session.ts'

export function addImageCommands(program: Command, terminal: Terminal): void {
  const image = program.command('image').description('Disk images that new disks can start from')
  image
    .command('import')
    .description('Upload a disk image')
    .argument('<name>', 'a DNS label, unique among the images')
    .argument('<file>', 'a raw or qcow2 file')
    .option('--format <format>', 'raw or qcow2; found by the content when absent')
    .action(
      action(terminal, async (session, [name = '', file = ''], options) => {
        const format = options['format'] ?? imageFormat(await fileHead(file))
        if (format !== 'raw' && format !== 'qcow2') throw badArgument('--format: write raw or qcow2')
        const client = await session.client()
        const blob = await uploadBlob(client, file, session.signal)
        const made = valueOf(await client.call(ENDPOINTS['image.import'], { body: { name, blob, format } }))
        session.print(made, () => `image ${name} imported, ${formatSize(made.virtualSizeBytes)}\n`)
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
            { title: 'FORMAT', of: (row) => row.format },
            { title: 'SIZE', of: (row) => formatSize(row.virtualSizeBytes) },
            { title: 'CREATED', of: (row) => new Date(row.createdAt).toISOString() },
          ]),
        )
      }),
    )
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

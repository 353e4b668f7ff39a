import type { Command } from 'commander'
import { ENDPOINTS } from '@stead/api/endpoints.ts'
import type { VolumeView } from '@stead/api/views.ts'
import { formatFields, formatTable, type Column } from '../output.ts'
import { formatSize, parseSize } from '../quantities.ts'
import { action, valueOf, type Terminal } from '../session.ts'
import { addVolumeExport } from './vm-template.ts'
import { addVolumeMove } from './volume-move.ts'
import { finished, settle } from '../waiting.ts'

type ReplicaRow = VolumeView['replicas'][number]

export const REPLICA_COLUMNS: readonly Column<ReplicaRow>[] = [
  { title: 'HOST', of: (replica) => replica.host },
  { title: 'POOL', of: (replica) => replica.pool },
  { title: 'STATE', of: (replica) => replica.state },
  { title: 'LAG', of: (replica) => (replica.lagBytes === null ? 'unknown' : formatSize(replica.lagBytes)) },
  {
    title: 'REASON',
    of: ({ reason, redirected }) => (redirected ? `reached by the ${redirected.toUpperCase()}` : reason),
  },
]

export function addVolumeCommands(program: Command, terminal: Terminal): void {
  const volume = program.command('volume').description("Guests' disks and their replicas")
  volume
    .command('list')
    .description(ENDPOINTS['volume.list'].summary)
    .action(
      action(terminal, async (session) => {
        const client = await session.client()
        const { items } = valueOf(await client.call(ENDPOINTS['volume.list']))
        session.print(items, () =>
          formatTable(items, [
            { title: 'ID', of: (row) => row.id },
            { title: 'GUEST', of: (row) => (row.attachment === 'detached' ? '' : row.guest) },
            { title: 'SIZE', of: (row) => formatSize(row.sizeBytes) },
            { title: 'PROTECTION', of: (row) => row.protection.level },
            {
              title: 'REPLICAS',
              of: (row) => row.replicas.map((replica) => `${replica.host}:${replica.state}`).join(', '),
            },
          ]),
        )
      }),
    )
  addVolumeExport(volume, terminal)
  addVolumeMove(volume, terminal)
  volume
    .command('show')
    .description(ENDPOINTS['volume.show'].summary)
    .argument('<volume>', "the volume's id")
    .action(
      action(terminal, async (session, [id = '']) => {
        const client = await session.client()
        const view = valueOf(await client.call(ENDPOINTS['volume.show'], { params: { volume: id } }))
        session.print(view, () => {
          const fields = formatFields([
            ['id', view.id],
            ['name', view.name],
            ['guest', view.attachment === 'detached' ? `none (was of ${view.guest || 'a deleted one'})` : view.guest],
            [
              'size',
              `${formatSize(view.sizeBytes)}${view.growTo === undefined ? '' : `, becoming ${formatSize(view.growTo)}`}`,
            ],
            ['protection', [view.protection.level, view.protection.reason].filter(Boolean).join(': ')],
            ...(view.move ? [['move', view.move.message] as const] : []),
          ])
          return `${fields}\n${formatTable(view.replicas, REPLICA_COLUMNS)}`
        })
      }),
    )
  volume
    .command('resize')
    .description(ENDPOINTS['volume.resize'].summary)
    .argument('<volume>', "the volume's id")
    .requiredOption('--size <size>', 'the size that it is to have: 4GiB')
    .action(
      action(terminal, async (session, [id = ''], options) => {
        const sizeBytes = parseSize(String(options['size']), '--size')
        const client = await session.client()
        const request = { params: { volume: id }, body: { sizeBytes } }
        const { operation } = valueOf(await client.call(ENDPOINTS['volume.resize'], request))
        finished(session, await settle(session, client, operation), `volume ${id} has ${formatSize(sizeBytes)}`)
      }),
    )
  volume
    .command('delete')
    .description(ENDPOINTS['volume.delete'].summary)
    .argument('<volume>', "the volume's id")
    .action(
      action(terminal, async (session, [id = '']) => {
        const client = await session.client()
        const { operation } = valueOf(await client.call(ENDPOINTS['volume.delete'], { params: { volume: id } }))
        finished(session, await settle(session, client, operation), `volume ${id} deleted`)
      }),
    )
}

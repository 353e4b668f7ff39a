import type { Command } from 'commander'
import { ENDPOINTS } from '@stead/api/endpoints.ts'
import type { HostView, OperationView } from '@stead/api/views.ts'
import { formatFields, formatTable } from '../output.ts'
import { formatSize } from '../quantities.ts'
import { action, valueOf, type Session, type Terminal } from '../session.ts'
import { settle } from '../waiting.ts'

export function addClusterCommands(program: Command, terminal: Terminal): void {
  const cluster = program.command('cluster').description('The cluster as a whole')
  cluster.command('show').description(ENDPOINTS['cluster.show'].summary).action(action(terminal, showCluster))
  program
    .command('failover')
    .description(ENDPOINTS['cluster.failover'].summary)
    .requiredOption('--confirm-dead <host>', 'the host; make sure that it is off and stays off')
    .action(
      action(terminal, async (session, _args, options) => {
        const confirmDead = String(options['confirmDead'])
        const client = await session.client()
        const answer = valueOf(await client.call(ENDPOINTS['cluster.failover'], { body: { confirmDead } }))
        finished(session, await settle(session, client, answer.operation), `host ${confirmDead} confirmed dead`)
      }),
    )
  addHostCommands(program, terminal)
}

function addHostCommands(program: Command, terminal: Terminal): void {
  const host = program.command('host').description('Hosts')
  const name = ['<host>', "the host's name"] as const
  host.command('list').description(ENDPOINTS['host.list'].summary).action(action(terminal, listHosts))
  host
    .command('show')
    .description(ENDPOINTS['host.show'].summary)
    .argument(...name)
    .action(
      action(terminal, async (session, [id = '']) => {
        const client = await session.client()
        const view = valueOf(await client.call(ENDPOINTS['host.show'], { params: { host: id } }))
        session.print(view, () => hostText(view))
      }),
    )
  for (const [verb, done] of [
    ['drain', 'drained'],
    ['undrain', 'may run guests again'],
  ] as const) {
    host
      .command(verb)
      .description(ENDPOINTS[`host.${verb}`].summary)
      .argument(...name)
      .action(
        action(terminal, async (session, [id = '']) => {
          const client = await session.client()
          const answer = valueOf(await client.call(ENDPOINTS[`host.${verb}`], { params: { host: id } }))
          finished(session, await settle(session, client, answer.operation), `host ${id} ${done}`)
        }),
      )
  }
}

function finished(session: Session, operation: OperationView, done: string): void {
  const text = operation.state === 'succeeded' ? done : `begun, see \`stead operation show ${operation.id}\``
  session.print(operation, () => `${text}\n`)
}

async function showCluster(session: Session): Promise<void> {
  const client = await session.client()
  const view = valueOf(await client.call(ENDPOINTS['cluster.show']))
  session.print(view, () => {
    const fields = formatFields([
      ['name', view.name],
      ['id', view.id],
      ['coordinator', view.coordinator],
      ['term', view.term],
      ['answered by', view.answeredBy],
      ['hosts', `${view.hosts.online} of ${view.hosts.total} online`],
      ['guests', `${view.guests.total}, ${view.guests.running} running, ${view.guests.waiting} waiting`],
      ['protection', [view.protection.level, view.protection.reason].filter(Boolean).join(': ')],
      ['detection', `${view.detectionMs} ms`],
      ['created', view.createdAt],
    ])
    return fields + view.warnings.map((warning) => `warning: ${warning}\n`).join('')
  })
}

async function listHosts(session: Session): Promise<void> {
  const client = await session.client()
  const { items } = valueOf(await client.call(ENDPOINTS['host.list']))
  session.print(items, () =>
    formatTable<HostView>(items, [
      { title: 'NAME', of: (host) => (host.coordinator ? `${host.name} *` : host.name) },
      { title: 'STATE', of: (host) => host.state },
      { title: 'ROLE', of: (host) => host.role },
      { title: 'GUESTS', of: (host) => host.guests.length },
      { title: 'MEMORY', of: (host) => `${formatSize(host.memoryGrantedBytes)} of ${formatSize(host.memoryBytes)}` },
      { title: 'CPUS', of: (host) => host.cpuCount },
      { title: 'ACCELERATOR', of: (host) => host.accelerator },
      { title: 'REASON', of: (host) => host.reason },
    ]),
  )
  if (session.format !== 'table') return
  // The list itself is what was asked for; that the cluster could not be shown as well would be said by the next command.
  const cluster = await client.call(ENDPOINTS['cluster.show'])
  if (cluster.ok) for (const warning of cluster.value.warnings) session.note(`warning: ${warning}`)
}

function hostText(view: HostView): string {
  const fields = formatFields([
    ['name', view.name],
    ['state', view.state],
    ['reason', view.reason],
    ['since', view.since],
    ['role', view.role],
    ['coordinator', view.coordinator ? 'yes' : 'no'],
    ['maintenance', view.maintenance ? 'yes' : 'no'],
    [
      'addresses',
      Object.entries(view.addresses)
        .map(([role, address]) => `${role} ${address}`)
        .join(', '),
    ],
    ['memory', `${formatSize(view.memoryGrantedBytes)} of ${formatSize(view.memoryBytes)}`],
    ['cpus', view.cpuCount],
    ['accelerator', view.accelerator],
    ['guests', view.guests.join(', ')],
    ['boot id', view.bootId],
  ])
  if (view.pools.length === 0) return fields
  const pools = formatTable(view.pools, [
    { title: 'POOL', of: (pool) => pool.name },
    { title: 'ALLOCATED', of: (pool) => formatSize(pool.allocatedBytes) },
    { title: 'CAPACITY', of: (pool) => formatSize(pool.capacityBytes) },
  ])
  return `${fields}\n${pools}`
}

import type { Command } from 'commander'
import { ENDPOINTS } from '@stead/api/endpoints.ts'
import type { HostView } from '@stead/api/views.ts'
import { addHostOvercommit } from './host-overcommit.ts'
import { addHostNetworks } from './host-networks.ts'
import { addHostMetrics } from './metrics.ts'
import { formatFields, formatTable } from '../output.ts'
import { badArgument, formatSize } from '../quantities.ts'
import { action, valueOf, type Session, type Terminal } from '../session.ts'
import { finished, settle } from '../waiting.ts'

export function addHostCommands(program: Command, terminal: Terminal): void {
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
  host
    .command('drain')
    .description(ENDPOINTS['host.drain'].summary)
    .argument(...name)
    .option(...ACCEPT_BREACH)
    .action(
      action(terminal, async (session, [id = ''], options) => {
        const client = await session.client()
        const input = { params: { host: id }, body: { acceptBreach: options['acceptBreach'] === true } }
        const answer = valueOf(await client.call(ENDPOINTS['host.drain'], input))
        session.warn(answer.warnings)
        finished(session, await settle(session, client, answer.operation), `host ${id} drained`)
      }),
    )
  host
    .command('undrain')
    .description(ENDPOINTS['host.undrain'].summary)
    .argument(...name)
    .action(
      action(terminal, async (session, [id = '']) => {
        const client = await session.client()
        const answer = valueOf(await client.call(ENDPOINTS['host.undrain'], { params: { host: id } }))
        finished(session, await settle(session, client, answer.operation), `host ${id} may run guests again`)
      }),
    )
  host
    .command('set')
    .description(ENDPOINTS['host.set'].summary)
    .argument(...name)
    .option(
      '--fault-domain <kind=name>',
      'what it can fail with: rack=r1; rack= takes it away; may be repeated',
      (text: string, before: string[] | undefined) => [...(before ?? []), text],
    )
    .action(action(terminal, setHost))
  host
    .command('shutdown')
    .description(ENDPOINTS['host.shutdown'].summary)
    .argument(...name)
    .option('--reboot', 'it comes back at once')
    .option('--cancel', ENDPOINTS['host.cancel-shutdown'].summary)
    .option(...ACCEPT_BREACH)
    .action(action(terminal, shutDown))
  addMembership(host, terminal)
  addPower(host, terminal)
  addHostOvercommit(host, terminal)
  addHostMetrics(host, terminal)
  addHostNetworks(host, terminal)
}

function addMembership(host: Command, terminal: Terminal): void {
  host
    .command('invite')
    .description(ENDPOINTS['host.invite'].summary)
    .option('--role <role>', 'compute (it runs guests) or witness (it only votes)', 'compute')
    .option('--minutes <n>', 'how long the token is valid', '60')
    .action(
      action(terminal, async (session, _args, options) => {
        const role = String(options['role'])
        if (role !== 'compute' && role !== 'witness') throw badArgument(`There is no role ${role}`)
        const client = await session.client()
        const body = { role, minutes: Number(options['minutes']) } as const
        const invited = valueOf(await client.call(ENDPOINTS['host.invite'], { body }))
        session.print(invited, () => `${invited.token}\n`)
      }),
    )
  host
    .command('remove')
    .description(ENDPOINTS['host.remove'].summary)
    .argument('<host>', "the host's name")
    .action(
      action(terminal, async (session, [id = '']) => {
        const client = await session.client()
        valueOf(await client.call(ENDPOINTS['host.remove'], { params: { host: id } }))
        session.print({ host: id }, () => `host ${id} removed\n`)
      }),
    )
}

/** Of hosts that hang on a device: those of a lab. */
function addPower(host: Command, terminal: Terminal): void {
  for (const [name, id, done] of [
    ['cut-power', 'host.cut-power', 'loses its power'],
    ['restore-power', 'host.restore-power', 'boots'],
  ] as const) {
    host
      .command(name)
      .description(ENDPOINTS[id].summary)
      .argument('<host>', "the host's name")
      .action(
        action(terminal, async (session, [named = '']) => {
          const client = await session.client()
          const answer = valueOf(await client.call(ENDPOINTS[id], { params: { host: named } }))
          finished(session, answer.operation, `host ${named} ${done}`)
        }),
      )
  }
}

export const ACCEPT_BREACH = [
  '--accept-breach',
  'do it even where guests would have no place after a loss and the policy refuses that',
] as const

async function setHost(session: Session, [id = '']: readonly string[], options: Options): Promise<void> {
  const { faultDomain } = options
  if (!Array.isArray(faultDomain)) throw badArgument('Nothing to set', 'Give --fault-domain rack=r1.')
  const faultDomains = Object.fromEntries(faultDomain.map((text) => faultDomainOf(String(text))))
  const client = await session.client()
  const view = valueOf(await client.call(ENDPOINTS['host.set'], { params: { host: id }, body: { faultDomains } }))
  session.print(view, () => hostText(view))
}

function faultDomainOf(text: string): [kind: string, name: string | null] {
  const [, kind, name] = /^([^=]+)=([^=]*)$/.exec(text) ?? []
  if (kind === undefined || name === undefined)
    throw badArgument(
      `--fault-domain: \`${text}\` is not a kind and a name`,
      'Write rack=r1, or rack= to take it away.',
    )
  return [kind, name === '' ? null : name]
}

async function shutDown(session: Session, [id = '']: readonly string[], options: Options): Promise<void> {
  const client = await session.client()
  const params = { host: id }
  if (options['cancel'] === true) {
    const answer = valueOf(await client.call(ENDPOINTS['host.cancel-shutdown'], { params }))
    finished(session, await settle(session, client, answer.operation), `the shutdown of host ${id} is called off`)
    return
  }
  const how = options['reboot'] === true ? ('reboot' as const) : ('power-off' as const)
  const body = { how, acceptBreach: options['acceptBreach'] === true }
  const answer = valueOf(await client.call(ENDPOINTS['host.shutdown'], { params, body }))
  session.warn(answer.warnings)
  const done = how === 'reboot' ? 'rebooted' : 'switched off'
  finished(session, await settle(session, client, answer.operation), `host ${id} runs no guest; it may be ${done}`)
}

type Options = Readonly<Record<string, unknown>>

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
    ['shutdown', view.shutdown],
    [
      'fault domains',
      Object.entries(view.faultDomains)
        .map(([kind, domain]) => `${kind} ${domain}`)
        .join(', '),
    ],
    [
      'addresses',
      Object.entries(view.addresses)
        .map(([role, address]) => `${role} ${address}`)
        .join(', '),
    ],
    ['memory', `${formatSize(view.memoryGrantedBytes)} of ${formatSize(view.memoryBytes)}`],
    ['cpus', view.cpuCount],
    ['accelerator', view.accelerator],
    ['devices', view.devices.map(({ name, count }) => `${count} ${name}`).join(', ')],
    [
      'huge pages',
      Object.entries(view.hugePages)
        .map(([size, count]) => `${count} of ${size}`)
        .join(', '),
    ],
    ['guests', view.guests.join(', ')],
    ['boot id', view.bootId],
  ])
  if (view.pools.length === 0) return fields
  const pools = formatTable(view.pools, [
    { title: 'POOL', of: (pool) => pool.name },
    { title: 'ALLOCATED', of: (pool) => formatSize(pool.allocatedBytes) },
    { title: 'CAPACITY', of: (pool) => formatSize(pool.capacityBytes) },
    { title: 'NATIVE ROOTS', of: (pool) => (pool.subvolumes ? 'yes' : 'no') },
  ])
  return `${fields}\n${pools}`
}

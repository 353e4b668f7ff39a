/** `vm disk` and `vm nic`: what of a guest's hardware comes and goes while it runs. */
import type { Command } from 'commander'
import { ENDPOINTS } from '@stead/api/endpoints.ts'
import type { Client } from '@stead/api/client.ts'
import type { GuestView, OperationView } from '@stead/api/views.ts'
import type { Result } from '@stead/core/result.ts'
import { badArgument, formatSize, parseCount, parseSize } from '../quantities.ts'
import { action, valueOf, type Session, type Terminal } from '../session.ts'
import { settle } from '../waiting.ts'
import { growDisk } from './disk-grow.ts'

const NAME = ['<name>', "the guest's name or id"] as const
const DISK = ['<disk>', "the disk's name (disk1) or its volume's id"] as const
const NIC = ['<number>', 'the number of the network card'] as const

type Options = Readonly<Record<string, unknown>>
type Answer = Result<{ readonly operation: OperationView; readonly warnings?: readonly string[] }>

export function addVmHardware(vm: Command, terminal: Terminal): void {
  const disk = vm.command('disk').description("A guest's disks")
  limitOptions(
    disk
      .command('add')
      .description(ENDPOINTS['guest.disk-add'].summary)
      .argument(...NAME)
      .option('--size <size>', 'of a new disk: 1GiB')
      .option('--replicas <n>', 'copies on different hosts: 1, 2 or 3', '2')
      .option('--pool <name>', 'pool on each host')
      .option('--image <name>', 'image that fills it at first')
      .option('--mount <path>', 'of a container: where it is mounted')
      .option('--volume <id>', 'a volume that was kept when a guest gave it back, in place of a new one'),
  ).action(
    action(terminal, (session, [guest = ''], options) =>
      change(session, `${vm.name()} ${guest}: disk added`, (client) =>
        client.call(ENDPOINTS['guest.disk-add'], { params: { guest }, body: newDisk(options) }),
      ),
    ),
  )
  disk
    .command('remove')
    .description(ENDPOINTS['guest.disk-remove'].summary)
    .argument(...NAME)
    .argument(...DISK)
    .option('--delete', 'delete its volume too; without, it is kept and can be added to a guest again')
    .action(
      action(terminal, (session, [guest = '', name = ''], options) =>
        change(session, `${vm.name()} ${guest}: ${name} removed`, (client) =>
          client.call(ENDPOINTS['guest.disk-remove'], {
            params: { guest, disk: name },
            query: { volume: options['delete'] === true ? 'delete' : 'keep' },
          }),
        ),
      ),
    )
  disk
    .command('grow')
    .description('Make a disk larger, also while the guest runs')
    .argument(...NAME)
    .argument(...DISK)
    .requiredOption('--size <size>', 'the size that it is to have: 4GiB')
    .action(
      action(terminal, async (session, [guest = '', name = ''], options) => {
        const sizeBytes = parseSize(String(options['size']), '--size')
        const { text, result } = await growDisk(session, { guest, name, sizeBytes })
        session.print(result, () => text)
      }),
    )
  limitOptions(
    disk
      .command('limit')
      .description(`${ENDPOINTS['guest.disk-set'].summary}; without options all limits are lifted`)
      .argument(...NAME)
      .argument(...DISK),
  ).action(
    action(terminal, (session, [guest = '', name = ''], options) =>
      change(session, `${vm.name()} ${guest}: ${name} limited`, (client) =>
        client.call(ENDPOINTS['guest.disk-set'], {
          params: { guest, disk: name },
          body: { limits: diskLimits(options) },
        }),
      ),
    ),
  )

  const nic = vm.command('nic').description("A guest's network cards")
  addressOptions(
    vm,
    rateOptions(nic.command('add').description(ENDPOINTS['guest.nic-add'].summary))
      .argument(...NAME)
      .option('--mac <address>', 'its hardware address; one that follows from the guest when absent'),
  ).action(
    action(terminal, (session, [guest = ''], options) => {
      const mac = options['mac']
      const limits = nicLimits(options)
      const body = {
        ...(typeof mac === 'string' ? { mac } : {}),
        ...(Object.keys(limits).length > 0 ? { limits } : {}),
        ...givenAddresses(options),
      }
      return change(session, `${vm.name()} ${guest}: network card added`, (client) =>
        client.call(ENDPOINTS['guest.nic-add'], { params: { guest }, body }),
      )
    }),
  )
  nic
    .command('remove')
    .description(ENDPOINTS['guest.nic-remove'].summary)
    .argument(...NAME)
    .argument(...NIC)
    .action(
      action(terminal, (session, [guest = '', number = '']) =>
        change(session, `${vm.name()} ${guest}: network card ${number} removed`, (client) =>
          client.call(ENDPOINTS['guest.nic-remove'], { params: { guest, nic: number } }),
        ),
      ),
    )
  if (vm.name() === 'ct') addNicAddress(nic, terminal)
  rateOptions(
    nic
      .command('limit')
      .description('Limit what passes a network card, live; without options all limits are lifted')
      .argument(...NAME)
      .argument(...NIC),
  ).action(
    action(terminal, (session, [guest = '', number = ''], options) =>
      change(session, `${vm.name()} ${guest}: network card ${number} limited`, (client) =>
        client.call(ENDPOINTS['guest.nic-set'], {
          params: { guest, nic: number },
          body: { limits: nicLimits(options) },
        }),
      ),
    ),
  )
}

function addNicAddress(nic: Command, terminal: Terminal): void {
  nic
    .command('address')
    .description('Say which addresses a network card has, live: those given, and no others')
    .argument(...NAME)
    .argument(...NIC)
    .option(
      '--address <address>',
      'such as 192.0.2.10/24; can be given several times; none: it has none',
      collected,
      [],
    )
    .option('--gateway <address>', 'where its default route leads; one for each family', collected, [])
    .action(
      action(terminal, (session, [guest = '', number = ''], options) =>
        change(session, `ct ${guest}: addresses of network card ${number} changed`, (client) =>
          client.call(ENDPOINTS['guest.nic-set'], {
            params: { guest, nic: number },
            body: { addresses: [], gateways: [], ...givenAddresses(options) },
          }),
        ),
      ),
    )
}

/** Of containers only: a virtual machine gives its cards addresses itself. */
function addressOptions(kind: Command, command: Command): Command {
  if (kind.name() !== 'ct') return command
  return command
    .option('--address <address>', 'such as 192.0.2.10/24; can be given several times', collected, [])
    .option('--gateway <address>', 'where its default route leads; one for each family', collected, [])
}

function collected(value: string, before: readonly string[]): readonly string[] {
  return [...before, value]
}

function givenAddresses({ address = [], gateway = [] }: Options) {
  const [addresses, gateways] = [address, gateway].map((each) => [...(each as readonly string[])])
  return {
    ...(addresses!.length > 0 ? { addresses } : {}),
    ...(gateways!.length > 0 ? { gateways } : {}),
  }
}

function limitOptions(command: Command): Command {
  return command
    .option('--iops <n>', 'reads and writes a second')
    .option('--rate <size>', 'read and written a second: 50MiB')
    .option('--burst-iops <n>', 'allowed for --burst-seconds after a quieter time')
    .option('--burst-rate <size>', 'allowed for --burst-seconds after a quieter time')
    .option('--burst-seconds <n>', 'default 1')
}

function rateOptions(command: Command): Command {
  return command
    .option('--receive <size>', 'to the guest, a second: 10MiB')
    .option('--send <size>', 'from the guest, a second: 10MiB')
    .option('--packets <n>', 'from the guest, packets a second; what is more is dropped')
}

function newDisk(options: Options) {
  const [size, volume, pool, image] = ['size', 'volume', 'pool', 'image'].map((name) => options[name])
  const mount = typeof options['mount'] === 'string' ? { mountPath: options['mount'] } : {}
  if (typeof volume === 'string') return { volume, ...mount }
  if (typeof size !== 'string')
    throw badArgument('Which disk?', 'Give --size SIZE, or --volume ID of one that was kept.')
  const replicas = parseCount(String(options['replicas']), '--replicas')
  if (replicas !== 1 && replicas !== 2 && replicas !== 3) throw badArgument('--replicas: must be 1, 2 or 3')
  const limits = diskLimits(options)
  return {
    sizeBytes: parseSize(size, '--size'),
    replicas: replicas as 1 | 2 | 3,
    ...mount,
    ...(typeof pool === 'string' ? { pool } : {}),
    ...(typeof image === 'string' ? { image } : {}),
    ...(Object.keys(limits).length > 0 ? { limits } : {}),
  }
}

function diskLimits(options: Options) {
  const count = (name: string, option: string) =>
    typeof options[name] === 'string' ? parseCount(options[name], option) : undefined
  const size = (name: string, option: string) =>
    typeof options[name] === 'string' ? parseSize(options[name], option) : undefined
  return withoutAbsent({
    operationsPerSecond: count('iops', '--iops'),
    bytesPerSecond: size('rate', '--rate'),
    burstOperationsPerSecond: count('burstIops', '--burst-iops'),
    burstBytesPerSecond: size('burstRate', '--burst-rate'),
    burstSeconds: count('burstSeconds', '--burst-seconds'),
  })
}

function nicLimits(options: Options) {
  const size = (name: string) => (typeof options[name] === 'string' ? parseSize(options[name], `--${name}`) : undefined)
  const { packets } = options
  return withoutAbsent({
    receiveBytesPerSecond: size('receive'),
    sendBytesPerSecond: size('send'),
    sendPacketsPerSecond: typeof packets === 'string' ? parseCount(packets, '--packets') : undefined,
  })
}

/** ` (receives 1 MiB/s, sends 2 MiB/s and 500 packets/s)`; empty without limits. */
export function rateText(limits: GuestView['nics'][number]['limits']): string {
  const { receiveBytesPerSecond: receive, sendBytesPerSecond: send, sendPacketsPerSecond: packets } = limits ?? {}
  const sends = [
    ...(send === undefined ? [] : [`${formatSize(send)}/s`]),
    ...(packets === undefined ? [] : [`${packets} packets/s`]),
  ]
  const parts = [
    ...(receive === undefined ? [] : [`receives ${formatSize(receive)}/s`]),
    ...(sends.length === 0 ? [] : [`sends ${sends.join(' and ')}`]),
  ]
  return parts.length === 0 ? '' : ` (${parts.join(', ')})`
}

export function diskLimitText(limits: NonNullable<GuestView['volumes'][number]['limits']>): string {
  const { operationsPerSecond, bytesPerSecond, burstOperationsPerSecond, burstBytesPerSecond, burstSeconds } = limits
  const burst = (text: string) => `, ${text} for ${burstSeconds ?? 1} s`
  const operations = operationsPerSecond === undefined ? '' : `${operationsPerSecond} operations/s`
  const bytes = bytesPerSecond === undefined ? '' : `${formatSize(bytesPerSecond)}/s`
  return [
    operations && operations + (burstOperationsPerSecond ? burst(`${burstOperationsPerSecond} operations/s`) : ''),
    bytes && bytes + (burstBytesPerSecond ? burst(`${formatSize(burstBytesPerSecond)}/s`) : ''),
  ]
    .filter(Boolean)
    .join(' and ')
}

type Given<T> = { [Key in keyof T]?: Exclude<T[Key], undefined> }

function withoutAbsent<T extends Record<string, number | undefined>>(limits: T): Given<T> {
  return Object.fromEntries(Object.entries(limits).filter(([, value]) => value !== undefined)) as Given<T>
}

async function change(session: Session, done: string, send: (client: Client) => Promise<Answer>): Promise<void> {
  const client = await session.client()
  const answer = valueOf(await send(client))
  session.warn(answer.warnings ?? [])
  const operation = await settle(session, client, answer.operation)
  const isOver = operation.state === 'succeeded'
  const text = isOver ? done : `${done}: begun, see \`stead operation show ${operation.id}\` (${operation.message})`
  session.print(operation, () => `${text}\n`)
}

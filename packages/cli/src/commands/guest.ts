import type { Command } from 'commander'
import { ENDPOINTS } from '@stead/api/endpoints.ts'
import type { ContainerCounterView } from '@stead/api/endpoints/counters.ts'
import type { GuestView, OperationView } from '@stead/api/views.ts'
import type { Client } from '@stead/api/client.ts'
import type { Result } from '@stead/core/result.ts'
import { formatFields, formatTable } from '../output.ts'
import { badArgument, formatSize, parseDuration } from '../quantities.ts'
import { action, valueOf, type Session, type Terminal } from '../session.ts'
import { settle } from '../waiting.ts'
import { addGuestCounters } from './guest-counters.ts'
import { containerFields } from './ct-options.ts'
import { copyLines } from './ct-root.ts'
import { printExplanation } from './explain.ts'
import { ACCEPT_BREACH } from './host.ts'
import { addGuestMetrics } from './metrics.ts'
import { refusedText } from './top.ts'
import { REPLICA_COLUMNS } from './volume.ts'
import { addVmHardware, diskLimitText, rateText } from './vm-hardware.ts'
import { addGuestMoves } from './vm-move.ts'
import { addVmProbe, checkText, readinessText } from './vm-probe.ts'
import { addGuestAssign } from './project.ts'
import { addVmSchedule } from './vm-schedule.ts'
import { platformFields } from './vm-platform.ts'
import { sizeFields } from './vm-size.ts'
import { addVmTemplates } from './vm-template.ts'
import { addVmSnapshots } from './vm-snapshot.ts'

const NAME = ['<name>', "the guest's name or id"] as const

/** What virtual machines and containers have in common; the group's name, `vm` or `ct`, says which it is. */
export function addGuestCommands(vm: Command, terminal: Terminal): void {
  const kind = vm.name() as GuestView['kind']
  vm.command('list')
    .description(ENDPOINTS['guest.list'].summary)
    .option('--tag <tags>', 'only those that have all of these tags, separated by commas')
    .option('--project <name>', 'only those of this project')
    .action(action(terminal, (session, _, options) => listGuests(session, kind, options)))
  vm.command('show')
    .description(ENDPOINTS['guest.show'].summary)
    .argument(...NAME)
    .action(action(terminal, showGuest))
  vm.command('start')
    .description(ENDPOINTS['guest.start'].summary)
    .argument(...NAME)
    .option(
      '--accept-data-loss',
      'start from a stale copy when no current one can be reached; what was written since is lost',
    )
    .option(...ACCEPT_BREACH)
    .action(
      action(terminal, async (session, [guest = ''], options) => {
        const body = {
          acceptDataLoss: options['acceptDataLoss'] === true,
          acceptBreach: options['acceptBreach'] === true,
        }
        await operate(session, kind, guest, 'started', (client) =>
          client.call(ENDPOINTS['guest.start'], { params: { guest }, body }),
        )
      }),
    )
  vm.command('stop')
    .description(ENDPOINTS['guest.stop'].summary)
    .argument(...NAME)
    .option('--force', "do not wait for the guest's own shutdown")
    .option('--grace <duration>', "how long to wait for the guest's own shutdown before its power is cut (30s, 2m)")
    .action(
      action(terminal, async (session, [guest = ''], options) => {
        const grace = options['grace']
        const body = {
          force: options['force'] === true,
          ...(typeof grace === 'string' ? { timeoutMs: parseDuration(grace, '--grace') } : {}),
        }
        await operate(session, kind, guest, 'stopped', (client) =>
          client.call(ENDPOINTS['guest.stop'], { params: { guest }, body }),
        )
      }),
    )
  vm.command('restart')
    .description(ENDPOINTS['guest.restart'].summary)
    .argument(...NAME)
    .action(
      action(terminal, async (session, [guest = '']) => {
        await operate(session, kind, guest, 'restarted', (client) =>
          client.call(ENDPOINTS['guest.restart'], { params: { guest } }),
        )
      }),
    )
  vm.command('delete')
    .description(ENDPOINTS['guest.delete'].summary)
    .argument(...NAME)
    .action(
      action(terminal, async (session, [guest = '']) => {
        await operate(session, kind, guest, 'deleted', (client) =>
          client.call(ENDPOINTS['guest.delete'], { params: { guest } }),
        )
      }),
    )
  addGuestMoves(vm, terminal)
  addVmHardware(vm, terminal)
  addVmProbe(vm, terminal)
  addVmSchedule(vm, terminal)
  addVmTemplates(vm, terminal)
  addGuestAssign(vm, terminal)
  addVmSnapshots(vm, terminal)
  addGuestMetrics(vm, terminal)
  addGuestCounters(vm, terminal)
  vm.command('log')
    .description(ENDPOINTS['guest.log'].summary)
    .argument(...NAME)
    .option('-f, --follow', 'go on as the guest writes')
    .action(action(terminal, printLog))
}

async function listGuests(
  session: Session,
  kind: GuestView['kind'],
  { tag, project }: Record<string, unknown>,
): Promise<void> {
  const client = await session.client()
  const query = {
    kind,
    ...(typeof tag === 'string' ? { tag } : {}),
    ...(typeof project === 'string' ? { project } : {}),
  }
  // What was refused is no record: the hosts are asked at the same time, and a host that is silent hides no list.
  const [listed, used] = await Promise.all([
    client.call(ENDPOINTS['guest.list'], { query }),
    kind === 'ct' && session.format === 'table' ? client.call(ENDPOINTS['counter.list'], {}) : undefined,
  ])
  const { items } = valueOf(listed)
  const refused = new Map(used?.ok ? used.value.items.map((use) => [use.id, refusedText(use)]) : [])
  session.print(items, () =>
    formatTable<GuestView>(items, [
      { title: 'NAME', of: (guest) => guest.name },
      ...(items.some((guest) => guest.project !== 'default')
        ? [{ title: 'PROJECT', of: (guest: GuestView) => guest.project }]
        : []),
      { title: 'STATE', of: (guest) => guest.state },
      { title: 'READY', of: (guest) => (guest.readiness ? (guest.readiness.ready ? 'yes' : 'no') : null) },
      { title: 'HOST', of: (guest) => guest.host },
      { title: 'EPOCH', of: (guest) => guest.epoch },
      { title: 'HA', of: (guest) => guest.ha },
      { title: 'PROTECTION', of: (guest) => guest.protection.level },
      { title: 'MEMORY', of: (guest) => formatSize(guest.memoryBytes) },
      { title: 'CPUS', of: (guest) => guest.cpus },
      { title: 'TAGS', of: (guest) => guest.tags.join(',') },
      ...([...refused.values()].some((text) => text !== '')
        ? [{ title: 'REFUSED', of: (guest: GuestView) => refused.get(guest.id) ?? null }]
        : []),
      { title: 'REASON', of: (guest) => guest.reason || guest.protection.reason },
    ]),
  )
}

async function showGuest(session: Session, [guest = '']: readonly string[]): Promise<void> {
  const client = await session.client()
  const view = valueOf(await client.call(ENDPOINTS['guest.show'], { params: { guest } }))
  const isPaced = view.kind === 'vm' && view.nics.some(({ limits }) => limits?.sendPacketsPerSecond !== undefined)
  // What was refused is no record: its host is asked, and one that is silent hides nothing else.
  const counted =
    isPaced && view.host !== null && session.format === 'table'
      ? await client.call(ENDPOINTS['guest.counters'], { params: { guest } })
      : undefined
  session.print(view, () => guestText(view, counted?.ok ? counted.value.items : []))
  if (session.explain) await printExplanation(session, client, guest)
}

export function guestText(view: GuestView, counters: readonly ContainerCounterView[] = []): string {
  const fields = formatFields([
    ['name', view.name],
    ['project', view.project === 'default' ? '' : view.project],
    ['id', view.id],
    ['state', view.state],
    ['reason', view.reason],
    ['readiness', view.readiness && readinessText(view.readiness)],
    ['host', view.host],
    ['epoch', view.epoch],
    ['ha', view.ha],
    ['moves to', view.moveTo],
    ['priority', view.priority],
    [
      'when it fails',
      `${view.maxRestart} more tries on a host, ${view.maxRelocate} other hosts; ${view.failback ? 'returns' : 'does not return'} to preferred hosts`,
    ],
    ['protection', [view.protection.level, view.protection.reason].filter(Boolean).join(': ')],
    ...sizeFields(view),
    ...platformFields(view),
    ['boot', view.boot.kind],
    ...(view.container ? containerFields(view.container) : [['display', view.display] as const]),
    ['nics', view.nics.map(nicText).join(', ')],
    ['refused', refusalsText(counters)],
    ['pending', view.pending.map(({ what, why }) => `${what}: ${why}`).join('; ')],
    ['addresses', view.addresses?.join(', ') ?? null],
    ['agent', view.agent.execute ? 'may run programs' : null],
    ['tags', view.tags.join(', ')],
    ['protected from', view.protectedFrom.join(', ')],
    ['autostart', view.ha === 'ignored' ? (view.autostart ? 'when its host has booted' : 'no') : null],
    ['probe', view.probe && checkText(view.probe.check)],
    ['schedules', view.schedules.map((one) => `${one.name} (${one.action} at ${one.cron} ${one.timeZone})`).join(', ')],
    ['created', view.createdAt],
    ['notes', view.notes],
  ])
  const replicas = view.volumes.flatMap((volume) => volume.replicas.map((replica) => ({ volume, ...replica })))
  if (replicas.length === 0) return fields
  const table = formatTable(replicas, [
    { title: 'DISK', of: (row) => row.volume.name },
    { title: 'VOLUME', of: (row) => row.volume.id },
    { title: 'SIZE', of: (row) => formatSize(row.volume.sizeBytes) },
    ...REPLICA_COLUMNS,
  ])
  const limits = view.volumes.flatMap(({ name, limits: limited }) =>
    limited ? [`${name} is limited to ${diskLimitText(limited)}\n`] : [],
  )
  return `${fields}\n${table}${limits.join('')}${copyLines(view, Date.now())}`
}

function nicText({ slot, network, mac, addresses = [], limits }: GuestView['nics'][number]): string {
  return [`${slot}: ${network} ${mac}${rateText(limits)}`, ...addresses].join(' ')
}

function refusalsText(counters: readonly ContainerCounterView[]): string | null {
  const refused = counters.filter(({ failures }) => (failures ?? 0) > 0)
  return refused.map(({ resource, failures }) => `${resource} ${failures ?? 0}`).join(', ') || null
}

/** Sends a long request, waits for its end and says so. */
async function operate(
  session: Session,
  kind: GuestView['kind'],
  guest: string,
  done: string,
  send: (
    client: Client,
  ) => Promise<Result<{ readonly operation: OperationView; readonly warnings?: readonly string[] }>>,
): Promise<void> {
  const client = await session.client()
  const answer = valueOf(await send(client))
  session.warn(answer.warnings ?? [])
  const operation = await settle(session, client, answer.operation)
  const verb = operation.state === 'succeeded' ? done : `${done}: begun, see \`stead operation show ${operation.id}\``
  session.print(operation, () => `${kind} ${guest} ${verb}\n`)
  if (session.explain) await printExplanation(session, client, guest)
}

export function parseHa(text: string): 'started' | 'stopped' | 'ignored' {
  if (text === 'started' || text === 'stopped' || text === 'ignored') return text
  throw badArgument(`--ha: \`${text}\` is not a mode`, 'Write started, stopped or ignored.')
}

/** Bytes as they came. When the serving host falls, `--follow` goes on at another one from the same place. */
async function printLog(
  session: Session,
  [guest = '']: readonly string[],
  options: Record<string, unknown>,
): Promise<void> {
  const follow = options['follow'] === true
  const client = await session.client()
  let offset = 0
  for (;;) {
    const query = { follow, offset }
    const opened = await client.stream(ENDPOINTS['guest.log'], { params: { guest }, query }, { signal: session.signal })
    if (session.signal.aborted) return
    const { body } = valueOf(opened)
    try {
      for await (const bytes of body) {
        offset += bytes.length
        session.terminal.stdout.write(bytes)
      }
      return
    } catch (error) {
      if (session.signal.aborted) return
      if (!follow) throw error
      session.note('(the connection broke; going on)')
    }
  }
}

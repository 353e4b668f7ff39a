/** `stead vm probe`: how it is found out whether a guest is ready. */
import type { Command } from 'commander'
import type { CallInput } from '@stead/api/endpoint.ts'
import { ENDPOINTS } from '@stead/api/endpoints.ts'
import type { GuestView } from '@stead/api/views.ts'
import { formatFields } from '../output.ts'
import { badArgument, parseCount, parseDuration } from '../quantities.ts'
import { action, valueOf, type Session, type Terminal } from '../session.ts'

type ProbeBody = CallInput<(typeof ENDPOINTS)['probe.set']>['body']
type Check = ProbeBody['check']
type Options = Readonly<Record<string, unknown>>

const NAME = ['<name>', "the guest's name or id"] as const

export function addVmProbe(vm: Command, terminal: Terminal): void {
  const probe = vm.command('probe').description('How it is found out whether a guest is ready')
  probe
    .command('set')
    .description(ENDPOINTS['probe.set'].summary)
    .argument(...NAME)
    .option('--tcp <port>', 'a connection to this port is taken')
    .option('--http <port>', 'a request to this port is answered')
    .option('--path <path>', 'with --http: what is asked for; / when absent')
    .option('--status <code>', 'with --http: the status that is wanted; any from 200 to 399 when absent')
    .option('--body <text>', 'with --http: what the answer must contain')
    .option('--agent', 'the agent inside the guest answers')
    .option('--address <ip>', "with --tcp and --http: the guest's address; else as the agent inside it tells")
    .option('--console <text>', 'the serial console has said this since the guest booted')
    .option('--console-pattern <expression>', 'the same with a regular expression, matched line by line')
    .option('--initial-delay <duration>', 'from the start to the first try (0s)')
    .option('--period <duration>', 'between tries (10s)')
    .option('--probe-timeout <duration>', 'a try that takes longer has failed (1s)')
    .option('--successes <n>', 'in a row that make it ready (1)')
    .option('--failures <n>', 'in a row after which it is not ready any more (3)')
    .option('--restart', 'restart the guest when it was ready and is not any more')
    .action(action(terminal, setProbe))
  probe
    .command('show')
    .description('Show the probe of a guest and what it has found')
    .argument(...NAME)
    .action(
      action(terminal, async (session, [guest = '']) => {
        const client = await session.client()
        const view = valueOf(await client.call(ENDPOINTS['guest.show'], { params: { guest } }))
        const { probe: wanted, readiness } = view
        session.print({ probe: wanted, readiness }, () => probeText(view))
      }),
    )
  probe
    .command('remove')
    .description(ENDPOINTS['probe.remove'].summary)
    .argument(...NAME)
    .action(
      action(terminal, async (session, [guest = '']) => {
        const client = await session.client()
        valueOf(await client.call(ENDPOINTS['probe.remove'], { params: { guest } }))
        session.print({ guest, probe: null }, () => `${vm.name()} ${guest} has no probe any more\n`)
      }),
    )
}

async function setProbe(session: Session, [guest = '']: readonly string[], options: Options): Promise<void> {
  const body = bodyOf(options)
  const client = await session.client()
  const view = valueOf(await client.call(ENDPOINTS['probe.set'], { params: { guest }, body }))
  session.print(view, () => probeText(view))
}

function bodyOf(options: Options): ProbeBody {
  const text = (name: string) => (typeof options[name] === 'string' ? options[name] : undefined)
  const duration = (name: string, flag: string) => {
    const given = text(name)
    return given === undefined ? undefined : parseDuration(given, flag)
  }
  const count = (name: string, flag: string) => {
    const given = text(name)
    return given === undefined ? undefined : parseCount(given, flag)
  }
  const settings = {
    initialDelayMs: duration('initialDelay', '--initial-delay'),
    periodMs: duration('period', '--period'),
    timeoutMs: duration('probeTimeout', '--probe-timeout'),
    successThreshold: count('successes', '--successes'),
    failureThreshold: count('failures', '--failures'),
    onFailure: options['restart'] === true ? 'restart' : undefined,
  }
  const given = Object.entries(settings).filter(([, value]) => value !== undefined)
  return { check: checkOf(options), ...Object.fromEntries(given) }
}

function checkOf(options: Options): Check {
  const text = (name: string) => (typeof options[name] === 'string' ? options[name] : undefined)
  const [tcp, http, consoleText, consolePattern] = [text('tcp'), text('http'), text('console'), text('consolePattern')]
  const agent = options['agent'] === true ? 'agent' : undefined
  if ([tcp, http, agent, consoleText, consolePattern].filter((one) => one !== undefined).length !== 1)
    throw badArgument('A probe looks at one thing', 'Give --tcp, --http, --agent, --console or --console-pattern.')
  if (http === undefined && [text('path'), text('status'), text('body')].some((one) => one !== undefined))
    throw badArgument('--path, --status and --body need --http')
  if (agent !== undefined) return { kind: 'agent' }
  if (consoleText !== undefined) return { kind: 'console', find: consoleText, as: 'text' }
  if (consolePattern !== undefined) return { kind: 'console', find: consolePattern, as: 'pattern' }
  const given = text('address')
  const address = given === undefined ? {} : { address: given }
  if (tcp !== undefined) return { kind: 'tcp', ...address, port: parseCount(tcp, '--tcp') }
  const [status, body] = [text('status'), text('body')]
  return {
    kind: 'http',
    ...address,
    port: parseCount(http ?? '', '--http'),
    path: text('path') ?? '/',
    ...(status === undefined ? {} : { status: parseCount(status, '--status') }),
    ...(body === undefined ? {} : { body }),
  }
}

function probeText({ name, probe, readiness }: GuestView): string {
  if (!probe) return `${name} has no probe\n`
  return formatFields([
    ['probe', checkText(probe.check)],
    ['first try', `after ${probe.initialDelayMs / 1000} s`],
    ['tries', `every ${probe.periodMs / 1000} s, each ${probe.timeoutMs / 1000} s at most`],
    ['ready', `after ${probe.successThreshold} in a row that succeed`],
    ['not ready', `after ${probe.failureThreshold} in a row that fail`],
    ['then', probe.onFailure === 'restart' ? 'it is restarted, and the run counts as failed' : 'it is reported'],
    ['now', readiness ? readinessText(readiness) : 'it does not run'],
  ])
}

export function readinessText({ ready, since, reason }: NonNullable<GuestView['readiness']>): string {
  return `${ready ? 'ready' : 'not ready'} since ${since}${reason === '' ? '' : `: ${reason}`}`
}

export function checkText(check: NonNullable<GuestView['probe']>['check']): string {
  switch (check.kind) {
    case 'tcp':
      return `TCP ${check.address ?? 'address of its agent'}, port ${check.port}`
    case 'agent':
      return 'the agent inside the guest answers'
    case 'http': {
      const body = check.body === undefined ? '' : `, containing ${JSON.stringify(check.body)}`
      return `HTTP ${check.address ?? 'address of its agent'}, port ${check.port}, ${check.path}, status ${check.status ?? '200 to 399'}${body}`
    }
    case 'console':
      return `console ${check.as === 'text' ? 'says' : 'matches'} ${JSON.stringify(check.find)}`
  }
}

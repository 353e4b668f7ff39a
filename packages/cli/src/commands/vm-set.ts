import type { Command } from 'commander'
import type { CallInput } from '@stead/api/endpoint.ts'
import { ENDPOINTS } from '@stead/api/endpoints.ts'
import { badArgument, parseCount } from '../quantities.ts'
import { action, valueOf, type Session, type Terminal } from '../session.ts'
import { ACCEPT_BREACH } from './host.ts'
import { parseDisplay } from './vm-console.ts'
import { parseWatchdog } from './vm-platform.ts'
import { addSizeOptions, sizeFrom } from './vm-size.ts'
import { guestText, parseHa } from './guest.ts'
import { addLifecycleOptions, lifecycleBody } from './vm-lifecycle-options.ts'

type SetBody = CallInput<(typeof ENDPOINTS)['guest.set']>['body']

export function addVmSet(vm: Command, terminal: Terminal): void {
  const set = vm
    .command('set')
    .description(ENDPOINTS['guest.set'].summary)
    .argument('<name>', "the guest's name or id")
    .option('--ha <mode>', 'started, stopped or ignored')
    .option('--priority <n>', 'placed and recovered before those with less; 0 when never set')
    .option('--max-restart <n>', 'further tries on the host where a run failed')
    .option('--max-relocate <n>', 'other hosts that are tried after that')
    .option('--failback', 'return to the hosts that a rule prefers')
    .option('--no-failback', 'stay where it is')
    .option('--watchdog <action>', 'of a stopped guest: reset, poweroff, pause, none; off takes it away')
    .option('--agent-exec', 'let programs be run in it from outside, by its agent')
    .option('--no-agent-exec', 'do not')
    .option('--display <kind>', 'of a stopped guest: vga (a screen, seen by VNC) or none')
    .option(...ACCEPT_BREACH)
  addLifecycleOptions(addSizeOptions(set)).action(
    action(terminal, (session, [guest = ''], options) => setGuest(session, guest, bodyOf(options), options)),
  )
}

function bodyOf(options: Readonly<Record<string, unknown>>): SetBody {
  const text = (name: string) => (typeof options[name] === 'string' ? options[name] : undefined)
  const [ha, priority] = [text('ha'), text('priority')]
  const watchdog = text('watchdog')
  const [maxRestart, maxRelocate, display] = [text('maxRestart'), text('maxRelocate'), text('display')]
  if (priority !== undefined && !/^-?\d+$/.test(priority))
    throw badArgument(`--priority: \`${priority}\` is not a whole number`)
  const body = {
    ...(ha === undefined ? {} : { ha: parseHa(ha) }),
    ...(priority === undefined ? {} : { priority: Number(priority) }),
    ...(maxRestart === undefined ? {} : { maxRestart: parseCount(maxRestart, '--max-restart') }),
    ...(maxRelocate === undefined ? {} : { maxRelocate: parseCount(maxRelocate, '--max-relocate') }),
    ...(typeof options['failback'] === 'boolean' ? { failback: options['failback'] } : {}),
    ...(watchdog === undefined ? {} : { watchdog: watchdog === 'off' ? null : parseWatchdog(watchdog) }),
    ...(typeof options['agentExec'] === 'boolean' ? { agent: { execute: options['agentExec'] } } : {}),
    ...sizeFrom(options),
    ...lifecycleBody(options),
    ...(display === undefined ? {} : { display: parseDisplay(display) }),
  }
  if (Object.keys(body).length === 0)
    throw badArgument('Nothing to set', 'Give --ha started, stopped or ignored, or another setting; see --help.')
  return body
}

async function setGuest(
  session: Session,
  guest: string,
  body: SetBody,
  options: Readonly<Record<string, unknown>>,
): Promise<void> {
  const client = await session.client()
  const acceptBreach = options['acceptBreach'] === true
  const input = { params: { guest }, body: { ...body, acceptBreach } }
  const { warnings, ...view } = valueOf(await client.call(ENDPOINTS['guest.set'], input))
  session.warn(warnings)
  session.print({ ...view, warnings }, () => guestText(view))
}

import type { Command } from 'commander'
import { ENDPOINTS } from '@stead/api/endpoints.ts'
import { badArgument } from '../quantities.ts'
import { action, type Terminal } from '../session.ts'
import { addHaOptions, haBody, setGuest, type SetBody } from './guest-settings.ts'
import { ACCEPT_BREACH } from './host.ts'
import { parseDisplay } from './vm-console.ts'
import { parseWatchdog } from './vm-platform.ts'
import { addSizeOptions, sizeFrom } from './vm-size.ts'
import { addLifecycleOptions, lifecycleBody } from './vm-lifecycle-options.ts'

export function addVmSet(vm: Command, terminal: Terminal): void {
  const named = vm
    .command('set')
    .description(ENDPOINTS['guest.set'].summary)
    .argument('<name>', "the guest's name or id")
  const set = addHaOptions(named)
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
  const [watchdog, display] = [text('watchdog'), text('display')]
  const body = {
    ...haBody(options),
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

/** What `vm set` and `ct set` have in common: the options for HA, and how settings are sent. */
import type { Command } from 'commander'
import type { CallInput } from '@stead/api/endpoint.ts'
import { ENDPOINTS } from '@stead/api/endpoints.ts'
import { badArgument, parseCount } from '../quantities.ts'
import { valueOf, type Session } from '../session.ts'
import { guestText, parseHa } from './guest.ts'

export type SetBody = CallInput<(typeof ENDPOINTS)['guest.set']>['body']
type Options = Readonly<Record<string, unknown>>

export function addHaOptions(command: Command): Command {
  return command
    .option('--ha <mode>', 'started, stopped or ignored')
    .option('--priority <n>', 'placed and recovered before those with less; 0 when never set')
    .option('--max-restart <n>', 'further tries on the host where a run failed')
    .option('--max-relocate <n>', 'other hosts that are tried after that')
    .option('--failback', 'return to the hosts that a rule prefers')
    .option('--no-failback', 'stay where it is')
}

export function haBody(options: Options): Pick<SetBody, 'ha' | 'priority' | 'maxRestart' | 'maxRelocate' | 'failback'> {
  const text = (name: string) => (typeof options[name] === 'string' ? options[name] : undefined)
  const [ha, priority] = [text('ha'), text('priority')]
  const [maxRestart, maxRelocate] = [text('maxRestart'), text('maxRelocate')]
  if (priority !== undefined && !/^-?\d+$/.test(priority))
    throw badArgument(`--priority: \`${priority}\` is not a whole number`)
  return {
    ...(ha === undefined ? {} : { ha: parseHa(ha) }),
    ...(priority === undefined ? {} : { priority: Number(priority) }),
    ...(maxRestart === undefined ? {} : { maxRestart: parseCount(maxRestart, '--max-restart') }),
    ...(maxRelocate === undefined ? {} : { maxRelocate: parseCount(maxRelocate, '--max-relocate') }),
    ...(typeof options['failback'] === 'boolean' ? { failback: options['failback'] } : {}),
  }
}

export async function setGuest(session: Session, guest: string, body: SetBody, options: Options): Promise<void> {
  const client = await session.client()
  const acceptBreach = options['acceptBreach'] === true
  const input = { params: { guest }, body: { ...body, acceptBreach } }
  const { warnings, ...view } = valueOf(await client.call(ENDPOINTS['guest.set'], input))
  session.warn(warnings)
  session.print({ ...view, warnings }, () => guestText(view))
}

import type { Command } from 'commander'
import { ENDPOINTS } from '@stead/api/endpoints.ts'
import { formatFields, formatTable } from '../output.ts'
import { parseDuration } from '../quantities.ts'
import { action, valueOf, type Session, type Terminal } from '../session.ts'

const NAME = ['<name>', "the guest's name or id"] as const

export function addVmAgent(vm: Command, terminal: Terminal): void {
  const agent = vm.command('agent').description('The agent inside a guest')
  agent
    .command('ping')
    .description(ENDPOINTS['guest-agent.ping'].summary)
    .argument(...NAME)
    .action(action(terminal, pingAgent))
  agent
    .command('info')
    .description(ENDPOINTS['guest-agent.info'].summary)
    .argument(...NAME)
    .action(action(terminal, showSystem))
  agent
    .command('addresses')
    .description(ENDPOINTS['guest-agent.addresses'].summary)
    .argument(...NAME)
    .action(action(terminal, listAddresses))
  agent
    .command('exec')
    .description(ENDPOINTS['guest-agent.execute'].summary)
    .argument(...NAME)
    .argument('<command...>', 'after --: the program and its arguments; no shell reads them')
    .option('--for <duration>', 'how long to wait for its end', '30s')
    .action(
      action(terminal, async (session, args, options) => {
        const timeoutMs = parseDuration(String(options['for']), '--for')
        await runInGuest(session, args.flat(), timeoutMs)
      }),
    )
}

async function pingAgent(session: Session, [guest = '']: readonly string[]): Promise<void> {
  const client = await session.client()
  const answer = valueOf(await client.call(ENDPOINTS['guest-agent.ping'], { params: { guest } }))
  session.print(answer, () => `the agent of ${answer.guest} answered after ${answer.answeredMs} ms\n`)
}

async function showSystem(session: Session, [guest = '']: readonly string[]): Promise<void> {
  const client = await session.client()
  const told = valueOf(await client.call(ENDPOINTS['guest-agent.info'], { params: { guest } }))
  session.print(told, () =>
    formatFields([
      ['guest', told.guest],
      ['system', told.system],
      ['kernel', told.kernel],
      ['hostname', told.hostname],
      ['agent', told.agentVersion],
      ['file systems', told.fileSystems],
    ]),
  )
}

async function listAddresses(session: Session, [guest = '']: readonly string[]): Promise<void> {
  const client = await session.client()
  const { interfaces } = valueOf(await client.call(ENDPOINTS['guest-agent.addresses'], { params: { guest } }))
  session.print(interfaces, () =>
    formatTable(interfaces, [
      { title: 'INTERFACE', of: (each) => each.name },
      { title: 'MAC', of: (each) => each.mac },
      { title: 'ADDRESSES', of: (each) => each.addresses.join(', ') },
    ]),
  )
}

/** As if it ran here: its output, and its exit code as this command's own. */
export async function runInGuest(
  session: Session,
  [guest = '', ...command]: readonly string[],
  timeoutMs: number,
): Promise<void> {
  const client = await session.client()
  const body = { command, timeoutMs }
  const outcome = valueOf(await client.call(ENDPOINTS['guest-agent.execute'], { params: { guest }, body }))
  session.print(outcome, () => outcome.stdout)
  if (session.format === 'table') session.terminal.stderr.write(outcome.stderr)
  if (outcome.truncated) session.note('(there was more: the agent keeps no longer output)')
  session.terminal.setExitCode(outcome.exitCode ?? 128 + (outcome.signal ?? 0))
}

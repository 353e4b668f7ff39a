/** `stead ct`: what only containers have, beside what all guests have. */
import type { Command } from 'commander'
import { ENDPOINTS } from '@stead/api/endpoints.ts'
import type { MoveTargets } from '@stead/api/views.ts'
import { failure, FailureError } from '@stead/core/errors.ts'
import { badArgument, parseCount, parseDuration, parseSize } from '../quantities.ts'
import { action, valueOf, type Session, type Terminal } from '../session.ts'
import { finished, settle } from '../waiting.ts'
import { addCtCreate } from './ct-create.ts'
import { addCtDump } from './ct-dump.ts'
import { addCtEnter } from './ct-enter.ts'
import { addCtImport } from './ct-import.ts'
import { addCtRestore } from './ct-restore.ts'
import { growDisk } from './disk-grow.ts'
import { addContainerOptions, containerFrom, liftedBy, presetOf, type ContainerOptions } from './ct-options.ts'
import { addCopyOptions, changedCopyFrom } from './ct-root.ts'
import { addGuestCommands } from './guest.ts'
import { addHaOptions, haBody, setGuest, type SetBody } from './guest-settings.ts'
import { ACCEPT_BREACH } from './host.ts'
import { runInGuest } from './vm-agent.ts'
import { addSerialConsole } from './vm-console.ts'
import { addLifecycleOptions, lifecycleBody } from './vm-lifecycle-options.ts'

const NAME = ['<name>', "the guest's name or id"] as const

export function addCtCommands(program: Command, terminal: Terminal): void {
  const ct = program.command('ct').description('System containers')
  addCtCreate(ct, terminal)
  addGuestCommands(ct, terminal)
  addCtDump(ct, terminal)
  addCtRestore(ct, terminal)
  addCtImport(ct, terminal)
  addSerialConsole(ct, terminal)
  addCtEnter(ct, terminal)
  ct.command('exec')
    .description("Run a program in a container; its output and its exit code are the command's own")
    .argument(...NAME)
    .argument('<command...>', 'after --: the program and its arguments; no shell reads them')
    .option('--for <duration>', 'how long to wait for its end', '30s')
    .action(
      action(terminal, async (session, args, options) => {
        await runInGuest(session, args.flat(), parseDuration(String(options['for']), '--for'))
      }),
    )
  ct.command('migrate')
    .description('Move a container to another host: live where that is possible, else by a restart')
    .argument(...NAME)
    .option('--to <host>', 'the host; the one that suits it best when absent')
    .action(action(terminal, (session, [guest = ''], { to }) => migrate(session, guest, to)))
  const set = ct
    .command('set')
    .description(ENDPOINTS['guest.set'].summary)
    .argument(...NAME)
    .option('--memory <size>', 'at once, also while it runs')
    .option('--cpus <n>', 'processors that it may use; at once')
    .option('--disk <size>', 'makes its root larger; its file system too, where the host lets it')
    .option('--nesting', 'it may make containers itself, from its next start on')
    .option('--no-nesting', 'it may not')
    .option('--no-copy', 'no copy follows its native root any more')
    .option(...ACCEPT_BREACH)
  addCopyOptions(addContainerOptions(addLifecycleOptions(addHaOptions(set)))).action(
    action(terminal, (session, [guest = ''], options) => setContainer(session, guest, options)),
  )
}

/** How it will go is said before it begins. */
async function migrate(session: Session, guest: string, to: unknown): Promise<void> {
  const client = await session.client()
  const { targets, restart } = valueOf(await client.call(ENDPOINTS['guest.move-targets'], { params: { guest } }))
  const target = targets.find(({ host, possible }) => (to === undefined ? possible : host === to))
  if (target?.live) {
    const answer = valueOf(
      await client.call(ENDPOINTS['guest.migrate'], { params: { guest }, body: { to: target.host } }),
    )
    const operation = await settle(session, client, answer.operation)
    return finished(session, operation, `ct ${guest} moved: ${operation.message}`)
  }
  if (target?.liveReason) session.warn([`It moves by a restart: ${target.liveReason}. ${restartText(restart)}`])
  const body = { to: typeof to === 'string' ? to : (target?.host ?? '') }
  if (body.to === '') throw new FailureError(failure('conflict', `No other host can take ${guest} now`))
  const answer = valueOf(await client.call(ENDPOINTS['guest.relocate'], { params: { guest }, body }))
  const operation = await settle(session, client, answer.operation)
  finished(session, operation, `ct ${guest} moved: ${operation.message}`)
}

function restartText({ expectedMs, measured }: MoveTargets['restart']): string {
  const seconds = (expectedMs / 1000).toFixed(1)
  return measured === 0
    ? `It will be away for about ${seconds} s, which is an assumption: no guest was restarted here yet.`
    : `It will be away for about ${seconds} s, as ${measured} stops and starts in this cluster took.`
}

async function setContainer(session: Session, guest: string, options: Options): Promise<void> {
  const { disk, ...others } = options
  const rootCopy = changedCopyFrom(options, async () => {
    const client = await session.client()
    return valueOf(await client.call(ENDPOINTS['guest.show'], { params: { guest } })).rootCopy
  })
  const body = { ...bodyOf(others), ...(rootCopy === undefined ? {} : { rootCopy: await rootCopy }) }
  const isEmpty = Object.keys(body).length === 0
  if (typeof disk !== 'string') {
    if (isEmpty) throw badArgument('Nothing to set', 'Give at least one setting; see --help.')
    return setGuest(session, guest, body, options)
  }
  const { text, result } = await growDisk(session, { guest, sizeBytes: parseSize(disk, '--disk') })
  if (isEmpty) session.print(result, () => text)
  else await setGuest(session, guest, body, options)
}

type Options = Readonly<Record<string, unknown>>

function bodyOf(options: Options): SetBody {
  const text = (name: string) => (typeof options[name] === 'string' ? options[name] : undefined)
  const [memory, cpus, preset] = [text('memory'), text('cpus'), text('preset')]
  const { nesting } = options
  const presetMemory = preset === undefined ? undefined : presetOf(preset).memoryBytes
  const memoryBytes = memory === undefined ? presetMemory : parseSize(memory, '--memory')
  const named = containerFrom(options as ContainerOptions)
  const container = {
    ...named,
    ...(preset === undefined ? {} : { limits: { ...liftedBy(preset), ...named.limits } }),
    ...(typeof nesting === 'boolean' ? { nesting } : {}),
  }
  return {
    ...(memoryBytes === undefined ? {} : { memoryBytes }),
    ...(cpus === undefined ? {} : { cpus: parseCount(cpus, '--cpus') }),
    ...haBody(options),
    ...lifecycleBody(options),
    ...(Object.keys(container).length === 0 ? {} : { container }),
  }
}

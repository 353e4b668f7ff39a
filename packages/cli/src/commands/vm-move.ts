import type { Command } from 'commander'
import { ENDPOINTS } from '@stead/api/endpoints.ts'
import type { MoveTargets } from '@stead/api/views.ts'
import { formatTable } from '../output.ts'
import { badArgument } from '../quantities.ts'
import { action, valueOf, type Terminal } from '../session.ts'
import { finished, settle } from '../waiting.ts'
import { printExplanation } from './explain.ts'
import { bringStorage } from './volume-move.ts'

const NAME = ['<name>', "the guest's name or id"] as const

/** What moves guests of either kind. */
export function addGuestMoves(vm: Command, terminal: Terminal): void {
  vm.command('relocate')
    .description(ENDPOINTS['guest.relocate'].summary)
    .argument(...NAME)
    .requiredOption('--to <host>', 'the host; of a stopped guest where it starts next')
    .action(
      action(terminal, async (session, [guest = ''], options) => {
        const to = String(options['to'])
        const client = await session.client()
        const answer = valueOf(await client.call(ENDPOINTS['guest.relocate'], { params: { guest }, body: { to } }))
        const operation = await settle(session, client, answer.operation)
        const isOver = operation.state === 'succeeded'
        const done = operation.kind === 'vm.set' ? `starts on ${to} next` : `relocated: ${operation.message}`
        const text = isOver ? done : `relocated: begun, see \`stead operation show ${operation.id}\``
        session.print(operation, () => `${vm.name()} ${guest} ${text}\n`)
        if (session.explain) await printExplanation(session, client, guest)
      }),
    )
  vm.command('move-targets')
    .description(ENDPOINTS['guest.move-targets'].summary)
    .argument(...NAME)
    .action(
      action(terminal, async (session, [guest = '']) => {
        const client = await session.client()
        const found = valueOf(await client.call(ENDPOINTS['guest.move-targets'], { params: { guest } }))
        session.print(found, () => targetsText(found))
      }),
    )
}

export function addVmMigrate(vm: Command, terminal: Terminal): void {
  vm.command('migrate')
    .description(ENDPOINTS['guest.migrate'].summary)
    .argument(...NAME)
    .option('--to <host>', 'the host; the one that suits it best when absent')
    .option('--with-storage', 'first its disks that have one replica only move there; needs --to')
    .option('--post-copy', 'let it go on there before all of its memory has come')
    .option('--cancel', 'call off the move that is under way')
    .action(
      action(terminal, async (session, [guest = ''], options) => {
        const client = await session.client()
        const { to, cancel, withStorage, postCopy } = options
        if (postCopy === true && cancel === true) throw badArgument('--cancel and --post-copy exclude each other')
        if (withStorage === true && (to === undefined || cancel === true))
          throw badArgument('--with-storage needs --to, and nothing else')
        if (cancel === true && to !== undefined) throw badArgument('--cancel and --to exclude each other')
        if (withStorage === true) await bringStorage(session, client, guest, String(to))
        const answer =
          cancel === true
            ? await client.call(ENDPOINTS['guest.cancel-migration'], { params: { guest } })
            : await client.call(ENDPOINTS['guest.migrate'], {
                params: { guest },
                body: { postCopy: postCopy === true, ...(to === undefined ? {} : { to: String(to) }) },
              })
        const operation = await settle(session, client, valueOf(answer).operation)
        finished(
          session,
          operation,
          `${vm.name()} ${guest} ${cancel === true ? 'stays' : 'moved'}: ${operation.message}`,
        )
        if (session.explain) await printExplanation(session, client, guest)
      }),
    )
}

function targetsText({ targets }: MoveTargets): string {
  return formatTable(targets, [
    { title: 'HOST', of: (target) => target.host },
    { title: 'CAN MOVE', of: (target) => (target.possible ? 'yes' : 'no') },
    { title: 'LIVE', of: (target) => (target.live ? 'yes' : 'no') },
    { title: 'WHY', of: (target) => target.reason || target.liveReason || target.merits.join('; ') },
  ])
}

/** `stead authority`: what signs the certificates of the hosts. */
import type { Command } from 'commander'
import type { AuthorityView } from '@stead/api/endpoints/authority.ts'
import { ENDPOINTS } from '@stead/api/endpoints.ts'
import { formatFields } from '../output.ts'
import { action, valueOf, type Terminal } from '../session.ts'

export function addAuthorityCommands(program: Command, terminal: Terminal): void {
  const authority = program.command('authority').description('What signs the certificates of the hosts')
  authority
    .command('show')
    .description(ENDPOINTS['authority.show'].summary)
    .action(
      action(terminal, async (session) => {
        const view = valueOf(await (await session.client()).call(ENDPOINTS['authority.show']))
        session.print(view, () => shown(view))
      }),
    )
  authority
    .command('replace')
    .description(ENDPOINTS['authority.replace'].summary)
    .action(
      action(terminal, async (session, _args, options) => {
        const client = await session.client()
        if (options['whatIf'] === true) {
          const view = valueOf(await client.call(ENDPOINTS['authority.show']))
          return session.print(view, () => planned(view))
        }
        const view = valueOf(await client.call(ENDPOINTS['authority.replace']))
        session.print(view, () => `the authority is being replaced: \`stead authority show\` tells how far it is\n`)
        session.note(AFTERWARDS)
      }),
    )
}

const PHASES = {
  trust: 'every host begins to trust the new one beside the former one',
  sign: 'every host takes a certificate of the new one',
  drop: 'every host ends to trust the former one',
} as const

const AFTERWARDS =
  'Clients that trust the former one must be told of the new one when it is done: `stead login URL` again, and what holds it as a file. Invitations are void.'

function shown({ fingerprint, expiresAt, down, replacement }: AuthorityView): string {
  const fields = formatFields([
    ['fingerprint', `SHA256:${fingerprint}`],
    ['expires', expiresAt],
    ...(replacement
      ? ([
          ['replaced by', `SHA256:${replacement.fingerprint}`],
          ['begun', replacement.begunAt],
          ['now', PHASES[replacement.phase]],
          ['waits for', replacement.waitsFor.join(', ')],
        ] as const)
      : []),
  ])
  const holding = replacement ? replacement.waitsFor.filter((host) => down.includes(host)) : []
  return `${fields}${held(holding)}`
}

function planned({ fingerprint, down }: AuthorityView): string {
  const steps = Object.values(PHASES).map((text, at) => `${at + 1}. ${text}\n`)
  return `SHA256:${fingerprint} would be replaced, while guests run on:\n${steps.join('')}Each step waits until every host has done it.\n${held(down)}${AFTERWARDS}\nNothing was changed.\n`
}

function held(down: readonly string[]): string {
  return down
    .map((host) => `${host} is not up: it holds this until it is, or is removed (stead host remove ${host})\n`)
    .join('')
}

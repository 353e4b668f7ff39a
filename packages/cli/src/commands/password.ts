/** `stead auth password`, `stead auth sessions`: what one does about oneself. */
import type { Command } from 'commander'
import type { Client } from '@stead/api/client.ts'
import { ENDPOINTS } from '@stead/api/endpoints.ts'
import type { SignInView } from '@stead/api/endpoints/sign-in.ts'
import { readContext, writeContext } from '../context.ts'
import { formatFields, formatTable } from '../output.ts'
import { Prompts } from '../prompts.ts'
import { action, valueOf, type Session, type Terminal } from '../session.ts'

export function addPasswordCommands(auth: Command, terminal: Terminal): void {
  auth
    .command('fingerprint')
    .description(ENDPOINTS['auth.authority'].summary)
    .action(
      action(terminal, async (session) => {
        const view = valueOf(await (await session.client()).call(ENDPOINTS['auth.authority']))
        session.print(view, () => `SHA256:${view.fingerprint}\n`)
      }),
    )
  auth
    .command('password')
    .description(ENDPOINTS['auth.password'].summary)
    .action(
      action(terminal, async (session) => {
        const prompts = new Prompts(session.terminal)
        try {
          const client = await session.client()
          const current = await prompts.secret('Present password: ')
          const view = await chooseOwn(session, prompts, client, current)
          const context = valueOf(await readContext(session.terminal.env))
          await writeContext(session.terminal.env, { ...context, ...(view.token ? { token: view.token } : {}) })
          session.print({ user: view.user }, () => 'the password is changed, and all other sessions have ended\n')
        } finally {
          prompts.close()
        }
      }),
    )
  addFactorCommands(
    auth.command('second-factor').description('What one proves who one is with besides the password'),
    terminal,
  )
  const sessions = auth.command('session').description("One's own sessions")
  sessions
    .command('list')
    .description(ENDPOINTS['session.list'].summary)
    .action(
      action(terminal, async (session) => {
        const { items } = valueOf(await (await session.client()).call(ENDPOINTS['session.list']))
        session.print(items, () =>
          formatTable(items, [
            { title: 'ID', of: (row) => row.id },
            { title: 'THIS', of: (row) => (row.current ? 'yes' : '') },
            { title: 'FROM', of: (row) => row.address },
            { title: 'CLIENT', of: (row) => row.client },
            { title: 'USED', of: (row) => row.usedAt },
            { title: 'ENDS', of: (row) => row.expiresAt },
          ]),
        )
      }),
    )
  sessions
    .command('end')
    .description(ENDPOINTS['session.end'].summary)
    .argument('<id>', 'see `stead auth session list`')
    .action(
      action(terminal, async (session, [id = '']) => {
        const client = await session.client()
        valueOf(await client.call(ENDPOINTS['session.end'], { params: { session: id } }))
        session.print({ ended: id }, () => `session ${id} ended\n`)
      }),
    )
}

function addFactorCommands(factor: Command, terminal: Terminal): void {
  factor
    .command('show')
    .description(ENDPOINTS['factor.list'].summary)
    .action(
      action(terminal, async (session) => {
        const view = valueOf(await (await session.client()).call(ENDPOINTS['factor.list']))
        session.print(view, () =>
          formatFields([
            ['app', view.totp ? 'yes' : 'no'],
            ['security keys', view.keys.map(({ name, site }) => `${name} (${site})`).join(', ') || 'none'],
            ['recovery codes', view.recoveryCodes],
            ['demanded', view.demanded ? 'yes' : 'no'],
          ]),
        )
      }),
    )
  factor
    .command('add')
    .description('Add an app that makes codes (TOTP)')
    .action(
      action(terminal, async (session) => {
        const prompts = new Prompts(session.terminal)
        try {
          const client = await session.client()
          const { secret, uri } = valueOf(await client.call(ENDPOINTS['factor.begin-totp']))
          session.note(`Give this to the app, as a link or typed:\n  ${uri}\n  ${secret}`)
          const code = (await prompts.ask('The code that it shows: ')).trim()
          const added = valueOf(await client.call(ENDPOINTS['factor.add-totp'], { body: { code } }))
          const context = valueOf(await readContext(session.terminal.env))
          await writeContext(session.terminal.env, {
            ...context,
            ...(added.session.token ? { token: added.session.token } : {}),
          })
          session.note('Recovery codes, for when the app is lost. Each is good once; they are shown this once.')
          session.print(added.recoveryCodes, () => `${added.recoveryCodes.join('\n')}\n`)
        } finally {
          prompts.close()
        }
      }),
    )
  factor
    .command('remove')
    .description(ENDPOINTS['factor.remove'].summary)
    .action(
      action(terminal, async (session) => {
        valueOf(await (await session.client()).call(ENDPOINTS['factor.remove']))
        session.print({ removed: true }, () => 'signing in needs the password alone again\n')
      }),
    )
}

/** At a terminal it is asked for until it is taken, since a one-time password is used up; what is piped is one answer. */
export async function chooseOwn(
  session: Session,
  prompts: Prompts,
  client: Client,
  current?: string,
): Promise<SignInView> {
  for (;;) {
    const next = await prompts.secret('New password: ')
    if (prompts.isInteractive && (await prompts.secret('Again: ')) !== next) {
      session.note('The two are not the same.')
      continue
    }
    const body = { next, ...(current === undefined ? {} : { current }) }
    const changed = await client.call(ENDPOINTS['auth.password'], { body })
    if (changed.ok || !prompts.isInteractive || changed.error.code !== 'bad_request') return valueOf(changed)
    session.note(`${changed.error.message}. ${changed.error.hint ?? ''}`.trim())
  }
}

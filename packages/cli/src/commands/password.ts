/** `stead auth password`, `stead auth sessions`: what one does about oneself. */
import type { Command } from 'commander'
import { ENDPOINTS } from '@stead/api/endpoints.ts'
import { failure, FailureError } from '@stead/core/errors.ts'
import { readContext, writeContext } from '../context.ts'
import { formatTable } from '../output.ts'
import { Prompts } from '../prompts.ts'
import { action, valueOf, type Terminal } from '../session.ts'

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
          const next = await newPassword(prompts)
          const view = valueOf(await client.call(ENDPOINTS['auth.password'], { body: { current, next } }))
          const context = valueOf(await readContext(session.terminal.env))
          await writeContext(session.terminal.env, { ...context, ...(view.token ? { token: view.token } : {}) })
          session.print({ user: view.user }, () => 'the password is changed, and all other sessions have ended\n')
        } finally {
          prompts.close()
        }
      }),
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

/** Typed twice, where somebody types. */
export async function newPassword(prompts: Prompts): Promise<string> {
  const next = await prompts.secret('New password: ')
  if (!prompts.isInteractive || (await prompts.secret('Again: ')) === next) return next
  throw new FailureError(failure('bad_request', 'The two are not the same', { hint: 'Nothing was changed' }))
}

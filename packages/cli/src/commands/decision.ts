import type { Command } from 'commander'
import { ENDPOINTS } from '@stead/api/endpoints.ts'
import { formatTable } from '../output.ts'
import { action, valueOf, type Terminal } from '../session.ts'

export function addDecisionCommands(program: Command, terminal: Terminal): void {
  const decision = program.command('decision').description('What the cluster decided')
  decision
    .command('list')
    .description(ENDPOINTS['decision.list'].summary)
    .action(
      action(terminal, async (session) => {
        const client = await session.client()
        const { items } = valueOf(await client.call(ENDPOINTS['decision.list']))
        session.print(items, () =>
          formatTable(items, [
            { title: 'DECISION', of: (one) => one.id },
            { title: 'TIME', of: (one) => one.decidedAt },
            { title: 'CHOICES', of: (one) => one.choices.map((each) => `${each.subject}: ${each.choice}`).join('; ') },
          ]),
        )
      }),
    )
  program
    .command('replay')
    .description(ENDPOINTS['decision.replay'].summary)
    .argument('<decision>', 'as `explain` or `decision list` names it')
    .action(
      action(terminal, async (session, [id = '']) => {
        const client = await session.client()
        const replayed = valueOf(await client.call(ENDPOINTS['decision.replay'], { params: { decision: id } }))
        session.print(replayed, () => {
          const { decidedAt, recorded, same, differences } = replayed
          const then = recorded.map(({ subject, choice }) => `  ${subject}: ${choice}\n`).join('')
          const head = `Decided at ${decidedAt}:\n${then}\n`
          if (same) return `${head}Made again with the code that runs now: the same.\n`
          const table = formatTable(differences, [
            { title: 'SUBJECT', of: (one) => one.subject },
            { title: 'THEN', of: (one) => one.was },
            { title: 'NOW', of: (one) => one.isNow },
          ])
          return `${head}Made again with the code that runs now, it differs:\n${table}`
        })
      }),
    )
}

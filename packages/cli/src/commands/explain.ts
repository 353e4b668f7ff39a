import type { Command } from 'commander'
import type { Client } from '@stead/api/client.ts'
import { ENDPOINTS } from '@stead/api/endpoints.ts'
import type { Explanation } from '@stead/api/views.ts'
import { formatTable } from '../output.ts'
import { action, valueOf, type Session, type Terminal } from '../session.ts'

export function addExplainCommands(program: Command, terminal: Terminal): void {
  const explain = program.command('explain').description('Say why')
  explain
    .command('vm')
    .description(ENDPOINTS['guest.explain'].summary)
    .argument('<name>', "the guest's name or id")
    .action(
      action(terminal, async (session, [guest = '']) => {
        const client = await session.client()
        const explanation = valueOf(await client.call(ENDPOINTS['guest.explain'], { params: { guest } }))
        session.print(explanation, () => explanationText(explanation))
      }),
    )
}

/** For `--explain`: on stderr when stdout carries data for a program. */
export async function printExplanation(session: Session, client: Client, guest: string): Promise<void> {
  const explanation = await client.call(ENDPOINTS['guest.explain'], { params: { guest } })
  // The command itself succeeded; a guest that was deleted has nothing to explain any more.
  const text = explanation.ok ? explanationText(explanation.value) : `no explanation: ${explanation.error.message}\n`
  if (session.format === 'table') session.terminal.stdout.write(`\n${text}`)
  else session.terminal.stderr.write(text)
}

function explanationText(explanation: Explanation): string {
  const { name, state, reason, decision } = explanation
  const head = `${name} is ${state}${reason === '' ? '' : `: ${reason}`}\n`
  return decision === null ? `${head}\nNothing was decided about it yet.\n` : `${head}\n${decisionText(decision)}`
}

export function decisionText(decision: NonNullable<Explanation['decision']>): string {
  const when = new Date(decision.decidedAt).toISOString()
  const head = `Last decision (${decision.action}, epoch ${decision.epoch}, by ${decision.coordinator} at ${when}):\n  ${decision.outcome}\n`
  const facts = decision.facts.map((fact) => `  - ${fact}\n`).join('')
  if (decision.candidates.length === 0) return `${head}\nKnown then:\n${facts}`
  const candidates = formatTable(decision.candidates, [
    { title: 'HOST', of: (candidate) => candidate.host },
    { title: 'CHOSEN', of: (candidate) => (candidate.chosen ? 'yes' : 'no') },
    { title: 'WHY', of: (candidate) => candidate.rejectedBecause || candidate.merits.join('; ') },
  ])
  return `${head}\nKnown then:\n${facts}\n${candidates}`
}

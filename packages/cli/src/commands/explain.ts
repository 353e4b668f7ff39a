import type { Command } from 'commander'
import type { Client } from '@stead/api/client.ts'
import { ENDPOINTS } from '@stead/api/endpoints.ts'
import type { EventExplanation, Explanation, HostExplanation } from '@stead/api/views.ts'
import { eventLine } from '../event-line.ts'
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
  explain
    .command('host')
    .description(ENDPOINTS['host.explain'].summary)
    .argument('<host>', "the host's name")
    .action(
      action(terminal, async (session, [host = '']) => {
        const client = await session.client()
        const explanation = valueOf(await client.call(ENDPOINTS['host.explain'], { params: { host } }))
        session.print(explanation, () => hostExplanationText(explanation))
      }),
    )
  explain
    .command('event')
    .description(ENDPOINTS['event.explain'].summary)
    .argument('<event>', "the event's id, as `stead event list --json` shows it")
    .action(
      action(terminal, async (session, [event = '']) => {
        const client = await session.client()
        const explanation = valueOf(await client.call(ENDPOINTS['event.explain'], { params: { event } }))
        session.print(explanation, () => eventExplanationText(explanation))
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
  const { name, state, reason, decision, smallestChange, otherChanges } = explanation
  const head = `${name} is ${state}${reason === '' ? '' : `: ${reason}`}\n`
  const decided = decision === null ? 'Nothing was decided about it yet.\n' : decisionText(decision)
  const others = otherChanges.map((change) => `  or ${change}\n`).join('')
  const change =
    smallestChange === null ? '' : `\nThe smallest change that would alter it:\n  ${smallestChange}\n${others}`
  return `${head}\n${decided}${change}`
}

function hostExplanationText({ name, state, reason, since, facts, guests, events }: HostExplanation): string {
  const head = `${name} is ${state}${reason === '' ? '' : `: ${reason}`}${since === null ? '' : ` (since ${since})`}\n`
  const known = facts.map((fact) => `  - ${fact}\n`).join('')
  const table =
    guests.length === 0
      ? 'No guest is there.\n'
      : formatTable(guests, [
          { title: 'GUEST', of: (guest) => guest.name },
          { title: 'STATE', of: (guest) => guest.state },
          { title: 'WHAT IT MEANS', of: (guest) => guest.meaning },
        ])
  const last = events.length === 0 ? '' : `\nLast events:\n${events.map(eventLine).join('')}`
  return `${head}${known}\n${table}${last}`
}

function eventExplanationText({ event, decision, note, before }: EventExplanation): string {
  const details = Object.entries(event.details ?? {}).map(([name, value]) => `  ${name}: ${value}\n`)
  const earlier = before.length === 0 ? '' : `\nBefore it:\n${before.map(eventLine).join('')}`
  const why = decision === null ? `\nNo decision is shown: ${note}.\n` : `\n${decisionText(decision)}`
  return `${eventLine(event)}  reported by ${event.host}\n${details.join('')}${earlier}${why}`
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

/** `ct counters` and `vm counters`: what `/proc/user_beancounters` showed, one row a resource. */
import type { Command } from 'commander'
import { ENDPOINTS } from '@stead/api/endpoints.ts'
import type { ContainerCounterView } from '@stead/api/endpoints/counters.ts'
import {
  CONTAINER_RESOURCE_NAMES,
  containerResource,
  type ContainerResourceName,
} from '@stead/core/model/container-resources.ts'
import { formatTable } from '../output.ts'
import { badArgument } from '../quantities.ts'
import { action, valueOf, type Session, type Terminal } from '../session.ts'

export function addGuestCounters(guest: Command, terminal: Terminal): void {
  guest
    .command('counters')
    .description(`${ENDPOINTS['guest.counters'].summary}; with --explain, what each resource is`)
    .argument('[name]', "the guest's name or id; may be left out with --explain")
    .action(action(terminal, (session, [name]) => showCounters(session, name)))
}

async function showCounters(session: Session, guest: string | undefined): Promise<void> {
  if (guest === undefined) {
    if (!session.explain) throw badArgument('Whose counters?', 'Give a name, or --explain for what there is to count.')
    return explainResources(session)
  }
  const client = await session.client()
  const { items } = valueOf(await client.call(ENDPOINTS['guest.counters'], { params: { guest } }))
  // As they are called in scripts that come from OpenVZ; units and meanings only where they are asked for.
  const plain = items.map(({ unit: _unit, meaning: _meaning, ...counter }) => counter)
  session.print(session.explain ? items : plain, () =>
    formatTable<ContainerCounterView>(items, [
      { title: 'RESOURCE', of: ({ resource }) => resource },
      { title: 'HELD', of: ({ held }) => held },
      { title: 'MAXHELD', of: ({ maxHeld }) => maxHeld },
      { title: 'BARRIER', of: ({ barrier }) => barrier },
      { title: 'LIMIT', of: ({ limit }) => limit },
      { title: 'FAILURES', of: ({ failures }) => failures },
      { title: 'ENFORCED', of: ({ enforced }) => enforced },
      { title: 'UNIT', of: ({ unit }) => unit },
      ...(session.explain
        ? [{ title: 'MEANING', of: ({ resource }: ContainerCounterView) => meaningOf(resource) }]
        : []),
    ]),
  )
}

function explainResources(session: Session): void {
  const rows = CONTAINER_RESOURCE_NAMES.map((resource) => {
    const { unit, meaning, by, failures } = containerResource(resource)
    return { resource, unit, meaning, enforcedBy: by, failures: failures ?? null }
  })
  session.print(rows, () =>
    formatTable(rows, [
      { title: 'RESOURCE', of: ({ resource }) => resource },
      { title: 'UNIT', of: ({ unit }) => unit },
      { title: 'ENFORCED BY', of: ({ enforcedBy: { v1, v2 } }) => [...new Set([v1, v2])].filter(Boolean).join(', ') },
      { title: 'MEANING', of: ({ resource }) => meaningOf(resource) },
    ]),
  )
}

/** All that is known of it, in a line. */
function meaningOf(resource: ContainerResourceName): string {
  const { meaning, barrier, limit, failures, each, changesAtStart } = containerResource(resource)
  const parts = [
    meaning,
    ...(barrier === undefined ? [] : [`barrier: ${barrier}`]),
    ...(limit === undefined ? [] : [`limit: ${limit}`]),
    ...(each === undefined ? [] : [`for each ${each}`]),
    ...(failures === undefined ? [] : [`failures: ${failures}`]),
    ...(changesAtStart ? ['a change is for the next start'] : []),
  ]
  return parts.join('. ')
}

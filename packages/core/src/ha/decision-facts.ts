/** What was known when a decision was made, in sentences for an administrator. */
import type { Grant } from '../model/grant.ts'
import type { Guest } from '../model/guest.ts'
import type { HostId } from '../model/ids.ts'
import type { CoordinatorInput } from './coordinator.ts'
import type { EventDraft } from './plan.ts'
import type { ServingPlan } from './serving.ts'

export function factsOf(
  previous: Grant | undefined,
  { state, verdicts }: Pick<CoordinatorInput, 'state' | 'verdicts'>,
): string[] {
  const facts: string[] = []
  if (!previous) facts.push('it never ran before')
  else if (previous.state !== 'released')
    facts.push(`it was granted to ${previous.host} at epoch ${previous.epoch}, and ${previous.host} is lost`)
  else
    facts.push(
      `its run at epoch ${previous.epoch} on ${previous.host} ended ${previous.clean ? 'in order' : 'without a last flush'}: ${previous.reason}`,
    )
  for (const { value: host } of state.hosts.values()) {
    const status = state.statuses.get(host.id)?.value
    if (status?.state === 'lost') facts.push(`${host.id} is lost: ${status.reason}`)
    else if (verdicts.get(host.id) === 'silent-here') facts.push(`${host.id} is not heard here, but others hear it`)
  }
  return facts
}

export function explainMissingData(plans: readonly ServingPlan[]): string {
  const hosts = new Set<string>()
  const copies: string[] = []
  for (const plan of plans) {
    if (plan.kind !== 'wait') continue
    for (const host of plan.forHosts) hosts.add(host)
    for (const copy of plan.staleCopies)
      copies.push(
        `${copy.host} has a copy that stopped at epoch ${copy.sinceEpoch}, ${new Date(copy.since).toISOString()}`,
      )
  }
  const stale = copies.length > 0 ? `; ${copies.join('; ')}` : '; there is no other copy'
  return `the only current copy of its data is on ${[...hosts].join(' and ')}, which is down${stale}`
}

/** For the event that a guest starts without what was written last. */
export function lossAccepted(
  { name }: Guest,
  from: HostId,
  serving: readonly Extract<ServingPlan, { kind: 'serve' }>[],
): EventDraft {
  const given = serving.find(({ aside }) => aside)
  const message = given
    ? `${given.facts.join('; ')}; ${name} starts from it. What was written since is given up; what ${given.aside?.replicas[0]?.host} has is set aside as volume ${given.aside?.id}`
    : `${name} starts from the stale copy on ${from}; newer writes are given up`
  return { kind: 'data-loss.accepted', subject: `guest/${name}`, message, details: { host: from } }
}

/** Why a guest is where it is, what a host's state means, and what stands behind an event. */
import type { HostExplanation } from '@stead/api/views.ts'
import { failure } from '@stead/core/errors.ts'
import { foresee } from '@stead/core/foresight/foresee.ts'
import { whatWouldHelp } from '@stead/core/ha/what-would-help.ts'
import type { ClusterState } from '@stead/core/model/cluster.ts'
import type { Decision } from '@stead/core/model/decision.ts'
import type { ClusterEvent } from '@stead/core/model/event.ts'
import type { Host } from '@stead/core/model/host.ts'
import { guestByName, isActive } from '@stead/core/model/records.ts'
import { fail, ok } from '@stead/core/result.ts'
import type { ApiBackend } from '../http/backend.ts'
import type { Desk } from './desk.ts'
import { cloneEvent } from './history-endpoints.ts'
import { cloneDecision, guestState, hostView } from './views.ts'
import { figuresOf } from './what-if.ts'

/** Of a host's events, how many are shown, out of how many of all. */
const HOST_EVENTS = 10
const EVENTS_READ = 5_000
/** What came before an event: so many, of this time. */
const BEFORE_EVENTS = 8
const BEFORE_READ = 200
const BEFORE_MS = 60_000

export function explainEndpoints(desk: Desk): Pick<ApiBackend, 'guest.explain' | 'host.explain' | 'event.explain'> {
  const { history } = desk.context
  return {
    'guest.explain': async ({ params }) => {
      const guest = desk.findGuest(params.guest)
      if (!guest.ok) return guest
      const { value } = guest.value
      const decision = desk.state.decisions.get(value.id)?.value
      const { state, reason } = guestState(desk.view(), value)
      const [smallestChange = null, ...otherChanges] = whatWouldHelp(desk.state, desk.isUp, value)
      return ok({
        name: value.name,
        id: value.id,
        state,
        reason,
        decision: decision ? cloneDecision(decision) : null,
        smallestChange,
        otherChanges,
      })
    },
    'host.explain': async ({ params }) => {
      const host = desk.findHost(params.host)
      if (!host.ok) return host
      const { name, state, reason, since } = hostView(desk.view(), host.value)
      const about = history.list({ limit: EVENTS_READ }).filter(({ subject }) => subject === `host/${name}`)
      return ok({
        name,
        state,
        reason,
        since,
        facts: factsOfHost(desk.state, host.value.value),
        guests: guestsOfHost(desk, host.value.value),
        events: about.slice(-HOST_EVENTS).map(cloneEvent),
      })
    },
    'event.explain': async ({ params }) => {
      const event = history.find(params.event)
      if (!event)
        return fail(
          failure('not_found', `There is no event ${params.event}`, {
            hint: 'Ids are in `stead event list --json`; the newest 200,000 events are kept',
          }),
        )
      const { decision, note } = decisionBehind(desk.state, event)
      return ok({
        event: cloneEvent(event),
        decision: decision ? cloneDecision(decision) : null,
        note,
        before: leadingTo(event, history.before(event.id, BEFORE_READ)).map(cloneEvent),
      })
    },
  }
}

function factsOfHost(state: ClusterState, host: Host): string[] {
  const facts: string[] = []
  const status = state.statuses.get(host.id)?.value
  const policy = state.policies.get(host.id)?.value
  if (status) facts.push(`it is recorded ${status.state}: ${status.reason}`)
  if (host.role === 'witness') facts.push('it votes, runs no guests and holds no data')
  if (state.coordinator?.value.host === host.id) facts.push('it decides for the cluster')
  if (policy?.maintenance) facts.push('it is in maintenance until `stead host undrain`')
  if (policy?.shutdown)
    facts.push(
      `it is to be ${policy.shutdown === 'reboot' ? 'rebooted' : 'switched off'}; that ends when it has booted`,
    )
  for (const [kind, name] of Object.entries(policy?.faultDomains ?? {})) {
    const others = [...state.policies].filter(
      ([id, { value }]) => id !== host.id && value.faultDomains?.[kind] === name,
    )
    const shared = others.length === 0 ? '' : `, as ${others.map(([id]) => id).join(', ')}`
    facts.push(`it fails with ${kind} ${name}${shared}`)
  }
  const replicas = [...state.volumes.values()].flatMap(({ value }) =>
    value.replicas.filter((one) => one.host === host.id),
  )
  const current = replicas.filter((one) => one.state === 'in-sync').length
  if (replicas.length > 0) facts.push(`${current} of its ${replicas.length} replicas are current`)
  return facts
}

/** Of a host that is up: what its loss would mean, as the coordinator itself would decide then. */
function guestsOfHost(desk: Desk, host: Host): HostExplanation['guests'] {
  const { state } = desk
  const granted = [...state.grants.values()].flatMap(({ value: grant }) => {
    const guest = state.guests.get(grant.guest)?.value
    return guest && grant.host === host.id && (grant.returns === true || isActive(grant)) ? [guest] : []
  })
  if (granted.length === 0) return []
  const isUp = desk.isUp(host.id)
  const options = { figures: figuresOf(state, desk.context.history), wallMs: desk.context.clock.wallMs() }
  const loss = isUp ? foresee(state, { kind: 'host-down', hosts: [host.id] }, options) : undefined
  return granted
    .toSorted((a, b) => a.name.localeCompare(b.name))
    .map((guest) => {
      const { state: shown, reason } = guestState(desk.view(), guest)
      const after = loss?.guests.find((one) => one.guest === guest.id)
      if (!loss || !after) return { name: guest.name, state: shown, meaning: reason }
      const meaning =
        after.to === undefined || after.downMs === undefined
          ? `if ${host.id} died now, it would stay down: ${loss.canDecide ? after.why : 'too few voters would be left to decide'}`
          : `if ${host.id} died now, it would run on ${after.to} after about ${(after.downMs / 1000).toFixed(1)} s`
      return { name: guest.name, state: shown, meaning }
    })
}

const DECIDED: ReadonlySet<string> = new Set(['grant.committed', 'guest.waiting'])

/** Decisions of a guest follow one another in one record: only the newest is known. */
function decisionBehind(
  state: ClusterState,
  event: ClusterEvent,
): { readonly decision?: Decision; readonly note: string } {
  if (!DECIDED.has(event.kind)) return { note: 'it tells what was seen or done, not what was decided' }
  const name = event.subject.slice('guest/'.length)
  const guest = guestByName(state, name)?.value
  if (!guest) return { note: `there is no guest ${name} any more` }
  const decision = state.decisions.get(guest.id)?.value
  if (!decision) return { note: 'the decision is not known any more' }
  const isIt =
    event.kind === 'guest.waiting'
      ? decision.action === 'wait' && event.message.endsWith(decision.outcome)
      : decision.action !== 'wait' && decision.epoch === event.details?.['epoch']
  return isIt
    ? { decision, note: '' }
    : { note: `a newer decision about ${name} has taken its place: see \`stead explain vm ${name}\`` }
}

/** The last ones about the same subject, about hosts and about what was set, within a minute. */
function leadingTo(event: ClusterEvent, earlier: readonly ClusterEvent[]): readonly ClusterEvent[] {
  const since = Date.parse(event.time) - BEFORE_MS
  const bears = ({ kind, subject }: ClusterEvent) =>
    subject === event.subject || /^(host|coordinator|rule|policy|ha)\./.test(kind)
  return earlier.filter((one) => Date.parse(one.time) >= since && bears(one)).slice(-BEFORE_EVENTS)
}

/** Failovers as they went, read out of the events: suspected, lost, granted elsewhere, started. */
import type { ClusterEvent } from '@stead/core/model/event.ts'

export interface RecoveredGuest {
  readonly name: string
  /** Where it was granted to. */
  readonly to: string
  readonly grantedAtMs: number
  /** Undefined while it has not started. */
  readonly startedAtMs: number | undefined
}

/** One loss of a host. Times are wall clock, ms since 1970, of whoever reported. */
export interface Failover {
  readonly id: string
  readonly host: string
  readonly suspectedAtMs: number | undefined
  readonly lostAtMs: number
  readonly backAtMs: number | undefined
  readonly guests: readonly RecoveredGuest[]
}

/** What is told so much later has another cause. */
const RECOVERY_MS = 10 * 60_000

/** The newest first; `events` oldest first. */
export function failoversIn(events: readonly ClusterEvent[]): readonly Failover[] {
  return events.flatMap((event, index) => (event.kind === 'host.lost' ? [failoverOf(events, index)] : [])).toReversed()
}

function failoverOf(events: readonly ClusterEvent[], index: number): Failover {
  const lost = events[index] as ClusterEvent
  const host = lost.subject.replace('host/', '')
  const lostAtMs = Date.parse(lost.time)
  const ofHost = (event: ClusterEvent) => event.subject === lost.subject
  const before = events.slice(0, index).filter(ofHost)
  const lastOnline = before.findLastIndex(({ kind }) => kind === 'host.online' || kind === 'host.cleared')
  // Each observer tells it; the first was the earliest to miss the host.
  const suspected = before.slice(lastOnline + 1).find(({ kind }) => kind === 'host.suspected')
  const later = events.slice(index + 1)
  const back = later.find((event) => ofHost(event) && event.kind === 'host.online')
  const end = Math.min(back ? Date.parse(back.time) : Infinity, lostAtMs + RECOVERY_MS)
  return {
    id: lost.id,
    host,
    suspectedAtMs: suspected && Date.parse(suspected.time),
    lostAtMs,
    backAtMs: back && Date.parse(back.time),
    guests: recoveredFrom(
      host,
      later.filter(({ time }) => Date.parse(time) <= end),
    ),
  }
}

function recoveredFrom(host: string, events: readonly ClusterEvent[]): readonly RecoveredGuest[] {
  const guests = new Map<string, RecoveredGuest>()
  for (const { kind, subject, time, details, message } of events) {
    const name = subject.replace('guest/', '')
    const known = guests.get(name)
    // Grants for other reasons may fall into the same minutes.
    if (kind === 'grant.committed' && !known && message.includes(`: ${host} is lost`)) {
      const to = String(details?.['host'] ?? '')
      guests.set(name, { name, to, grantedAtMs: Date.parse(time), startedAtMs: undefined })
    } else if (kind === 'guest.started' && known && known.startedAtMs === undefined) {
      guests.set(name, { ...known, startedAtMs: Date.parse(time) })
    }
  }
  return [...guests.values()]
}

/** From the first suspicion to the last guest's start; what is still open is not counted. */
export function lengthMs({ suspectedAtMs, lostAtMs, guests }: Failover): number {
  const ends = guests.map(({ grantedAtMs, startedAtMs }) => startedAtMs ?? grantedAtMs)
  return Math.max(lostAtMs, ...ends) - (suspectedAtMs ?? lostAtMs)
}

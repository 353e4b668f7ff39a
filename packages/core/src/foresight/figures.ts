/** How long things take in this cluster, read off what happened in it. */
import type { ClusterEvent } from '../model/event.ts'
import type { ClusterState } from '../model/cluster.ts'

export interface Figures {
  /** From the plug to the record that the host is lost, ms. */
  readonly lossMs: number
  /** From a grant to the guest's start, ms. */
  readonly startMs: number
  /** From the request to the end of a guest that is stopped in order, ms. */
  readonly stopMs: number
  /** How long a guest stands still while a lost replica is recorded, beyond noticing the loss, ms. */
  readonly pauseMs: number
  /** How many intervals each was taken from; 0: an assumption. */
  readonly samples: { readonly start: number; readonly stop: number; readonly pause: number }
}

const ASSUMED = { startMs: 500, stopMs: 5_000, pauseMs: 50 }
const DETECTION_MS = 3_000
/** A majority's agreement and a transaction. */
const AGREEMENT_MS = 50
/** Longer intervals are other stories: somebody started the guest by hand the next day. */
const INTERVAL_MS_MAX = 120_000

/** `events`: any order. Intervals between hosts are taken by their wall clocks. */
export function measuredFigures(state: ClusterState, events: readonly ClusterEvent[]): Figures {
  const ordered = events.toSorted((a, b) => a.time.localeCompare(b.time))
  const starts: number[] = []
  const granted = new Map<string, ClusterEvent>()
  for (const event of ordered) {
    if (event.kind === 'grant.committed') granted.set(event.subject, event)
    if (event.kind === 'guest.started') take(granted, event, starts)
  }
  const stops = detailsOf(ordered, 'guest.stopped', 'tookMs')
  const pauses = detailsOf(ordered, 'replica.stale', 'pauseMs')
  return {
    lossMs: (state.settings?.value.detectionMs ?? DETECTION_MS) + AGREEMENT_MS,
    startMs: median(starts) ?? ASSUMED.startMs,
    stopMs: median(stops) ?? ASSUMED.stopMs,
    pauseMs: median(pauses) ?? ASSUMED.pauseMs,
    samples: { start: starts.length, stop: stops.length, pause: pauses.length },
  }
}

function detailsOf(events: readonly ClusterEvent[], kind: ClusterEvent['kind'], detail: string): number[] {
  return events.flatMap((event) => {
    const value = event.kind === kind ? event.details?.[detail] : undefined
    return typeof value === 'number' ? [value] : []
  })
}

function take(begun: Map<string, ClusterEvent>, end: ClusterEvent, intervals: number[]): void {
  const begin = begun.get(end.subject)
  begun.delete(end.subject)
  if (!begin) return
  const ms = Date.parse(end.time) - Date.parse(begin.time)
  if (ms >= 0 && ms <= INTERVAL_MS_MAX) intervals.push(ms)
}

function median(values: readonly number[]): number | undefined {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.floor(sorted.length / 2)]
}

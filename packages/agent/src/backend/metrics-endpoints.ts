/** What was measured, gathered for a user at any host from those that measured it. */
import type { MetricsView, StorageLoadView } from '@stead/api/endpoints/metrics.ts'
import { failure } from '@stead/core/errors.ts'
import { metricsOf, type MetricSubject } from '@stead/core/metrics/metric.ts'
import { spanOf, type Span } from '@stead/core/metrics/resolution.ts'
import { STORAGE_LOAD_LINE } from '@stead/core/metrics/storage-load.ts'
import type { HostId } from '@stead/core/model/ids.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import type { ApiBackend } from '../http/backend.ts'
import type { Gathered } from '../asked-hosts.ts'
import { causesOf } from '../metrics/cluster-metrics.ts'
import type { LatestFigures } from '../metrics/host-metrics.ts'
import type { Series } from '../metrics/metrics-database.ts'
import type { Desk } from './desk.ts'

type Answers = Pick<ApiBackend, 'guest.metrics' | 'host.metrics' | 'pool.metrics' | 'storage.load'>

interface SpanQuery {
  readonly from?: string | undefined
  readonly to?: string | undefined
  readonly stepMs?: number | undefined
}

const HOUR_MS = 3_600_000

export function metricsEndpoints(desk: Desk): Answers {
  const { metrics, clock } = desk.context
  const shown = async (name: string, subject: MetricSubject, hosts: readonly HostId[], query: SpanQuery) => {
    const span = askedSpan(query, clock.wallMs())
    if (!span.ok) return span
    return ok(metricsView(name, subject, span.value, await metrics.series(hosts, subject, span.value)))
  }
  return {
    'guest.metrics': async ({ params, query }) => {
      const found = desk.findGuest(params.guest)
      if (!found.ok) return found
      const { id, name } = found.value.value
      return shown(name, `guest/${id}`, computeHosts(desk), query)
    },

    'host.metrics': async ({ params, query }) => {
      const found = desk.findHost(params.host)
      return found.ok ? shown(found.value.value.id, 'host', [found.value.value.id], query) : found
    },

    'pool.metrics': async ({ params, query }) => {
      const found = desk.findHost(params.host)
      if (!found.ok) return found
      const { id, pools } = found.value.value
      if (!pools.some(({ name }) => name === params.pool))
        return fail(
          failure('not_found', `There is no pool ${params.pool} on ${id}`, {
            hint: `The pools of ${id} are ${pools.map(({ name }) => name).join(', ') || 'none'}`,
          }),
        )
      return shown(params.pool, `pool/${params.pool}`, [id], query)
    },

    'storage.load': async () => {
      const hosts = [...desk.state.hosts.values()].flatMap(({ value }) => (value.pools.length > 0 ? [value.id] : []))
      // Who runs guests without a pool of its own causes load as well.
      const asked = new Set([...hosts, ...computeHosts(desk)])
      const gathered = await metrics.latest([...asked].toSorted())
      const items = gathered.answered.flatMap(([host, { pools }]) =>
        pools.map((pool) => loadView(desk, gathered.answered, host, pool)),
      )
      return ok({ lineRatio: STORAGE_LOAD_LINE, items, silent: [...gathered.silent] })
    },
  }
}

function computeHosts(desk: Desk): HostId[] {
  return [...desk.state.hosts.values()].flatMap(({ value }) => (value.role === 'compute' ? [value.id] : [])).toSorted()
}

function askedSpan({ from, to, stepMs }: SpanQuery, nowMs: number): Result<Span> {
  const toMs = to === undefined ? nowMs : Date.parse(to)
  const fromMs = from === undefined ? toMs - HOUR_MS : Date.parse(from)
  if (fromMs >= toMs)
    return fail(failure('bad_request', '`from` is not before `to`', { hint: 'Both are times; `to` is not part of it' }))
  return ok(spanOf({ fromMs, toMs, ...(stepMs === undefined ? {} : { stepMs }) }, nowMs))
}

function metricsView(
  name: string,
  subject: MetricSubject,
  { fromMs, toMs, stepMs }: Span,
  { answered, silent }: Gathered<Series>,
): MetricsView {
  const metrics = metricsOf(subject)
  const measured = answered.filter(([, series]) => Object.values(series).some((list) => list.some((it) => it !== null)))
  const merge = (metric: string) =>
    Array.from({ length: Math.round((toMs - fromMs) / stepMs) }, (_, step) =>
      merged(measured.map(([, series]) => series[metric]?.[step] ?? null)),
    )
  return {
    subject: name,
    ...{ from: new Date(fromMs).toISOString(), to: new Date(toMs).toISOString(), stepMs },
    metrics: metrics.map(({ name: metric, unit, meaning }) => ({ name: metric, unit, meaning })),
    series: Object.fromEntries(metrics.map(({ name: metric }) => [metric, merge(metric)])),
    hosts: measured.map(([host]) => host),
    silent: [...silent],
  }
}

/** A guest runs on one host at a time; in the step in which it moved, the one counts that measured more. */
function merged(figures: readonly (number | null)[]): number | null {
  const known = figures.filter((figure) => figure !== null)
  return known.length === 0 ? null : Math.max(...known)
}

function loadView(
  desk: Desk,
  answered: Gathered<LatestFigures>['answered'],
  host: HostId,
  { name, figures, loadMeanRatio }: LatestFigures['pools'][number],
): StorageLoadView {
  const { guests, others } = causesOf(desk.state, answered, host, name)
  const mean = loadMeanRatio ?? null
  return {
    ...{ host, pool: name },
    nowRatio: figures.storageBusyRatio ?? null,
    meanRatio: mean,
    level: mean === null ? 'unknown' : mean > STORAGE_LOAD_LINE ? 'busy' : 'calm',
    readsPerSecond: figures.readsPerSecond ?? null,
    writesPerSecond: figures.writesPerSecond ?? null,
    readBytesPerSecond: figures.readBytesPerSecond ?? null,
    writtenBytesPerSecond: figures.writtenBytesPerSecond ?? null,
    readLatencyMs: figures.readLatencyMs ?? null,
    writeLatencyMs: figures.writeLatencyMs ?? null,
    causes: guests.flatMap(({ guest, share }) => {
      const known = desk.state.guests.get(guest)?.value
      return known ? [{ guest: known.name, id: guest, share }] : []
    }),
    othersShare: others,
  }
}

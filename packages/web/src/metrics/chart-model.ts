/** Which charts are made of what was measured, and what they say in words, tables and files. Pure. */
import type { MetricsView } from '@stead/api/endpoints/metrics.ts'

export const RANGES = {
  hour: 3_600_000,
  sixHours: 6 * 3_600_000,
  day: 24 * 3_600_000,
  week: 7 * 24 * 3_600_000,
  month: 30 * 24 * 3_600_000,
  year: 365 * 24 * 3_600_000,
} as const
export type RangeName = keyof typeof RANGES

/** The last so long and what comes; or a stretch of time that stays. */
export type ShownTime =
  | { readonly is: 'live'; readonly range: RangeName }
  | { readonly is: 'fixed'; readonly fromMs: number; readonly toMs: number }

/** Narrower there is nothing more to see. */
export const ZOOM_MS_MIN = 120_000

export type ChartId = 'cpu' | 'memory' | 'network' | 'requests' | 'throughput' | 'latency' | 'load' | 'room'

/** Which metrics share a chart: what has one unit and is read together. */
const CHARTS: Readonly<Record<ChartId, readonly string[]>> = {
  cpu: ['cpuCores'],
  memory: ['memoryBytes'],
  load: ['storageBusyRatio'],
  latency: ['readLatencyMs', 'writeLatencyMs'],
  requests: ['readsPerSecond', 'writesPerSecond'],
  throughput: ['readBytesPerSecond', 'writtenBytesPerSecond'],
  network: ['receivedBytesPerSecond', 'sentBytesPerSecond'],
  room: ['usedBytes'],
}

/** Above it guests begin to wait for each other. */
export const LOAD_LINE = 0.1

export interface ChartSeries {
  readonly subject: string
  readonly metric: string
  /** Of its subject among those that are compared. */
  readonly subjectIndex: number
  /** Among the metrics of its chart. */
  readonly metricIndex: number
  readonly figures: readonly (number | null)[]
}

export interface Chart {
  readonly id: ChartId
  readonly unit: string
  /** Milliseconds since 1970, when each step begins. */
  readonly times: readonly number[]
  readonly series: readonly ChartSeries[]
}

/** A chart for each thing that any of the subjects has, the subjects side by side. All views are of one time. */
export function chartsOf(views: readonly MetricsView[]): readonly Chart[] {
  const [first] = views
  if (!first) return []
  return (Object.keys(CHARTS) as ChartId[]).flatMap((id) => {
    const known = first.metrics.find(({ name }) => CHARTS[id].includes(name))
    const series = views.flatMap((view, subjectIndex) =>
      CHARTS[id].flatMap((metric, metricIndex) => {
        const figures = view.series[metric] ?? []
        const isMeasured = figures.some((figure) => figure !== null)
        return isMeasured ? [{ subject: view.subject, metric, subjectIndex, metricIndex, figures }] : []
      }),
    )
    return known && series.length > 0 ? [{ id, unit: known.unit, times: timesOf(first), series }] : []
  })
}

export function timesOf({ from, to, stepMs }: Pick<MetricsView, 'from' | 'to' | 'stepMs'>): number[] {
  const fromMs = Date.parse(from)
  return Array.from({ length: Math.round((Date.parse(to) - fromMs) / stepMs) }, (_, index) => fromMs + index * stepMs)
}

/** Hosts whose part is missing, of all subjects. */
export function silentHosts(views: readonly MetricsView[]): readonly string[] {
  return [...new Set(views.flatMap(({ silent }) => silent))].toSorted()
}

export interface Digest {
  readonly last: number
  readonly mean: number
  readonly most: number
}

export function digestOf(figures: readonly (number | null)[]): Digest | undefined {
  const known = figures.filter((figure) => figure !== null)
  if (known.length === 0) return undefined
  const mean = known.reduce((sum, figure) => sum + figure, 0) / known.length
  return { last: known.at(-1)!, mean, most: Math.max(...known) }
}

/** One line a step, one column a subject and metric, named as in the API (RFC 4180). */
export function csvOf(views: readonly MetricsView[]): string {
  const [first] = views
  if (!first) return ''
  const columns = views.flatMap(({ subject, metrics, series }) =>
    metrics.map(({ name }) => ({ title: `${subject} ${name}`, figures: series[name] ?? [] })),
  )
  const head = ['time', ...columns.map(({ title }) => title)]
  const rows = timesOf(first).map((time, step) => [
    new Date(time).toISOString(),
    ...columns.map(({ figures }) => figures[step] ?? ''),
  ])
  return [head, ...rows].map((row) => `${row.map(cell).join(',')}\r\n`).join('')
}

function cell(value: string | number): string {
  const text = String(value)
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text
}

/** The same length, so far back or forth; what comes after now is the present. */
export function shifted(shown: ShownTime, direction: -1 | 1, nowMs: number): ShownTime {
  const { fromMs, toMs } = spanOf(shown, nowMs)
  const byMs = direction * (toMs - fromMs)
  if (toMs + byMs < nowMs) return { is: 'fixed', fromMs: fromMs + byMs, toMs: toMs + byMs }
  const range = (Object.keys(RANGES) as RangeName[]).find((name) => RANGES[name] >= toMs - fromMs)
  return { is: 'live', range: range ?? 'year' }
}

export function spanOf(shown: ShownTime, nowMs: number): { readonly fromMs: number; readonly toMs: number } {
  return shown.is === 'fixed' ? shown : { fromMs: nowMs - RANGES[shown.range], toMs: nowMs }
}

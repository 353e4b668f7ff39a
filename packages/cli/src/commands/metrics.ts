/** `vm metrics`, `host metrics`, `host storage-load`: what was measured, a line for each thing, with its course. */
import type { Command } from 'commander'
import { ENDPOINTS } from '@stead/api/endpoints.ts'
import type { MetricsView, StorageLoadView } from '@stead/api/endpoints/metrics.ts'
import { formatTable } from '../output.ts'
import { badArgument, formatSize, momentAgo, parseDuration } from '../quantities.ts'
import { action, valueOf, type Session, type Terminal } from '../session.ts'

const BARS = '▁▂▃▄▅▆▇█'
/** So many bars fit beside the figures. */
const BARS_WIDE = 40

export function addGuestMetrics(guests: Command, terminal: Terminal): void {
  withSpan(guests.command('metrics').description(ENDPOINTS['guest.metrics'].summary))
    .argument('<name>', "the guest's name or id")
    .action(
      action(terminal, async (session, [guest = ''], options) => {
        const client = await session.client()
        print(
          session,
          valueOf(await client.call(ENDPOINTS['guest.metrics'], { params: { guest }, query: queryOf(options) })),
        )
      }),
    )
}

export function addHostMetrics(hosts: Command, terminal: Terminal): void {
  withSpan(hosts.command('metrics').description(ENDPOINTS['host.metrics'].summary))
    .argument('<host>', "the host's name")
    .option('--pool <name>', 'what this pool of it had to do')
    .action(
      action(terminal, async (session, [host = ''], options) => {
        const client = await session.client()
        const { pool } = options
        const query = queryOf(options)
        const answer =
          typeof pool === 'string'
            ? await client.call(ENDPOINTS['pool.metrics'], { params: { host, pool }, query })
            : await client.call(ENDPOINTS['host.metrics'], { params: { host }, query })
        print(session, valueOf(answer))
      }),
    )
  hosts
    .command('storage-load')
    .description(ENDPOINTS['storage.load'].summary)
    .action(
      action(terminal, async (session) => {
        const client = await session.client()
        const answer = valueOf(await client.call(ENDPOINTS['storage.load'], {}))
        session.warn(silentText(answer.silent))
        session.print(answer, () => loadTable(answer.items))
      }),
    )
}

function withSpan(command: Command): Command {
  return command
    .option('--since <duration>', 'how far back it goes', '1h')
    .option('--step <duration>', 'how long each figure is the mean of; what suits the time when absent')
}

function queryOf({ since, step }: Record<string, unknown>) {
  const sinceMs = parseDuration(String(since), '--since')
  if (sinceMs <= 0) throw badArgument('--since: how far back is not said', 'Write 30m, 6h or 7d.')
  return {
    from: momentAgo(sinceMs, Date.now(), '--since'),
    ...(step === undefined ? {} : { stepMs: parseDuration(String(step), '--step') }),
  }
}

function print(session: Session, view: MetricsView): void {
  session.warn(silentText(view.silent))
  session.print(view, () => metricsTable(view))
}

interface Row {
  readonly unit: string
  readonly meaning: string
  readonly figures: readonly (number | null)[]
}

function metricsTable({ metrics, series }: MetricsView): string {
  const rows: Row[] = metrics.flatMap(({ name, unit, meaning }) => {
    const figures = series[name] ?? []
    return figures.some((figure) => figure !== null) ? [{ unit, meaning, figures }] : []
  })
  if (rows.length === 0) return 'Nothing was measured then\n'
  const of = (pick: (known: readonly number[]) => number) => (row: Row) =>
    amount(pick(row.figures.filter((figure) => figure !== null)), row.unit)
  return formatTable<Row>(rows, [
    { title: 'WHAT', of: ({ meaning }) => meaning },
    { title: 'LAST', of: of((known) => known.at(-1)!) },
    { title: 'MEAN', of: of((known) => known.reduce((sum, each) => sum + each, 0) / known.length) },
    { title: 'MOST', of: of((known) => Math.max(...known)) },
    { title: 'COURSE', of: ({ figures }) => course(figures) },
  ])
}

/** Bars between nothing and the highest; a gap where nothing was measured. */
export function course(figures: readonly (number | null)[]): string {
  const each = Math.max(1, Math.ceil(figures.length / BARS_WIDE))
  const means: (number | undefined)[] = []
  for (let first = 0; first < figures.length; first += each) {
    const known = figures.slice(first, first + each).filter((figure) => figure !== null)
    means.push(known.length === 0 ? undefined : known.reduce((sum, figure) => sum + figure, 0) / known.length)
  }
  const most = Math.max(...means.map((mean) => mean ?? 0))
  const bar = (mean: number) => BARS[most === 0 ? 0 : Math.round((mean / most) * (BARS.length - 1))]
  return means.map((mean) => (mean === undefined ? ' ' : bar(mean))).join('')
}

function loadTable(items: readonly StorageLoadView[]): string {
  return formatTable<StorageLoadView>(items, [
    { title: 'HOST', of: ({ host }) => host },
    { title: 'POOL', of: ({ pool }) => pool },
    { title: 'LOAD', of: ({ meanRatio }) => ratio(meanRatio) },
    { title: 'NOW', of: ({ nowRatio }) => ratio(nowRatio) },
    { title: 'LEVEL', of: ({ level }) => level },
    { title: 'WRITE', of: ({ writeLatencyMs }) => (writeLatencyMs === null ? null : amount(writeLatencyMs, 'ms')) },
    {
      title: 'CAUSED BY',
      of: ({ causes, othersShare }) =>
        [
          ...causes.slice(0, 3).map(({ guest, share }) => `${guest} ${amount(share, 'ratio')}`),
          ...(othersShare >= 0.01 ? [`others ${amount(othersShare, 'ratio')}`] : []),
        ].join(', '),
    },
  ])
}

const ratio = (part: number | null) => (part === null ? null : amount(part, 'ratio'))

function amount(figure: number, unit: string): string {
  if (unit === 'bytes') return formatSize(Math.round(figure))
  if (unit === 'bytes/s') return `${formatSize(Math.round(figure))}/s`
  if (unit === 'ratio') return `${(figure * 100).toFixed(1)} %`
  const digits = figure >= 100 ? 0 : 2
  return unit === 'cores' ? figure.toFixed(2) : `${figure.toFixed(digits)}${unit === '1/s' ? '/s' : ` ${unit}`}`
}

function silentText(silent: readonly string[]): string[] {
  return silent.length === 0 ? [] : [`${silent.join(', ')} did not answer: what it measured is missing here`]
}

/** The figures of all hosts, each asked for what it has measured itself: what a guest was like is kept where it ran. */
import type { MetricSubject } from '@stead/core/metrics/metric.ts'
import type { Span } from '@stead/core/metrics/resolution.ts'
import { loadCauses, type HostDemands, type LoadCauses } from '@stead/core/metrics/storage-load.ts'
import type { ClusterState } from '@stead/core/model/cluster.ts'
import type { HostId } from '@stead/core/model/ids.ts'
import type { MeterReadings } from '@stead/core/ports/host-meters.ts'
import { ok, type Result } from '@stead/core/result.ts'
import { gather, type AskedHostsOptions, type Gathered } from '../asked-hosts.ts'
import type { HostMetrics, LatestFigures } from './host-metrics.ts'
import type { Series } from './metrics-database.ts'

export interface ClusterMetricsOptions extends AskedHostsOptions {
  readonly own: Pick<HostMetrics, 'series' | 'latest' | 'readings'>
}

export interface OwnMetrics {
  readonly readings: MeterReadings | undefined
  readonly latest: LatestFigures
}

interface SeriesQuestion {
  readonly subject: MetricSubject
  readonly span: Span
}

export class ClusterMetrics {
  readonly #options: ClusterMetricsOptions

  constructor(options: ClusterMetricsOptions) {
    this.#options = options
  }

  series(hosts: readonly HostId[], subject: MetricSubject, span: Span): Promise<Gathered<Series>> {
    const { own } = this.#options
    const input = { subject, span }
    return gather(this.#options, hosts, { name: 'metric-series', input, own: () => own.series(subject, span) })
  }

  /** Of this host alone. */
  own(): OwnMetrics {
    const { own } = this.#options
    return { readings: own.readings, latest: own.latest() }
  }

  /** How all hosts, and what runs on them, are now. */
  latest(hosts: readonly HostId[]): Promise<Gathered<LatestFigures>> {
    return gather(this.#options, hosts, { name: 'metric-latest', input: {}, own: () => this.#options.own.latest() })
  }

  async causes(host: HostId, pool: string): Promise<LoadCauses> {
    const { answered } = await this.latest([...this.#options.state().hosts.keys()])
    return causesOf(this.#options.state(), answered, host, pool)
  }
}

export function causesOf(
  state: ClusterState,
  answered: Gathered<LatestFigures>['answered'],
  host: HostId,
  pool: string,
): LoadCauses {
  const demands = new Map(
    answered.map(([on, { guests }]): [HostId, HostDemands] => [
      on,
      new Map(guests.map(({ guest, disks }) => [guest, disks])),
    ]),
  )
  const figures = answered.find(([on]) => on === host)?.[1].pools.find(({ name }) => name === pool)?.figures
  const { readsPerSecond = 0, writesPerSecond = 0, readBytesPerSecond = 0, writtenBytesPerSecond = 0 } = figures ?? {}
  const work = { readsPerSecond, writesPerSecond, readBytesPerSecond, writtenBytesPerSecond }
  return loadCauses(state, demands, { host, name: pool, work: figures && work })
}

/** What other hosts may ask of this one. */
export function metricCalls(
  own: Pick<HostMetrics, 'series' | 'latest'>,
): Readonly<Record<string, (input: unknown) => Promise<Result<unknown>>>> {
  return {
    'metric-series': async (input) => {
      const { subject, span } = input as SeriesQuestion
      return ok(own.series(subject, span))
    },
    'metric-latest': async () => ok(own.latest()),
  }
}

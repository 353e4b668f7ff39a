/** Measures this host every ten seconds, keeps the figures, and watches the load of its pools. docs/internals/metrics.md. */
import type { EventDraft } from '@stead/core/ha/plan.ts'
import { measureBetween, type DiskDemand, type HostMeasure } from '@stead/core/metrics/figures.ts'
import type { Figures, MetricSubject } from '@stead/core/metrics/metric.ts'
import { SAMPLE_MS, type Span } from '@stead/core/metrics/resolution.ts'
import { loadEvent, StorageLoadWatch, type LoadCauses, type LoadChange } from '@stead/core/metrics/storage-load.ts'
import type { ClusterMirror } from '@stead/core/host/cluster-mirror.ts'
import type { GuestId, HostId } from '@stead/core/model/ids.ts'
import type { Clock } from '@stead/core/ports/clock.ts'
import type { HostMeters, MeterReadings } from '@stead/core/ports/host-meters.ts'
import type { Log } from '@stead/core/ports/log.ts'
import type { MetricsDatabase, Series } from './metrics-database.ts'

export interface HostMetricsOptions {
  readonly self: HostId
  readonly meters: HostMeters
  readonly database: MetricsDatabase
  readonly mirror: Pick<ClusterMirror, 'state' | 'loaded'>
  /** Told of each look that made figures. */
  readonly measured?: (measure: HostMeasure) => Promise<void>
  /** Who causes the load of a pool of this host, as all hosts say. */
  readonly causes: (pool: string) => Promise<LoadCauses>
  readonly tell: (...drafts: readonly EventDraft[]) => void
  readonly clock: Clock
  readonly log: Log
}

/** Of the last look, for whoever asks how it is now. */
export interface LatestFigures {
  readonly host: Figures<'host'>
  readonly pools: readonly LatestPool[]
  readonly guests: readonly LatestGuest[]
}

interface LatestPool {
  readonly name: string
  readonly figures: Figures<'pool'>
  /** Of the last quarter of an hour, or of what is known of it. */
  readonly loadMeanRatio?: number
}

interface LatestGuest {
  readonly guest: GuestId
  readonly figures: Figures<'guest'>
  readonly disks: readonly DiskDemand[]
}

/** Looks further apart, after a sleep of the machine, make no figures: nobody knows what was when. */
const APART_MS_MAX = 6 * SAMPLE_MS
const APART_MS_MIN = 1_000

export class HostMetrics {
  readonly #options: HostMetricsOptions
  readonly #watch = new StorageLoadWatch()
  #before: MeterReadings | undefined
  #measure: HostMeasure | undefined

  constructor(options: HostMetricsOptions) {
    this.#options = options
  }

  /** For as long as the agent lives. */
  async keep(signal: AbortSignal): Promise<void> {
    const { clock, log } = this.#options
    while (!signal.aborted) {
      await this.look().catch((error: unknown) => log.error('this host could not be measured', { error }))
      // At the same moment as all others do, and as the steps of what is kept begin.
      await clock.sleep(SAMPLE_MS - (clock.wallMs() % SAMPLE_MS), signal)
    }
  }

  async look(): Promise<void> {
    const { meters, database, clock } = this.#options
    const readings = await meters.read()
    const before = this.#before
    if (before && readings.atMs - before.atMs < APART_MS_MIN) return
    this.#before = readings
    if (!before || readings.atMs - before.atMs > APART_MS_MAX) return
    const measure = measureBetween(before, readings)
    this.#measure = measure
    // What was measured lies before this moment.
    const wallMs = clock.wallMs() - 1
    database.append(wallMs, subjectsOf(measure))
    this.#watchLoad(measure)
    await this.#options.measured?.(measure)
    await database.tidy(wallMs, (subject) => this.#isKnown(subject))
  }

  series(subject: MetricSubject, span: Span): Series {
    return this.#options.database.series(subject, span)
  }

  /** What the counters stood at at the last look. */
  get readings(): MeterReadings | undefined {
    return this.#before
  }

  latest(): LatestFigures {
    const { host = {}, pools = new Map(), guests = new Map() } = this.#measure ?? {}
    return {
      host,
      pools: [...pools].map(([name, figures]) => {
        const mean = this.#watch.mean(name)
        return { name, figures, ...(mean === undefined ? {} : { loadMeanRatio: mean }) }
      }),
      guests: [...guests].map(([guest, { figures, disks }]) => ({ guest, figures, disks })),
    }
  }

  #watchLoad({ pools }: HostMeasure): void {
    for (const [pool, { storageBusyRatio }] of pools) {
      const change = storageBusyRatio === undefined ? undefined : this.#watch.add(pool, storageBusyRatio)
      if (change) void this.#tellLoad(pool, change)
    }
  }

  async #tellLoad(pool: string, change: LoadChange): Promise<void> {
    const { self, causes, mirror, tell, log } = this.#options
    const mean = this.#watch.mean(pool) ?? 0
    try {
      tell(loadEvent(change, { host: self, pool, mean }, await causes(pool), mirror.state.guests))
    } catch (error) {
      log.error('the load of a pool could not be told', { pool, error })
    }
  }

  /** What a deleted guest was like is of no use to anybody. */
  #isKnown(subject: MetricSubject): boolean {
    const { mirror } = this.#options
    const guest = /^guest\/(.+)$/.exec(subject)?.[1]
    return guest === undefined || !mirror.loaded || mirror.state.guests.has(guest as GuestId)
  }
}

function* subjectsOf({ host, pools, guests }: HostMeasure): Generator<readonly [MetricSubject, Figures]> {
  yield ['host', host]
  for (const [name, figures] of pools) yield [`pool/${name}`, figures]
  for (const [id, { figures }] of guests) yield [`guest/${id}`, figures]
}

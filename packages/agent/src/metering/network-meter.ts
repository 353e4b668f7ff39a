/**
 * Counts what the guests of this host send and receive, by project and hour. docs/internals/access.md. Each host keeps a
 * record of its own for each hour, with all that it counted so far: writing it again changes nothing.
 */
import type { ClusterMirror } from '@stead/core/host/cluster-mirror.ts'
import type { HostMeasure } from '@stead/core/metrics/figures.ts'
import type { HostId } from '@stead/core/model/ids.ts'
import { KEYS } from '@stead/core/model/keys.ts'
import { hourOf, type NetworkHour, type NetworkUse } from '@stead/core/model/metering.ts'
import { projectOf } from '@stead/core/model/project.ts'
import type { Clock } from '@stead/core/ports/clock.ts'
import type { Store } from '@stead/core/ports/store.ts'
import { HOURS_IN_STORE_MS } from './meter.ts'

export interface NetworkMeterOptions {
  readonly self: HostId
  readonly store: Store
  readonly mirror: Pick<ClusterMirror, 'state'>
  readonly clock: Pick<Clock, 'wallMs'>
}

/** What an agent that is killed has not written yet is lost, in favour of who pays. */
const WRITE_MS = 300_000

/** One that is being counted, or that is over and not written yet. */
interface CountedHour {
  readonly projects: Map<string, NetworkUse>
  /** What an agent before this one has counted is in it. */
  isWhole: boolean
  isChanged: boolean
}

export class NetworkMeter {
  readonly #options: NetworkMeterOptions
  readonly #hours = new Map<string, CountedHour>()
  #writtenMs: number

  constructor(options: NetworkMeterOptions) {
    this.#options = options
    this.#writtenMs = options.clock.wallMs()
  }

  /** Of one look. */
  async add({ guests }: HostMeasure): Promise<void> {
    const { clock, mirror } = this.#options
    const nowMs = clock.wallMs()
    const hour = this.#hourOf(hourOf(nowMs))
    for (const [id, use] of guests) {
      const guest = mirror.state.guests.get(id)?.value
      if (guest && use.receivedBytes + use.sentBytes > 0) count(hour, projectOf(guest), use)
    }
    if (this.#hours.size > 1 || nowMs - this.#writtenMs >= WRITE_MS) await this.write()
  }

  /** All that was counted; while the store cannot be reached it is kept, and tried again with the next look. */
  async write(): Promise<void> {
    const { clock } = this.#options
    const nowMs = clock.wallMs()
    for (const [name, hour] of this.#hours) {
      if (hour.isChanged && !(await this.#writeHour(name, hour))) return
      if (name !== hourOf(nowMs)) this.#hours.delete(name)
    }
    this.#writtenMs = nowMs
  }

  async #writeHour(name: string, hour: CountedHour): Promise<boolean> {
    const { self, store } = this.#options
    const key = KEYS.networkHour(name, self)
    if (!hour.isWhole) {
      const found = await store.get(key)
      if (!found.ok) return false
      const before = found.value ? (JSON.parse(found.value.value) as NetworkHour) : undefined
      for (const [project, use] of Object.entries(before?.projects ?? {})) count(hour, project, use)
      hour.isWhole = true
    }
    const record: NetworkHour = { hour: name, host: self, projects: Object.fromEntries(hour.projects) }
    const forgotten = KEYS.networkHour(hourOf(Date.parse(name) - HOURS_IN_STORE_MS), self)
    const written = await store.transact({
      compares: [],
      writes: [
        { kind: 'put', key, value: JSON.stringify(record) },
        { kind: 'delete', key: forgotten },
      ],
    })
    if (written.ok) hour.isChanged = false
    return written.ok
  }

  #hourOf(name: string): CountedHour {
    const known = this.#hours.get(name) ?? { projects: new Map(), isWhole: false, isChanged: false }
    this.#hours.set(name, known)
    return known
  }
}

function count(hour: CountedHour, project: string, { receivedBytes, sentBytes }: NetworkUse): void {
  const sum = hour.projects.get(project) ?? { receivedBytes: 0, sentBytes: 0 }
  hour.projects.set(project, {
    receivedBytes: sum.receivedBytes + receivedBytes,
    sentBytes: sum.sentBytes + sentBytes,
  })
  hour.isChanged = true
}

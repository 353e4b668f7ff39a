/** No guest stops running without an event that names it and says why. */
import type { ClusterEvent, EventKind } from '@stead/core/model/event.ts'
import { PREFIX } from '@stead/core/model/keys.ts'
import type { Transaction } from '@stead/core/ports/store.ts'
import type { Process } from '../memory-machine.ts'
import type { Evidence } from './evidence.ts'

const EVENTS = `${PREFIX}events/`
const EXPLAINING: ReadonlySet<EventKind> = new Set([
  'guest.exited',
  'guest.failed',
  'guest.stopped',
  'guest.waiting',
  'guest.deleted',
  'guest.migrated',
  'grant.committed',
  'grant.released',
])

interface Outage {
  readonly guest: string
  readonly host: string
  readonly epoch: number
  readonly atMs: number
}

export class ExplainedOutages {
  readonly #evidence: Evidence
  readonly #outages: Outage[] = []
  /** Of each guest, by name: when events that explain an outage were committed. */
  readonly #explained = new Map<string, number[]>()

  constructor(evidence: Evidence) {
    this.#evidence = evidence
  }

  ended(host: string, { launch }: Process): void {
    this.#outages.push({ guest: launch.name, host, epoch: launch.epoch, atMs: this.#evidence.clock.monotonicMs() })
  }

  committed({ writes }: Transaction): void {
    for (const write of writes) {
      if (write.kind !== 'put' || !write.key.startsWith(EVENTS)) continue
      const { kind, subject } = JSON.parse(write.value) as ClusterEvent
      if (!EXPLAINING.has(kind) || !subject.startsWith('guest/')) continue
      const guest = subject.slice('guest/'.length)
      const times = this.#explained.get(guest) ?? []
      times.push(this.#evidence.clock.monotonicMs())
      this.#explained.set(guest, times)
    }
  }

  /** When all has come to rest. An explanation may come before the end (a newer grant) or after it. */
  look(): void {
    for (const { guest, host, epoch, atMs } of this.#outages.splice(0)) {
      const times = this.#explained.get(guest) ?? []
      if (!times.some((time) => time > atMs - EARLIER_MS))
        this.#evidence.violate(
          `${guest} ended on ${host} at epoch ${epoch}, ${Math.round(atMs)} ms, and nobody said why`,
        )
    }
  }
}

/** A deposed run may go on for as long as it takes to fence itself after the grant that explains its end. */
const EARLIER_MS = 10_000

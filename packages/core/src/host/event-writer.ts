/**
 * Writes cluster events to the store's outbox. Events are told at the moment they happen, with that moment's time,
 * and written as soon as the store takes them: one that happens while the store is away is late, not lost.
 */
import { assert } from '../assert.ts'
import type { EventDraft } from '../ha/plan.ts'
import type { ClusterEvent } from '../model/event.ts'
import type { HostId } from '../model/ids.ts'
import { KEYS } from '../model/keys.ts'
import type { Clock } from '../ports/clock.ts'
import type { Log } from '../ports/log.ts'
import type { Store, Write } from '../ports/store.ts'

/** Beyond this many unwritten events the oldest go to the log only. */
const PENDING_MAX = 1_000
const BATCH_MAX = 50
const RETRY_MS = 250

export class EventWriter {
  readonly #store: Store
  readonly #clock: Clock
  readonly #host: HostId
  readonly #bootId: string
  readonly #log: Log
  readonly #projectOf: (subject: string) => string | undefined
  readonly #pending: ClusterEvent[] = []
  #sequence = 0
  #writing = false

  constructor(options: {
    store: Store
    clock: Clock
    host: HostId
    bootId: string
    log: Log
    /** Whose a subject is: who may see what is told of it once it is gone. */
    projectOf?: (subject: string) => string | undefined
  }) {
    this.#store = options.store
    this.#clock = options.clock
    this.#host = options.host
    this.#bootId = options.bootId
    this.#log = options.log
    this.#projectOf = options.projectOf ?? (() => undefined)
  }

  tell(...drafts: readonly EventDraft[]): void {
    for (const draft of drafts) {
      this.#pending.push(this.#complete(draft))
      this.#log.info(draft.message, { event: draft.kind, subject: draft.subject })
    }
    while (this.#pending.length > PENDING_MAX)
      this.#log.warn('an event could not be written for too long', { event: this.#pending.shift() })
    void this.#drain()
  }

  /** For events that belong into the same transaction as what they tell. */
  writesFor(drafts: readonly EventDraft[]): Write[] {
    return drafts.map((draft) => putEvent(this.#complete(draft)))
  }

  #complete(draft: EventDraft): ClusterEvent {
    const wallMs = this.#clock.wallMs()
    assert(Number.isFinite(wallMs), 'the clock gives no time')
    const project = draft.project ?? this.#projectOf(draft.subject)
    const sequence = String(++this.#sequence).padStart(6, '0')
    return {
      // Sorted by time for people; unique by host, boot and sequence whatever the clock does.
      id: `${String(Math.trunc(wallMs)).padStart(14, '0')}-${this.#host}-${this.#bootId.slice(0, 8)}-${sequence}`,
      time: new Date(wallMs).toISOString(),
      monotonicMs: Math.round(this.#clock.monotonicMs() * 1000) / 1000,
      host: this.#host,
      ...draft,
      ...(project === undefined ? {} : { project }),
    }
  }

  async #drain(): Promise<void> {
    if (this.#writing) return
    this.#writing = true
    while (this.#pending.length > 0) {
      const batch = this.#pending.slice(0, BATCH_MAX)
      // A put of the same key and value may be repeated without harm, so an unknown outcome is simply tried again.
      const outcome = await this.#store.transact({ compares: [], writes: batch.map(putEvent) })
      if (outcome.ok) this.#pending.splice(0, batch.length)
      else await this.#clock.sleep(RETRY_MS)
    }
    this.#writing = false
  }
}

function putEvent(event: ClusterEvent): Write {
  return { kind: 'put', key: KEYS.event(event.id), value: JSON.stringify(event) }
}

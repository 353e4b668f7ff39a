/**
 * Writes the audit's entries to the store's outbox. A change's entry goes into the change's own transaction: neither is
 * there without the other. What changes no record, and what is denied, is told apart, and written as soon as the store
 * takes it.
 */
import { principalName, type Principal } from '@stead/core/model/access.ts'
import type { AuditEntry } from '@stead/core/model/audit.ts'
import { KEYS } from '@stead/core/model/keys.ts'
import type { Clock, Random } from '@stead/core/ports/clock.ts'
import type { Log } from '@stead/core/ports/log.ts'
import type { Store, Write } from '@stead/core/ports/store.ts'

/** Beyond this many entries that could not be written the oldest go to the log only. */
const PENDING_MAX = 2_000
const BATCH_MAX = 50
const RETRY_MS = 250
/** Whoever tries things out does not fill the store: denials beyond this many in a minute are counted. */
const DENIALS_PER_MINUTE = 300
const MINUTE_MS = 60_000

/** Who asked, and from where. */
export interface Asker {
  readonly principal: Principal
  /** `local`: by the unix socket. */
  readonly visitor: { readonly address: string }
}

export type AuditDraft = Omit<AuditEntry, 'id' | 'time' | 'host' | 'who' | 'from'>

export class AuditWriter {
  readonly #context: { store: Store; clock: Clock; random: Random; host: string; log: Log }
  readonly #pending: AuditEntry[] = []
  #writing = false
  #denials = { sinceMs: -Infinity, count: 0 }

  constructor(context: { store: Store; clock: Clock; random: Random; host: string; log: Log }) {
    this.#context = context
  }

  /** For the transaction of the change that it tells of. */
  writeFor(asker: Asker, draft: AuditDraft): Write {
    return putEntry(this.#complete(asker, draft))
  }

  tell(asker: Asker, draft: AuditDraft): void {
    this.#pending.push(this.#complete(asker, draft))
    while (this.#pending.length > PENDING_MAX)
      this.#context.log.error('an entry of the audit could not be written for too long', {
        entry: this.#pending.shift(),
      })
    void this.#drain()
  }

  denied(asker: Asker, draft: Omit<AuditDraft, 'kind'>): void {
    const now = this.#context.clock.monotonicMs()
    if (now - this.#denials.sinceMs >= MINUTE_MS) {
      const more = this.#denials.count - DENIALS_PER_MINUTE
      this.#denials = { sinceMs: now, count: 0 }
      if (more > 0) this.#tellOfMore(more)
    }
    this.#denials.count += 1
    if (this.#denials.count <= DENIALS_PER_MINUTE) this.tell(asker, { ...draft, kind: 'denial' })
  }

  #tellOfMore(count: number): void {
    const { host } = this.#context
    const message = `${count} more denials in one minute, each like one that is told`
    const self = { principal: { kind: 'root', host }, visitor: { address: 'local' } } as const
    this.tell(self, { kind: 'denial', what: 'audit', subject: 'cluster', message })
  }

  #complete({ principal, visitor }: Asker, draft: AuditDraft): AuditEntry {
    const { clock, random, host } = this.#context
    const wallMs = clock.wallMs()
    return {
      id: `${String(Math.trunc(wallMs)).padStart(14, '0')}-${host}-${random.uuid().slice(0, 13)}`,
      time: new Date(wallMs).toISOString(),
      ...{ host, who: principalName(principal), from: visitor.address },
      ...draft,
    }
  }

  async #drain(): Promise<void> {
    if (this.#writing) return
    this.#writing = true
    while (this.#pending.length > 0) {
      const batch = this.#pending.slice(0, BATCH_MAX)
      // The same keys with the same values: an entry whose outcome is unknown is written again where it has not been.
      const outcome = await this.#context.store.transact({
        compares: batch.map(({ id }) => ({ key: KEYS.audit(id), modRevision: 0n })),
        writes: batch.map(putEntry),
      })
      if (outcome.ok) this.#pending.splice(0, batch.length)
      else await this.#context.clock.sleep(RETRY_MS)
    }
    this.#writing = false
  }
}

function putEntry(entry: AuditEntry): Write {
  return { kind: 'put', key: KEYS.audit(entry.id), value: JSON.stringify(entry) }
}

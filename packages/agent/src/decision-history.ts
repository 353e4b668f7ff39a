/**
 * What this host decided as coordinator and from what, for `stead replay`. Kept on the host that decided: it is large,
 * and nothing depends on it. A file of its own, so that the events stay small.
 */
import type { DatabaseSync } from 'node:sqlite'
import { promisify } from 'node:util'
import { deflateRaw, inflateRaw } from 'node:zlib'
import { recordOf, type Choice, type DecisionRecord } from '@stead/core/foresight/decision-record.ts'
import type { CoordinatorInput } from '@stead/core/ha/coordinator.ts'
import type { Plan } from '@stead/core/ha/plan.ts'
import type { Log } from '@stead/core/ports/log.ts'
import { openHistoryDatabase } from './history-database.ts'

const deflate = promisify(deflateRaw)
const inflate = promisify(inflateRaw)

const DECISIONS_MAX = 1_000
const BYTES_MAX = 256 * 2 ** 20
/** A cluster that changes faster than its decisions can be kept loses the oldest of those, never its speed. */
const QUEUE_MAX = 20

export interface DecisionSummary {
  readonly id: string
  /** Wall clock, ms since 1970. */
  readonly decidedAt: number
  readonly choices: readonly Choice[]
}

export class DecisionHistory {
  readonly #database: DatabaseSync
  readonly #log: Log
  #queued = 0

  constructor(path: string, log: Log) {
    this.#log = log
    this.#database = openHistoryDatabase(
      path,
      `
      CREATE TABLE IF NOT EXISTS decisions (
        sequence INTEGER PRIMARY KEY,
        id TEXT NOT NULL UNIQUE,
        decided_at INTEGER NOT NULL,
        choices TEXT NOT NULL,
        record BLOB NOT NULL
      );
      `,
    )
  }

  /** Takes the record now and stores it soon: the plan does not wait for it. */
  keep(id: string, input: CoordinatorInput, plan: Plan): void {
    if (this.#queued >= QUEUE_MAX) return
    const record = recordOf(id, input, plan)
    if (!record) return
    this.#queued += 1
    this.#store(record)
      .catch((error: unknown) => this.#log.error('a decision could not be kept for replay', { id, error }))
      .finally(() => (this.#queued -= 1))
  }

  /** Newest first. */
  list(limit: number): DecisionSummary[] {
    const rows = this.#database
      .prepare('SELECT id, decided_at, choices FROM decisions ORDER BY sequence DESC LIMIT ?')
      .all(limit)
    return rows.map((row) => ({
      id: String(row['id']),
      decidedAt: Number(row['decided_at']),
      choices: JSON.parse(String(row['choices'])) as Choice[],
    }))
  }

  async find(id: string): Promise<DecisionRecord | undefined> {
    const row = this.#database.prepare('SELECT record FROM decisions WHERE id = ?').get(id)
    if (!row) return undefined
    return JSON.parse((await inflate(row['record'] as Uint8Array)).toString()) as DecisionRecord
  }

  close(): void {
    this.#database.close()
  }

  async #store(record: DecisionRecord): Promise<void> {
    const packed = await deflate(JSON.stringify(record))
    this.#database
      .prepare('INSERT OR REPLACE INTO decisions (id, decided_at, choices, record) VALUES (?, ?, ?, ?)')
      .run(record.id, Math.round(record.decidedAt), JSON.stringify(record.choices), packed)
    this.#database.exec(`
      DELETE FROM decisions WHERE sequence <= (SELECT max(sequence) FROM decisions) - ${DECISIONS_MAX};
      DELETE FROM decisions WHERE sequence IN (
        SELECT sequence FROM (
          SELECT sequence, sum(length(record)) OVER (ORDER BY sequence DESC) AS newer FROM decisions
        ) WHERE newer > ${BYTES_MAX}
      );
    `)
  }
}

/** What projects used, hour by hour, kept on every host for longer than the store keeps it. */
import type { DatabaseSync } from 'node:sqlite'
import type { OpenHour, UsageHour } from '@stead/core/model/metering.ts'
import { KEYS } from '@stead/core/model/keys.ts'
import type { WatchBatch } from '@stead/core/ports/store.ts'
import { openHistoryDatabase } from '../history-database.ts'

/** About three years. */
const HOURS_MAX = 26_280

export class UsageLog {
  readonly #database: DatabaseSync
  #open: OpenHour | undefined

  constructor(path: string) {
    this.#database = openHistoryDatabase(
      path,
      'CREATE TABLE IF NOT EXISTS hours (hour TEXT PRIMARY KEY, record TEXT NOT NULL)',
    )
  }

  /** Takes what the store's watch delivers; an hour that is over never changes again. */
  take(batch: WatchBatch): void {
    const entries =
      batch.kind === 'resync'
        ? batch.entries
        : batch.changes.flatMap((change) => (change.kind === 'put' ? [change.entry] : []))
    for (const { key, value } of entries) {
      if (key === KEYS.metering) this.#open = JSON.parse(value) as OpenHour
      if (!key.startsWith(KEYS.usageHour(''))) continue
      const { hour } = JSON.parse(value) as UsageHour
      this.#database.prepare('INSERT OR IGNORE INTO hours (hour, record) VALUES (?, ?)').run(hour, value)
      this.#database
        .prepare('DELETE FROM hours WHERE hour <= (SELECT hour FROM hours ORDER BY hour DESC LIMIT 1 OFFSET ?)')
        .run(HOURS_MAX)
    }
  }

  /** Oldest first; `from` and `to` are ISO 8601, `to` is not part of it. */
  list(from: string, to: string): readonly UsageHour[] {
    return this.#database
      .prepare('SELECT record FROM hours WHERE hour >= ? AND hour < ? ORDER BY hour')
      .all(from, to)
      .map((row) => JSON.parse(String(row['record'])) as UsageHour)
  }

  /** The hour that is not over yet. */
  get open(): OpenHour | undefined {
    return this.#open
  }

  close(): void {
    this.#database.close()
  }
}

/** What projects used, hour by hour, kept on every host for longer than the store keeps it. */
import type { DatabaseSync } from 'node:sqlite'
import type { NetworkHour, NetworkUse, OpenHour, UsageHour } from '@stead/core/model/metering.ts'
import type { HostId } from '@stead/core/model/ids.ts'
import { KEYS } from '@stead/core/model/keys.ts'
import type { WatchBatch } from '@stead/core/ports/store.ts'
import { openHistoryDatabase } from '../history-database.ts'

/** About three years. */
const HOURS_MAX = 26_280
const HOUR_MS = 3_600_000

export class UsageLog {
  readonly #database: DatabaseSync
  #open: OpenHour | undefined

  constructor(path: string) {
    this.#database = openHistoryDatabase(
      path,
      `
      CREATE TABLE IF NOT EXISTS hours (hour TEXT PRIMARY KEY, record TEXT NOT NULL);
      CREATE TABLE IF NOT EXISTS network (hour TEXT, host TEXT, record TEXT NOT NULL, PRIMARY KEY (hour, host)) WITHOUT ROWID;
      `,
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
      if (key.startsWith(KEYS.networkHour('', '' as HostId).slice(0, -1))) this.#takeNetwork(value)
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

  /** What all hosts counted, by project, of the hours in which there was anything. */
  network(from: string, to: string): ReadonlyMap<string, ReadonlyMap<string, NetworkUse>> {
    const hours = new Map<string, Map<string, NetworkUse>>()
    const rows = this.#database.prepare('SELECT hour, record FROM network WHERE hour >= ? AND hour < ?').all(from, to)
    for (const row of rows) {
      const sums = hours.get(String(row['hour'])) ?? new Map<string, NetworkUse>()
      hours.set(String(row['hour']), sums)
      const { projects } = JSON.parse(String(row['record'])) as NetworkHour
      for (const [project, { receivedBytes, sentBytes }] of Object.entries(projects)) {
        const sum = sums.get(project) ?? { receivedBytes: 0, sentBytes: 0 }
        sums.set(project, {
          receivedBytes: sum.receivedBytes + receivedBytes,
          sentBytes: sum.sentBytes + sentBytes,
        })
      }
    }
    return hours
  }

  /** The hour that is not over yet. */
  get open(): OpenHour | undefined {
    return this.#open
  }

  /** The newest that a host has written of an hour; those that are as old as the others' are forgotten with them. */
  #takeNetwork(value: string): void {
    const { hour, host } = JSON.parse(value) as NetworkHour
    this.#database
      .prepare('INSERT OR REPLACE INTO network (hour, host, record) VALUES (?, ?, ?)')
      .run(hour, host, value)
    const oldest = new Date(Date.parse(hour) - HOURS_MAX * HOUR_MS).toISOString()
    this.#database.prepare('DELETE FROM network WHERE hour < ?').run(oldest)
  }

  close(): void {
    this.#database.close()
  }
}

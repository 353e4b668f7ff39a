/**
 * What happened in the cluster, kept on every host: the store's outbox holds only the newest events, this file the
 * rest. SQLite comes with Node; one table, ordered by arrival (the store's order), which no clock can change.
 */
import type { DatabaseSync } from 'node:sqlite'
import { decodeEvent } from '@stead/api/records.ts'
import type { ClusterEvent } from '@stead/core/model/event.ts'
import { KEYS } from '@stead/core/model/keys.ts'
import type { Log } from '@stead/core/ports/log.ts'
import type { StoreEntry, WatchBatch } from '@stead/core/ports/store.ts'
import { openHistoryDatabase } from './history-database.ts'

const EVENTS_MAX = 200_000

export interface EventQuery {
  /** ISO 8601, or an event's id: only what came after it. */
  readonly since?: string
  readonly kinds?: readonly string[]
  readonly limit: number
}

export class History {
  readonly #database: DatabaseSync
  readonly #log: Log
  readonly #listeners = new Set<(event: ClusterEvent) => void>()

  constructor(path: string, log: Log) {
    this.#log = log
    this.#database = openHistoryDatabase(
      path,
      `
      CREATE TABLE IF NOT EXISTS events (
        sequence INTEGER PRIMARY KEY,
        id TEXT NOT NULL UNIQUE,
        time TEXT NOT NULL,
        kind TEXT NOT NULL,
        event TEXT NOT NULL
      );
      CREATE INDEX IF NOT EXISTS events_by_time ON events (time);
      `,
    )
  }

  /** Takes the events out of what the store's watch delivers; those known already are left. */
  take(batch: WatchBatch): void {
    const entries =
      batch.kind === 'resync'
        ? batch.entries
        : batch.changes.flatMap((change) => (change.kind === 'put' ? [change.entry] : []))
    const prefix = KEYS.event('')
    this.#append(
      entries
        .filter((entry) => entry.key.startsWith(prefix))
        .toSorted((a, b) => Number(a.createRevision - b.createRevision)),
    )
  }

  /** Oldest first; the newest `limit` of those that match. */
  list(query: EventQuery): ClusterEvent[] {
    const conditions: string[] = []
    const values: (string | number)[] = []
    if (query.since !== undefined) {
      const known = this.#database.prepare('SELECT sequence FROM events WHERE id = ?').get(query.since)
      conditions.push(known ? 'sequence > ?' : 'time > ?')
      values.push(known ? Number(known['sequence']) : query.since)
    }
    if (query.kinds && query.kinds.length > 0) {
      conditions.push(`kind IN (${query.kinds.map(() => '?').join(',')})`)
      values.push(...query.kinds)
    }
    const where = conditions.length > 0 ? `WHERE ${conditions.join(' AND ')}` : ''
    const rows = this.#database
      .prepare(`SELECT event FROM events ${where} ORDER BY sequence DESC LIMIT ?`)
      .all(...values, query.limit)
    return rows.map((row) => JSON.parse(String(row['event'])) as ClusterEvent).toReversed()
  }

  /** Oldest first; of one that is not known here any more, what came after its time. */
  after(
    { id, time }: { readonly id: string; readonly time: string },
    kinds: readonly string[],
    limit: number,
  ): ClusterEvent[] {
    const known = this.#database.prepare('SELECT sequence FROM events WHERE id = ?').get(id)
    const place = known ? 'sequence > ?' : 'time > ?'
    const ofKinds = kinds.length === 0 ? '' : ` AND kind IN (${kinds.map(() => '?').join(',')})`
    const rows = this.#database
      .prepare(`SELECT event FROM events WHERE ${place}${ofKinds} ORDER BY sequence LIMIT ?`)
      .all(known ? Number(known['sequence']) : time, ...kinds, limit)
    return rows.map((row) => JSON.parse(String(row['event'])) as ClusterEvent)
  }

  find(id: string): ClusterEvent | undefined {
    const row = this.#database.prepare('SELECT event FROM events WHERE id = ?').get(id)
    return row && (JSON.parse(String(row['event'])) as ClusterEvent)
  }

  /** The events that came before this one, oldest first, `limit` at most. */
  before(id: string, limit: number): ClusterEvent[] {
    const rows = this.#database
      .prepare(
        'SELECT event FROM events WHERE sequence < (SELECT sequence FROM events WHERE id = ?) ORDER BY sequence DESC LIMIT ?',
      )
      .all(id, limit)
    return rows.map((row) => JSON.parse(String(row['event'])) as ClusterEvent).toReversed()
  }

  onEvent(listener: (event: ClusterEvent) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  close(): void {
    this.#database.close()
  }

  #append(entries: readonly StoreEntry[]): void {
    if (entries.length === 0) return
    const insert = this.#database.prepare('INSERT OR IGNORE INTO events (id, time, kind, event) VALUES (?, ?, ?, ?)')
    const fresh: ClusterEvent[] = []
    this.#database.exec('BEGIN')
    for (const entry of entries) {
      const decoded = decodeEvent(JSON.parse(entry.value))
      if (!decoded.ok) {
        this.#log.error('an event of the store cannot be read', { key: entry.key, cause: decoded.error })
        continue
      }
      const { changes } = insert.run(
        decoded.value.id,
        decoded.value.time,
        decoded.value.kind,
        JSON.stringify(decoded.value),
      )
      if (Number(changes) > 0) fresh.push(decoded.value)
    }
    this.#database.exec(
      `DELETE FROM events WHERE sequence <= (SELECT max(sequence) FROM events) - ${EVENTS_MAX}; COMMIT`,
    )
    for (const event of fresh) for (const listener of [...this.#listeners]) listener(event)
  }
}

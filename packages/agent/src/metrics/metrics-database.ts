/**
 * The figures of one host, kept for a year in a bounded space. docs/internals/metrics.md. Each look is appended to
 * `recent`; every quarter of an hour its rows become pieces, one for each resolution, so that a day of one guest is read
 * from 96 rows of the database.
 */
import type { DatabaseSync, StatementSync } from 'node:sqlite'
import { metricsOf, type Figures, type Metric, type MetricSubject } from '@stead/core/metrics/metric.ts'
import {
  Means,
  PIECE_MS,
  RESOLUTIONS,
  resolutionOf,
  SAMPLE_MS,
  type Resolution,
  type Span,
} from '@stead/core/metrics/resolution.ts'
import { openHistoryDatabase } from '../history-database.ts'

/** One list a metric, an item a step of the span; null: nobody measured it. */
export type Series = Readonly<Record<string, readonly (number | null)[]>>

const SCHEMA = `
  CREATE TABLE IF NOT EXISTS subjects (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
  CREATE TABLE IF NOT EXISTS recent (at INTEGER NOT NULL, subject INTEGER NOT NULL, figures BLOB NOT NULL,
    PRIMARY KEY (at, subject)) WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS pieces (subject INTEGER NOT NULL, step INTEGER NOT NULL, start INTEGER NOT NULL,
    width INTEGER NOT NULL, figures BLOB NOT NULL, PRIMARY KEY (subject, step, start)) WITHOUT ROWID;
`

export class MetricsDatabase {
  readonly #database: DatabaseSync
  readonly #ids = new Map<string, number>()
  readonly #insert: StatementSync
  #foldedMs = 0

  constructor(path: string) {
    this.#database = openHistoryDatabase(path, SCHEMA)
    this.#insert = this.#database.prepare('INSERT OR REPLACE INTO recent (at, subject, figures) VALUES (?, ?, ?)')
    for (const row of this.#database.prepare('SELECT id, name FROM subjects').all())
      this.#ids.set(String(row['name']), Number(row['id']))
  }

  /** One look. `wallMs` counts as the beginning of the step that it lies in. */
  append(wallMs: number, looks: Iterable<readonly [MetricSubject, Figures]>): void {
    const at = Math.floor(wallMs / SAMPLE_MS) * SAMPLE_MS
    this.#database.exec('BEGIN')
    try {
      for (const [subject, figures] of looks)
        this.#insert.run(at, this.#idOf(subject), rowOf(metricsOf(subject), figures))
    } finally {
      this.#database.exec('COMMIT')
    }
  }

  /** Puts away what is of quarters of an hour that are over, a subject at a time, and forgets what is too old. */
  async tidy(wallMs: number, isKnown: (subject: MetricSubject) => boolean): Promise<void> {
    const overMs = Math.floor(wallMs / PIECE_MS) * PIECE_MS
    if (overMs === this.#foldedMs) return
    const waiting = this.#database.prepare('SELECT DISTINCT subject FROM recent WHERE at < ?').all(overMs)
    for (const { subject } of waiting) {
      this.#fold(Number(subject), overMs)
      // Half a millisecond each: others are answered meanwhile.
      await new Promise(setImmediate)
    }
    for (const { stepMs, keepMs } of RESOLUTIONS)
      this.#database.prepare('DELETE FROM pieces WHERE step = ? AND start < ?').run(stepMs, wallMs - keepMs - PIECE_MS)
    for (const [name, id] of this.#ids) if (!isKnown(name as MetricSubject)) this.#forget(name, id)
    this.#foldedMs = overMs
  }

  series(subject: MetricSubject, span: Span): Series {
    const metrics = metricsOf(subject)
    const id = this.#ids.get(subject)
    const slots = Math.round((span.toMs - span.fromMs) / span.stepMs)
    const means = metrics.map(() => new Means(slots))
    const add = (atMs: number, row: Float32Array) => {
      const slot = Math.floor((atMs - span.fromMs) / span.stepMs)
      for (let column = 0; column < Math.min(row.length, metrics.length); column++)
        means[column]!.add(slot, row[column]!)
    }
    if (id !== undefined) {
      for (const { start, stepMs, rows } of this.#pieces(id, span, resolutionOf(span)))
        for (const [index, row] of rows.entries()) add(start + index * stepMs, row)
      for (const { at, row } of this.#recent(id, span.fromMs, span.toMs)) add(at, row)
    }
    const list = (mean: Means) => Array.from({ length: slots }, (_, slot) => rounded(mean.at(slot)))
    return Object.fromEntries(metrics.map(({ name }, column) => [name, list(means[column]!)]))
  }

  close(): void {
    this.#database.close()
  }

  *#pieces(id: number, span: Span, { stepMs }: Resolution) {
    const found = this.#database
      .prepare('SELECT start, width, figures FROM pieces WHERE subject = ? AND step = ? AND start > ? AND start < ?')
      .all(id, stepMs, span.fromMs - PIECE_MS, span.toMs)
    for (const { start, width, figures } of found)
      yield { start: Number(start), stepMs, rows: rowsOf(figures as Uint8Array, Number(width)) }
  }

  *#recent(id: number, fromMs: number, toMs: number) {
    const found = this.#database
      .prepare('SELECT at, figures FROM recent WHERE at >= ? AND at < ? AND subject = ?')
      .all(fromMs, toMs, id)
    for (const { at, figures } of found) yield { at: Number(at), row: floats(figures as Uint8Array) }
  }

  /** A piece that is there already, of a clock that was set back or an agent that was killed, is completed. */
  #fold(id: number, overMs: number): void {
    const rows = [...this.#recent(id, 0, overMs)]
    const width = Math.max(...rows.map(({ row }) => row.length))
    this.#database.exec('BEGIN')
    try {
      for (const start of new Set(rows.map(({ at }) => Math.floor(at / PIECE_MS) * PIECE_MS)))
        for (const { stepMs } of RESOLUTIONS) this.#writePiece(id, { start, stepMs, width }, rows)
      this.#database.prepare('DELETE FROM recent WHERE at < ? AND subject = ?').run(overMs, id)
    } finally {
      this.#database.exec('COMMIT')
    }
  }

  #writePiece(
    id: number,
    { start, stepMs, width }: { readonly start: number; readonly stepMs: number; readonly width: number },
    looks: readonly { readonly at: number; readonly row: Float32Array }[],
  ): void {
    const slots = PIECE_MS / stepMs
    const means = Array.from({ length: width }, () => new Means(slots))
    for (const { at, row } of looks)
      if (at >= start && at < start + PIECE_MS)
        row.forEach((figure, column) => means[column]!.add(Math.floor((at - start) / stepMs), figure))
    const known = this.#database
      .prepare('SELECT width, figures FROM pieces WHERE subject = ? AND step = ? AND start = ?')
      .get(id, stepMs, start)
    const before = known ? rowsOf(known['figures'] as Uint8Array, Number(known['width'])) : []
    const figures = new Float32Array(slots * width)
    for (let slot = 0; slot < slots; slot++)
      for (let column = 0; column < width; column++)
        figures[slot * width + column] = means[column]!.at(slot) ?? before[slot]?.[column] ?? Number.NaN
    this.#database
      .prepare('INSERT OR REPLACE INTO pieces (subject, step, start, width, figures) VALUES (?, ?, ?, ?, ?)')
      .run(id, stepMs, start, width, bytes(figures))
  }

  #idOf(subject: MetricSubject): number {
    const known = this.#ids.get(subject)
    if (known !== undefined) return known
    const { lastInsertRowid } = this.#database.prepare('INSERT INTO subjects (name) VALUES (?)').run(subject)
    this.#ids.set(subject, Number(lastInsertRowid))
    return Number(lastInsertRowid)
  }

  #forget(name: string, id: number): void {
    for (const table of ['recent', 'pieces']) this.#database.prepare(`DELETE FROM ${table} WHERE subject = ?`).run(id)
    this.#database.prepare('DELETE FROM subjects WHERE id = ?').run(id)
    this.#ids.delete(name)
  }
}

function rowOf(metrics: readonly Metric[], figures: Figures): Uint8Array {
  const known = figures as Readonly<Record<string, number | undefined>>
  return bytes(Float32Array.from(metrics, ({ name }) => known[name] ?? Number.NaN))
}

function rowsOf(figures: Uint8Array, width: number): Float32Array[] {
  const all = floats(figures)
  return Array.from({ length: all.length / width }, (_, index) => all.subarray(index * width, (index + 1) * width))
}

const bytes = ({ buffer, byteOffset, byteLength }: Float32Array) =>
  new Uint8Array(buffer, byteOffset, byteLength) as Uint8Array

/** SQLite's bytes begin anywhere; floats begin at multiples of four. */
function floats(blob: Uint8Array): Float32Array {
  return new Float32Array(blob.slice().buffer)
}

/** Six digits: a float has no more, and JSON would show its errors. */
function rounded(figure: number | undefined): number | null {
  return figure === undefined ? null : Number(figure.toPrecision(6))
}

/**
 * A host's own chain of the audit's entries: in the store's order, each with the SHA-256 of itself and of the hash before
 * it. The same on every host. What is in the file is never changed, and `check` finds where somebody else did.
 */
import { createHash } from 'node:crypto'
import type { DatabaseSync } from 'node:sqlite'
import { setImmediate as othersFirst } from 'node:timers/promises'
import { AUDIT_BEGINNING, linkInput, type AuditBase, type AuditLink } from '@stead/core/model/audit.ts'
import { KEYS } from '@stead/core/model/keys.ts'
import type { StoreEntry, WatchBatch } from '@stead/core/ports/store.ts'
import { openHistoryDatabase } from '../history-database.ts'

/** Between two looks at other work: an entry takes some microseconds. */
const CHECKED_AT_ONCE = 500

export interface AuditQuery {
  readonly who?: string
  readonly what?: string
  readonly subject?: string
  readonly project?: string
  readonly kind?: string
  /** ISO 8601. */
  readonly since?: string
  /** Only older than this sequence. */
  readonly before?: number
  readonly limit: number
}

export interface ChainCheck {
  readonly entries: number
  readonly sequence: number
  /** What is wrong, and with which entry; absent when nothing is. */
  readonly problem?: string
}

interface Head {
  readonly sequence: number
  readonly hash: string
  readonly revision: bigint
  readonly key: string
}

const NO_HEAD: Head = { sequence: 0, hash: AUDIT_BEGINNING, revision: 0n, key: '' }

export class AuditLog {
  readonly #database: DatabaseSync
  #head: Head
  #base: AuditBase | undefined

  constructor(path: string) {
    this.#database = openHistoryDatabase(
      path,
      `
      CREATE TABLE IF NOT EXISTS entries (
        sequence INTEGER PRIMARY KEY,
        revision TEXT NOT NULL,
        key TEXT NOT NULL,
        time TEXT NOT NULL,
        text TEXT NOT NULL,
        hash TEXT NOT NULL
      );
      CREATE INDEX IF NOT EXISTS entries_by_time ON entries (time);
      CREATE INDEX IF NOT EXISTS entries_by_key ON entries (key);
      `,
    )
    const last = this.#database.prepare('SELECT * FROM entries ORDER BY sequence DESC LIMIT 1').get()
    this.#head = last
      ? {
          ...{ sequence: Number(last['sequence']), hash: String(last['hash']) },
          ...{ revision: BigInt(String(last['revision'])), key: String(last['key']) },
        }
      : NO_HEAD
  }

  get sequence(): number {
    return this.#head.sequence
  }

  get base(): AuditBase | undefined {
    return this.#base
  }

  /** Entries have left the outbox that this host never had: they come from another host, and then the newer ones. */
  get isBehind(): boolean {
    return this.#base !== undefined && this.#head.sequence < this.#base.sequence
  }

  /** Takes the entries out of what the store's watch delivers. */
  take(batch: WatchBatch): void {
    const entries =
      batch.kind === 'resync'
        ? batch.entries
        : batch.changes.flatMap((change) => (change.kind === 'put' ? [change.entry] : []))
    const base = entries.find(({ key }) => key === KEYS.auditBase)
    if (base) this.#base = JSON.parse(base.value) as AuditBase
    if (!this.isBehind) this.append(entries)
  }

  /** Those that are newer than the newest here; others are left. */
  append(found: readonly StoreEntry[]): void {
    const prefix = KEYS.audit('')
    const entries = found.filter(({ key }) => key.startsWith(prefix)).toSorted(byOrder)
    const fresh = entries.filter((entry) => byOrder(asEntry(this.#head), entry) < 0)
    if (fresh.length === 0) return
    const insert = this.#database.prepare(
      'INSERT INTO entries (sequence, revision, key, time, text, hash) VALUES (?, ?, ?, ?, ?, ?)',
    )
    this.#database.exec('BEGIN')
    let head = this.#head
    for (const { key, value: text, createRevision } of fresh) {
      const sequence = head.sequence + 1
      const hash = hashOf(head.hash, { sequence, revision: String(createRevision), text })
      insert.run(sequence, String(createRevision), key, timeOf(text), text, hash)
      head = { sequence, hash, revision: createRevision, key }
    }
    this.#database.exec('COMMIT')
    this.#head = head
  }

  /** As another host's `after` has given them; false, and nothing is taken, when they do not lead to what is known. */
  takeOver(links: readonly (AuditLink & { readonly key: string })[], until: AuditBase): boolean {
    let hash = this.#head.hash
    for (const [index, link] of links.entries()) {
      hash = hashOf(hash, link)
      if (link.sequence !== this.#head.sequence + 1 + index || link.hash !== hash) return false
    }
    if (links.at(-1)?.sequence !== until.sequence || hash !== until.hash) return false
    this.append(
      links.map(({ key, text: value, revision }) => ({
        ...{ key, value, createRevision: BigInt(revision), modRevision: BigInt(revision) },
      })),
    )
    return true
  }

  /** Where no host has what left the outbox: the chain goes on after it, and `check` says what is not here. */
  beginAfterBase(): void {
    const { base } = this
    if (!base || !this.isBehind) return
    this.#database
      .prepare("INSERT INTO entries (sequence, revision, key, time, text, hash) VALUES (?, '0', '', '', '', ?)")
      .run(base.sequence, base.hash)
    this.#head = { ...base, revision: this.#head.revision, key: this.#head.key }
  }

  /** The next ones, oldest first. */
  after(sequence: number, limit: number): (AuditLink & { readonly key: string })[] {
    return this.#database
      .prepare('SELECT * FROM entries WHERE sequence > ? ORDER BY sequence LIMIT ?')
      .all(sequence, limit)
      .map((row) => ({ ...linkOf(row), key: String(row['key']) }))
  }

  at(sequence: number): AuditLink | undefined {
    const row = this.#database.prepare('SELECT * FROM entries WHERE sequence = ?').get(sequence)
    return row && linkOf(row)
  }

  /** By its key in the store. */
  byKey(key: string): AuditLink | undefined {
    const row = this.#database.prepare('SELECT * FROM entries WHERE key = ?').get(key)
    return row && linkOf(row)
  }

  /** Newest first. */
  list(query: AuditQuery): AuditLink[] {
    const conditions: string[] = []
    const values: (string | number)[] = []
    for (const field of ['who', 'what', 'subject', 'project', 'kind'] as const) {
      const wanted = query[field]
      if (wanted === undefined) continue
      conditions.push(`json_extract(text, '$.${field}') = ?`)
      values.push(wanted)
    }
    if (query.since !== undefined) {
      conditions.push('time >= ?')
      values.push(query.since)
    }
    if (query.before !== undefined) {
      conditions.push('sequence < ?')
      values.push(query.before)
    }
    conditions.push("text <> ''")
    const where = `WHERE ${conditions.join(' AND ')}`
    return this.#database
      .prepare(`SELECT * FROM entries ${where} ORDER BY sequence DESC LIMIT ?`)
      .all(...values, query.limit)
      .map(linkOf)
  }

  /** Every link anew, from the first. */
  async check(): Promise<ChainCheck> {
    let hash = AUDIT_BEGINNING
    let sequence = 0
    let lost: string | undefined
    for (;;) {
      const links = this.after(sequence, CHECKED_AT_ONCE)
      if (links.length === 0) break
      for (const link of links) {
        const expected = sequence + 1
        if (link.text === '' && link.sequence >= expected) {
          lost ??= `the entries ${expected} to ${link.sequence} are not on this host, and no other had them`
          hash = link.hash
          sequence = link.sequence
          continue
        }
        if (link.sequence !== expected)
          return { ...this.#counted(), problem: `the entries ${expected} to ${link.sequence - 1} are missing` }
        hash = hashOf(hash, link)
        if (link.hash !== hash)
          return { ...this.#counted(), problem: `entry ${link.sequence} is not what was written, or not in its place` }
        sequence = link.sequence
      }
      await othersFirst()
    }
    if (sequence < this.#head.sequence)
      return { ...this.#counted(), problem: `the entries ${sequence + 1} to ${this.#head.sequence} are missing` }
    const { base } = this
    if (base && sequence >= base.sequence && base.sequence > 0 && this.at(base.sequence)?.hash !== base.hash)
      return { ...this.#counted(), problem: `entry ${base.sequence} is not the one that the cluster's store knows` }
    return { ...this.#counted(), ...(lost === undefined ? {} : { problem: lost }) }
  }

  close(): void {
    this.#database.close()
  }

  #counted(): ChainCheck {
    const row = this.#database.prepare('SELECT count(*) AS entries, max(sequence) AS last FROM entries').get()
    return { entries: Number(row?.['entries'] ?? 0), sequence: Number(row?.['last'] ?? 0) }
  }
}

function hashOf(previous: string, link: Omit<AuditLink, 'hash'>): string {
  return createHash('sha256').update(linkInput(previous, link)).digest('hex')
}

function linkOf(row: Readonly<Record<string, unknown>>): AuditLink {
  return {
    ...{ sequence: Number(row['sequence']), revision: String(row['revision']) },
    ...{ text: String(row['text']), hash: String(row['hash']) },
  }
}

/** All that one transaction has written has the same revision. */
function byOrder(a: StoreEntry, b: StoreEntry): number {
  if (a.createRevision !== b.createRevision) return a.createRevision < b.createRevision ? -1 : 1
  return a.key < b.key ? -1 : a.key > b.key ? 1 : 0
}

function asEntry({ revision, key }: Head): StoreEntry {
  return { key, value: '', createRevision: revision, modRevision: revision }
}

function timeOf(text: string): string {
  return String((JSON.parse(text) as { time?: unknown }).time ?? '')
}

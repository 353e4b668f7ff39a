/** What a test sees of a watch: every batch, checked against the port's promises as it arrives. */
import assert from 'node:assert/strict'
import type { Store, StoreChange, StoreEntry, WatchBatch } from '@stead/core/ports/store.ts'

/** Takes a watch's batches and checks, at each, what the port promises of their revisions. */
export class WatchRecorder {
  readonly batches: WatchBatch[] = []
  readonly #stopping = new AbortController()
  readonly #done: Promise<void>

  constructor(store: Store, prefix: string) {
    this.#done = this.#record(store.watch(prefix, this.#stopping.signal))
    // Looked at in `stop`; until then a failed check must not count as unhandled.
    this.#done.catch(() => {})
  }

  changes(): StoreChange[] {
    return this.batches.flatMap((batch) => (batch.kind === 'changes' ? batch.changes : []))
  }

  resyncs(): number {
    return this.batches.filter((batch) => batch.kind === 'resync').length
  }

  content(): Map<string, string> {
    let content = new Map<string, string>()
    const keep = (entry: StoreEntry) => content.set(entry.key, entry.value)
    for (const batch of this.batches) {
      if (batch.kind === 'resync') {
        content = new Map()
        batch.entries.forEach(keep)
      } else {
        for (const change of batch.changes) {
          if (change.kind === 'put') keep(change.entry)
          else content.delete(change.key)
        }
      }
    }
    return content
  }

  async stop(): Promise<void> {
    this.#stopping.abort()
    await this.#done
  }

  async #record(watch: AsyncIterable<WatchBatch>): Promise<void> {
    let seen = 0n
    for await (const batch of watch) {
      this.batches.push(batch)
      if (batch.kind === 'resync') {
        assert.ok(batch.revision >= seen)
      } else {
        assert.ok(seen > 0n, 'the first batch is a resync')
        const revisions = batch.changes.map(revisionOf)
        assert.ok(revisions.length > 0)
        assert.ok(revisions.every((revision, i) => revision > seen && revision >= (revisions[i - 1] ?? 0n)))
        assert.equal(batch.revision, revisions.at(-1), 'so the next batch begins with a later revision')
      }
      seen = batch.revision
    }
  }
}

function revisionOf(change: StoreChange): bigint {
  return change.kind === 'put' ? change.entry.modRevision : change.modRevision
}

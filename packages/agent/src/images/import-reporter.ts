/** How far an import has come, for everybody to see. */
import type { HostContext } from '@stead/core/host/host-context.ts'
import { putImport } from '@stead/core/host/import-records.ts'
import type { Versioned } from '@stead/core/model/cluster.ts'
import type { ImageImport, ImportProgress } from '@stead/core/model/image-import.ts'
import type { BlobId } from '@stead/core/model/ids.ts'
import { KEYS } from '@stead/core/model/keys.ts'

type ReporterContext = Pick<HostContext, 'store' | 'mirror' | 'clock'>

const PROGRESS_EVERY_MS = 1_000
const RETRY_MS = 200

/** Writes how far an import has come, not more often than anybody looks. What is not written is lost without harm. */
export class ProgressReporter {
  readonly #context: ReporterContext
  readonly #seen: () => Versioned<ImageImport> | undefined
  readonly #made: readonly BlobId[]
  #latest: ImportProgress | undefined
  #writing: Promise<void> = Promise.resolve()
  #isWriting = false
  #isOver = false
  #writtenMs = -Infinity
  #step = ''

  constructor(context: ReporterContext, seen: () => Versioned<ImageImport> | undefined, made: readonly BlobId[]) {
    this.#context = context
    this.#seen = seen
    this.#made = made
  }

  tell(progress: ImportProgress): void {
    this.#latest = progress
    const step = `${progress.step} ${progress.disk?.number}`
    const isDue = step !== this.#step || this.#context.clock.monotonicMs() - this.#writtenMs >= PROGRESS_EVERY_MS
    if (!isDue || this.#isWriting || this.#isOver) return
    this.#isWriting = true
    this.#step = step
    this.#writing = this.#write(progress).finally(() => {
      this.#isWriting = false
      // A step that began while the one before was being written.
      if (this.#latest !== undefined && this.#latest !== progress) this.tell(this.#latest)
    })
  }

  /** Returns once the record names the file: until then another import that gives up the same one could take it away. */
  async named(blob: BlobId, signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await this.#writing
      const files = this.#seen()?.value.files
      if (!files || files.includes(blob)) return
      if (this.#isWriting) continue
      await this.#write(this.#latest ?? { step: 'digesting' })
      if (!this.#seen()?.value.files.includes(blob)) await this.#context.clock.sleep(RETRY_MS, signal)
    }
  }

  /** After that nothing of it changes the record any more. */
  async ended(): Promise<void> {
    this.#isOver = true
    await this.#writing
  }

  async #write(progress: ImportProgress): Promise<void> {
    const { store, clock, mirror } = this.#context
    this.#writtenMs = clock.monotonicMs()
    const seen = this.#seen()
    if (!seen) return
    const next = { ...seen.value, progress, files: [...this.#made] }
    const { name } = seen.value
    const outcome = await store.transact({
      compares: [{ key: KEYS.imageImport(name), modRevision: seen.revision }],
      writes: [putImport(next)],
    })
    // The next transaction compares this one's revision.
    if (outcome.ok && outcome.value.committed)
      await mirror.until((state) => state.imports.get(name)?.revision !== seen.revision, clock.sleep(PROGRESS_EVERY_MS))
  }
}

/** How far the making of a file has come, for everybody to see. */
import type { HostContext } from '@stead/core/host/host-context.ts'
import type { Versioned } from '@stead/core/model/cluster.ts'
import type { FileMaking, MakingProgress } from '@stead/core/model/file-making.ts'
import type { BlobId } from '@stead/core/model/ids.ts'
import type { Making } from './making-worker.ts'

type ReporterContext = Pick<HostContext, 'store' | 'mirror' | 'clock'>
type Records<Record extends FileMaking> = Pick<Making<Record, never>, 'records' | 'key' | 'put'>

const PROGRESS_EVERY_MS = 1_000
const RETRY_MS = 200

/** Writes how far it has come, not more often than anybody looks. */
export class ProgressReporter<Record extends FileMaking> {
  readonly #context: ReporterContext
  readonly #records: Records<Record>
  readonly #seen: () => Versioned<Record> | undefined
  readonly #made: readonly BlobId[]
  #latest: MakingProgress | undefined
  #writing: Promise<void> = Promise.resolve()
  #isWriting = false
  #isOver = false
  #writtenMs = -Infinity
  #step = ''

  constructor(
    context: ReporterContext,
    records: Records<Record>,
    seen: () => Versioned<Record> | undefined,
    made: readonly BlobId[],
  ) {
    this.#context = context
    this.#records = records
    this.#seen = seen
    this.#made = made
  }

  tell(progress: MakingProgress): void {
    this.#latest = progress
    const step = `${progress.step} ${progress.disk?.number}`
    const isDue = step !== this.#step || this.#context.clock.monotonicMs() - this.#writtenMs >= PROGRESS_EVERY_MS
    if (!isDue || this.#isWriting || this.#isOver) return
    this.#isWriting = true
    this.#step = step
    this.#writing = this.#write(progress).then(async (isWritten) => {
      // Somebody else's change of the record came first: what nobody adds to, a long step's first word, must not be lost.
      if (!isWritten && !this.#isOver) await this.#context.clock.sleep(RETRY_MS)
      this.#isWriting = false
      if (!isWritten) this.#step = ''
      // A step that began while the one before was being written.
      if (this.#latest !== undefined && (!isWritten || this.#latest !== progress)) this.tell(this.#latest)
    })
  }

  /** Returns once the record names the file: until then another making that gives up the same one could take it away. */
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

  async #write(progress: MakingProgress): Promise<boolean> {
    const { store, clock, mirror } = this.#context
    this.#writtenMs = clock.monotonicMs()
    const seen = this.#seen()
    // The work is over.
    if (!seen) return true
    const next: Record = { ...seen.value, progress, files: [...this.#made] }
    const { name } = seen.value
    const { records, key, put } = this.#records
    const outcome = await store.transact({
      compares: [{ key: key(name), modRevision: seen.revision }],
      writes: [put(next)],
    })
    // The next transaction compares this one's revision.
    const isWritten = outcome.ok && outcome.value.committed
    if (isWritten)
      await mirror.until(
        (state) => records(state).get(name)?.revision !== seen.revision,
        clock.sleep(PROGRESS_EVERY_MS),
      )
    return isWritten
  }
}

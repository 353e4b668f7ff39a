/**
 * Makes images of uploads, on the host that the record names. Everything that must survive this agent is in the record:
 * one that dies in the middle has left a folder, which the next one clears, and begins again. A record that is gone (a
 * user called it off, the coordinator held this host for lost) ends the work and takes away what was made.
 */
import { failure, type Failure } from '@stead/core/errors.ts'
import type { HostContext } from '@stead/core/host/host-context.ts'
import { failedImport, finishedImport, putImport } from '@stead/core/host/import-records.ts'
import { watchRecords } from '@stead/core/host/record-watch.ts'
import type { ClusterState, Versioned } from '@stead/core/model/cluster.ts'
import { IMPORT_BEGUN_MAX, importsOf, largestPoolBytes, type ImageImport } from '@stead/core/model/image-import.ts'
import type { BlobId } from '@stead/core/model/ids.ts'
import { KEYS } from '@stead/core/model/keys.ts'
import type { Image } from '@stead/core/model/volume.ts'
import type { Transaction } from '@stead/core/ports/store.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import type { BlobStore } from '../blobs/blob-store.ts'
import type { ImageImporter } from './image-import.ts'
import { namedByOthers, type ImageCopies } from './image-copies.ts'
import { ProgressReporter } from './import-reporter.ts'
import type { ImportTask } from './import-task.ts'

export interface ImportWorkerContext extends Pick<
  HostContext,
  'self' | 'store' | 'mirror' | 'clock' | 'events' | 'log'
> {
  readonly blobs: Pick<BlobStore, 'ensure' | 'find' | 'sizeBytes' | 'receivedBytes' | 'remove'>
  readonly importer: Pick<ImageImporter, 'import' | 'importRoot'>
  readonly copies: ImageCopies
}

/** Each wants a processor, and room for a whole disk. */
const AT_ONCE_MAX = 2
const FETCH_LOOK_MS = 500
const RETRY_MS = 200
/** A root with more is no template: ext4 itself needs a quarter of a kilobyte for each. */
const FILES_MAX = 2_000_000

interface Running {
  readonly name: string
  readonly abort: AbortController
  readonly ended: Promise<void>
  /** What it has put into the blobs. */
  readonly made: BlobId[]
}

export class ImportWorker {
  readonly #context: ImportWorkerContext
  readonly #running = new Map<string, Running>()
  /** Ended by this agent; its copy of the records may not show that yet. */
  readonly #ended = new Set<string>()

  constructor(context: ImportWorkerContext) {
    this.#context = context
  }

  /** Until aborted; what is being done then is given up, and begun again by the next agent. */
  async run(signal: AbortSignal): Promise<void> {
    await watchRecords(this.#context, (state) => this.#look(state, signal), signal)
    for (const { abort } of this.#running.values()) abort.abort()
    await Promise.all([...this.#running.values()].map(({ ended }) => ended))
  }

  #look(state: ClusterState, stopping: AbortSignal): void {
    if (!this.#context.mirror.loaded || stopping.aborted) return
    const mine = importsOf(state, this.#context.self)
    for (const [id, { abort }] of this.#running) if (!mine.some(({ value }) => value.id === id)) abort.abort()
    for (const id of this.#ended) if (!mine.some(({ value }) => value.id === id)) this.#ended.delete(id)
    for (const { value } of mine) {
      if (this.#running.size >= AT_ONCE_MAX) return
      if (!this.#running.has(value.id) && !this.#ended.has(value.id)) this.#start(value)
    }
  }

  #start({ id, name }: ImageImport): void {
    const abort = new AbortController()
    const made: BlobId[] = []
    const ended = this.#work(id, name, made, abort.signal)
      .catch((error: unknown) => this.#context.log.error('an import failed', { image: name, error }))
      .finally(() => this.#running.delete(id))
    this.#running.set(id, { name, abort, ended, made })
  }

  async #work(id: string, name: string, made: BlobId[], signal: AbortSignal): Promise<void> {
    const { log, clock, mirror } = this.#context
    const reporter = new ProgressReporter(this.#context, () => this.#seen(id, name), made)
    if (!(await this.#begin(id, name, signal))) return
    const outcome = await this.#make(id, name, reporter, made, signal).catch((cause: unknown) =>
      fail(unexpected(cause)),
    )
    await reporter.ended()
    let kept = false
    // Called off, or this agent is being stopped: the record, if there is one, is the next agent's.
    while (!signal.aborted) {
      const seen = this.#seen(id, name)
      if (!seen) break
      const transaction = outcome.ok
        ? finishedImport(this.#context, seen, outcome.value.image, outcome.value.message)
        : failedImport(this.#context, seen, outcome.error)
      const answer = await this.#commit(transaction)
      if (answer) {
        this.#ended.add(id)
        kept = outcome.ok
        break
      }
      await clock.sleep(RETRY_MS, signal)
    }
    // An answer that was lost: the transaction has made the image all the same.
    if (!kept && outcome.ok) kept = mirror.state.images.get(name)?.value.blob === outcome.value.image.blob
    if (!kept) await this.#takeAway(id, made)
    if (!outcome.ok && !signal.aborted) log.warn('an import failed', { image: name, cause: outcome.error })
  }

  /** Counted before anything is done, so that an upload that ends its agent is not tried for ever. */
  async #begin(id: string, name: string, signal: AbortSignal): Promise<boolean> {
    const { clock } = this.#context
    while (!signal.aborted) {
      const seen = this.#seen(id, name)
      if (!seen) return false
      const begun = seen.value.begun + 1
      const isHopeless = begun > IMPORT_BEGUN_MAX
      const next: ImageImport = { ...seen.value, begun, progress: { step: 'fetching' }, files: [] }
      const done = await this.#commit(
        isHopeless
          ? failedImport(this.#context, seen, endedTooOften(seen.value.begun))
          : { compares: [{ key: KEYS.imageImport(name), modRevision: seen.revision }], writes: [putImport(next)] },
      )
      if (done && isHopeless) this.#ended.add(id)
      if (done) return !isHopeless
      await clock.sleep(RETRY_MS, signal)
    }
    return false
  }

  async #make(
    id: string,
    name: string,
    reporter: ProgressReporter,
    made: BlobId[],
    signal: AbortSignal,
  ): Promise<Result<{ readonly image: Image; readonly message: string }>> {
    const { mirror, importer, blobs, clock, copies } = this.#context
    const record = this.#seen(id, name)?.value
    if (!record) return fail(failure('conflict', 'it was called off'))
    const { source, target } = record
    const path = await this.#upload(source, reporter, signal)
    if (!path.ok) return path
    const task: ImportTask = {
      signal,
      tell: (progress) => reporter.tell(progress),
      made: async (blob) => {
        made.push(blob)
        await reporter.named(blob, signal)
      },
    }
    const bytesMax = largestPoolBytes(mirror.state)
    let image: Image
    if (target.kind === 'disk') {
      const imported = await importer.import(
        { path: path.value, format: target.format, virtualSizeMax: bytesMax },
        task,
      )
      if (!imported.ok) return imported
      const { kind, disks, hardware } = imported.value
      const whole = { blob: source, format: 'raw' as const, virtualSizeBytes: await blobs.sizeBytes(source) }
      const [first = whole, ...moreDisks] = disks
      const rest = { ...(moreDisks.length === 0 ? {} : { moreDisks }), ...(hardware ? { hardware } : {}) }
      image = { name, kind, ...first, ...rest, createdAt: clock.wallMs() }
    } else {
      const { kind: _kind, ...said } = target
      const imported = await importer.importRoot(
        { path: path.value, source, filesMax: FILES_MAX, bytesMax, ...said },
        task,
      )
      if (!imported.ok) return imported
      const { disk, facts, leftOut } = imported.value
      const [device] = leftOut
      const left = device === undefined ? {} : { devicesLeftOut: { count: leftOut.length, first: device } }
      image = { name, kind: 'root', ...disk, root: { ...facts, ...left }, createdAt: clock.wallMs() }
    }
    reporter.tell({ step: 'sending' })
    return ok({ image, message: await copies.send(image, signal) })
  }

  async #upload(source: BlobId, reporter: ProgressReporter, signal: AbortSignal): Promise<Result<string>> {
    const { blobs, clock } = this.#context
    const here = blobs.find(source)
    if (here !== undefined) return ok(here)
    const fetching = blobs.ensure(source)
    let over = false
    void fetching.finally(() => (over = true))
    while (!over && !signal.aborted) {
      await Promise.race([fetching, clock.sleep(FETCH_LOOK_MS, signal)])
      reporter.tell({ step: 'fetching', doneBytes: await blobs.receivedBytes(source) })
    }
    return signal.aborted ? fail(failure('conflict', 'it was called off')) : fetching
  }

  /** What nothing names, here and where it was sent. What cannot be reached now is swept there later. */
  async #takeAway(id: string, made: readonly BlobId[]): Promise<void> {
    const { mirror, blobs, copies } = this.#context
    const named = new Set<BlobId>(mirror.loaded ? namedByOthers(mirror.state, id) : made)
    for (const [other, { made: theirs }] of this.#running) if (other !== id) theirs.forEach((blob) => named.add(blob))
    const left = made.filter((blob) => !named.has(blob))
    for (const blob of left) await blobs.remove(blob)
    await copies.takeBack(left, id)
  }

  #seen(id: string, name: string): Versioned<ImageImport> | undefined {
    const seen = this.#context.mirror.state.imports.get(name)
    return seen?.value.id === id ? seen : undefined
  }

  async #commit(transaction: Transaction): Promise<boolean> {
    const outcome = await this.#context.store.transact(transaction)
    return outcome.ok && outcome.value.committed
  }
}

function endedTooOften(times: number): Failure {
  return failure('internal', `The agent ended ${times} times while it was importing it`, {
    hint: "See the agent's log on that host; the upload itself may be the cause.",
  })
}

function unexpected(cause: unknown): Failure {
  const { code, message } = cause as NodeJS.ErrnoException
  if (code === 'ENOSPC' || code === 'EDQUOT')
    return failure('no_capacity', 'There is no room on this host for the image', {
      hint: "Free space under the agent's state folder, or import at another host.",
      cause,
    })
  return failure('internal', `The import failed: ${message}`, { cause })
}

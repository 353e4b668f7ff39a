/**
 * Makes files of whole disks, on the host that the record names. Everything that must survive this agent is in the
 * record: one that dies in the middle has left a folder, which the next one clears, and begins again. A record that is
 * gone (a user called it off, the coordinator held this host for lost) ends the work and takes away what was made.
 */
import { failure, type Failure } from '@stead/core/errors.ts'
import type { HostContext } from '@stead/core/host/host-context.ts'
import { watchRecords } from '@stead/core/host/record-watch.ts'
import type { ClusterState, Versioned } from '@stead/core/model/cluster.ts'
import { madeOn, MAKING_BEGUN_MAX, type FileMaking } from '@stead/core/model/file-making.ts'
import type { BlobId } from '@stead/core/model/ids.ts'
import type { Transaction, Write } from '@stead/core/ports/store.ts'
import { fail, type Result } from '@stead/core/result.ts'
import type { BlobStore } from '../blobs/blob-store.ts'
import { namedByOthers, type ImageCopies } from './image-copies.ts'
import { ProgressReporter } from './making-reporter.ts'
import type { MakingTask } from './making-task.ts'

export interface MakingWorkerContext extends Pick<HostContext, 'self' | 'store' | 'mirror' | 'clock' | 'log'> {
  readonly blobs: Pick<BlobStore, 'remove'>
  readonly copies: Pick<ImageCopies, 'takeBack'>
}

/** One kind of making: its records, how it is done, and what is written when it is over. */
export interface Making<Record extends FileMaking, Made> {
  /** For the log. */
  readonly what: string
  /** For failures that nobody foresaw. */
  readonly where: string
  readonly records: (state: ClusterState) => ReadonlyMap<string, Versioned<Record>>
  readonly key: (name: string) => string
  readonly put: (record: Record) => Write
  readonly make: (record: Record, task: MakingTask) => Promise<Result<Made>>
  readonly finished: (seen: Versioned<Record>, made: Made) => Transaction
  readonly failed: (seen: Versioned<Record>, error: Failure) => Transaction
  /** Whether what was made is named by a record already: the answer to the transaction that wrote it was lost. */
  readonly isKept: (name: string, made: Made) => boolean
  /** Why it can come to nothing any more. */
  readonly objection?: (record: Record, made?: Made) => Failure | undefined
}

/** Each wants a processor, and room for a whole disk. */
const AT_ONCE_MAX = 2
const RETRY_MS = 200

interface Running {
  readonly name: string
  /** The work is over, and nothing more is written about it. */
  readonly abort: AbortController
  /** The work is over; what is written is why. */
  readonly hopeless: AbortController
  readonly ended: Promise<void>
  /** What it has put into the blobs. */
  readonly made: BlobId[]
}

export class MakingWorker<Record extends FileMaking, Made> {
  readonly #context: MakingWorkerContext
  readonly #making: Making<Record, Made>
  readonly #running = new Map<string, Running>()
  /** Ended by this agent; its copy of the records may not show that yet. */
  readonly #ended = new Set<string>()

  constructor(context: MakingWorkerContext, making: Making<Record, Made>) {
    this.#context = context
    this.#making = making
  }

  /** Until aborted; what is being done then is given up, and begun again by the next agent. */
  async run(signal: AbortSignal): Promise<void> {
    await watchRecords(this.#context, (state) => this.#look(state, signal), signal)
    for (const { abort } of this.#running.values()) abort.abort()
    await Promise.all([...this.#running.values()].map(({ ended }) => ended))
  }

  #look(state: ClusterState, stopping: AbortSignal): void {
    if (!this.#context.mirror.loaded || stopping.aborted) return
    const mine = madeOn(this.#making.records(state), this.#context.self)
    for (const [id, { abort }] of this.#running) if (!mine.some(({ value }) => value.id === id)) abort.abort()
    for (const id of this.#ended) if (!mine.some(({ value }) => value.id === id)) this.#ended.delete(id)
    for (const { value } of mine) {
      if (this.#running.size >= AT_ONCE_MAX && !this.#running.has(value.id)) continue
      if (!this.#running.has(value.id) && !this.#ended.has(value.id)) this.#start(value)
      if (this.#making.objection?.(value)) this.#running.get(value.id)?.hopeless.abort()
    }
  }

  #start({ id, name }: Record): void {
    const [abort, hopeless] = [new AbortController(), new AbortController()]
    const made: BlobId[] = []
    const signal = AbortSignal.any([abort.signal, hopeless.signal])
    const ended = this.#work(id, name, made, abort.signal, signal)
      .catch((error: unknown) => this.#context.log.error(`${this.#making.what} failed`, { of: name, error }))
      .finally(() => this.#running.delete(id))
    this.#running.set(id, { name, abort, hopeless, ended, made })
  }

  /** `over`: the record is not this agent's any more. `signal`: that, or nothing can come of it. */
  async #work(id: string, name: string, made: BlobId[], over: AbortSignal, signal: AbortSignal): Promise<void> {
    const { log, clock } = this.#context
    const making = this.#making
    const reporter = new ProgressReporter(this.#context, making, () => this.#seen(id, name), made)
    if (!(await this.#begin(id, name, over))) return
    let outcome = await this.#make(id, name, reporter, made, signal).catch((cause: unknown) =>
      fail(unexpected(making.where, cause)),
    )
    await reporter.ended()
    let kept = false
    // Called off, or this agent is being stopped: the record, if there is one, is the next agent's.
    while (!over.aborted) {
      const seen = this.#seen(id, name)
      if (!seen) break
      const objection = making.objection?.(seen.value, outcome.ok ? outcome.value : undefined)
      if (objection) outcome = fail(objection)
      const transaction = outcome.ok ? making.finished(seen, outcome.value) : making.failed(seen, outcome.error)
      const answer = await this.#commit(transaction)
      if (answer) {
        this.#ended.add(id)
        kept = outcome.ok
        break
      }
      await clock.sleep(RETRY_MS, over)
    }
    if (!kept && outcome.ok) kept = making.isKept(name, outcome.value)
    if (!kept) await this.#takeAway(id, made)
    if (!outcome.ok && !over.aborted) log.warn(`${making.what} failed`, { of: name, cause: outcome.error })
  }

  /** Counted before anything is done, so that what ends its agent is not tried for ever. */
  async #begin(id: string, name: string, signal: AbortSignal): Promise<boolean> {
    const { clock } = this.#context
    const { key, put, failed } = this.#making
    while (!signal.aborted) {
      const seen = this.#seen(id, name)
      if (!seen) return false
      const begun = seen.value.begun + 1
      const isHopeless = begun > MAKING_BEGUN_MAX
      const next: Record = { ...seen.value, begun, progress: { step: 'fetching' }, files: [] }
      const done = await this.#commit(
        isHopeless
          ? failed(seen, endedTooOften(seen.value.begun))
          : { compares: [{ key: key(name), modRevision: seen.revision }], writes: [put(next)] },
      )
      if (done && isHopeless) this.#ended.add(id)
      if (done) return !isHopeless
      await clock.sleep(RETRY_MS, signal)
    }
    return false
  }

  #make(
    id: string,
    name: string,
    reporter: ProgressReporter<Record>,
    made: BlobId[],
    signal: AbortSignal,
  ): Promise<Result<Made>> {
    const record = this.#seen(id, name)?.value
    if (!record) return Promise.resolve(fail(failure('conflict', 'it was called off')))
    return this.#making.make(record, {
      signal,
      tell: (progress) => reporter.tell(progress),
      made: async (blob) => {
        made.push(blob)
        await reporter.named(blob, signal)
      },
    })
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

  #seen(id: string, name: string): Versioned<Record> | undefined {
    const seen = this.#making.records(this.#context.mirror.state).get(name)
    return seen?.value.id === id && seen.value.host === this.#context.self ? seen : undefined
  }

  async #commit(transaction: Transaction): Promise<boolean> {
    const outcome = await this.#context.store.transact(transaction)
    return outcome.ok && outcome.value.committed
  }
}

function endedTooOften(times: number): Failure {
  return failure('internal', `The agent ended ${times} times while it was working on it`, {
    hint: "See the agent's log on that host; what it was given may be the cause.",
  })
}

function unexpected(where: string, cause: unknown): Failure {
  const { code, message } = cause as NodeJS.ErrnoException
  if (code === 'ENOSPC' || code === 'EDQUOT')
    return failure('no_capacity', `There is no room on this host for ${where}`, {
      hint: "Free space under the agent's state folder, or ask another host.",
      cause,
    })
  return failure('internal', `It failed: ${message}`, { cause })
}

/**
 * Changes that admission judges take turns: each compares and writes one key, so that nothing of the kind has come
 * between the records by which it was judged and its own commit. Two creates at once on two hosts, each of which would
 * leave room for a loss and both together not, are thereby judged one after the other.
 */
import { failure } from '@stead/core/errors.ts'
import type { ClusterMirror } from '@stead/core/host/cluster-mirror.ts'
import { KEYS } from '@stead/core/model/keys.ts'
import type { Clock } from '@stead/core/ports/clock.ts'
import type { Compare, Store, Write } from '@stead/core/ports/store.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import type { Change } from './change.ts'

/** Of one change, when those of other hosts come first; each time one of them has been committed. */
export const ADMISSION_TRIES = 24
/** A watch that works is milliseconds behind. */
const COPY_BEHIND_MS_MAX = 2_000
/** A change that takes longer (no majority, files to be fetched) lets the next one go; the transaction sorts them out. */
const QUEUE_MS_MAX = 2_000

export interface AdmissionTurnContext {
  readonly store: Store
  readonly mirror: ClusterMirror
  readonly clock: Clock
}

export class AdmissionTurns {
  readonly #context: AdmissionTurnContext
  #last: Promise<unknown> = Promise.resolve()

  constructor(context: AdmissionTurnContext) {
    this.#context = context
  }

  /** One after the other on this host, so that only hosts get in each other's way and never a hundred requests of one. */
  async inTurn<T>(work: () => Promise<T>): Promise<T> {
    const before = this.#last
    const own = Promise.withResolvers<void>()
    this.#last = own.promise
    try {
      await this.#atMost(before, QUEUE_MS_MAX)
      return await work()
    } finally {
      own.resolve()
    }
  }

  /** What the store holds at this moment, once this host's copy is at least as new. To be asked for before judging. */
  async begin(key: string = KEYS.admissionTurn): Promise<Result<Compare>> {
    const { store, mirror, clock } = this.#context
    const turn = await store.get(key)
    if (!turn.ok) return turn
    const modRevision = turn.value?.modRevision ?? 0n
    const behind = new AbortController()
    const isNew = await mirror.until(
      () => mirror.revision >= modRevision,
      clock.sleep(COPY_BEHIND_MS_MAX, behind.signal),
    )
    behind.abort()
    if (isNew) return ok({ key, modRevision })
    return fail(
      failure('no_quorum', "This host's copy of the records is behind the cluster's store", { hint: 'Try again' }),
    )
  }

  async #atMost(work: Promise<unknown>, ms: number): Promise<void> {
    const over = new AbortController()
    await Promise.race([work, this.#context.clock.sleep(ms, over.signal)])
    over.abort()
  }
}

/** The change, possible only while nothing that admission judges was done since `unchanged` was read. */
export function takingTurn(change: Change, unchanged: Compare): Change {
  const taken: Write = { kind: 'put', key: KEYS.admissionTurn, value: change.subject }
  return { ...change, compares: [...change.compares, unchanged], writes: [...change.writes, taken] }
}

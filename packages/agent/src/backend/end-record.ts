/** The end of the record of what a host is making: it is done, or called off, which the host sees by the record's going. */
import { failure, type Failure } from '@stead/core/errors.ts'
import type { ClusterState, Versioned } from '@stead/core/model/cluster.ts'
import type { Transaction } from '@stead/core/ports/store.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import type { Desk } from './desk.ts'

const TRIES = 20
const RETRY_MS = 50

export interface RecordEnd<T> {
  readonly find: (state: ClusterState) => Versioned<T> | undefined
  readonly end: (seen: Versioned<T>) => Transaction
  readonly missing: (state: ClusterState) => Failure
}

export async function endRecord<T>(desk: Desk, { find, end, missing }: RecordEnd<T>): Promise<Result<void>> {
  const { store, mirror, clock } = desk.context
  // Between two looks its host may write how far it has come, which is no reason to give up.
  for (let attempt = 0; attempt < TRIES; attempt++) {
    const seen = find(mirror.state)
    if (!seen) break
    const outcome = await store.transact(end(seen))
    if (!outcome.ok && outcome.error.code !== 'store_timeout') return outcome
    if (outcome.ok && outcome.value.committed) return ok()
    await mirror.until((state) => find(state)?.revision !== seen.revision, clock.sleep(RETRY_MS * 4))
    await clock.sleep(RETRY_MS)
  }
  return desk.loaded((state) =>
    fail(find(state) ? failure('changed_meanwhile', 'It kept changing', { hint: 'Try again' }) : missing(state)),
  )
}

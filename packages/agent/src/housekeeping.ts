/** Keeps the store small: what only serves for a while (events, finished operations) is pruned by the coordinator. */
import { sessionExpiredBecause } from '@stead/core/access/session.ts'
import type { ClusterMirror } from '@stead/core/host/cluster-mirror.ts'
import { KEYS } from '@stead/core/model/keys.ts'
import type { Clock } from '@stead/core/ports/clock.ts'
import type { Log } from '@stead/core/ports/log.ts'
import type { Store, StoreEntry, Write } from '@stead/core/ports/store.ts'
import { operationOfKey } from './backend/conditional-requests.ts'

const INTERVAL_MS = 60_000
const EVENTS_KEPT = 2_000
const OPERATIONS_KEPT = 500
const WRITES_AT_ONCE = 200

export async function keepHouse(
  options: { store: Store; mirror: ClusterMirror; clock: Clock; log: Log; isCoordinating: () => boolean },
  signal: AbortSignal,
): Promise<void> {
  const { store, mirror, clock, log, isCoordinating } = options
  while (!signal.aborted) {
    await clock.sleep(INTERVAL_MS, signal)
    if (signal.aborted || !isCoordinating()) continue
    const keys = [
      ...(await oldEvents(store)),
      ...(await oldOperations(store, mirror)),
      ...endedSessions(mirror, clock),
      ...endedBackups(mirror, clock),
    ]
    for (let start = 0; start < keys.length; start += WRITES_AT_ONCE) {
      const writes = keys.slice(start, start + WRITES_AT_ONCE).map((key): Write => ({ kind: 'delete', key }))
      const outcome = await store.transact({ compares: [], writes })
      if (!outcome.ok) log.warn('old records could not be pruned', { cause: outcome.error })
    }
  }
}

function endedSessions({ state }: ClusterMirror, clock: Clock): string[] {
  const now = clock.wallMs()
  return [...state.sessions]
    .filter(([, { value }]) => sessionExpiredBecause(value, state.users.get(value.user)?.value, now) !== undefined)
    .map(([digest]) => KEYS.session(digest))
}

/** Whoever has the file removes it: `blob-sweeper.ts`. */
function endedBackups({ state }: ClusterMirror, clock: Clock): string[] {
  const now = clock.wallMs()
  return [...state.backups.values()].flatMap(({ value }) => (value.expiresAt <= now ? [KEYS.backup(value.id)] : []))
}

async function oldEvents(store: Store): Promise<string[]> {
  const found = await store.range(KEYS.event(''))
  if (!found.ok) return []
  const byAge = found.value.entries.toSorted((a, b) => Number(a.createRevision - b.createRevision))
  return byAge.slice(0, Math.max(0, byAge.length - EVENTS_KEPT)).map((entry) => entry.key)
}

async function oldOperations(store: Store, { state, revision }: ClusterMirror): Promise<string[]> {
  const finished = [...state.operations.values()]
    .map((entry) => entry.value)
    .filter((operation) => operation.finishedAt !== undefined)
  const old = finished.toSorted((a, b) => (b.finishedAt ?? 0) - (a.finishedAt ?? 0)).slice(OPERATIONS_KEPT)
  const gone = new Set<string>(old.map((operation) => operation.id))
  const keys = await store.range(KEYS.idempotency(''))
  const isOrphan = ({ value, createRevision }: StoreEntry) => {
    const operation = operationOfKey(value)
    // Of one that this copy has not seen yet nothing is known.
    return (
      operation === undefined || gone.has(operation) || (createRevision <= revision && !state.operations.has(operation))
    )
  }
  const orphans = keys.ok ? keys.value.entries.filter(isOrphan) : []
  return [...old.map((operation) => KEYS.operation(operation.id)), ...orphans.map((entry) => entry.key)]
}

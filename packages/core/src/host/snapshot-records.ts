/**
 * The record of a snapshot that is being made: begun, finished or undone, each in one transaction that compares what it
 * relies on. To undo is to remove the record: every host gives up by itself what no record names (`HeldSnapshotKeeper`).
 */
import type { Failure } from '../errors.ts'
import type { EventDraft } from '../ha/plan.ts'
import type { ClusterState, Versioned } from '../model/cluster.ts'
import { KEYS } from '../model/keys.ts'
import { endOf, type Operation } from '../model/operation.ts'
import type { Snapshot } from '../model/snapshot.ts'
import type { Compare, Write } from '../ports/store.ts'
import type { HostContext } from './host-context.ts'

export function snapshotsOf(state: ClusterState, guest: Snapshot['guest']): readonly Versioned<Snapshot>[] {
  return [...state.snapshots.values()].filter(({ value }) => value.guest === guest)
}

export function putSnapshot(snapshot: Snapshot): Write {
  return { kind: 'put', key: KEYS.snapshot(snapshot.guest, snapshot.name), value: JSON.stringify(snapshot) }
}

/** What an operation about a snapshot has as its subject. */
export function snapshotSubject({ guest, name }: Pick<Snapshot, 'guest' | 'name'>): string {
  return `guest/${guest}/${name}`
}

/**
 * Replaces the record as it was seen. Undefined when it has changed meanwhile or the store cannot say whether it has
 * been done: the next look finds out.
 */
export async function replaceSnapshot(
  { store }: HostContext,
  seen: Versioned<Snapshot>,
  next: Snapshot,
  compares: readonly Compare[],
  writes: readonly Write[] = [],
): Promise<Versioned<Snapshot> | undefined> {
  const key = KEYS.snapshot(seen.value.guest, seen.value.name)
  const outcome = await store.transact({
    compares: [{ key, modRevision: seen.revision }, ...compares],
    writes: [putSnapshot(next), ...writes],
  })
  return outcome.ok && outcome.value.committed ? { value: next, revision: outcome.value.revision } : undefined
}

/** Removes the record of a snapshot that did not come about, and says so to whoever asked for it. */
export async function undoSnapshot(context: HostContext, seen: Versioned<Snapshot>, error: Failure): Promise<void> {
  const { store, mirror, events, clock } = context
  const { value: snapshot } = seen
  const name = mirror.state.guests.get(snapshot.guest)?.value.name ?? snapshot.guest
  const said: EventDraft = {
    kind: 'snapshot.failed',
    subject: `guest/${name}`,
    message: `the snapshot ${snapshot.name} of ${name} was not made: ${error.message}`,
    details: { snapshot: snapshot.name },
  }
  const key = KEYS.snapshot(snapshot.guest, snapshot.name)
  const outcome = await store.transact({
    compares: [{ key, modRevision: seen.revision }],
    writes: [
      { kind: 'delete', key },
      ...failOperations(mirror.state, snapshotSubject(snapshot), error, clock.wallMs()),
      ...events.writesFor([said]),
    ],
  })
  if (!outcome.ok) await clock.sleep(100)
}

function failOperations(state: ClusterState, subject: string, error: Failure, nowMs: number): readonly Write[] {
  const failure = { code: error.code, message: error.message, ...(error.hint ? { hint: error.hint } : {}) }
  return [...state.operations.values()]
    .filter(({ value }) => value.subject === subject && (value.state === 'running' || value.state === 'waiting'))
    .map(({ value }): Write => {
      const finished: Operation = {
        ...value,
        state: 'failed',
        message: error.message,
        failure,
        finishedAt: endOf(value, nowMs),
      }
      return { kind: 'put', key: KEYS.operation(value.id), value: JSON.stringify(finished) }
    })
}

/**
 * One change to the cluster by a user: a transaction that can be repeated. The idempotency key, written with it,
 * lets a client whose answer was lost ask again and get the same operation instead of a second change.
 */
import { failure } from '@stead/core/errors.ts'
import type { Supposition } from '@stead/core/foresight/supposition.ts'
import type { EventDraft } from '@stead/core/ha/plan.ts'
import { subjectProject } from '@stead/core/access/object-path.ts'
import type { ClusterMirror } from '@stead/core/host/cluster-mirror.ts'
import type { EventWriter } from '@stead/core/host/event-writer.ts'
import type { OperationId } from '@stead/core/model/ids.ts'
import { KEYS } from '@stead/core/model/keys.ts'
import type { Operation } from '@stead/core/model/operation.ts'
import type { Clock, Random } from '@stead/core/ports/clock.ts'
import type { Compare, Store, Write } from '@stead/core/ports/store.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import { auditChanges } from '../audit/audit-changes.ts'
import type { AuditWriter } from '../audit/audit-writer.ts'
import type { RequestContext } from '../http/backend.ts'
import { changedMeanwhile, earlierRequest, newOnce, onceWrite, type Unchanged } from './conditional-requests.ts'

export interface ChangeContext {
  readonly store: Store
  readonly events: EventWriter
  readonly clock: Clock
  readonly random: Random
  readonly mirror: ClusterMirror
  readonly audit: Pick<AuditWriter, 'writeFor'>
}

export interface Change {
  readonly kind: string
  readonly subject: string
  /** Whose it is, where the records cannot tell yet. */
  readonly project?: string
  readonly compares: readonly Compare[]
  readonly writes: readonly Write[]
  readonly events: readonly EventDraft[]
  /** What it comes to, where that is not what the writes say. */
  readonly supposition?: Supposition
  /** What is to happen in the world first. When that is refused, nothing is recorded. */
  readonly order?: () => Promise<Result<void>>
}

const TRIES = 4
const PAUSE_MS_MAX = 80

/**
 * `make` is called for each try, since a refused transaction means that the records have changed; it may then find
 * that the request is no longer valid. Returns the operation, also when an earlier try had been committed.
 */
export async function commitChange(
  context: ChangeContext,
  request: Pick<RequestContext, 'once' | 'unchanged' | 'principal' | 'visitor' | 'trail'>,
  make: () => Result<Change> | Promise<Result<Change>>,
  tries = TRIES,
): Promise<Result<Operation>> {
  const { store, events, clock, random } = context
  const { once = newOnce(KEYS.idempotency(random.uuid())), unchanged = [] } = request
  let isOrdered = false
  let last: Result<Operation> = fail(failure('changed_meanwhile', 'The records kept changing', { hint: 'Try again' }))
  for (let attempt = 0; attempt < tries; attempt++) {
    // Before the first attempt it was looked up already.
    const known = attempt === 0 ? ok(once) : await earlierRequest(store, once)
    if (!known.ok) return known
    if (known.value?.earlier) {
      if (request.trail) request.trail.recorded = true
      return ok(known.value.earlier)
    }
    if (attempt > 0 && (await isChanged(store, unchanged))) return fail(changedMeanwhile('object'))
    const change = await make()
    if (!change.ok) {
      // The same request, sent to another host before, may have been committed since it was looked up: its own image is
      // then "there already", and its own guest has the name.
      const sent = await earlierRequest(store, once)
      if (!sent.ok || !sent.value?.earlier) return change
      if (request.trail) request.trail.recorded = true
      return ok(sent.value.earlier)
    }
    if (change.value.order && !isOrdered) {
      const ordered = await change.value.order()
      if (!ordered.ok) return ordered
      isOrdered = true
    }
    const project = change.value.project ?? subjectProject(context.mirror.state, change.value.subject)
    const operation: Operation = {
      id: random.uuid() as OperationId,
      kind: change.value.kind,
      subject: change.value.subject,
      ...(project === undefined ? {} : { project }),
      state: 'running',
      progress: 0,
      message: 'accepted',
      startedAt: clock.wallMs(),
    }
    const outcome = await store.transact({
      compares: [...change.value.compares, ...unchanged, { key: once.recordKey, modRevision: 0n }],
      writes: [
        ...change.value.writes,
        { kind: 'put', key: KEYS.operation(operation.id), value: JSON.stringify(operation) },
        onceWrite(once, operation.id),
        ...events.writesFor(change.value.events),
        context.audit.writeFor(request, {
          ...{ kind: 'change', what: operation.kind, subject: operation.subject, operation: operation.id },
          ...(project === undefined ? {} : { project }),
          changes: auditChanges(context.mirror.state, change.value.writes),
        }),
      ],
    })
    if (outcome.ok && outcome.value.committed) {
      if (request.trail) request.trail.recorded = true
      return ok(operation)
    }
    if (!outcome.ok) {
      if (outcome.error.code !== 'store_timeout') return outcome
      last = outcome
    }
    await clock.sleep(Math.min(20 * (attempt + 1), PAUSE_MS_MAX))
  }
  return last
}

/** An answer that does not come leaves it to the transaction. */
async function isChanged(store: Store, unchanged: readonly Unchanged[]): Promise<boolean> {
  for (const { key, modRevision } of unchanged) {
    const entry = await store.get(key)
    if (entry.ok && (entry.value?.modRevision ?? 0n) !== modRevision) return true
  }
  return false
}

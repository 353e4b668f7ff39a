/**
 * One change to the cluster by a user: a transaction that can be repeated. The idempotency key, written with it,
 * lets a client whose answer was lost ask again and get the same operation instead of a second change.
 */
import { failure } from '@stead/core/errors.ts'
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
}

const TRIES = 4
const PAUSE_MS_MAX = 80

/**
 * `make` is called for each try, since a refused transaction means that the records have changed; it may then find
 * that the request is no longer valid. Returns the operation, also when an earlier try had been committed.
 */
export async function commitChange(
  context: ChangeContext,
  request: Pick<RequestContext, 'idempotencyKey' | 'principal' | 'visitor' | 'trail'>,
  make: () => Result<Change> | Promise<Result<Change>>,
  tries = TRIES,
): Promise<Result<Operation>> {
  const { store, events, clock, random } = context
  const key = request.idempotencyKey ?? random.uuid()
  let last: Result<Operation> = fail(failure('changed_meanwhile', 'The records kept changing', { hint: 'Try again' }))
  for (let attempt = 0; attempt < tries; attempt++) {
    const earlier = await earlierOperation(store, key)
    if (!earlier.ok) return earlier
    if (earlier.value) {
      if (request.trail) request.trail.recorded = true
      return ok(earlier.value)
    }
    const change = await make()
    if (!change.ok) return change
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
      compares: [...change.value.compares, { key: KEYS.idempotency(key), modRevision: 0n }],
      writes: [
        ...change.value.writes,
        { kind: 'put', key: KEYS.operation(operation.id), value: JSON.stringify(operation) },
        { kind: 'put', key: KEYS.idempotency(key), value: operation.id },
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

async function earlierOperation(store: Store, key: string): Promise<Result<Operation | undefined>> {
  const entry = await store.get(KEYS.idempotency(key))
  if (!entry.ok) return entry
  if (!entry.value) return ok(undefined)
  const operation = await store.get(KEYS.operation(entry.value.value as OperationId))
  if (!operation.ok) return operation
  return ok(operation.value ? (JSON.parse(operation.value.value) as Operation) : undefined)
}

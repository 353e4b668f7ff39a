/**
 * Changes of users, groups, roles, permissions and tokens. Each is made on what the store holds at that moment and takes
 * its turn, so that no two of them can together take the cluster from everybody.
 */
import { recordDecoder } from '@stead/api/records.ts'
import { decide } from '@stead/core/access/decide.ts'
import { ACCESS_PATH } from '@stead/core/access/object-path.ts'
import { failure } from '@stead/core/errors.ts'
import { applyBatch, emptyClusterState } from '@stead/core/model/cluster-reducer.ts'
import type { AccessRecords } from '@stead/core/model/access.ts'
import type { ClusterState } from '@stead/core/model/cluster.ts'
import { KEYS, PREFIX } from '@stead/core/model/keys.ts'
import type { Operation } from '@stead/core/model/operation.ts'
import type { Compare, Store, StoreChange, StoreEntry, Write } from '@stead/core/ports/store.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import { accessRecordsOf, ACCESS_COLLECTIONS, type AccessState } from '../access/access-records.ts'
import type { RequestContext } from '../http/backend.ts'
import { commitChange } from './change.ts'
import type { Desk } from './desk.ts'

export interface AccessChange {
  readonly kind: string
  /** `user/alice`. */
  readonly subject: string
  readonly writes: readonly Write[]
  /** A realm has decided it, which is not asked back. */
  readonly byRealm?: true
  /** Beside the turn of access. */
  readonly compares?: readonly Compare[]
}

/** Answers once this host's own copy holds the change. */
export async function changeAccess(
  desk: Desk,
  request: RequestContext,
  make: (state: AccessState) => Result<AccessChange> | Promise<Result<AccessChange>>,
): Promise<Result<Operation>> {
  const operation = await commitChange(desk.context, request, async () => {
    const book = await readAccess(desk.context.store)
    if (!book.ok) return book
    const { state, unchanged } = book.value
    const change = await make(state)
    if (!change.ok) return change
    const orphaned = change.value.byRealm ? undefined : whyOrphaned(desk, request, state, change.value)
    if (orphaned) return fail(orphaned)
    const turn: Write = { kind: 'put', key: KEYS.accessTurn, value: change.value.subject }
    return ok({
      ...change.value,
      compares: [unchanged, ...(change.value.compares ?? [])],
      writes: [turn, ...change.value.writes],
      events: [],
    })
  })
  if (operation.ok) await desk.started(operation.value)
  return operation
}

async function readAccess(
  store: Store,
): Promise<Result<{ readonly state: ClusterState; readonly unchanged: Compare }>> {
  // First: what is written while the rest is read changes it, and the change is then made again.
  const turn = await store.get(KEYS.accessTurn)
  if (!turn.ok) return turn
  const entries: StoreEntry[] = []
  for (const name of ACCESS_COLLECTIONS) {
    const found = await store.range(`${PREFIX}${name}/`)
    if (!found.ok) return found
    entries.push(...found.value.entries)
  }
  const batch = { kind: 'resync', entries, revision: 0n } as const
  const { state, problems } = applyBatch(emptyClusterState(), batch, recordDecoder)
  if (problems.length > 0)
    return fail(failure('internal', `The records of users cannot be read: ${problems.join('; ')}`, { cause: problems }))
  return ok({ state, unchanged: { key: KEYS.accessTurn, modRevision: turn.value?.modRevision ?? 0n } })
}

/** Whoever is root of a host can always make a new administrator, and so may leave none. */
function whyOrphaned(desk: Desk, { principal }: RequestContext, before: AccessState, { writes }: AccessChange) {
  const wallMs = desk.context.clock.wallMs()
  if (principal.kind === 'root' || administrators(accessRecordsOf(before), wallMs).length === 0) return undefined
  if (administrators(accessRecordsOf(withWrites(before, writes)), wallMs).length > 0) return undefined
  return failure('conflict', 'After this nobody could manage users and permissions any more', {
    hint: 'Give another user the role Administrator on / first',
  })
}

function administrators(records: AccessRecords, wallMs: number): string[] {
  return [...records.users.keys()].filter(
    (name) => decide(records, { kind: 'user', name }, 'access.manage', ACCESS_PATH, wallMs).allowed,
  )
}

/** The records as they would be. */
function withWrites(state: AccessState, writes: readonly Write[]): ClusterState {
  const changes = writes.flatMap((write): StoreChange[] => {
    if (write.kind === 'put') {
      const entry = { key: write.key, value: write.value, createRevision: 0n, modRevision: -1n }
      return [{ kind: 'put', entry }]
    }
    return write.kind === 'delete' ? [{ kind: 'delete', key: write.key, modRevision: -1n }] : []
  })
  return applyBatch({ ...emptyClusterState(), ...state }, { kind: 'changes', changes, revision: 0n }, recordDecoder)
    .state
}

export const put = (key: string, value: unknown): Write => ({ kind: 'put', key, value: JSON.stringify(value) })
export const remove = (key: string): Write => ({ kind: 'delete', key })

/** What goes with somebody who goes. */
export function permissionsOf(state: AccessState, kind: string, names: readonly string[]): Write[] {
  return [...state.permissions.values()]
    .filter(({ value: { subject } }) => subject.kind === kind && names.includes(subject.name))
    .map(({ value }) => remove(KEYS.permission(value.id)))
}

export function found<T>(map: ReadonlyMap<string, T>, name: string, noun: string): Result<T> {
  const record = map.get(name)
  return record === undefined ? missing(noun, name) : ok(record)
}

export function missing(noun: string, name: string): Result<never> {
  return fail(failure('not_found', `There is no ${noun} ${name}`, { hint: `See \`stead ${noun} list\`` }))
}

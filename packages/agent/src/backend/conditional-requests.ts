/**
 * What a client may demand of any change, before its endpoint looks at it: that what it has seen is so still (`If-Match`),
 * and that it is made once, however often it is sent (`Idempotency-Key`). `commitChange` makes both part of the change's
 * own transaction. docs/internals/api.md.
 */
import { createHash, createHmac, randomBytes } from 'node:crypto'
import { isRead, isRecorded, revisedObjectOf, type Endpoint } from '@stead/api/endpoint.ts'
import { ENDPOINTS } from '@stead/api/endpoints.ts'
import { failure, type Failure } from '@stead/core/errors.ts'
import { principalName, type Principal } from '@stead/core/model/access.ts'
import { KEYS } from '@stead/core/model/keys.ts'
import type { OperationId } from '@stead/core/model/ids.ts'
import type { Operation } from '@stead/core/model/operation.ts'
import type { Store, Write } from '@stead/core/ports/store.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import type { AnyInput } from '../access/demands.ts'
import type { ApiBackend, BackendId, RequestContext } from '../http/backend.ts'
import type { Desk } from './desk.ts'
import { latestOf, recordKeysOf } from './revised-records.ts'

/** A record that is to be as the client has seen it; 0: there is none. */
export interface Unchanged {
  readonly key: string
  readonly modRevision: bigint
}

/** Of a change that a client may send again. */
export interface Once {
  readonly recordKey: string
  /**
   * Of what is asked for: the same key is no good for something else. Keyed by the client's key, of which the store has a
   * digest alone: who reads the store cannot try passwords that requests have set.
   */
  readonly fingerprint: string
  /** 256 random bits, those of the first of these requests: see `shown-once.ts`. */
  readonly salt: string
  /** What the first of these requests began. */
  readonly earlier?: Operation
}

/** What lies under an idempotency key. */
interface OnceRecord {
  readonly operation: OperationId
  readonly fingerprint: string
  readonly salt: string
}

export function newOnce(recordKey: string, fingerprint = ''): Once {
  return { recordKey, fingerprint, salt: randomBytes(32).toString('base64url') }
}

type Handler = (input: unknown, request: RequestContext) => Promise<Result<unknown>>

export function conditionalBackend(desk: Desk, backend: ApiBackend): ApiBackend {
  const { store } = desk.context
  const conditional = Object.entries(backend).map(([id, handler]) => {
    const endpoint: Endpoint = ENDPOINTS[id as BackendId]
    if (isRead(endpoint)) return [id, handler]
    const answer = handler as unknown as Handler
    return [
      id,
      async (input: unknown, request: RequestContext) => {
        const once = await onceOf(store, endpoint, input as AnyInput, request)
        if (!once.ok) return once
        const conditions = {
          ...(once.value ? { once: once.value } : {}),
          ...(endpoint.whatIf === 'none' ? { isUnforeseeable: true as const } : {}),
        }
        // The first of these requests has changed what it was about.
        if (once.value?.earlier) return answer(input, { ...request, ...conditions })
        const unchanged = await unchangedRecords(desk, endpoint, input as AnyInput, request)
        return unchanged.ok ? answer(input, { ...request, ...conditions, unchanged: unchanged.value }) : unchanged
      },
    ]
  })
  return Object.fromEntries(conditional) as ApiBackend
}

/** What the transaction compares, so that it is so in the moment of the change. */
async function unchangedRecords(
  desk: Desk,
  endpoint: Endpoint,
  { params = {} }: AnyInput,
  { ifMatch }: RequestContext,
): Promise<Result<readonly Unchanged[]>> {
  if (ifMatch === undefined) return ok([])
  const object = revisedObjectOf(endpoint)
  if (object === undefined)
    return fail(
      failure('bad_request', `${endpoint.method} ${endpoint.path} takes no If-Match`, {
        hint: 'It changes nothing that has a revision; leave the header out',
      }),
    )
  const keys = recordKeysOf(object, desk.state, params)
  // What does not exist is the endpoint's to tell.
  if (keys.length === 0) return ok([])
  const compares: Unchanged[] = []
  for (const key of keys) {
    const entry = await desk.context.store.get(key)
    if (!entry.ok) return entry
    compares.push({ key, modRevision: entry.value?.modRevision ?? 0n })
  }
  const revision = String(latestOf(compares.map(({ modRevision }) => modRevision)))
  return ifMatch === '*' || ifMatch.includes(revision) ? ok(compares) : fail(changedMeanwhile(object))
}

export function changedMeanwhile(what: string): Failure {
  return failure('changed_meanwhile', `The ${what} was changed meanwhile`, {
    hint: 'Look at it again, then repeat the change with the revision that it has now',
  })
}

async function onceOf(
  store: Pick<Store, 'get'>,
  endpoint: Endpoint,
  { params, query, body }: AnyInput,
  { idempotencyKey, principal, whatIf }: RequestContext,
): Promise<Result<Once | undefined>> {
  if (idempotencyKey === undefined || whatIf || !isRecorded(endpoint)) return ok(undefined)
  const recordKey = KEYS.idempotency(digestOf([whose(principal), idempotencyKey]))
  const once = newOnce(recordKey, fingerprintOf(idempotencyKey, [endpoint.id, params, query, body]))
  const earlier = await earlierRequest(store, once)
  // What brings the store back cannot wait for it: its own transaction finds out what came before.
  if (!earlier.ok && endpoint.worksWithoutStore) return ok(once)
  return earlier.ok ? ok(earlier.value ?? once) : earlier
}

/** A key is good for who has used it, at whichever host he comes in. */
function whose(principal: Principal): string {
  return principal.kind === 'root' ? 'root' : principalName(principal)
}

function digestOf(value: unknown): string {
  return createHash('sha256').update(JSON.stringify(value)).digest('base64url')
}

function fingerprintOf(idempotencyKey: string, request: readonly unknown[]): string {
  return createHmac('sha256', idempotencyKey).update(JSON.stringify(request)).digest('base64url')
}

/** The earlier one with this key; a failure when it asked for something else. */
export async function earlierRequest(
  store: Pick<Store, 'get'>,
  { recordKey, fingerprint }: Once,
): Promise<Result<(Once & { readonly earlier: Operation }) | undefined>> {
  const entry = await store.get(recordKey)
  if (!entry.ok) return entry
  if (!entry.value) return ok(undefined)
  const record = JSON.parse(entry.value.value) as OnceRecord
  if (record.fingerprint !== fingerprint) return fail(KEY_REUSED)
  const operation = await store.get(KEYS.operation(record.operation))
  if (!operation.ok) return operation
  if (!operation.value) return ok(undefined)
  return ok({ recordKey, fingerprint, salt: record.salt, earlier: JSON.parse(operation.value.value) as Operation })
}

/** With which a change says that it was made. */
export function onceWrite({ recordKey, fingerprint, salt }: Once, operation: OperationId): Write {
  const record: OnceRecord = { operation, fingerprint, salt }
  return { kind: 'put', key: recordKey, value: JSON.stringify(record) }
}

/** The operation that an idempotency key is about; undefined when its record cannot be read. */
export function operationOfKey(value: string): OperationId | undefined {
  try {
    return (JSON.parse(value) as OnceRecord).operation
  } catch {
    return undefined
  }
}

const KEY_REUSED = failure('key_reused', 'Another request was made with this Idempotency-Key', {
  hint: 'Make a new key for each change: a UUID. Send the same key only with the very same request',
})

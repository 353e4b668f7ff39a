/** Between the port's strings and etcd's messages. */
import type {
  Compare,
  StoreChange,
  StoreEntry,
  Transaction,
  TransactionOutcome,
  Write,
} from '@stead/core/ports/store.ts'
import { assert } from '@stead/core/assert.ts'
import {
  Compare as CompareMessage,
  Compare_CompareResult,
  Compare_CompareTarget,
  DeleteRangeRequest,
  Event_EventType,
  PutRequest,
  RangeRequest,
  RequestOp,
  TxnRequest,
} from './generated/etcd.ts'
import type { Event, KeyValue, TxnResponse } from './generated/etcd.ts'

/** etcd's "from this key on, without end", and for a key "the first of all". */
const UNBOUNDED = Buffer.from([0])

/** etcd's half-open range of all keys that begin with the prefix. */
export function prefixRange(prefix: string): { readonly key: Buffer; readonly rangeEnd: Buffer } {
  if (prefix === '') return { key: UNBOUNDED, rangeEnd: UNBOUNDED }
  const key = Buffer.from(prefix)
  const rangeEnd = Buffer.from(key)
  // UTF-8 holds no byte 0xff, so the last byte can always be raised.
  const last = rangeEnd.length - 1
  rangeEnd[last] = (rangeEnd[last] ?? 0) + 1
  return { key, rangeEnd }
}

export function toEntry(kv: KeyValue): StoreEntry {
  return {
    key: kv.key.toString(),
    value: kv.value.toString(),
    createRevision: kv.createRevision,
    modRevision: kv.modRevision,
  }
}

export function toChange(event: Event): StoreChange {
  assert(event.kv, 'an etcd event has a key')
  return event.type === Event_EventType.DELETE
    ? { kind: 'delete', key: event.kv.key.toString(), modRevision: event.kv.modRevision }
    : { kind: 'put', entry: toEntry(event.kv) }
}

/** When the compares fail, the compared keys are read in the same transaction. */
export function toTxnRequest(transaction: Transaction): TxnRequest {
  const comparedKeys = new Set(transaction.compares.map((compare) => compare.key))
  return TxnRequest.create({
    compare: transaction.compares.map(toCompareMessage),
    success: transaction.writes.map(toRequestOp),
    failure: [...comparedKeys].map((key) =>
      RequestOp.create({
        request: { $case: 'requestRange', value: RangeRequest.create({ key: Buffer.from(key) }) },
      }),
    ),
  })
}

export function toTransactionOutcome(response: TxnResponse): TransactionOutcome {
  const revision = revisionOf(response)
  if (response.succeeded) return { committed: true, revision }
  const found = response.responses.flatMap(({ response: part }) =>
    part?.$case === 'responseRange' ? part.value.kvs.map(toEntry) : [],
  )
  return { committed: false, revision, found }
}

export function revisionOf(response: { header?: { revision: bigint } | undefined }): bigint {
  assert(response.header, 'every answer of etcd has a header')
  return response.header.revision
}

function toCompareMessage(compare: Compare): CompareMessage {
  return CompareMessage.create({
    key: Buffer.from(compare.key),
    result: Compare_CompareResult.EQUAL,
    ...('value' in compare
      ? {
          target: Compare_CompareTarget.VALUE,
          targetUnion: { $case: 'value' as const, value: Buffer.from(compare.value) },
        }
      : {
          target: Compare_CompareTarget.MOD,
          targetUnion: { $case: 'modRevision' as const, value: compare.modRevision },
        }),
  })
}

function toRequestOp(write: Write): RequestOp {
  if (write.kind === 'put') {
    const value = PutRequest.create({
      key: Buffer.from(write.key),
      value: Buffer.from(write.value),
      lease: write.lease ?? 0n,
    })
    return RequestOp.create({ request: { $case: 'requestPut', value } })
  }
  const range = write.kind === 'delete' ? { key: Buffer.from(write.key) } : prefixRange(write.prefix)
  return RequestOp.create({ request: { $case: 'requestDeleteRange', value: DeleteRangeRequest.create(range) } })
}

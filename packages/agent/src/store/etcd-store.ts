/** The port `Store` on etcd's v3 API (3.4 and later). */
import { status as grpcStatus } from '@grpc/grpc-js'
import type { Clock } from '@stead/core/ports/clock.ts'
import type { Log } from '@stead/core/ports/log.ts'
import type {
  LeaseId,
  Store,
  StoreEntry,
  Transaction,
  TransactionOutcome,
  WatchBatch,
} from '@stead/core/ports/store.ts'
import { failure } from '@stead/core/errors.ts'
import type { Failure } from '@stead/core/errors.ts'
import { fail, ok } from '@stead/core/result.ts'
import type { Result } from '@stead/core/result.ts'
import type { HostCredentials } from '../trust/host-credentials.ts'
import { Endpoints, requireLeader } from './endpoints.ts'
import type { CallOutcome, Endpoint, UnaryMethod } from './endpoints.ts'
import { prefixRange, revisionOf, toEntry, toTransactionOutcome, toTxnRequest } from './etcd-codec.ts'
import { keepLeaseOnce } from './etcd-lease.ts'
import { watchPrefix } from './etcd-watch.ts'
import { firstOf } from './hedged-attempts.ts'
import { KVService, LeaseGrantRequest, LeaseRevokeRequest, LeaseService, RangeRequest } from './generated/etcd.ts'

export interface EtcdStoreOptions {
  /** `10.1.0.1:2379`, or the path of a unix socket; the local member first. */
  readonly endpoints: readonly string[]
  /** Deadline of one attempt at one member. */
  readonly callTimeoutMs?: number
  /** How long a call goes on trying members, all attempts together. */
  readonly totalTimeoutMs?: number
  /** Absent: without TLS. */
  readonly credentials?: HostCredentials
  readonly clock: Clock
  readonly log: Log
}

const CALL_TIMEOUT_MS = 700
const TOTAL_TIMEOUT_MS = 3000
/** A member that has not answered a repeatable request after this long is no longer waited for alone: a read takes 3 ms. */
const PATIENCE_MS = 80
/** Between two rounds over all members, while none serves. */
const ROUND_PAUSE_MS = 25
/** Entries of one answer; a longer prefix is read in pages, all at one revision. */
const PAGE_ENTRIES = 2000

type Range = { readonly entries: readonly StoreEntry[]; readonly revision: bigint }

/**
 * Reads, leases and watches go on at another member when one fails or freezes. A transaction does so only when
 * it certainly was not executed. A transaction that fails with `store_timeout` MAY HAVE BEEN COMMITTED, even after
 * the answer: the member may still hold it. Its caller repeats it, and its compares tell the second time.
 *
 * Failures: `no_quorum` (nothing was done), `store_timeout` (outcome unknown), `not_found` (a put under a lease
 * that is gone), `bad_request` (etcd refuses the request: too large, a key twice).
 */
export class EtcdStore implements Store {
  readonly #endpoints: Endpoints
  readonly #clock: Clock
  readonly #log: Log
  readonly #callTimeoutMs: number
  readonly #totalTimeoutMs: number
  readonly #closing = new AbortController()

  constructor(options: EtcdStoreOptions) {
    this.#clock = options.clock
    this.#log = options.log
    this.#callTimeoutMs = options.callTimeoutMs ?? CALL_TIMEOUT_MS
    this.#totalTimeoutMs = options.totalTimeoutMs ?? TOTAL_TIMEOUT_MS
    const { callTimeoutMs: _ours, ...rest } = options
    this.#endpoints = new Endpoints({ ...rest, callTimeoutMs: this.#callTimeoutMs })
  }

  async get(key: string): Promise<Result<StoreEntry | undefined>> {
    const answer = await this.#repeatable(KVService.range, RangeRequest.create({ key: Buffer.from(key) }))
    if (!answer.ok) return answer
    const [kv] = answer.value.kvs
    return ok(kv && toEntry(kv))
  }

  async range(prefix: string): Promise<Result<Range>> {
    const { key, rangeEnd } = prefixRange(prefix)
    const entries: StoreEntry[] = []
    let from = key
    let revision = 0n
    for (;;) {
      const request = RangeRequest.create({ key: from, rangeEnd, revision, limit: BigInt(PAGE_ENTRIES) })
      const answer = await this.#repeatable(KVService.range, request)
      if (!answer.ok) {
        if (answer.error.code !== 'changed_meanwhile') return answer
        // The revision of the first page was compacted away before the last page was read: read all anew.
        entries.length = 0
        from = key
        revision = 0n
        continue
      }
      if (revision === 0n) revision = revisionOf(answer.value)
      for (const kv of answer.value.kvs) entries.push(toEntry(kv))
      const last = answer.value.kvs.at(-1)
      if (!answer.value.more || last === undefined) return ok({ entries, revision })
      // The smallest key above the last one.
      from = Buffer.concat([last.key, Buffer.from([0])])
    }
  }

  async transact(transaction: Transaction): Promise<Result<TransactionOutcome>> {
    const request = toTxnRequest(transaction)
    const answer = await this.#unary(KVService.txn, request, (outcome) => outcome.fate === 'not-executed')
    return answer.ok ? ok(toTransactionOutcome(answer.value)) : answer
  }

  watch(prefix: string, signal: AbortSignal): AsyncIterable<WatchBatch> {
    const context = {
      endpoints: this.#endpoints,
      clock: this.#clock,
      log: this.#log,
      range: (of: string) => this.range(of),
    }
    return watchPrefix(context, prefix, AbortSignal.any([signal, this.#closing.signal]))
  }

  /** May leave an unused lease behind when an answer was lost; that one expires by itself. */
  async grantLease(ttlMs: number): Promise<Result<LeaseId>> {
    const request = LeaseGrantRequest.create({ TTL: BigInt(Math.ceil(ttlMs / 1000)) })
    const answer = await this.#repeatable(LeaseService.leaseGrant, request)
    return answer.ok ? ok(answer.value.ID) : answer
  }

  async keepLease(lease: LeaseId): Promise<Result<number>> {
    return this.#overEndpoints(
      async (endpoint) => {
        const outcome = await keepLeaseOnce(endpoint.client, lease, requireLeader(), this.#callTimeoutMs)
        if (outcome.kind === 'answer') this.#endpoints.succeeded(endpoint)
        else this.#endpoints.failed(endpoint, outcome.error.message)
        return outcome
      },
      () => true,
    )
  }

  async revokeLease(lease: LeaseId): Promise<Result<void>> {
    const answer = await this.#repeatable(LeaseService.leaseRevoke, LeaseRevokeRequest.create({ ID: lease }))
    // Gone already is what was asked for.
    return answer.ok || answer.error.code === 'not_found' ? ok() : answer
  }

  async close(): Promise<void> {
    this.#closing.abort()
    this.#endpoints.close()
  }

  /** For requests that may be executed twice without harm. */
  #repeatable<Request, Response>(method: UnaryMethod<Request, Response>, request: Request): Promise<Result<Response>> {
    return this.#anyOfEndpoints((endpoint) => this.#endpoints.call(endpoint, method, request))
  }

  #unary<Request, Response>(
    method: UnaryMethod<Request, Response>,
    request: Request,
    mayRepeat: (outcome: FailedCall) => boolean,
  ): Promise<Result<Response>> {
    return this.#overEndpoints((endpoint) => this.#endpoints.call(endpoint, method, request), mayRepeat)
  }

  /** As below, but does not wait for a silent member before the next one is asked. */
  async #anyOfEndpoints<Response>(
    attempt: (endpoint: Endpoint) => Promise<CallOutcome<Response>>,
  ): Promise<Result<Response>> {
    const { signal } = this.#closing
    const deadline = this.#clock.monotonicMs() + this.#totalTimeoutMs
    let last: FailedCall | undefined
    while (!signal.aborted) {
      const attempts = this.#endpoints
        .inOrder()
        .map((endpoint) => async () => ({ endpoint, outcome: await attempt(endpoint) }))
      const { endpoint, outcome } = await firstOf(
        attempts,
        PATIENCE_MS,
        (first) => first.outcome.kind === 'answer' || first.outcome.fate === 'refused',
      )
      if (outcome.kind === 'answer') return ok(outcome.value)
      if (outcome.fate === 'refused') return fail(finalFailure(outcome, endpoint))
      last = outcome
      if (this.#clock.monotonicMs() >= deadline) return fail(noMemberServes(outcome, this.#totalTimeoutMs))
      await this.#clock.sleep(ROUND_PAUSE_MS, signal)
    }
    return fail(failure('no_quorum', 'the store is closed', { cause: last?.error }))
  }

  /** Tries the members, best first, round after round, until one answers or the time is over. */
  async #overEndpoints<Response>(
    attempt: (endpoint: Endpoint) => Promise<CallOutcome<Response>>,
    mayRepeat: (outcome: FailedCall) => boolean,
  ): Promise<Result<Response>> {
    const { signal } = this.#closing
    const deadline = this.#clock.monotonicMs() + this.#totalTimeoutMs
    let last: { readonly outcome: FailedCall; readonly endpoint: Endpoint } | undefined
    while (!signal.aborted) {
      for (const endpoint of this.#endpoints.inOrder()) {
        if (signal.aborted) break
        const outcome = await attempt(endpoint)
        if (outcome.kind === 'answer') return ok(outcome.value)
        if (!mayRepeat(outcome)) return fail(finalFailure(outcome, endpoint))
        last = { outcome, endpoint }
        if (this.#clock.monotonicMs() >= deadline) return fail(noMemberServes(last.outcome, this.#totalTimeoutMs))
      }
      await this.#clock.sleep(ROUND_PAUSE_MS, signal)
    }
    return fail(failure('no_quorum', 'the store is closed', { cause: last?.outcome.error }))
  }
}

type FailedCall = Extract<CallOutcome<never>, { kind: 'failed' }>

function finalFailure(outcome: FailedCall, endpoint: Endpoint): Failure {
  const cause = outcome.error
  if (outcome.fate !== 'refused') {
    const message = `etcd at ${endpoint.address} gave no outcome (${cause.message}); the write may have been committed`
    return failure('store_timeout', message, { cause })
  }
  if (outcome.grpcCode === grpcStatus.NOT_FOUND) return failure('not_found', `etcd: ${cause.message}`, { cause })
  if (outcome.grpcCode === grpcStatus.OUT_OF_RANGE)
    return failure('changed_meanwhile', `etcd: ${cause.message}`, { cause })
  return failure('bad_request', `etcd refused the request: ${cause.message}`, { cause })
}

function noMemberServes(outcome: FailedCall, afterMs: number): Failure {
  return failure('no_quorum', `no etcd member served the request within ${afterMs} ms`, {
    hint: 'More than half of the hosts that hold the store must run and reach each other.',
    cause: outcome.error,
  })
}

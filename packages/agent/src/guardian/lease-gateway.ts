/**
 * The four calls of the store that a lease needs, over etcd's JSON gateway (`POST /v3/...`, etcd 3.4 and later).
 *
 * The guardian uses this instead of `EtcdStore` because a gRPC client is most of a small process: measured, 76 MB of
 * resident memory with it and 50 MB without, and a third of the processor time. All four calls may be executed twice
 * without harm, so every failure but a refusal is tried at the next member.
 */
import { assert } from '@stead/core/assert.ts'
import { failure } from '@stead/core/errors.ts'
import type { LeaseStore } from '@stead/core/host/lease-keeper.ts'
import type { Clock } from '@stead/core/ports/clock.ts'
import type { Log } from '@stead/core/ports/log.ts'
import type { LeaseId, StoreEntry, Transaction, TransactionOutcome } from '@stead/core/ports/store.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import type { ClientRequest, RequestOptions } from 'node:http'
import type { Agent as HttpsAgent } from 'node:https'
import { Agent, request } from '../http/node-http.ts'
import type { TlsMaterial } from '../trust/trust-files.ts'

export interface LeaseGatewayOptions {
  /** `10.1.0.1:2379`, or the path of a unix socket; the local member first. */
  readonly endpoints: readonly string[]
  /** What to show to members of other hosts; read again when a connection is made. Absent: they are asked without TLS. */
  readonly material?: () => TlsMaterial
  /** Deadline of one attempt at one member. */
  readonly callTimeoutMs: number
  /** How long a call goes on trying members, all attempts together. */
  readonly totalTimeoutMs: number
  readonly clock: Clock
  readonly log: Log
}

/** A member that failed is asked last for so long: finding out that it is still frozen costs a whole timeout. */
const DISTRUST_MS = 30_000
/** Between two rounds over all members, while none serves. */
const ROUND_PAUSE_MS = 25
const ANSWER_BYTES_MAX = 1 << 20
/** gRPC codes of requests that no member will ever accept: INVALID_ARGUMENT, NOT_FOUND, FAILED_PRECONDITION. */
const NOT_FOUND = 5
const REFUSALS: ReadonlySet<number> = new Set([3, NOT_FOUND, 9])

interface Member {
  readonly name: string
  readonly place: { readonly socketPath: string } | { readonly host: string; readonly port: number }
  failedAt: number | undefined
}

type Json = Record<string, unknown>
type Answer =
  | { readonly kind: 'answer'; readonly body: Json }
  | { readonly kind: 'refused'; readonly code: number; readonly message: string }
  | { readonly kind: 'failed'; readonly cause: unknown }

export class LeaseGateway implements LeaseStore {
  readonly #options: LeaseGatewayOptions
  readonly #members: readonly Member[]
  readonly #connections = new Agent({ keepAlive: true, maxSockets: 2 })
  #secure: { readonly connections: HttpsAgent; material: TlsMaterial | undefined } | undefined
  #closed = false

  constructor(options: LeaseGatewayOptions) {
    assert(options.endpoints.length > 0, 'a store needs at least one endpoint')
    this.#options = options
    this.#members = options.endpoints.map((endpoint) => {
      const colon = endpoint.lastIndexOf(':')
      const place = endpoint.startsWith('/')
        ? { socketPath: endpoint }
        : { host: endpoint.slice(0, colon), port: Number(endpoint.slice(colon + 1)) }
      return { name: endpoint, place, failedAt: undefined }
    })
  }

  async grantLease(ttlMs: number): Promise<Result<LeaseId>> {
    const answer = await this.#call('/v3/lease/grant', { TTL: String(Math.ceil(ttlMs / 1000)) })
    return answer.ok ? ok(BigInt(String(answer.value['ID']))) : answer
  }

  /** The time-to-live in ms that the server now promises; 0 when the lease is gone. */
  async keepLease(lease: LeaseId): Promise<Result<number>> {
    const answer = await this.#call('/v3/lease/keepalive', { ID: String(lease) })
    // JSON leaves out what is 0, and a lease that is gone has a TTL of 0.
    return answer.ok ? ok(Number((answer.value['result'] as Json | undefined)?.['TTL'] ?? 0) * 1000) : answer
  }

  /** Linearizable. */
  async get(key: string): Promise<Result<StoreEntry | undefined>> {
    const answer = await this.#call('/v3/kv/range', { key: base64(key) })
    if (!answer.ok) return answer
    const [found] = (answer.value['kvs'] ?? []) as readonly Record<string, string>[]
    if (!found) return ok(undefined)
    return ok({
      key,
      value: Buffer.from(found['value'] ?? '', 'base64').toString(),
      createRevision: BigInt(found['create_revision'] ?? 0),
      modRevision: BigInt(found['mod_revision'] ?? 0),
    })
  }

  /** Unconditional puts only: with compares a repetition would not be harmless. */
  async transact({ compares, writes }: Transaction): Promise<Result<TransactionOutcome>> {
    assert(compares.length === 0, 'the lease gateway compares nothing')
    const success = writes.map((write) => {
      assert(write.kind === 'put', 'the lease gateway only puts')
      const lease = write.lease === undefined ? {} : { lease: String(write.lease) }
      return { requestPut: { key: base64(write.key), value: base64(write.value), ...lease } }
    })
    const answer = await this.#call('/v3/kv/txn', { success })
    if (!answer.ok) return answer
    // 64-bit numbers are texts in etcd's JSON.
    const header = answer.value['header'] as { readonly revision?: string } | undefined
    return ok({ committed: true, revision: BigInt(header?.revision ?? 0) } as TransactionOutcome)
  }

  async close(): Promise<void> {
    this.#closed = true
    this.#connections.destroy()
    this.#secure?.connections.destroy()
  }

  /** Tries the members, best first, round after round, until one answers or the time is over. */
  async #call(path: string, body: Json): Promise<Result<Json>> {
    const { clock, log, totalTimeoutMs } = this.#options
    const deadline = clock.monotonicMs() + totalTimeoutMs
    let last: unknown
    while (!this.#closed) {
      for (const member of this.#inOrder()) {
        const answer = await this.#attempt(member, path, body)
        if (answer.kind === 'failed') {
          if (member.failedAt === undefined)
            log.warn('etcd member does not serve', {
              endpoint: member.name,
              reason: String(answer.cause),
            })
          member.failedAt = clock.monotonicMs()
          last = answer.cause
          if (this.#closed || clock.monotonicMs() >= deadline) break
          continue
        }
        if (member.failedAt !== undefined) log.info('etcd member answers again', { endpoint: member.name })
        member.failedAt = undefined
        if (answer.kind === 'answer') return ok(answer.body)
        return fail(failure(answer.code === NOT_FOUND ? 'not_found' : 'bad_request', `etcd refused: ${answer.message}`))
      }
      if (clock.monotonicMs() >= deadline)
        return fail(
          failure('no_quorum', `no etcd member served the request within ${totalTimeoutMs} ms`, { cause: last }),
        )
      await clock.sleep(ROUND_PAUSE_MS)
    }
    return fail(failure('no_quorum', 'the store is closed', { cause: last }))
  }

  #ask(options: RequestOptions): ClientRequest {
    return request({ ...options, agent: this.#connections })
  }

  /** Few hosts ever do: most have a member of their own. So what it takes (3 MB) is loaded by those that do. */
  #askSecurely(options: RequestOptions): ClientRequest {
    const https = process.getBuiltinModule('node:https')
    this.#secure ??= { connections: new https.Agent({ keepAlive: true, maxSockets: 2 }), material: undefined }
    this.#secure.material ??= this.#options.material?.()
    return https.request({ ...options, ...this.#secure.material, agent: this.#secure.connections })
  }

  #inOrder(): Member[] {
    const now = this.#options.clock.monotonicMs()
    const distrust = ({ failedAt }: Member) => (failedAt === undefined || now - failedAt > DISTRUST_MS ? -1 : failedAt)
    return this.#members.toSorted((a, b) => distrust(a) - distrust(b))
  }

  #attempt({ place }: Member, path: string, body: Json): Promise<Answer> {
    return new Promise((resolve) => {
      const text = JSON.stringify(body)
      const headers = {
        'content-type': 'application/json',
        'content-length': Buffer.byteLength(text),
        // With this, a member that knows no leader answers so at once instead of waiting for one.
        'grpc-metadata-hasleader': 'true',
      }
      const ask = { ...place, path, method: 'POST', headers }
      let call: ClientRequest
      try {
        call = 'host' in place && this.#options.material ? this.#askSecurely(ask) : this.#ask(ask)
      } catch (cause) {
        // A certificate that cannot be read costs the lease, never the heartbeats.
        resolve({ kind: 'failed', cause })
        return
      }
      const failed = (cause: unknown) => {
        clearTimeout(timer)
        // It may have been renewed.
        if (this.#secure) this.#secure.material = undefined
        resolve({ kind: 'failed', cause })
        call.destroy()
      }
      // Also the connection is given up: on a frozen member the next request would only queue behind this one.
      const timer = setTimeout(
        () => failed(new Error(`no answer within ${this.#options.callTimeoutMs} ms`)),
        this.#options.callTimeoutMs,
      )
      call.on('error', failed)
      call.on('response', (response) => {
        let answered = ''
        response.setEncoding('utf8')
        response.on('data', (chunk: string) => {
          answered += chunk
          if (answered.length > ANSWER_BYTES_MAX) failed(new Error('the answer is too long'))
        })
        response.on('error', failed)
        response.on('end', () => {
          clearTimeout(timer)
          resolve(read(answered))
        })
      })
      call.end(text)
    })
  }
}

function read(text: string): Answer {
  let body: Json
  try {
    body = JSON.parse(text) as Json
  } catch (cause) {
    return { kind: 'failed', cause }
  }
  const { error } = body
  if (error === undefined) return { kind: 'answer', body }
  // A unary call tells its error flat, a stream (the keepalive) as an object.
  const { message, grpc_code: streamCode } = (
    typeof error === 'object' && error !== null ? error : { message: error }
  ) as Json
  const code = Number(body['code'] ?? streamCode ?? 0)
  return REFUSALS.has(code)
    ? { kind: 'refused', code, message: String(message) }
    : { kind: 'failed', cause: new Error(String(message)) }
}

function base64(text: string): string {
  return Buffer.from(text).toString('base64')
}

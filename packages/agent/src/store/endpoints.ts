/**
 * Which etcd member to ask. Members are preferred in the order given (the local one first); one that failed is
 * asked last until it answers again, which a probe finds out. Knows nothing of keys and values.
 */
import { Client, connectivityState, credentials, Metadata, status as grpcStatus } from '@grpc/grpc-js'
import type { ChannelCredentials, ServiceError } from '@grpc/grpc-js'
import type { Clock } from '@stead/core/ports/clock.ts'
import type { Log } from '@stead/core/ports/log.ts'
import { assert } from '@stead/core/assert.ts'
import type { HostCredentials } from '../trust/host-credentials.ts'
import { KVService, RangeRequest } from './generated/etcd.ts'

export interface EndpointsOptions {
  /** `10.1.0.1:2379`, or the path of a unix socket (absolute, or `unix:PATH`); the local member first. */
  readonly endpoints: readonly string[]
  /** Deadline of one attempt of one unary call. */
  readonly callTimeoutMs: number
  /** Shown to members that are not reached by a socket of this host, which then must be hosts too. Absent: no TLS. */
  readonly credentials?: HostCredentials
  readonly clock: Clock
  readonly log: Log
}

/**
 * etcd counts the pings of its clients and disconnects those that ping more often than its
 * `--grpc-keepalive-min-time` (default 5 s), or at all while no call is open: members must run with
 * `--grpc-keepalive-min-time=1s`, and idle connections are not pinged.
 */
const KEEPALIVE_MS = 2000
const KEEPALIVE_TIMEOUT_MS = 1000
/** How often a failed member is asked whether it serves again. */
const PROBE_INTERVAL_MS = 500

const CHANNEL_OPTIONS = {
  'grpc.keepalive_time_ms': KEEPALIVE_MS,
  'grpc.keepalive_timeout_ms': KEEPALIVE_TIMEOUT_MS,
  'grpc.keepalive_permit_without_calls': 0,
  'grpc.initial_reconnect_backoff_ms': 100,
  'grpc.min_reconnect_backoff_ms': 100,
  'grpc.max_reconnect_backoff_ms': 500,
  'grpc.max_receive_message_length': -1,
  'grpc.max_send_message_length': -1,
  // A repeated transaction must be this module's decision, never the library's.
  'grpc.enable_retries': 0,
  'grpc.service_config_disable_resolution': 1,
  // The proxy variables of the environment are for web traffic.
  'grpc.enable_http_proxy': 0,
  'grpc.use_local_subchannel_pool': 1,
}

/** A method of the generated service definitions. */
export interface UnaryMethod<Request, Response> {
  readonly path: string
  readonly requestSerialize: (value: Request) => Buffer
  readonly responseDeserialize: (bytes: Buffer) => Response
}

/**
 * `not-executed`: the request certainly did nothing, and may be sent to another member. `unknown`: it may have
 * been executed, or may yet be. `refused`: the server answered that the request itself is wrong.
 */
export type CallFate = 'not-executed' | 'unknown' | 'refused'

export type CallOutcome<Response> =
  | { readonly kind: 'answer'; readonly value: Response }
  | { readonly kind: 'failed'; readonly fate: CallFate; readonly error: Error; readonly grpcCode: number }

export class Endpoint {
  readonly address: string
  readonly client: Client
  /** Monotonic ms of the last failure; undefined while it is thought to serve. */
  failedAt: number | undefined

  constructor(address: string, own?: HostCredentials) {
    this.address = address
    this.client = new Client(grpcTarget(address), channelCredentials(address, own), {
      ...CHANNEL_OPTIONS,
      // An address may not be sent as a name (RFC 6066); who answers is checked by its address all the same.
      ...(own ? { 'grpc.ssl_target_name_override': 'store' } : {}),
    })
  }
}

export class Endpoints {
  readonly #all: readonly Endpoint[]
  readonly #options: EndpointsOptions
  readonly #closing = new AbortController()
  #probing = false

  constructor(options: EndpointsOptions) {
    assert(options.endpoints.length > 0, 'a store needs at least one endpoint')
    this.#options = options
    this.#all = options.endpoints.map((address) => new Endpoint(address, options.credentials))
  }

  /** All members, best first: the ones that serve in configured order, then the longest failed. */
  inOrder(): readonly Endpoint[] {
    return this.#all.toSorted((a, b) => (a.failedAt ?? -1) - (b.failedAt ?? -1))
  }

  best(): Endpoint {
    const [first] = this.inOrder()
    assert(first, 'a store has at least one endpoint')
    return first
  }

  succeeded(endpoint: Endpoint): void {
    if (endpoint.failedAt === undefined) return
    endpoint.failedAt = undefined
    this.#options.log.info('etcd member answers again', { endpoint: endpoint.address })
  }

  failed(endpoint: Endpoint, reason: string): void {
    if (this.#closing.signal.aborted) return
    if (endpoint.failedAt === undefined) {
      this.#options.log.warn('etcd member does not serve', { endpoint: endpoint.address, reason })
    }
    endpoint.failedAt = this.#options.clock.monotonicMs()
    if (!this.#probing) void this.#probeFailed()
  }

  /** One attempt at one member, within the call timeout. Records whether the member serves. */
  async call<Request, Response>(
    endpoint: Endpoint,
    method: UnaryMethod<Request, Response>,
    request: Request,
    { requireLeader: needsLeader = true } = {},
  ): Promise<CallOutcome<Response>> {
    const timeoutMs = this.#options.callTimeoutMs
    const metadata = needsLeader ? requireLeader() : new Metadata()
    const connected = await waitUntilConnected(endpoint.client, timeoutMs / 2)
    const outcome: CallOutcome<Response> = connected
      ? await sendUnary(endpoint.client, method, request, metadata, timeoutMs)
      : { kind: 'failed', fate: 'not-executed', error: new Error('no connection'), grpcCode: grpcStatus.UNAVAILABLE }
    // A refusal is an answer too: the member works.
    if (outcome.kind === 'answer' || outcome.fate === 'refused') this.succeeded(endpoint)
    else this.failed(endpoint, outcome.error.message)
    return outcome
  }

  close(): void {
    this.#closing.abort()
    for (const { client } of this.#all) client.close()
  }

  /** Runs while any member is marked failed. A linearizable read proves that the member reaches a quorum. */
  async #probeFailed(): Promise<void> {
    this.#probing = true
    const { signal } = this.#closing
    while (!signal.aborted && this.#all.some((endpoint) => endpoint.failedAt !== undefined)) {
      await this.#options.clock.sleep(PROBE_INTERVAL_MS, signal)
      const failed = this.#all.filter((endpoint) => endpoint.failedAt !== undefined)
      const probe = RangeRequest.create({ key: Buffer.from('\0'), countOnly: true })
      await Promise.all(failed.map(async (endpoint) => this.#probe(endpoint, probe)))
    }
    this.#probing = false
  }

  async #probe(endpoint: Endpoint, request: RangeRequest): Promise<void> {
    if (this.#closing.signal.aborted || !(await waitUntilConnected(endpoint.client, PROBE_INTERVAL_MS))) return
    const { callTimeoutMs } = this.#options
    const outcome = await sendUnary(endpoint.client, KVService.range, request, requireLeader(), callTimeoutMs)
    if (outcome.kind === 'answer') this.succeeded(endpoint)
  }
}

/** With this, a member that knows no leader answers so at once instead of waiting for one. */
export function requireLeader(): Metadata {
  const metadata = new Metadata()
  metadata.set('hasleader', 'true')
  return metadata
}

/**
 * Resolves to true once the channel is connected. Waiting here, before anything is sent, is what makes
 * "not connected" a proof that the request was not executed.
 */
export async function waitUntilConnected(client: Client, timeoutMs: number): Promise<boolean> {
  const channel = client.getChannel()
  const deadline = Date.now() + timeoutMs
  for (;;) {
    const state = channel.getConnectivityState(true)
    if (state === connectivityState.READY) return true
    if (state === connectivityState.TRANSIENT_FAILURE || state === connectivityState.SHUTDOWN) return false
    const changed = await new Promise<boolean>((resolve) => {
      channel.watchConnectivityState(state, deadline, (error) => resolve(error === undefined))
    })
    if (!changed) return false
  }
}

function sendUnary<Request, Response>(
  client: Client,
  method: UnaryMethod<Request, Response>,
  request: Request,
  metadata: Metadata,
  timeoutMs: number,
): Promise<CallOutcome<Response>> {
  return new Promise((resolve) => {
    const { path, requestSerialize, responseDeserialize } = method
    const options = { deadline: Date.now() + timeoutMs }
    client.makeUnaryRequest(path, requestSerialize, responseDeserialize, request, metadata, options, (error, value) => {
      if (error) resolve({ kind: 'failed', fate: fateOf(error), error, grpcCode: error.code })
      else if (value === undefined)
        resolve({ kind: 'failed', fate: 'unknown', error: new Error('empty answer'), grpcCode: grpcStatus.INTERNAL })
      else resolve({ kind: 'answer', value })
    })
  })
}

/** What etcd says before it proposes anything to raft (etcdserver/v3_server.go and v3rpc/interceptor.go of 3.4). */
const BEFORE_PROPOSAL = [
  'etcdserver: no leader',
  'etcdserver: too many requests',
  'etcdserver: unhealthy cluster',
  'raft proposal dropped',
  'not capable',
]

const REFUSALS: ReadonlySet<number> = new Set([
  grpcStatus.INVALID_ARGUMENT,
  grpcStatus.NOT_FOUND,
  grpcStatus.FAILED_PRECONDITION,
  grpcStatus.OUT_OF_RANGE,
  grpcStatus.UNIMPLEMENTED,
  grpcStatus.PERMISSION_DENIED,
  grpcStatus.ALREADY_EXISTS,
  grpcStatus.RESOURCE_EXHAUSTED,
])

export function fateOf(error: ServiceError): CallFate {
  if (BEFORE_PROPOSAL.some((text) => error.details.includes(text))) return 'not-executed'
  return REFUSALS.has(error.code) ? 'refused' : 'unknown'
}

function channelCredentials(address: string, own: HostCredentials | undefined): ChannelCredentials {
  // The socket of this host's own member lies in a folder that only root may enter.
  if (address.startsWith('/') || own === undefined) return credentials.createInsecure()
  const { ca, key, cert } = own.material
  return credentials.createSsl(Buffer.from(ca), Buffer.from(key), Buffer.from(cert), {
    checkServerIdentity: (_name, certificate) => own.checkHost(address.slice(0, address.lastIndexOf(':')), certificate),
  })
}

function grpcTarget(address: string): string {
  return address.startsWith('/') ? `unix:${address}` : address
}

/** The API's back end for tests: on records that a `ClusterFixture` holds, in a store of memory, without any daemon. */
import { recordDecoder } from '@stead/api/records.ts'
import { ALL_ENDPOINTS } from '@stead/api/endpoints.ts'
import type { ResponseOf } from '@stead/api/endpoint.ts'
import type { EndpointOf } from '@stead/api/endpoints.ts'
import { failure, type Failure } from '@stead/core/errors.ts'
import { subjectProject } from '@stead/core/access/object-path.ts'
import type { ClusterFixture } from '@stead/core/ha/cluster-fixture.ts'
import { ClusterMirror } from '@stead/core/host/cluster-mirror.ts'
import { EventWriter } from '@stead/core/host/event-writer.ts'
import type { Principal } from '@stead/core/model/access.ts'
import type { ClusterEvent } from '@stead/core/model/event.ts'
import type { HostId } from '@stead/core/model/ids.ts'
import { KEYS, PREFIX } from '@stead/core/model/keys.ts'
import type { Clock } from '@stead/core/ports/clock.ts'
import type { Log } from '@stead/core/ports/log.ts'
import type { PowerSwitch } from '@stead/core/ports/power-switch.ts'
import type { Store } from '@stead/core/ports/store.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import { MemoryStoreServer } from '@stead/sim/memory-store.ts'
import { AuditLog } from '../audit/audit-log.ts'
import { AuditWriter } from '../audit/audit-writer.ts'
import { ClusterAudit } from '../audit/cluster-audit.ts'
import { UsageLog } from '../metering/usage-log.ts'
import { History } from '../history.ts'
import type { ApiBackend, BackendId, RequestContext } from '../http/backend.ts'
import { realClock, realRandom } from '../real-clock.ts'
import { auditedBackend } from '../access/audited-backend.ts'
import { guardedBackend } from '../access/guarded-backend.ts'
import { createApiBackend } from './api-backend.ts'
import type { AskCounters } from './counter-endpoints.ts'
import type { BackendContext } from './desk.ts'

const COLLECTIONS = [
  'hosts',
  'statuses',
  'policies',
  'guests',
  'grants',
  'volumes',
  'observations',
  'decisions',
  'rules',
  'images',
  'imports',
  'copies',
  'backups',
  'operations',
  'users',
  'groups',
  'roles',
  'tokens',
  'permissions',
  'projects',
  'sessions',
] as const

export const silent: Log = { debug() {}, info() {}, warn() {}, error() {}, with: () => silent }

const ROOT: Principal = { kind: 'root', host: 'h1' }

const noAgent = async () => fail<never>(failure('no_guest_agent', 'none'))
/** A test, or whatever else has an end. */
export interface EndsLater {
  after(run: () => void | Promise<void>): void
}

const notHere = () => fail<never>(failure('conflict', 'no guest of this fixture has a console'))

const unfed = async (host: HostId) => fail<never>(failure('not_found', `no outlet feeds ${host}`))

/** The host of the fixture lets nobody in. */
async function withoutAuthority(): Promise<Result<never>> {
  return fail(failure('conflict', 'This host has not the authority\u2019s key'))
}

const AUTHORITY = { fingerprint: '', expiresAt: new Date(0).toISOString(), down: [], replacement: null }
const RECOVERED = { host: 'h1', done: true, secrets: 'kept', guests: [] } as const

export class TestBackend {
  readonly server: MemoryStoreServer
  readonly store: Store
  readonly mirror: ClusterMirror
  /** What the hosts say that they count. */
  counters: AskCounters = {
    of: async () => ok([]),
    figures: async () => ok({ swapBytes: 0, processesMax: 4096, guests: [] }),
  }
  /** What the hosts say that they measured. */
  metrics: BackendContext['metrics'] = {
    series: async () => ({ answered: [], silent: [] }),
    latest: async () => ({ answered: [], silent: [] }),
    own: () => ({ readings: undefined, latest: { host: {}, pools: [], guests: [] } }),
  }
  /** What the hosts say of their ports. */
  networks: BackendContext['networks'] = {
    of: async () => ({ answered: [], silent: [] }),
    measured: async () => ({ answered: [], silent: [] }),
  }
  /** What was decided by hosts that are no part of this fixture. */
  decisions: BackendContext['decisions'] = { list: async () => [], find: async () => undefined }
  readonly auditChain: ClusterAudit
  readonly audit: AuditWriter
  readonly log = silent
  readonly #cluster: Pick<ClusterFixture, 'verdicts'>
  readonly #history: History
  /** What is said inside of guests. */
  guestAgentOf: BackendContext['guestAgentOf'] = () => ({
    ...{ ping: noAgent, system: noAgent, interfaces: noAgent, freezeStatus: noAgent, execute: noAgent },
  })
  /** What feeds the hosts; nothing that this fixture reaches. */
  power: PowerSwitch = { cut: unfed, restore: unfed }
  /** What hosts answer who are to dump a container. */
  dumpContainer: BackendContext['dumpContainer'] = async () => fail(failure('not_found', 'no container'))
  /** The audits of the hosts that this one is to ask. */
  readonly otherChains = new Map<string, ClusterAudit>()
  /** Without the guard that stands before it. */
  readonly unguarded: ApiBackend
  readonly guarded: ApiBackend

  private constructor(
    self: HostId,
    cluster: Pick<ClusterFixture, 'verdicts'>,
    server: MemoryStoreServer,
    store: Store,
    mirror: ClusterMirror,
    history: History,
    clock: Clock,
    chain: AuditLog,
    usage: UsageLog,
  ) {
    this.server = server
    this.store = store
    this.mirror = mirror
    this.#cluster = cluster
    this.#history = history
    this.auditChain = new ClusterAudit({
      ...{ self, store, clock: realClock, log: chain, agentLog: silent, isCoordinating: () => true },
      others: () => [...this.otherChains.keys()] as HostId[],
      call: (host, name, input) => this.otherChains.get(host)!.calls[name](input as never),
    })
    const events = new EventWriter({
      store,
      clock: realClock,
      host: self,
      bootId: 'boot',
      log: silent,
      projectOf: (subject) => subjectProject(mirror.state, subject),
    })
    const audit = new AuditWriter({ store, clock: realClock, random: realRandom, host: self, log: silent })
    this.audit = audit
    this.unguarded = createApiBackend({
      ...{ self, audit, auditChain: this.auditChain, usage },
      store,
      mirror,
      events,
      history,
      decisions: { list: () => this.decisions.list(), find: (id) => this.decisions.find(id) },
      blobs: {
        ...{ ensure: async () => ok('/blob'), find: () => '/blob', put: async () => ok(), has: () => true },
        ...{
          keep: async () => ok(),
          open: async () => undefined,
          receivedBytes: async () => 0,
          sizeBytes: async () => 0,
        },
      } as never,
      guestAgentOf: (guest) => this.guestAgentOf(guest),
      memoryUseOf: async () => ok(undefined),
      counters: {
        of: (host, guest) => this.counters.of(host, guest),
        figures: (host, ageMsMax) => this.counters.figures(host, ageMsMax),
      },
      metrics: {
        series: (...asked) => this.metrics.series(...asked),
        latest: (hosts) => this.metrics.latest(hosts),
        own: () => this.metrics.own(),
      },
      networks: { of: (hosts) => this.networks.of(hosts), measured: (hosts) => this.networks.measured(hosts) },
      heldSnapshots: async () => ok([]),
      clock,
      random: realRandom,
      log: silent,
      verdicts: () => cluster.verdicts,
      lagBytes: async () => undefined,
      console: async () => ok((async function* () {})()),
      consoles: { ticket: notHere, paste: async () => notHere(), screenshot: async () => notHere() },
      checkKernel: async () => ok(),
      dumpContainer: (host, order) => this.dumpContainer(host, order),
      spreadBlobs: async () => {},
      admission: { invite: withoutAuthority, remove: withoutAuthority },
      authority: { show: () => ok(AUTHORITY), begin: async () => ok(AUTHORITY) },
      confirmDead: async () => ok(),
      loneHost: { recover: async (request) => ok({ ...RECOVERED, guests: [], lost: [...request.lost] }) },
      power: { cut: (host) => this.power.cut(host), restore: (host) => this.power.restore(host) },
      webAuthority: async () => ok({ certificate: '', fingerprint: '' }),
    })
    const guarded = guardedBackend(this.unguarded, { mirror, clock, audit })
    this.guarded = auditedBackend(guarded, { mirror, audit })
  }

  static async start(context: EndsLater, cluster: ClusterFixture, clock: Clock = realClock): Promise<TestBackend> {
    const server = new MemoryStoreServer(realClock)
    const store = server.client()
    await store.transact({
      compares: [],
      writes: COLLECTIONS.flatMap((name) =>
        [...cluster.state[name]].map(([id, { value }]) => ({
          kind: 'put' as const,
          key: `${PREFIX}${name}/${id}`,
          value: JSON.stringify(value),
        })),
      ),
    })
    const policy = cluster.state.clusterPolicy?.value
    if (policy) await put(store, KEYS.clusterPolicy, policy)
    context.after(() => server.close())
    return TestBackend.#on('h1' as HostId, context, cluster, server, clock)
  }

  /** The back end of another host of the same cluster. */
  onHost(context: EndsLater, self: string, clock: Clock = realClock): Promise<TestBackend> {
    return TestBackend.#on(self as HostId, context, this.#cluster, this.server, clock)
  }

  /** The back end of a host of a cluster whose records are there already. */
  static over(
    context: EndsLater,
    self: string,
    server: MemoryStoreServer,
    cluster: Pick<ClusterFixture, 'verdicts'>,
  ): Promise<TestBackend> {
    return TestBackend.#on(self as HostId, context, cluster, server, realClock)
  }

  static async #on(
    self: HostId,
    context: EndsLater,
    cluster: Pick<ClusterFixture, 'verdicts'>,
    server: MemoryStoreServer,
    clock: Clock,
  ) {
    const store = server.client()
    const mirror = new ClusterMirror(recordDecoder, silent)
    const history = new History(':memory:', silent)
    mirror.onBatch((batch) => history.take(batch))
    const usage = new UsageLog(':memory:')
    mirror.onBatch((batch) => usage.take(batch))
    const chain = new AuditLog(':memory:')
    mirror.onBatch((batch) => chain.take(batch))
    const stopping = new AbortController()
    const following = mirror.follow(store, stopping.signal)
    context.after(async () => {
      stopping.abort()
      await following
      history.close()
      chain.close()
      usage.close()
    })
    const waiting = new AbortController()
    await mirror.until(() => true, realClock.sleep(5_000, waiting.signal))
    waiting.abort()
    return new TestBackend(self, cluster, server, store, mirror, history, clock, chain, usage)
  }

  /** The answer; the input as a client sends it, defaults filled in by the contract. */
  async call<Id extends BackendId>(
    id: Id,
    input: { readonly params?: object; readonly query?: object; readonly body?: object } = {},
    request: Partial<RequestContext> = {},
  ): Promise<Result<ResponseOf<EndpointOf<Id>>>> {
    const endpoint = ALL_ENDPOINTS.find((one) => one.id === id)!
    const parsed = {
      params: endpoint.params?.parse(input.params ?? {}),
      query: endpoint.query?.parse(input.query ?? {}),
      body: endpoint.body?.parse(input.body ?? {}),
    }
    const context: RequestContext = {
      ...{ signal: new AbortController().signal, principal: ROOT, visitor: { address: 'local', client: 'test' } },
      ...request,
    }
    const handler = this.guarded[id] as unknown as (...all: unknown[]) => Promise<Result<never>>
    return handler(parsed, context)
  }

  /** `call`, when it is to succeed. */
  async must<Id extends BackendId>(
    id: Id,
    input: Parameters<TestBackend['call']>[1] = {},
  ): Promise<ResponseOf<EndpointOf<Id>>> {
    const answer = await this.call(id, input)
    if (!answer.ok) throw new Error(`${answer.error.code}: ${answer.error.message}`)
    return answer.value
  }

  async refused<Id extends BackendId>(id: Id, input: Parameters<TestBackend['call']>[1] = {}): Promise<Failure> {
    const answer = await this.call(id, input)
    if (answer.ok) throw new Error(`${id} was not refused: ${JSON.stringify(answer.value)}`)
    return answer.error
  }

  async put(key: string, value: unknown): Promise<void> {
    const revision = await put(this.store, key, value)
    // The copy follows the store a moment later, also of what it keeps elsewhere than in its state, as events.
    const waiting = new AbortController()
    const limit = realClock.sleep(20_000, waiting.signal)
    const isThere = await this.mirror.until(() => this.mirror.revision >= revision, limit)
    waiting.abort()
    if (!isThere) throw new Error(`the copy does not follow the store to ${key}`)
  }

  /** The events that were told so far, newest last. */
  events(): readonly ClusterEvent[] {
    return this.#history.list({ limit: 1_000 })
  }
}

async function put(store: Store, key: string, value: unknown): Promise<bigint> {
  const outcome = await store.transact({
    compares: [],
    writes: [{ kind: 'put', key, value: JSON.stringify(value) }],
  })
  if (!outcome.ok) throw new Error(outcome.error.message)
  return outcome.value.revision
}

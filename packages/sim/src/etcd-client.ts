/**
 * The port `Store` as one simulated process reaches etcd: its own host's member first, the others when that one does
 * not answer. A repeatable request goes on at the next member; a transaction only when it certainly was not executed.
 */
import { failure } from '@stead/core/errors.ts'
import type { HostId } from '@stead/core/model/ids.ts'
import type {
  LeaseId,
  Store,
  StoreEntry,
  Transaction,
  TransactionOutcome,
  WatchBatch,
} from '@stead/core/ports/store.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import type { ProcessLife } from './process-life.ts'
import type { VirtualClock } from './virtual-clock.ts'
import type { WorldEtcd } from './world-etcd.ts'
import type { WorldNetwork } from './world-network.ts'

/** Deadline of one attempt, and of all of them; as the agent's client has them. */
const ATTEMPT_MS = 700
const TOTAL_MS = 3_000
/** A repeatable request is also sent to the next member after this long. */
const PATIENCE_MS = 80
const ROUND_PAUSE_MS = 25
const WATCH_RETRY_MS = 50

export interface EtcdClientOptions {
  readonly host: HostId
  readonly etcd: WorldEtcd
  readonly network: WorldNetwork
  readonly clock: VirtualClock
  readonly life: ProcessLife
  /** Until when this host's watches receive nothing; in the world's time. */
  readonly watchHeldUntilMs: () => number
}

export class EtcdClient implements Store {
  readonly #options: EtcdClientOptions

  constructor(options: EtcdClientOptions) {
    this.#options = options
  }

  get(key: string): Promise<Result<StoreEntry | undefined>> {
    return this.#repeatable((server) => server.get(key))
  }

  range(prefix: string): Promise<Result<{ readonly entries: readonly StoreEntry[]; readonly revision: bigint }>> {
    return this.#repeatable((server) => ({ entries: server.range(prefix), revision: server.revision }))
  }

  transact(transaction: Transaction): Promise<Result<TransactionOutcome>> {
    return this.#options.life.receive(this.#transact(transaction))
  }

  async *watch(prefix: string, signal: AbortSignal): AsyncGenerator<WatchBatch, void, undefined> {
    const { etcd, clock, life, watchHeldUntilMs } = this.#options
    for await (const batch of etcd.server.client().watch(prefix, signal)) {
      for (;;) {
        const heldMs = watchHeldUntilMs() - clock.monotonicMs()
        const member = heldMs > 0 ? undefined : this.#servingMember()
        await life.receive(clock.sleep(member === undefined ? Math.max(WATCH_RETRY_MS, heldMs) : this.#delayMs(member)))
        if (member !== undefined && this.#isReached(member)) break
      }
      yield batch
    }
  }

  grantLease(ttlMs: number): Promise<Result<LeaseId>> {
    return this.#repeatable((server) => server.grantLease(ttlMs))
  }

  async keepLease(lease: LeaseId): Promise<Result<number>> {
    return this.#repeatable(
      (server, serves) => (serves ? server.keepLease(lease) : Math.max(server.leaseTtl(lease), 0)),
      (member) => this.#options.etcd.answersKeepalives(member),
    )
  }

  revokeLease(lease: LeaseId): Promise<Result<void>> {
    return this.#repeatable((server) => server.revokeLease(lease))
  }

  async close(): Promise<void> {
    // Nothing is held open here.
  }

  /** Own member first. */
  #inOrder(): readonly HostId[] {
    const { host, etcd } = this.#options
    return etcd.members.includes(host) ? [host, ...etcd.members.filter((member) => member !== host)] : etcd.members
  }

  #isReached(member: HostId): boolean {
    const { host, etcd, network } = this.#options
    return etcd.isUp(member) && (member === host || network.linkedAnyhow(host, member))
  }

  #servingMember(): HostId | undefined {
    return this.#inOrder().find((member) => this.#isReached(member) && this.#options.etcd.serves(member))
  }

  #delayMs(member: HostId): number {
    const { host, network } = this.#options
    const role = (['lan', 'san', 'ran'] as const).find((each) => network.linked(host, member, each)) ?? 'lan'
    return network.delayMs(host, member, role)
  }

  #repeatable<T>(
    work: (server: WorldEtcd['server'], serves: boolean) => T,
    answers: (member: HostId) => boolean = (member) => this.#options.etcd.serves(member),
  ): Promise<Result<T>> {
    return this.#options.life.receive(this.#tryMembers(work, answers))
  }

  async #tryMembers<T>(
    work: (server: WorldEtcd['server'], serves: boolean) => T,
    answers: (member: HostId) => boolean,
  ): Promise<Result<T>> {
    const { clock, etcd } = this.#options
    const endMs = clock.monotonicMs() + TOTAL_MS
    while (clock.monotonicMs() < endMs) {
      for (const member of this.#inOrder()) {
        if (!this.#isReached(member)) {
          await clock.sleep(PATIENCE_MS)
          continue
        }
        await clock.sleep(this.#delayMs(member))
        if (this.#isReached(member) && answers(member)) {
          const value = work(etcd.server, etcd.serves(member))
          await clock.sleep(this.#delayMs(member))
          if (this.#isReached(member)) return ok(value)
        }
        await clock.sleep(PATIENCE_MS)
      }
      await clock.sleep(ROUND_PAUSE_MS)
    }
    return fail(failure('no_quorum', 'no majority of the store can be reached'))
  }

  async #transact(transaction: Transaction): Promise<Result<TransactionOutcome>> {
    const { clock, etcd } = this.#options
    const endMs = clock.monotonicMs() + TOTAL_MS
    while (clock.monotonicMs() < endMs) {
      for (const member of this.#inOrder()) {
        // A member that refuses the connection, or says that it knows no leader, has not executed anything.
        if (!this.#isReached(member) || !etcd.serves(member)) {
          await clock.sleep(ROUND_PAUSE_MS)
          continue
        }
        return this.#transactAt(member, transaction)
      }
      await clock.sleep(ROUND_PAUSE_MS)
    }
    return fail(failure('no_quorum', 'no majority of the store can be reached'))
  }

  async #transactAt(member: HostId, transaction: Transaction): Promise<Result<TransactionOutcome>> {
    const { clock, etcd, host } = this.#options
    const unknown = async (why: string) => {
      await clock.sleep(ATTEMPT_MS)
      return fail(failure('store_timeout', why))
    }
    await clock.sleep(this.#delayMs(member))
    if (!this.#isReached(member) || !etcd.serves(member)) return unknown('the member does not answer')
    const outcome = await etcd.commit(host, transaction)
    if (outcome === undefined) return unknown('the leader was lost while it committed')
    await clock.sleep(this.#delayMs(member))
    if (!this.#isReached(member) || etcd.takeLostAnswer()) return unknown('the answer was lost')
    return outcome
  }
}

/**
 * etcd as a simulated cluster has it: members on hosts, of which one leads. All that is committed goes through one
 * `MemoryStoreServer`; what is modelled here is who can reach it, when, and what a client learns of the outcome. The
 * figures are those measured with etcd 3.4 (heartbeat 50 ms, election timeout 500 ms, pre-vote).
 */
import type { HostId } from '@stead/core/model/ids.ts'
import type { Transaction, TransactionOutcome } from '@stead/core/ports/store.ts'
import type { Result } from '@stead/core/result.ts'
import { MemoryStoreServer } from './memory-store.ts'
import type { SeededRandom } from './seeded-random.ts'
import type { VirtualClock } from './virtual-clock.ts'
import type { WorldNetwork } from './world-network.ts'

const ELECTION_TIMEOUT_MS = 500
/** From the loss of a leader to the first write that the next one serves: 0.5 to 1.0 s. */
const ELECTION_SPREAD_MS = 500
const ELECTION_RETRY_MS = 150
const COMMIT_MS_MIN = 0.5
const COMMIT_MS_SPREAD = 3
/** A lease is found to have run out up to half a second late. */
const EXPIRY_SLACK_MS = 450

/** A transaction that a leader had accepted when it lost its followers: the next leader has it, or has not. */
interface Pending {
  readonly transaction: Transaction
  readonly client: HostId
  readonly survives: boolean
}

export interface WorldEtcdOptions {
  readonly members: readonly HostId[]
  readonly clock: VirtualClock
  readonly random: SeededRandom
  readonly network: WorldNetwork
  /** Called with everything that was committed, before anybody else sees it. */
  readonly onCommit: (client: HostId, transaction: Transaction) => void
}

export class WorldEtcd {
  readonly server: MemoryStoreServer
  readonly #options: WorldEtcdOptions
  readonly #down = new Set<HostId>()
  #leader: HostId | undefined
  /** Since when the leader has no majority; undefined while it has one. */
  #lostAtMs: number | undefined
  #deposed: { readonly leader: HostId; readonly untilMs: number } | undefined
  #calledOff: () => void = () => undefined
  #pending: Pending[] = []
  #loseAnswers = 0
  #term = 1

  constructor(options: WorldEtcdOptions) {
    this.#options = options
    this.server = new MemoryStoreServer(options.clock, { expirySlackMs: EXPIRY_SLACK_MS })
    this.#leader = options.members[0]
    options.network.onChange(() => this.#look())
  }

  get members(): readonly HostId[] {
    return this.#options.members
  }

  get leader(): HostId | undefined {
    return this.#lostAtMs === undefined ? this.#leader : undefined
  }

  get term(): number {
    return this.#term
  }

  stopMember(member: HostId): void {
    this.#down.add(member)
    this.#look()
  }

  startMember(member: HostId): void {
    this.#down.delete(member)
    this.#look()
  }

  /** The answer to the next transaction is lost on its way. */
  loseNextAnswer(): void {
    this.#loseAnswers += 1
  }

  takeLostAnswer(): boolean {
    if (this.#loseAnswers === 0) return false
    this.#loseAnswers -= 1
    return true
  }

  /** It runs; whether it has a leader is another question. */
  isUp(member: HostId): boolean {
    return !this.#down.has(member) && this.#options.network.presence(member) === 'on'
  }

  /** Answers linearizable requests and takes transactions. */
  serves(member: HostId): boolean {
    const { leader } = this
    return leader !== undefined && this.isUp(member) && this.#reach(member, leader)
  }

  /** A leader that has just lost its followers does not know it yet, and still answers keepalives. */
  answersKeepalives(member: HostId): boolean {
    if (this.serves(member)) return true
    const nowMs = this.#options.clock.monotonicMs()
    if (!this.isUp(member)) return false
    if (member === this.#leader) return nowMs < (this.#lostAtMs ?? 0) + ELECTION_TIMEOUT_MS
    return this.#deposed?.leader === member && nowMs < this.#deposed.untilMs
  }

  /**
   * Hands a transaction to a member that serves. The answer is undefined when its leader was lost before a majority had
   * it: then nobody knows whether it will be committed, perhaps long after its client has given up.
   */
  async commit(client: HostId, transaction: Transaction): Promise<Result<TransactionOutcome> | undefined> {
    const { clock, random } = this.#options
    const term = this.#term
    await clock.sleep(COMMIT_MS_MIN + COMMIT_MS_SPREAD * random.fraction())
    if (this.leader !== undefined && term === this.#term) return this.#apply(client, transaction)
    const pending = { client, transaction, survives: random.fraction() < 0.5 }
    if (this.leader !== undefined) {
      if (pending.survives) this.#apply(client, transaction)
    } else this.#pending.push(pending)
    return undefined
  }

  #apply(client: HostId, transaction: Transaction): Result<TransactionOutcome> {
    let outcome: Result<TransactionOutcome> | undefined
    this.server.execute(transaction, (result) => (outcome = result))
    if (!outcome) throw new Error('the server executes at once')
    if (outcome.ok && outcome.value.committed) this.#options.onCommit(client, transaction)
    return outcome
  }

  #reach(member: HostId, other: HostId): boolean {
    return member === other || this.#options.network.linkedAnyhow(member, other)
  }

  #hasMajority(member: HostId): boolean {
    const { members } = this.#options
    const followers = members.filter((other) => this.isUp(other) && this.#reach(member, other))
    return this.isUp(member) && followers.length * 2 > members.length
  }

  #look(): void {
    if (this.#leader !== undefined && this.#hasMajority(this.#leader)) {
      if (this.#lostAtMs === undefined) return
      // It was away for less than an election takes.
      this.#calledOff()
      this.#lostAtMs = undefined
      this.server.restartLeases()
      this.#settlePending()
      return
    }
    if (this.#lostAtMs !== undefined) return
    const { clock, random } = this.#options
    this.#lostAtMs = clock.monotonicMs()
    this.server.holdLeases()
    this.#elect(ELECTION_TIMEOUT_MS + ELECTION_SPREAD_MS * random.fraction())
  }

  #elect(afterMs: number): void {
    const { clock, random, members } = this.#options
    this.#calledOff = clock.after(afterMs, () => {
      const candidates = members.filter((member) => this.#hasMajority(member))
      if (candidates.length === 0) return this.#elect(ELECTION_RETRY_MS * (1 + random.fraction()))
      const elected = random.pick(candidates)
      if (this.#leader !== undefined && this.#lostAtMs !== undefined)
        this.#deposed = { leader: this.#leader, untilMs: this.#lostAtMs + ELECTION_TIMEOUT_MS }
      this.#leader = elected
      this.#lostAtMs = undefined
      this.#term += 1
      this.server.restartLeases()
      this.#settlePending()
    })
  }

  #settlePending(): void {
    for (const { client, transaction, survives } of this.#pending.splice(0))
      if (survives) this.#apply(client, transaction)
  }
}

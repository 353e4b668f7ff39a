/**
 * Runs the coordinator's decision whenever something changed, if this host is the one to decide: the one that holds
 * the claim, until a majority no longer hears it; then the first in the order of succession that is heard. A host that
 * comes back does not take the coordination back: nothing would be gained. Two may believe that they decide at the
 * same time; the claim's revision, which every transaction compares, lets only one of them act.
 */
import { coordinatorByOrder, hostVerdicts, silentToMajority } from '../ha/detection.ts'
import { decide, type CoordinatorInput, type Verdict } from '../ha/coordinator.ts'
import type { Plan, PlannedAction } from '../ha/plan.ts'
import { objectionTo } from '../ha/safety.ts'
import type { ClusterState } from '../model/cluster.ts'
import type { Host, HostStatus } from '../model/host.ts'
import type { HostId } from '../model/ids.ts'
import { KEYS } from '../model/keys.ts'
import type { Clock } from '../ports/clock.ts'
import type { Fence, HeartbeatView } from '../ports/fence.ts'
import type { Log } from '../ports/log.ts'
import type { Store } from '../ports/store.ts'
import type { ClusterMirror } from './cluster-mirror.ts'
import { BalancingWatch } from './balancing-watch.ts'
import { transactionFor } from './commit.ts'
import type { EventWriter } from './event-writer.ts'
import { WakeableSleep } from '../wakeable-sleep.ts'
import { RestartPacer } from './restart-pacer.ts'
import { RunningTimes } from './running-times.ts'

/** Even without news the decision is made again this often: time passes, and pauses end. */
const IDLE_MS = 1_000
/** A refused transaction means that the mirror was behind; the next look comes after this long. */
const CONFLICT_MS = 20
const STORE_AWAY_MS = 50
/** Work that the coordinator leaves undone for this long is taken over by the next host. */
const NEGLECT_MS = 3_000

export interface CoordinatorLoopOptions {
  readonly self: HostId
  readonly store: Store
  readonly mirror: ClusterMirror
  readonly fence: Fence
  readonly events: EventWriter
  readonly clock: Clock
  readonly log: Log
  readonly detectionMs: number
  readonly keepDecision?: (id: string, input: CoordinatorInput, plan: Plan) => void
}

export class CoordinatorLoop {
  readonly #options: CoordinatorLoopOptions
  readonly #pacer: RestartPacer
  readonly #runningTimes: RunningTimes
  readonly #balancing: BalancingWatch
  readonly #rest: WakeableSleep
  readonly #suspected = new Set<HostId>()
  #coordinating = false
  #order:
    | { readonly known: ClusterState['hosts']; readonly hosts: readonly Host[]; readonly members: readonly HostId[] }
    | undefined
  /** What the heartbeats said at the last look. */
  #judged = ''
  #plans = 0
  #startedAt: string | undefined
  #workSinceMs: number | undefined
  #vacantSinceMs: number | undefined
  /**
   * Newest revision that this host's plans have made. A plan made from an older copy would not know of them: it could
   * promise a host's memory a second time, to another guest.
   */
  #committed = 0n

  constructor(options: CoordinatorLoopOptions) {
    this.#options = options
    this.#pacer = new RestartPacer(options.clock)
    this.#runningTimes = new RunningTimes(options.clock)
    this.#balancing = new BalancingWatch(options.clock)
    this.#rest = new WakeableSleep(options.clock)
  }

  /** True while this host holds the coordinator's claim, by its own copy of the records. */
  get coordinating(): boolean {
    return this.#coordinating
  }

  async run(signal: AbortSignal): Promise<void> {
    const { mirror, fence } = this.#options
    const offMirror = mirror.onChange(() => this.#rest.wake())
    // The guardian speaks up twice a second, mostly to say that nothing has changed.
    const offFence = fence.subscribe((view) => {
      if (this.#judge(view).mark !== this.#judged) this.#rest.wake()
    })
    while (!signal.aborted) {
      await this.#rest.sleep(await this.#round(), signal)
    }
    offMirror()
    offFence()
  }

  /** One look at the cluster. Returns how long to rest at most, ms. */
  async #round(): Promise<number> {
    const { self, mirror, fence, log } = this.#options
    const view = fence.view()
    const { state } = mirror
    if (!mirror.loaded || !view || !state.settings) {
      // Whatever is heard next is news.
      this.#judged = ''
      return IDLE_MS
    }
    if (mirror.revision < this.#committed) return CONFLICT_MS
    const { members, verdicts, silentToMost, bootIds, mark } = this.#judge(view)
    this.#judged = mark
    this.#tellSuspicions(state, verdicts)
    const holder = state.coordinator?.value.host
    const isVacant =
      holder === undefined || !state.hosts.has(holder) || (holder !== self && verdicts.get(holder) === 'suspected')
    const others = members.filter((id) => id !== holder)
    let order = others
    const firstOf = () => coordinatorByOrder({ self, order, verdicts, silentToMajority: silentToMost })
    for (let idle = this.#idleSuccessors(isVacant); idle > 0 && firstOf() !== self; idle--)
      order = order.filter((id) => id !== firstOf())
    const isNext = firstOf() === self
    if (holder !== self && !isNext) {
      this.#coordinating = false
      // Another one watches over the coordinator's work now; what was left undone long ago is no neglect.
      this.#workSinceMs = undefined
      return IDLE_MS
    }
    const isUp = (id: HostId) =>
      state.statuses.get(id)?.value.state === 'online' && (id === self || verdicts.get(id) === 'heard')
    const isPresent = (id: HostId) => isUp(id) && bootIds.get(id) === state.statuses.get(id)?.value.bootId
    const input: CoordinatorInput = {
      planId: this.#nextPlanId(),
      state,
      self,
      verdicts,
      bootIds,
      wallMs: this.#options.clock.wallMs(),
      pausedRetries: this.#pacer.pauses(state),
      runningForMs: this.#runningTimes.of(state, isPresent),
      balancingMovesMax: holder === self ? this.#balancing.movesMax(state, isUp) : 0,
    }
    const plan = decide(input)
    if (holder !== self && !isVacant && !this.#isNeglected(plan.actions.length > 0)) {
      this.#coordinating = false
      return Math.min(IDLE_MS, this.#patienceMs())
    }
    const claim = await this.#claim(state)
    if (claim === undefined) return STORE_AWAY_MS
    const outcome = await this.#execute(plan.actions, state, claim)
    if (outcome === 'done')
      for (const { action } of plan.actions)
        if ((action.kind === 'recall' || action.kind === 'hand-over') && action.forBalance) this.#balancing.moved()
    if (outcome === 'done') this.#options.keepDecision?.(input.planId, input, plan)
    else log.debug('a plan was not committed whole', { outcome })
    if (outcome === 'store-away') return STORE_AWAY_MS
    if (outcome === 'conflict') return CONFLICT_MS
    return Math.min(IDLE_MS, plan.againInMs ?? IDLE_MS)
  }

  /** What the heartbeats say of the members, in the order of succession. */
  #judge(view: HeartbeatView) {
    const { self, detectionMs } = this.#options
    const { hosts, members } = this.#succession()
    const verdicts = hostVerdicts({ self, view, members, detectionMs })
    const silentToMost = silentToMajority({ self, view, members, detectionMs })
    const bootIds = new Map(hosts.map(({ id, bootId }) => [id, id === self ? bootId : (view.peers[id]?.bootId ?? '')]))
    /** Changes when any of this does. */
    const mark = [...verdicts.values(), ...silentToMost, ...bootIds.values()].join(' ')
    return { members, verdicts, silentToMost, bootIds, mark }
  }

  /** All hosts in the order of succession; sorted anew when their records have changed. */
  #succession() {
    const known = this.#options.mirror.state.hosts
    if (this.#order?.known !== known) {
      const hosts = [...known.values()].map(({ value }) => value).toSorted((a, b) => a.order - b.order)
      this.#order = { known, hosts, members: hosts.map(({ id }) => id) }
    }
    return this.#order
  }

  /** Names the host that keeps the decision; unique over its restarts. */
  #nextPlanId(): string {
    const { self, clock } = this.#options
    this.#plans += 1
    return `${self}.${(this.#startedAt ??= Math.floor(clock.wallMs()).toString(36))}.${this.#plans}`
  }

  /**
   * How many hosts of the order must be passed over: their heartbeats arrive, yet they have let the claim lie while
   * nobody held it, since their agents hang. One for each time that a coordinator may leave work undone.
   */
  #idleSuccessors(isVacant: boolean): number {
    const nowMs = this.#options.clock.monotonicMs()
    if (!isVacant) this.#vacantSinceMs = undefined
    else this.#vacantSinceMs ??= nowMs
    return this.#vacantSinceMs === undefined ? 0 : Math.floor((nowMs - this.#vacantSinceMs) / NEGLECT_MS)
  }

  /**
   * True when the coordinator, though its heartbeats arrive, has left work undone for long: its agent hangs. The next
   * host in the order then takes over.
   */
  #isNeglected(hasWork: boolean): boolean {
    const nowMs = this.#options.clock.monotonicMs()
    if (!hasWork) this.#workSinceMs = undefined
    else this.#workSinceMs ??= nowMs
    return this.#workSinceMs !== undefined && this.#patienceMs() <= 0
  }

  /** How long the coordinator may still leave the work undone. */
  #patienceMs(): number {
    if (this.#workSinceMs === undefined) return Infinity
    return this.#workSinceMs + NEGLECT_MS - this.#options.clock.monotonicMs()
  }

  #tellSuspicions(state: ClusterState, verdicts: ReadonlyMap<HostId, Verdict>): void {
    for (const [host, verdict] of verdicts) {
      const silent = verdict !== 'heard'
      if (silent && !this.#suspected.has(host)) {
        this.#suspected.add(host)
        if (state.statuses.get(host)?.value.state === 'lost') continue
        const { self, detectionMs, events } = this.#options
        events.tell({
          kind: 'host.suspected',
          subject: `host/${host}`,
          message: `${self} has heard nothing of ${host} for ${detectionMs} ms on any network`,
        })
      } else if (!silent && this.#suspected.delete(host) && state.statuses.get(host)?.value.state === 'online') {
        this.#options.events.tell({
          kind: 'host.cleared',
          subject: `host/${host}`,
          message: `${this.#options.self} hears ${host} again`,
        })
      }
    }
  }

  /** The revision of this host's claim; undefined when it could not be had. */
  async #claim(state: ClusterState): Promise<bigint | undefined> {
    const { self, store, events } = this.#options
    const known = state.coordinator
    if (known?.value.host === self) {
      this.#coordinating = true
      return known.revision
    }
    const claim = { host: self, term: (known?.value.term ?? 0) + 1 }
    const drafts = [
      {
        kind: 'coordinator.elected' as const,
        subject: `host/${self}`,
        message: `${self} coordinates the cluster (term ${claim.term})`,
      },
    ]
    const outcome = await store.transact({
      compares: [{ key: KEYS.coordinator, modRevision: known?.revision ?? 0n }],
      writes: [{ kind: 'put', key: KEYS.coordinator, value: JSON.stringify(claim) }, ...events.writesFor(drafts)],
    })
    if (!outcome.ok || !outcome.value.committed) return undefined
    this.#workSinceMs = undefined
    this.#coordinating = true
    // What the coordinator before has done up to now must be known first: the next look decides.
    this.#committed = outcome.value.revision
    return undefined
  }

  async #execute(
    actions: readonly PlannedAction[],
    state: ClusterState,
    claim: bigint,
  ): Promise<'done' | 'conflict' | 'store-away'> {
    // What is known of hosts goes first: the grants rely on it.
    const statuses = actions.filter(({ action }) => action.kind === 'host-status')
    const others = actions.filter(({ action }) => action.kind !== 'host-status')
    const first = await this.#commitAll(statuses, state, claim)
    if (first !== 'done') return first
    return this.#commitAll(others, withStatuses(state, statuses), claim)
  }

  async #commitAll(
    actions: readonly PlannedAction[],
    state: ClusterState,
    claim: bigint,
  ): Promise<'done' | 'conflict' | 'store-away'> {
    const { store, events, log } = this.#options
    const outcomes = await Promise.all(
      actions.map(async ({ action, events: drafts }) => {
        const objection = objectionTo(action, state)
        if (objection) {
          log.error('a planned action is unsafe and was not done', { action: action.kind, objection })
          return 'done'
        }
        const outcome = await store.transact(
          transactionFor(action, drafts, { state, claimRevision: claim, eventWrites: (e) => events.writesFor(e) }),
        )
        if (!outcome.ok) return 'store-away'
        if (!outcome.value.committed) return 'conflict'
        if (outcome.value.revision > this.#committed) this.#committed = outcome.value.revision
        return 'done'
      }),
    )
    return outcomes.includes('store-away') ? 'store-away' : outcomes.includes('conflict') ? 'conflict' : 'done'
  }
}

function withStatuses(state: ClusterState, actions: readonly PlannedAction[]): ClusterState {
  if (actions.length === 0) return state
  const statuses = new Map(state.statuses)
  for (const { action } of actions) {
    if (action.kind !== 'host-status') continue
    const status: HostStatus = action.status
    statuses.set(action.host, { value: status, revision: statuses.get(action.host)?.revision ?? 0n })
  }
  return { ...state, statuses }
}

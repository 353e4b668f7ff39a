/**
 * A copy of the cluster's records in which things happen only in thought: what the coordinator decides is written as
 * it would be, and the hosts do what they are told in the time that it usually takes.
 */
import { decide } from '../ha/coordinator.ts'
import { homeOf, nextRootStep, withoutRootMove, withRootMoved, withSent } from '../ha/root-copies.ts'
import { storeVoters } from '../ha/store-voters.ts'
import { transactionFor } from '../host/commit.ts'
import { applyBatch, type RecordDecoder } from '../model/cluster-reducer.ts'
import type { ClusterState } from '../model/cluster.ts'
import type { Grant } from '../model/grant.ts'
import type { Guest, GuestObservation } from '../model/guest.ts'
import type { GuestId, HostId } from '../model/ids.ts'
import { KEYS } from '../model/keys.ts'
import { isActive, withReplica } from '../model/records.ts'
import type { Volume } from '../model/volume.ts'
import type { StoreChange, Write } from '../ports/store.ts'
import { ok } from '../result.ts'
import type { Figures } from './figures.ts'

export interface Happening {
  readonly atMs: number
  readonly text: string
}

/** Times of a guest's run, ms since the supposition; for how long it stood still in all. */
export interface Outage {
  downSinceMs: number | undefined
  downMs: number
  /** How often it was interrupted. */
  interruptions: number
}

interface Pending {
  readonly atMs: number
  readonly guest: GuestId
  readonly epoch: number
  readonly what: 'starts' | 'stops'
}

export class SupposedCluster {
  state: ClusterState
  nowMs = 0
  readonly happenings: Happening[] = []
  readonly outages = new Map<GuestId, Outage>()
  readonly #down: ReadonlySet<HostId>
  readonly #figures: Figures
  readonly #wallMs: number
  readonly #runningSince = new Map<GuestId, number>()
  #pending: Pending[] = []
  #revision = 1_000_000_000n

  constructor(state: ClusterState, down: ReadonlySet<HostId>, figures: Figures, wallMs: number) {
    this.state = state
    this.#down = down
    this.#figures = figures
    this.#wallMs = wallMs
    for (const { value: grant } of state.grants.values()) {
      if (!isActive(grant)) continue
      // It runs already; for how long does not matter to anybody who waits for it to be ready.
      if (this.runs(grant.guest)) this.#runningSince.set(grant.guest, -Infinity)
      if (grant.state === 'recalled') this.#schedule(grant, 'stops', figures.stopMs)
      else if (state.observations.get(grant.guest)?.value.phase === 'starting')
        this.#schedule(grant, 'starts', figures.startMs)
    }
  }

  /** True when the records and the supposition together mean that the guest runs. */
  runs(id: GuestId): boolean {
    const grant = this.state.grants.get(id)?.value
    const seen = this.state.observations.get(id)?.value
    return isActive(grant) && !this.#down.has(grant.host) && seen?.epoch === grant.epoch && seen.phase === 'running'
  }

  /** Whether more than half of the store's voters are up: without them nothing is decided. */
  get canDecide(): boolean {
    const hosts = [...this.state.hosts.values()].map(({ value }) => value).toSorted((a, b) => a.order - b.order)
    const voters = storeVoters(hosts)
    return voters.filter((host) => this.#isLiving(host.id)).length * 2 > voters.length
  }

  interrupt(guest: GuestId): void {
    const outage = this.#outage(guest)
    if (outage.downSinceMs !== undefined) return
    outage.downSinceMs = this.nowMs
    outage.interruptions += 1
    this.#runningSince.delete(guest)
  }

  /** It goes on, but not as before: it belongs into the answer. */
  touch(guest: GuestId): void {
    this.#outage(guest)
  }

  tell(text: string): void {
    this.happenings.push({ atMs: this.nowMs, text })
  }

  write(writes: readonly Write[]): void {
    const changes = writes.flatMap((write): StoreChange[] | StoreChange => {
      const modRevision = this.#revision++
      if (write.kind === 'delete') return { kind: 'delete', key: write.key, modRevision }
      // Only events are deleted by prefix, and those are no part of the state.
      if (write.kind === 'delete-prefix') return []
      return { kind: 'put', entry: { key: write.key, value: write.value, createRevision: modRevision, modRevision } }
    })
    this.state = applyBatch(this.state, { kind: 'changes', changes, revision: this.#revision }, TRUSTING).state
  }

  put(key: string, value: unknown): void {
    this.write([{ kind: 'put', key, value: JSON.stringify(value) }])
  }

  loseReplica(volume: Volume, host: HostId, reason: string): void {
    const epoch = this.state.grants.get(volume.guest)?.value.epoch ?? 0
    const stale = { sinceEpoch: epoch, since: this.#wallMs + this.nowMs, reason, cause: 'leg-lost' as const }
    const known = this.state.volumes.get(volume.id)?.value ?? volume
    this.put(
      KEYS.volume(volume.id),
      withReplica(known, host, (replica) => ({ ...replica, state: 'stale', stale })),
    )
  }

  /** Lets the coordinator decide and the hosts act until nothing more happens, or for this long at most. */
  comeToRest(untilMs: number): void {
    for (let round = 0; round < ROUNDS_MAX; round++) {
      this.#moveRoots()
      const againInMs = this.canDecide ? this.#decide() : undefined
      const next = Math.min(...this.#pending.map(({ atMs }) => atMs), this.nowMs + (againInMs ?? Infinity))
      if (next === Infinity || next > untilMs) return
      this.nowMs = Math.max(next, this.nowMs)
      this.#letHostsAct()
    }
  }

  /** The time until the next look that the coordinator asks for; 0 when its last decision may have a sequel. */
  #decide(): number | undefined {
    const self = this.#coordinator()
    if (self === undefined) return undefined
    const plan = decide({
      state: this.state,
      self,
      planId: 'supposed',
      verdicts: new Map([...this.state.hosts.keys()].map((id) => [id, this.#isLiving(id) ? 'heard' : 'suspected'])),
      bootIds: new Map(
        [...this.state.hosts.keys()].map((id) => [id, this.state.statuses.get(id)?.value.bootId ?? `boot-${id}`]),
      ),
      wallMs: this.#wallMs + this.nowMs,
      pausedRetries: new Map(),
      runningForMs: new Map([...this.#runningSince].map(([guest, since]) => [guest, this.nowMs - since])),
    })
    // The calendar goes on whatever is supposed: what it asks for is no consequence of that.
    const actions = plan.actions.filter(({ action }) => action.kind !== 'schedule')
    for (const { action, events } of actions) {
      const { writes } = transactionFor(action, [], { state: this.state, claimRevision: 0n, eventWrites: () => [] })
      this.write(writes)
      for (const { message } of events) this.tell(message)
      if (action.kind === 'grant') this.#schedule(action.grant, 'starts', this.#figures.startMs)
      if (action.kind === 'recall') this.#end(action.guest, action.grant, action.grant.reason)
      if (action.kind === 'hand-over') this.#moveLive(action.guest, action.grant)
    }
    return actions.length > 0 ? 0 : plan.againInMs
  }

  /** How long a root is on its way depends on what is in it; its guest runs on meanwhile, so that is left out. */
  #moveRoots(): void {
    for (const { value: volume } of this.state.volumes.values()) {
      const { move } = volume
      const home = homeOf(volume)
      if (volume.form !== 'subvolume' || move?.to === undefined || home === undefined || !this.#isLiving(home)) continue
      const step = nextRootStep(this.state, volume, (host) => this.#isLiving(host), this.#wallMs + this.nowMs)
      const guest = this.state.guests.get(volume.guest)?.value
      const name = guest?.name ?? volume.guest
      if (step?.kind === 'stay') {
        this.put(KEYS.volume(volume.id), withoutRootMove(volume, step.reason, false, this.#wallMs + this.nowMs).volume)
        const { moveTo: _to, moveHow: _how, ...stays } = guest ?? {}
        if (guest?.moveTo === move.to) this.put(KEYS.guest(guest.id), stays)
        this.tell(`the root of ${name} stays on ${home}: ${step.reason}`)
      } else if (step?.kind === 'send' && step.copy.host === move.to) {
        const newest = { at: this.#wallMs + this.nowMs, epoch: this.state.grants.get(volume.guest)?.value.epoch ?? 0 }
        const sent = withSent(volume, move.to, newest, true)
        this.put(KEYS.volume(volume.id), step.last ? withRootMoved(sent)?.volume : sent)
        this.tell(step.last ? `the root of ${name} is on ${move.to}` : `the root of ${name} is sent to ${move.to}`)
      }
    }
  }

  /** Hosts end the guests that nobody wants to run any more. */
  endUnwanted(): void {
    for (const { value: guest } of this.state.guests.values()) {
      const grant = this.state.grants.get(guest.id)?.value
      const isWanted = guest.desired === 'running' && !guest.deleting
      if (!isWanted && isActive(grant) && grant.state === 'held' && this.runs(guest.id))
        this.#end(guest, grant, 'it was asked to stop')
    }
  }

  /** Its clients notice nothing: it runs there in the next moment. */
  #moveLive(guest: Guest, { handover, ...grant }: Grant): void {
    if (!handover) return
    this.tell(`${guest.name} moves live from ${grant.host} to ${handover.to}: ${handover.reason}`)
    this.touch(guest.id)
    const moved: Grant = {
      ...grant,
      host: handover.to,
      epoch: handover.epoch,
      cameFrom: grant.host,
      reason: handover.reason,
    }
    const { moveTo: _to, moveHow: _how, ...settled } = guest
    this.put(KEYS.grant(guest.id), moved)
    if (guest.moveTo !== undefined) this.put(KEYS.guest(guest.id), settled)
    this.#observe(moved, 'running')
  }

  /** From now on it is shutting down, and of no use to anybody. */
  #end(guest: Guest, grant: Grant, reason: string): void {
    this.tell(`${guest.name} is stopped on ${grant.host}: ${reason}`)
    this.interrupt(guest.id)
    this.#schedule(grant, 'stops', this.#figures.stopMs)
  }

  #letHostsAct(): void {
    const due = this.#pending.filter(({ atMs }) => atMs <= this.nowMs)
    this.#pending = this.#pending.filter(({ atMs }) => atMs > this.nowMs)
    for (const { guest: id, epoch, what } of due) {
      const grant = this.state.grants.get(id)?.value
      const guest = this.state.guests.get(id)?.value
      if (!guest || !isActive(grant) || grant.epoch !== epoch) continue
      if (what === 'starts') {
        this.#observe(grant, 'running')
        this.#runningSince.set(id, this.nowMs)
        this.#return(id)
        this.tell(`${guest.name} runs on ${grant.host}`)
      } else {
        const released: Grant = { ...grant, state: 'released', clean: true }
        this.put(KEYS.grant(id), released)
        this.#observe(grant, 'stopped')
      }
    }
  }

  #observe(grant: Grant, phase: GuestObservation['phase']): void {
    const { guest, host, epoch } = grant
    const since = this.#wallMs + this.nowMs
    // How long its users must wait beyond its start is not known; that it gets ready is supposed.
    const isProbed = this.state.guests.get(guest)?.value.lifecycle?.probe !== undefined && phase === 'running'
    const readiness = isProbed ? { readiness: { ready: true, since, reason: '' } } : {}
    const observation: GuestObservation = {
      ...{ guest, host, epoch, phase, reason: '', since, failures: 0 },
      ...readiness,
    }
    this.put(KEYS.observation(guest), observation)
  }

  #return(guest: GuestId): void {
    const outage = this.#outage(guest)
    if (outage.downSinceMs === undefined) return
    outage.downMs += this.nowMs - outage.downSinceMs
    outage.downSinceMs = undefined
  }

  #outage(guest: GuestId): Outage {
    let outage = this.outages.get(guest)
    if (!outage) this.outages.set(guest, (outage = { downSinceMs: undefined, downMs: 0, interruptions: 0 }))
    return outage
  }

  #schedule(grant: Grant, what: Pending['what'], inMs: number): void {
    this.#pending.push({ atMs: this.nowMs + inMs, guest: grant.guest, epoch: grant.epoch, what })
  }

  #coordinator(): HostId | undefined {
    const holder = this.state.coordinator?.value.host
    if (holder !== undefined && this.state.hosts.has(holder) && this.#isLiving(holder)) return holder
    const living = [...this.state.hosts.values()].map(({ value }) => value).filter(({ id }) => this.#isLiving(id))
    return living.toSorted((a, b) => a.order - b.order)[0]?.id
  }

  /** Up now, and not one of those that are supposed to be down. */
  #isLiving(host: HostId): boolean {
    return !this.#down.has(host) && this.state.statuses.get(host)?.value.state === 'online'
  }
}

/** A plan that never comes to rest would be a defect; this bounds what it costs. */
const ROUNDS_MAX = 10_000

/** The records were checked when they came in; what is written here comes from the product itself. */
const TRUSTING: RecordDecoder = new Proxy({} as RecordDecoder, { get: () => (json: unknown) => ok(json) })

/**
 * The coordinator's decision: pure and deterministic. Given all that the store says and what the heartbeats say,
 * it returns the actions that bring the cluster nearer to what the administrators want. It is asked again after
 * every change; each answer stands alone, so a lost, repeated or refused action harms nothing.
 */
import type { Candidate, Decision } from '../model/decision.ts'
import { endOf } from '../model/operation.ts'
import { projectOf } from '../model/project.ts'
import type { ClusterState } from '../model/cluster.ts'
import { newestEpoch, withoutHandover, type Grant } from '../model/grant.ts'
import { compareImportance, type Guest } from '../model/guest.ts'
import type { GuestId, HostId } from '../model/ids.ts'
import { baselineOf } from '../model/processor.ts'
import { isActive, volumesOf } from '../model/records.ts'
import type { Volume } from '../model/volume.ts'
import { placeGuests, type Placement } from '../planning/place.ts'
import { explainMissingData, factsOf, lossAccepted } from './decision-facts.ts'
import { judgeHosts } from './host-judgement.ts'
import { Departures, type RoomMove } from './departures.ts'
import { isRoomComing, movedFor, MOVES_TOLD, roomBudget, roomFacts, roomOutcome } from './moves-for-room.ts'
import { operationOutcome } from './operations.ts'
import type { Action, Plan, PlannedAction } from './plan.ts'
import { problemOf } from './planning-problem.ts'
import { copyToStartFrom } from './root-copies.ts'
import { scheduledActions } from './scheduled-actions.ts'
import { planServing, withoutLostReplicas, type ServingPlan } from './serving.ts'
import { startGate } from './start-gate.ts'

export type Verdict = 'heard' | 'silent-here' | 'suspected'

export interface CoordinatorInput {
  readonly state: ClusterState
  readonly self: HostId
  /** Under which the decisions of this plan are kept (`stead replay`). */
  readonly planId: string
  readonly verdicts: ReadonlyMap<HostId, Verdict>
  /** The boot id that each heard host reports in its heartbeats. */
  readonly bootIds: ReadonlyMap<HostId, string>
  readonly wallMs: number
  /** Guests that must not be tried again yet, with the remaining time (see `RestartPacer`). */
  readonly pausedRetries: ReadonlyMap<GuestId, number>
  /** How long each guest has been seen running without a break, ms (see `RunningTimes`). */
  readonly runningForMs: ReadonlyMap<GuestId, number>
  /** Guests that balancing may move now; 0 when absent. */
  readonly balancingMovesMax?: number
}

export function decide(input: CoordinatorInput): Plan {
  const round = new Round(input)
  round.startGuests()
  round.moveGuests()
  round.lookAgainForMoves()
  return {
    actions: [...round.actions, ...scheduledActions(input.state, input.wallMs), ...finishOperations(input)],
    ...(round.againInMs === undefined ? {} : { againInMs: round.againInMs }),
  }
}

/** News wakes the coordinator sooner. */
const UNDECIDED_MS = 200

/** A guest that is to run, has no host, and may be given one now. */
interface Starting {
  readonly guest: Guest
  readonly previous: Grant | undefined
}

class Round {
  readonly actions: PlannedAction[] = []
  againInMs: number | undefined
  readonly #input: CoordinatorInput
  readonly #lostNow: ReadonlySet<HostId>
  /** Recorded lost, and heard again: its agent goes on with what it was granted. */
  readonly #backNow: ReadonlySet<HostId>
  readonly #starting: Starting[] = []
  /** Guests that wait for their turn, and the guest that each starts after. */
  readonly #queued = new Map<GuestId, GuestId>()
  /** Those whose turn is coming: the places of others must leave room for them, and be where they can be. */
  readonly #next: ReadonlySet<GuestId>
  readonly #departures: Departures

  constructor(input: CoordinatorInput) {
    this.#input = input
    this.actions.push(...judgeHosts(input))
    const judged = (state: 'lost' | 'online') =>
      this.actions.flatMap(({ action }) =>
        action.kind === 'host-status' && action.status.state === state ? [action.host] : [],
      )
    this.#lostNow = new Set(judged('lost'))
    this.#backNow = new Set(judged('online'))
    this.#departures = new Departures(input.state, this.#isUp, input.wallMs)
    for (const { value: guest } of byImportance(input.state)) this.#consider(guest)
    this.#next = this.#turnsToCome()
  }

  /** Gives every guest that can be started a place, all in one plan. */
  startGuests(): void {
    const startable = this.#starting.filter((starting) => this.#hasData(starting))
    const leaving = this.#departures.leaving()
    if (startable.length === 0 && leaving.length === 0) return
    const needing = new Set([
      ...[...startable.map(({ guest }) => guest), ...leaving].map(({ id }) => id),
      ...this.#next,
    ])
    const placement = placeGuests(problemOf({ state: this.#input.state, isUp: this.#isUp, needing }))
    const room = this.#roomByMoves(startable, needing, placement)
    for (const starting of startable) this.#start(starting, placement, room)
    for (const move of room?.moves ?? []) this.#push(move)
    for (const move of this.#departures.movesFor(leaving, placement)) this.#push(move, ...rootSent(move))
  }

  /** Running guests that are not where they should be; nothing of it while others have no place. */
  moveGuests(): void {
    const isCalm = this.#starting.length === 0 && this.#next.size === 0 && this.actions.length === 0
    for (const recall of this.#departures.endings()) this.#push(recall)
    if (!isCalm) return
    for (const move of this.#departures.corrections(this.#input.balancingMovesMax ?? 0)) this.#push(move)
  }

  lookAgainForMoves(): void {
    const { againInMs } = this.#departures
    if (againInMs !== undefined) this.againInMs = Math.min(this.againInMs ?? Infinity, againInMs)
  }

  #consider(guest: Guest): void {
    const { state } = this.#input
    const grant = state.grants.get(guest.id)?.value
    const hostIsLost = isActive(grant) && this.#isLost(grant.host)
    if (guest.deleting) {
      if (!isActive(grant) || hostIsLost) this.#erase(guest)
      return
    }
    if (guest.desired === 'stopped') {
      if (hostIsLost && guest.ha !== 'ignored') this.#releaseLost(guest, grant)
      return
    }
    if (isActive(grant) && !hostIsLost) return
    // `ignored` means hands off: a guest on a lost host stays as it is until the administrator acts.
    if (guest.ha === 'ignored' && hostIsLost) return
    const gate = startGate(this.#input, guest, grant)
    if (gate.kind === 'open') this.#starting.push({ guest, previous: grant })
    if (gate.kind === 'wait' && gate.after !== undefined) this.#queued.set(guest.id, gate.after)
    if (gate.kind === 'wait') this.#wait(guest, this.#waitDecision({ guest, previous: grant }, gate.for, gate.reason))
    if ((gate.kind === 'later' || gate.kind === 'wait') && gate.inMs !== undefined)
      this.againInMs = Math.min(this.againInMs ?? Infinity, gate.inMs)
  }

  /** A queue moves on only where the guest at its head runs or is being started. */
  #turnsToCome(): ReadonlySet<GuestId> {
    const runs = (id: GuestId) => {
      const grant = this.#input.state.grants.get(id)?.value
      return isActive(grant) && !this.#isLost(grant.host)
    }
    const starting = new Set(this.#starting.map(({ guest }) => guest.id))
    const next = new Set<GuestId>()
    for (const first of this.#queued.keys()) {
      const queue = new Set<GuestId>()
      let id: GuestId | undefined = first
      while (id !== undefined && this.#queued.has(id) && !queue.has(id)) {
        queue.add(id)
        id = this.#queued.get(id)
      }
      if (id !== undefined && (runs(id) || starting.has(id))) for (const waiting of queue) next.add(waiting)
    }
    return next
  }

  #isLost(host: HostId): boolean {
    if (this.#backNow.has(host)) return false
    return this.#lostNow.has(host) || this.#input.state.statuses.get(host)?.value.state === 'lost'
  }

  /** Recorded online, and heard in that very boot: after a blackout the records still tell of the time before it. */
  #isUp = (host: HostId): boolean => {
    const { state, self, verdicts, bootIds } = this.#input
    const status = state.statuses.get(host)?.value
    if (this.#lostNow.has(host) || status?.state !== 'online') return false
    return host === self || (verdicts.get(host) === 'heard' && bootIds.get(host) === status.bootId)
  }

  /** Neither lost nor heard yet: the coordinator, or that host, has just begun. */
  #isUndecided = (host: HostId): boolean =>
    !this.#isLost(host) && !this.#isUp(host) && this.#input.verdicts.get(host) === 'heard'

  #servingPlans({ guest, previous }: Starting, host: HostId | undefined): readonly ServingPlan[] {
    const volumes = volumesOf(this.#input.state, guest) ?? []
    return volumes.map(({ value }) => {
      const loss = copyToStartFrom(this.#input.state, guest, value, this.#isUp)
      return planServing(value, previous, this.#isUp, host, this.#input.wallMs, loss)
    })
  }

  /** Whether every disk has a current copy that can be reached; else the guest waits and says for whom. */
  #hasData(starting: Starting): boolean {
    const waiting = this.#servingPlans(starting, undefined).filter((plan) => plan.kind === 'wait')
    if (waiting.length === 0) return true
    // Whether a host is there is known in a moment: no reason yet to tell anybody that data is missing.
    if (waiting.some(({ forHosts }) => forHosts.some(this.#isUndecided))) {
      this.againInMs = Math.min(this.againInMs ?? Infinity, UNDECIDED_MS)
      return false
    }
    this.#wait(starting.guest, this.#waitDecision(starting, 'data', explainMissingData(waiting)))
    return false
  }

  /** Only where there is nothing else to be done: a recovery that fits comes first, and may change what is free. */
  #roomByMoves(
    startable: readonly Starting[],
    needing: ReadonlySet<GuestId>,
    { places, unplaced }: Placement,
  ): RoomMove | undefined {
    const { state, wallMs } = this.#input
    const isBusy =
      this.actions.some(({ action }) => action.kind !== 'explain') ||
      [...places.keys()].some((id) => !this.#next.has(id))
    if (unplaced.length === 0 || isBusy || [...state.hosts.keys()].some(this.#isUndecided)) return undefined
    const waiting = new Set(startable.filter(({ guest }) => guest.ha === 'started').map(({ guest }) => guest.id))
    return this.#departures.roomFor(needing, (id) => {
      if (!waiting.has(id)) return 0
      const { moves, moreInMs } = roomBudget(state.decisions.get(id)?.value, wallMs)
      if (moves === 0 && moreInMs !== undefined) this.againInMs = Math.min(this.againInMs ?? Infinity, moreInMs)
      return moves
    })
  }

  #waitForRoom(starting: Starting, candidates: readonly Candidate[], room: RoomMove | undefined): void {
    const { guest } = starting
    const known = this.#input.state.decisions.get(guest.id)?.value
    if (isRoomComing(known, this.#input.state)) return
    const now = room?.guest === guest.id ? room.moved : []
    const outcome = now.length === 0 ? 'no host can take it now' : roomOutcome(now)
    const moved = [...movedFor(known), ...now].slice(-MOVES_TOLD)
    const decision = this.#waitDecision(starting, 'room', outcome, candidates)
    this.#wait(guest, moved.length === 0 ? decision : { ...decision, moved })
  }

  #start(starting: Starting, placement: Placement, room: RoomMove | undefined): void {
    const { guest, previous } = starting
    const candidates = placement.explain(guest.id)
    const chosen = placement.places.get(guest.id)
    if (chosen === undefined) return this.#waitForRoom(starting, candidates, room)
    const { state, wallMs, self, planId } = this.#input
    const serving = this.#servingPlans(starting, chosen).filter((plan) => plan.kind === 'serve')
    const recovering = isActive(previous)
    const failures = state.observations.get(guest.id)?.value.failures ?? 0
    const epoch = newestEpoch(previous) + 1
    const why = recovering ? `${previous.host} is lost` : failures > 0 ? 'its last run failed' : 'it is to run'
    const grant: Grant = {
      guest: guest.id,
      epoch,
      host: chosen,
      state: 'held',
      clean: false,
      ...processorFor(state, guest),
      grantedAt: wallMs,
      reason: why,
    }
    const decision: Decision = {
      guest: guest.name,
      action: recovering ? 'recover' : failures > 0 ? 'restart' : 'start',
      outcome: `run on ${chosen} at epoch ${epoch}, since ${why}`,
      epoch,
      decidedAt: wallMs,
      coordinator: self,
      plan: planId,
      facts: [
        ...factsOf(previous, this.#input),
        ...roomFacts(state.decisions.get(guest.id)?.value, state),
        ...serving.flatMap((plan) => plan.facts),
      ],
      candidates,
    }
    const aside = serving.flatMap((plan) => (plan.aside ? [{ ...plan.aside, project: projectOf(guest) }] : []))
    const loss = acceptedLoss(guest, previous) ?? (aside.length > 0 ? chosen : undefined)
    const { moveTo, moveHow: _how, ...settled } = guest
    this.#push(
      {
        kind: 'grant',
        guest,
        ...(moveTo === undefined ? {} : { guestAfter: settled }),
        grant,
        volumes: serving.map((plan) => plan.volume),
        ...(aside.length > 0 ? { aside } : {}),
        decision,
        ...(loss === undefined ? {} : { acceptedLoss: loss }),
      },
      {
        kind: 'grant.committed',
        subject: `guest/${guest.name}`,
        message: `${guest.name} is granted to ${chosen} at epoch ${epoch}: ${why}`,
        details: { host: chosen, epoch, action: decision.action },
      },
      ...(loss === undefined ? [] : [lossAccepted(guest, loss, serving)]),
    )
  }

  #waitDecision(
    { guest, previous }: Starting,
    waitsFor: NonNullable<Decision['waitsFor']>,
    outcome: string,
    candidates: readonly Candidate[] = [],
  ): Decision {
    const { wallMs, self, planId } = this.#input
    return {
      guest: guest.name,
      action: 'wait',
      outcome,
      waitsFor,
      epoch: previous?.epoch ?? 0,
      decidedAt: wallMs,
      coordinator: self,
      plan: planId,
      facts: factsOf(previous, this.#input),
      candidates,
    }
  }

  #wait(guest: Guest, decision: Decision): void {
    const known = this.#input.state.decisions.get(guest.id)?.value
    const isSame = known?.outcome === decision.outcome && known.epoch === decision.epoch
    const isNewMove = known?.moved?.at(-1)?.at !== decision.moved?.at(-1)?.at
    if (known?.action === 'wait' && isSame && !isNewMove) return
    this.#push(
      { kind: 'explain', guest: guest.id, decision },
      { kind: 'guest.waiting', subject: `guest/${guest.name}`, message: `${guest.name} waits: ${decision.outcome}` },
    )
  }

  #releaseLost(guest: Guest, grant: Grant): void {
    this.#push(
      {
        kind: 'release-lost',
        guest,
        grant: { ...withoutHandover(grant), state: 'released', clean: false, reason: `${grant.host} is lost` },
        volumes: this.#volumesWithoutLost(guest, grant),
      },
      {
        kind: 'grant.released',
        subject: `guest/${guest.name}`,
        message: `${guest.name} is stopped: ${grant.host}, where it ran, is lost`,
        details: { epoch: grant.epoch },
      },
    )
  }

  #volumesWithoutLost(guest: Guest, grant: Grant): readonly Volume[] {
    const { state, wallMs } = this.#input
    return guest.volumes.flatMap((id) => {
      const volume = state.volumes.get(id)?.value
      const next = volume && withoutLostReplicas(volume, grant.epoch, this.#isUp, wallMs)
      return next === undefined || next === volume ? [] : [next]
    })
  }

  #erase(guest: Guest): void {
    const volumes = guest.volumes.flatMap((id) => this.#input.state.volumes.get(id)?.value ?? [])
    this.#push(
      { kind: 'erase', guest, volumes },
      { kind: 'guest.deleted', subject: `guest/${guest.name}`, message: `${guest.name} is deleted` },
    )
  }

  #push(action: Action, ...events: PlannedAction['events']): void {
    this.actions.push({ action, events })
  }
}

function rootSent(action: Action): PlannedAction['events'] {
  if (action.kind !== 'send-root') return []
  const { guest, root, reason } = action
  const message = `the root of ${guest.name} is to move from ${root.move?.from} to ${root.move?.to}: ${reason}`
  return [{ kind: 'replica.moving', subject: `volume/${root.id}`, message }]
}

function processorFor(state: ClusterState, guest: Guest): Pick<Grant, 'processorLevel'> {
  if (guest.processor === 'host' || guest.kind === 'ct') return {}
  const level = baselineOf([...state.hosts.values()].map(({ value }) => value))
  return level === undefined ? {} : { processorLevel: level }
}

function byImportance(state: ClusterState) {
  return [...state.guests.values()].toSorted(({ value: a }, { value: b }) => compareImportance(a, b))
}

/** The host whose stale copy the administrator took for this start. */
function acceptedLoss(guest: Guest, previous: Grant | undefined): HostId | undefined {
  return guest.acceptDataLoss?.atEpoch === (previous?.epoch ?? 0) ? guest.acceptDataLoss.host : undefined
}

function* finishOperations({ state, wallMs }: CoordinatorInput): Generator<PlannedAction> {
  for (const { value: operation } of state.operations.values()) {
    if (operation.state === 'succeeded' || operation.state === 'failed') continue
    const outcome = operationOutcome(operation, state)
    if (outcome.state !== 'succeeded' && outcome.state !== 'failed') continue
    const finishedAt = endOf(operation, wallMs)
    yield { action: { kind: 'finish-operation', operation: { ...outcome, finishedAt } }, events: [] }
  }
}

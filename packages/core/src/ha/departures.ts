/**
 * Guests that run and are to run elsewhere: their hosts are drained or shut down, somebody asked for a move, a rule
 * changed, or the hosts are to be evened out. They go live where they can, else by a stop and a start; each goes only
 * when its new place is known. An evacuation is planned whole before the first guest moves.
 */
import type { ClusterState } from '../model/cluster.ts'
import type { MovedForRoom } from '../model/decision.ts'
import { newestEpoch, type Grant } from '../model/grant.ts'
import { compareImportance, haPolicyOf, type Guest } from '../model/guest.ts'
import type { GuestId, HostId } from '../model/ids.ts'
import { isActive, nativeRootOf } from '../model/records.ts'
import type { ReplicaMove } from '../model/volume.ts'
import { balance } from '../planning/balance.ts'
import { makeRoom } from '../planning/make-room.ts'
import { placeGuests, type Placement } from '../planning/place.ts'
import { isDrained } from './drain.ts'
import type { Action } from './plan.ts'
import {
  objectionBetween,
  objectionToLiveMove,
  pauseAfter,
  pauseBeforeNextTry,
  unfitForLiveMove,
  whyNotMigrating,
} from './live-move.ts'
import { MoveSlots } from './move-slots.ts'
import { clusterPolicyOf, problemOf } from './planning-problem.ts'
import { withRootMove } from './root-copies.ts'
import { boundTo, freezes } from './start-gate.ts'

type Recall = Extract<Action, { kind: 'recall' }>
type SendRoot = Extract<Action, { kind: 'send-root' }>
type Leave = Recall | Extract<Action, { kind: 'hand-over' }>

/** News of the guest wakes the coordinator sooner. */
const BETWEEN_STATES_MS = 1_000

export interface RoomMove {
  /** Who gets the room, in the end. */
  readonly guest: GuestId
  readonly moved: readonly MovedForRoom[]
  readonly moves: readonly Leave[]
}

interface Running {
  readonly guest: Guest
  readonly grant: Grant
}

export class Departures {
  readonly #state: ClusterState
  readonly #isUp: (host: HostId) => boolean
  readonly #running: readonly Running[]
  readonly #wallMs: number
  readonly #slots: MoveSlots
  /** Until the first of those whose last move failed may be tried again, ms. */
  againInMs: number | undefined

  constructor(state: ClusterState, isUp: (host: HostId) => boolean, wallMs: number) {
    this.#state = state
    this.#isUp = isUp
    this.#wallMs = wallMs
    const grants = [...state.grants.values()].map(({ value }) => value).filter(isActive)
    this.#slots = new MoveSlots(state)
    this.#running = grants.flatMap((grant): Running[] => {
      const guest = state.guests.get(grant.guest)?.value
      const isMovable =
        guest &&
        grant.state === 'held' &&
        !grant.handover &&
        !grant.memoryOn &&
        guest.desired === 'running' &&
        !guest.deleting
      return isMovable && isUp(grant.host) ? [{ guest, grant }] : []
    })
  }

  /** Those that leave their host as soon as another can take them; none while no more can set out. */
  leaving(): Guest[] {
    const leaving = this.#running
      .filter(({ guest, grant }) => this.#isAskedToMove(guest, grant) || isDrained(this.#state, grant.host))
      .filter(({ guest, grant }) => guest.kind === 'ct' || !this.#mustWait(guest, grant))
      .filter(({ guest }) => !this.#mustWaitForRoot(guest))
    if (!leaving.some(({ guest, grant }) => this.#rootMoveOf(guest) || this.#slots.isFree(grant.host))) return []
    return leaving.map(({ guest }) => guest).toSorted(compareImportance)
  }

  /** Moves those that have a place to go to, the important ones first and as many as their hosts can do at once. */
  movesFor(leaving: readonly Guest[], placement: Placement): (Leave | SendRoot)[] {
    // Each root that sets out takes its room from the next.
    let state = this.#state
    // Stopping a guest that no other host can take would only make it worse; the drain says that it waits.
    return leaving
      .filter(
        (guest) => placement.places.has(guest.id) && !this.#isBetweenStates(guest, placement.places.get(guest.id)!),
      )
      .flatMap((guest): (Leave | SendRoot)[] => {
        const { grant } = this.#running.find((one) => one.guest.id === guest.id)!
        const to = placement.places.get(guest.id)!
        // Its root has had its slot since it was begun to be sent.
        if (!this.#rootMoveOf(guest) && !this.#slots.take(grant.host, to)) return []
        const root = nativeRootOf(state, guest)?.value
        if (root && !root.move) {
          const moving = withRootMove(state, root, to, this.#isUp, this.#wallMs, { forDrain: true })
          if (!moving.ok) return []
          state = { ...state, volumes: new Map(state.volumes).set(root.id, { value: moving.value, revision: 0n }) }
          const guestAfter: Guest = { ...guest, moveTo: to, moveHow: 'restart' }
          return [
            { kind: 'send-root', guest, guestAfter, root: moving.value, reason: `${grant.host} is being drained` },
          ]
        }
        return [this.#move(guest, grant, this.#whyLeaving(guest, grant), to)]
      })
  }

  #whyLeaving(guest: Guest, grant: Grant): string {
    const drained = `${grant.host} is being drained`
    if (this.#rootMoveOf(guest)?.forDrain) return drained
    if (this.#isAskedToMove(guest, grant)) return `it was asked to move to ${guest.moveTo}`
    return this.#hasJustFailed(guest, grant) ? `${drained}; not live: ${grant.failedHandover?.reason}` : drained
  }

  /** Of a container: what CRIU could not write down is there the next time too, so it does not wait for a better moment. */
  #hasJustFailed(guest: Guest, grant: Grant): boolean {
    return guest.kind === 'ct' && pauseBeforeNextTry(grant, this.#wallMs) > 0
  }

  /** Live, where nothing speaks against it and the user did not ask for a restart. */
  #move(guest: Guest, grant: Grant, reason: string, to: HostId): Leave {
    if (this.#isAskedToMove(guest, grant) && !movesLive(guest)) return recall(guest, grant, reason, to)
    if (!this.#canMoveLive(guest, grant, to)) return recall(guest, grant, reason, to)
    const { failedHandover: _earlier, ...rest } = grant
    const kept = guest.moveTo === undefined && grant.failedHandover ? { failedHandover: grant.failedHandover } : {}
    const asked = this.#isAskedToMove(guest, grant) && guest.moveHow === 'post-copy' ? { postCopy: true as const } : {}
    const handover = { to, epoch: newestEpoch(grant) + 1, reason, since: this.#wallMs, ...asked }
    return { kind: 'hand-over', guest, grant: { ...rest, ...kept, handover } }
  }

  /** It stands still for a moment, or is just starting: soon it can move live, and a restart now would be a needless break. */
  #isBetweenStates(guest: Guest, to: HostId): boolean {
    const { grant } = this.#running.find((one) => one.guest.id === guest.id)!
    if (this.#isAskedToMove(guest, grant) && !movesLive(guest)) return false
    if (nativeRootOf(this.#state, guest)) return false
    const { hosts, observations } = this.#state
    const [from, target] = [hosts.get(grant.host)?.value, hosts.get(to)?.value]
    const phase = observations.get(guest.id)?.value.phase
    if (!from || !target || (phase !== 'paused' && phase !== 'starting')) return false
    const isFit = whyNotMigrating(from, guest) === '' && objectionBetween(from, target, grant, guest.kind) === ''
    if (isFit) this.againInMs = Math.min(this.againInMs ?? Infinity, BETWEEN_STATES_MS)
    return isFit
  }

  #canMoveLive(guest: Guest, grant: Grant, to: HostId): boolean {
    const { hosts } = this.#state
    const [from, target] = [hosts.get(grant.host)?.value, hosts.get(to)?.value]
    if (!from || !target || objectionToLiveMove(this.#state, guest, grant) !== '') return false
    if (!this.#isAskedToMove(guest, grant) && this.#hasJustFailed(guest, grant)) return false
    return objectionBetween(from, target, grant, guest.kind) === ''
  }

  /** A live move has just failed: the next try waits, and a restart is no answer to it unless somebody asks for one. */
  #mustWait(guest: Guest, grant: Grant): boolean {
    if (this.#isAskedToMove(guest, grant)) return false
    const pauseMs = pauseBeforeNextTry(grant, this.#wallMs)
    if (pauseMs > 0) this.againInMs = Math.min(this.againInMs ?? Infinity, pauseMs)
    return pauseMs > 0
  }

  /**
   * The first step that makes room for a guest that fits nowhere: others go live to where there is room for them. None
   * while others move: what those leave may do.
   */
  roomFor(needing: ReadonlySet<GuestId>, movesMaxFor: (guest: GuestId) => number): RoomMove | undefined {
    if (!this.#slots.unused || !clusterPolicyOf(this.#state).armed) return undefined
    const mayMove = new Map<GuestId, Record<HostId, string>>()
    for (const { guest, grant } of this.#running) {
      if (guest.ha !== 'started' || this.#isAskedToMove(guest, grant) || needing.has(guest.id)) continue
      if (objectionToLiveMove(this.#state, guest, grant) !== '' || this.#mustWait(guest, grant)) continue
      mayMove.set(guest.id, unfitForLiveMove(this.#state, grant.host, grant, guest.kind))
    }
    const problem = problemOf({ state: this.#state, isUp: this.#isUp, needing, mayMove })
    const made = makeRoom(problem, { movesMaxFor })
    const [step] = made?.steps ?? []
    if (!made || !step) return undefined
    const name = this.#state.guests.get(made.guest)?.value.name ?? made.guest
    const leaving = this.#running.filter(({ guest }) => step.guests.includes(guest.id))
    return {
      guest: made.guest,
      moved: leaving.map(({ guest }) => ({
        ...{ guest: guest.id, name: guest.name, from: step.from, to: step.to },
        at: this.#wallMs,
      })),
      moves: leaving.map(({ guest, grant }) => this.#move(guest, grant, `it makes room for ${name}`, step.to)),
    }
  }

  /** Stops guests whose host goes whether they have another place or not. */
  endings(): Recall[] {
    return this.#running.flatMap(({ guest, grant }) => {
      const leaves = isDrained(this.#state, grant.host) || this.#isAskedToMove(guest, grant)
      if (guest.restartEpoch === grant.epoch && !leaves)
        return [recall(guest, grant, 'it was asked to be restarted', grant.host)]
      const how = this.#state.policies.get(grant.host)?.value.shutdown
      if (!how || isDrained(this.#state, grant.host)) return []
      const what = how === 'reboot' ? 'is being rebooted' : 'is being shut down'
      const ended = recall(guest, grant, `${grant.host} ${what}`)
      return [freezes(this.#state, how) ? { ...ended, grant: { ...ended.grant, returns: true } } : ended]
    })
  }

  /**
   * One guest that strict rules, its wishes or an even spread want elsewhere, with those that must stay together with
   * it; none while others move.
   */
  corrections(balancingMovesMax: number): Leave[] {
    if (!this.#slots.unused || !clusterPolicyOf(this.#state).armed) return []
    return this.#demandedByRules() ?? this.#failback() ?? this.#evenedOut(balancingMovesMax) ?? []
  }

  #demandedByRules(): Leave[] | undefined {
    if (this.#state.rules.size === 0) return undefined
    const [move] = balance(this.#problem(new Set()), { rulesOnly: true }).moves
    return move && this.#moveAll(move.together, `${move.why}; ${move.to} can take it`, move.to)
  }

  #failback(): Leave[] | undefined {
    for (const { guest, grant } of this.#running) {
      if (guest.ha !== 'started' || !haPolicyOf(guest).failback || !this.#hasOpenWish(guest.id, grant.host)) continue
      const running = new Set(this.#running.map((one) => one.guest.id))
      const together = [...boundTo(this.#state, guest.id)].filter((id) => running.has(id))
      const placement = placeGuests(this.#problem(new Set(together)))
      const judged = placement.judge(guest.id)
      const here = judged.find((one) => one.host === grant.host)
      const best = judged.find((one) => one.chosen)
      if (!best || best.host === grant.host || !here || best.wishCost >= here.wishCost - WISH_GAIN_MIN) continue
      const merit = best.merits[0] ?? 'it is what its rules ask for'
      return this.#moveAll(together, `${best.host} is better for it: ${merit}`, best.host)
    }
    return undefined
  }

  /** Whether a wish of a rule may not be fulfilled where it runs: only then is a whole plan worth making. */
  #hasOpenWish(guest: GuestId, host: HostId): boolean {
    for (const { value: rule } of this.#state.rules.values()) {
      if (rule.kind === 'order' || rule.kind === 'ban' || !rule.guests.includes(guest)) continue
      if (rule.kind === 'hosts') {
        const present = rule.hosts.filter((ranked) => this.#isUp(ranked.host))
        const best = Math.max(...present.map((ranked) => ranked.priority))
        if (present.length > 0 && !present.some((ranked) => ranked.host === host && ranked.priority === best))
          return true
      } else if (!rule.strict) {
        const partners = rule.guests
          .filter((other) => other !== guest)
          .map((other) => this.#state.grants.get(other)?.value)
        const isWithOne = partners.some((grant) => isActive(grant) && grant.host === host)
        if (rule.kind === 'apart' ? isWithOne || rule.across !== 'host' : !isWithOne) return true
      }
    }
    return false
  }

  #evenedOut(movesMax: number): Leave[] | undefined {
    if (movesMax === 0) return undefined
    const [move] = balance(this.#problem(new Set()), { movesMax }).moves
    const found = move && this.#moveAll(move.together, move.why, move.to)
    return found?.map((each) => ({ ...each, forBalance: true }))
  }

  #problem(needing: ReadonlySet<GuestId>) {
    return problemOf({ state: this.#state, isUp: this.#isUp, needing })
  }

  /** All of them, or none. */
  #moveAll(ids: readonly GuestId[], reason: string, to: HostId): Leave[] | undefined {
    const found = this.#running.filter(({ guest }) => ids.includes(guest.id) && guest.ha !== 'ignored')
    if (found.length < ids.length || found.some(({ guest, grant }) => this.#mustWait(guest, grant))) return undefined
    return found.map(({ guest, grant }) => this.#move(guest, grant, reason, to))
  }

  #rootMoveOf(guest: Guest): ReplicaMove | undefined {
    return nativeRootOf(this.#state, guest)?.value.move
  }

  /** A native root is sent while its guest runs, which is stopped for what is written last. */
  #mustWaitForRoot(guest: Guest): boolean {
    const root = nativeRootOf(this.#state, guest)?.value
    if (!root || root.move) return root?.move !== undefined && !root.move.near
    const pauseMs = guest.moveTo === undefined ? pauseAfter(root.failedMove, this.#wallMs) : 0
    if (pauseMs > 0) this.againInMs = Math.min(this.againInMs ?? Infinity, pauseMs)
    return pauseMs > 0
  }

  #isAskedToMove(guest: Guest, grant: Grant): boolean {
    return guest.moveTo !== undefined && guest.moveTo !== grant.host
  }
}

function movesLive({ moveHow }: Guest): boolean {
  return moveHow === 'live' || moveHow === 'post-copy'
}

/** A nearer disk alone is no reason to interrupt a guest; a wish of a rule is. */
const WISH_GAIN_MIN = 10

function recall(guest: Guest, grant: Grant, reason: string, movesTo?: HostId): Recall {
  const target = movesTo === undefined ? {} : { movesTo }
  return { kind: 'recall', guest, grant: { ...grant, state: 'recalled', reason, ...target } }
}

/**
 * The coordinator's decision: pure and deterministic. Given all that the store says and what the heartbeats say,
 * it returns the actions that bring the cluster nearer to what the administrators want. It is asked again after
 * every change; each answer stands alone, so a lost, repeated or refused action harms nothing.
 */
import type { Decision } from '../model/decision.ts'
import type { ClusterState, Versioned } from '../model/cluster.ts'
import type { Grant } from '../model/grant.ts'
import type { Guest } from '../model/guest.ts'
import type { HostId } from '../model/ids.ts'
import { isActive, volumesOf } from '../model/records.ts'
import { operationOutcome } from './operations.ts'
import type { Action, Plan, PlannedAction } from './plan.ts'
import { place } from './placement.ts'
import { planServing, type ServingPlan } from './serving.ts'

export type Verdict = 'heard' | 'silent-here' | 'suspected'

export interface CoordinatorInput {
  readonly state: ClusterState
  readonly self: HostId
  readonly verdicts: ReadonlyMap<HostId, Verdict>
  /** The boot id that each heard host reports in its heartbeats. */
  readonly bootIds: ReadonlyMap<HostId, string>
  readonly wallMs: number
  /** Guests that must not be tried again yet, with the remaining time (see `RestartPacer`). */
  readonly pausedRetries: ReadonlyMap<string, number>
}

/** Guests that are moved off a draining host at the same time. */
const RECALLS_AT_ONCE = 2
/** Failed runs in a row after which the guest is left in `error` until somebody acts. */
export const FAILURES_MAX = 6
/** Failed runs in a row on one host after which another host is tried. */
const FAILURES_BEFORE_RELOCATION = 2

export function decide(input: CoordinatorInput): Plan {
  const actions: PlannedAction[] = [...judgeHosts(input)]
  const lostNow = new Set(
    actions.flatMap(({ action }) =>
      action.kind === 'host-status' && action.status.state === 'lost' ? [action.host] : [],
    ),
  )
  const round = new Round(input, lostNow)
  for (const guest of [...input.state.guests.values()].toSorted((a, b) => a.value.createdAt - b.value.createdAt))
    round.consider(guest)
  actions.push(...round.actions, ...finishOperations(input))
  return { actions, ...(round.againInMs === undefined ? {} : { againInMs: round.againInMs }) }
}

function* judgeHosts({ state, self, verdicts, bootIds, wallMs }: CoordinatorInput): Generator<PlannedAction> {
  for (const { value: host } of state.hosts.values()) {
    const status = state.statuses.get(host.id)?.value
    const verdict = host.id === self ? 'heard' : verdicts.get(host.id)
    const subject = `host/${host.id}`
    if (verdict === 'suspected' && status?.state !== 'lost') {
      const reason = 'a majority of hosts hears nothing of it on any network'
      yield {
        action: {
          kind: 'host-status',
          host: host.id,
          status: { state: 'lost', bootId: status?.bootId ?? host.bootId, since: wallMs, reason },
        },
        events: [{ kind: 'host.lost', subject, message: `${host.id} is lost: ${reason}` }],
      }
    } else if (verdict === 'heard') {
      const bootId = bootIds.get(host.id)
      // Shortly after its own start an observer calls everybody heard; without a heartbeat that proves nothing.
      if (!bootId) continue
      if (status?.state === 'online' && status.bootId === bootId) continue
      yield {
        action: {
          kind: 'host-status',
          host: host.id,
          status: { state: 'online', bootId, since: wallMs, reason: 'its heartbeats arrive' },
        },
        events: [{ kind: 'host.online', subject, message: `${host.id} is online` }],
      }
    }
  }
}

class Round {
  readonly actions: PlannedAction[] = []
  againInMs: number | undefined
  readonly #input: CoordinatorInput
  readonly #lostNow: ReadonlySet<HostId>
  readonly #promised = new Map<HostId, number>()

  constructor(input: CoordinatorInput, lostNow: ReadonlySet<HostId>) {
    this.#input = input
    this.#lostNow = lostNow
  }

  consider({ value: guest }: Versioned<Guest>): void {
    const { state } = this.#input
    const grant = state.grants.get(guest.id)?.value
    const hostIsLost = isActive(grant) && this.#isLost(grant)
    if (guest.deleting) {
      if (!isActive(grant) || hostIsLost) this.#erase(guest)
      return
    }
    if (guest.desired === 'stopped') {
      if (hostIsLost && guest.ha !== 'ignored') this.#releaseLost(guest, grant)
      return
    }
    if (isActive(grant) && !hostIsLost) {
      this.#considerDraining(guest, grant)
      return
    }
    // `ignored` means hands off: a guest on a lost host stays as it is until the administrator acts.
    if (guest.ha === 'ignored' && hostIsLost) return
    this.#run(guest, grant)
  }

  #isLost(grant: Grant): boolean {
    return this.#lostNow.has(grant.host) || this.#input.state.statuses.get(grant.host)?.value.state === 'lost'
  }

  #usable = (host: HostId): boolean =>
    !this.#lostNow.has(host) &&
    this.#input.state.statuses.get(host)?.value.state === 'online' &&
    (host === this.#input.self || this.#input.verdicts.get(host) === 'heard')

  #run(guest: Guest, previous: Grant | undefined): void {
    const { state, wallMs, pausedRetries } = this.#input
    const volumes = volumesOf(state, guest)
    if (!volumes || !volumes.every((volume) => volume.value.ready)) return
    const failures = failuresOf(state, guest)
    const recovering = previous !== undefined && isActive(previous)
    if (!recovering && failures >= FAILURES_MAX) return
    const waitMs = pausedRetries.get(guest.id)
    if (!recovering && waitMs !== undefined && waitMs > 0) {
      this.againInMs = Math.min(this.againInMs ?? Infinity, waitMs)
      return
    }
    const acceptLossOf =
      guest.acceptDataLoss?.atEpoch === (previous?.epoch ?? 0) ? guest.acceptDataLoss.host : undefined
    // The source of an unclean volume must be known before the host is chosen, and prefers the chosen host: so the
    // host is placed by where current replicas are, and the volumes are planned for it.
    const { chosen, candidates } = place({
      state,
      guest,
      volumes: volumes.map((volume) => volume.value),
      usable: this.#usable,
      serving: (volume) =>
        volume.replicas
          .filter(
            (replica) => this.#usable(replica.host) && (replica.state === 'in-sync' || replica.host === acceptLossOf),
          )
          .map((replica) => replica.host),
      failedOn: new Set(previous && failures >= FAILURES_BEFORE_RELOCATION ? [previous.host] : []),
      promisedBytes: (host) => this.#promised.get(host) ?? 0,
    })
    const facts = factsOf(previous, recovering, this.#input)
    const epoch = (previous?.epoch ?? 0) + 1
    const plans = volumes.map((volume) =>
      planServing(volume.value, previous, this.#usable, chosen, wallMs, acceptLossOf),
    )
    const decision = (action: Decision['action'], outcome: string, more: readonly string[] = []): Decision => ({
      guest: guest.name,
      action,
      outcome,
      epoch: action === 'wait' ? (previous?.epoch ?? 0) : epoch,
      decidedAt: wallMs,
      coordinator: this.#input.self,
      facts: [...facts, ...more],
      candidates,
    })
    const waiting = plans.filter((plan) => plan.kind === 'wait')
    if (waiting.length > 0) return this.#wait(guest, decision('wait', explainWait(waiting)))
    if (!chosen) return this.#wait(guest, decision('wait', 'no host can take it now'))
    const serving = plans.filter((plan) => plan.kind === 'serve')
    const action = recovering ? 'recover' : failures > 0 ? 'restart' : 'start'
    const why = recovering ? `${previous.host} is lost` : failures > 0 ? 'its last run failed' : 'it is to run'
    const grant: Grant = {
      guest: guest.id,
      epoch,
      host: chosen,
      state: 'held',
      clean: false,
      grantedAt: wallMs,
      reason: why,
    }
    this.#promised.set(chosen, (this.#promised.get(chosen) ?? 0) + guest.memoryBytes)
    this.#push(
      {
        kind: 'grant',
        guest,
        grant,
        volumes: serving.map((plan) => plan.volume),
        decision: decision(
          action,
          `run on ${chosen} at epoch ${epoch}, since ${why}`,
          serving.flatMap((plan) => plan.facts),
        ),
        ...(acceptLossOf === undefined ? {} : { acceptedLoss: acceptLossOf }),
      },
      {
        kind: 'grant.committed',
        subject: `guest/${guest.name}`,
        message: `${guest.name} is granted to ${chosen} at epoch ${epoch}: ${why}`,
        details: { host: chosen, epoch },
      },
      ...(acceptLossOf === undefined
        ? []
        : [
            {
              kind: 'data-loss.accepted' as const,
              subject: `guest/${guest.name}`,
              message: `${guest.name} starts from the stale copy on ${acceptLossOf}; newer writes are given up`,
            },
          ]),
    )
  }

  #wait(guest: Guest, decision: Decision): void {
    const known = this.#input.state.decisions.get(guest.id)?.value
    if (known?.action === 'wait' && known.outcome === decision.outcome) return
    this.#push(
      { kind: 'explain', guest: guest.id, decision },
      { kind: 'guest.waiting', subject: `guest/${guest.name}`, message: `${guest.name} waits: ${decision.outcome}` },
    )
  }

  #considerDraining(guest: Guest, grant: Grant): void {
    const { state } = this.#input
    if (grant.state !== 'held' || !state.policies.get(grant.host)?.value.maintenance) return
    const recalled =
      [...state.grants.values()].filter(({ value }) => value.state === 'recalled').length +
      this.actions.filter(({ action }) => action.kind === 'recall').length
    if (recalled >= RECALLS_AT_ONCE) return
    const volumes = volumesOf(state, guest)?.map((volume) => volume.value) ?? []
    const { chosen } = place({
      state,
      guest,
      volumes,
      usable: this.#usable,
      serving: (volume) =>
        volume.replicas.filter((replica) => replica.state === 'in-sync').map((replica) => replica.host),
      failedOn: new Set(),
      promisedBytes: (host) => this.#promised.get(host) ?? 0,
    })
    // Stopping a guest that no other host can take would only make it worse; the drain says that it waits.
    if (!chosen) return
    this.#promised.set(chosen, (this.#promised.get(chosen) ?? 0) + guest.memoryBytes)
    this.#push({
      kind: 'recall',
      guest,
      grant: { ...grant, state: 'recalled', reason: `${grant.host} is being drained` },
    })
  }

  #releaseLost(guest: Guest, grant: Grant): void {
    this.#push(
      {
        kind: 'release-lost',
        guest,
        grant: { ...grant, state: 'released', clean: false, reason: `${grant.host} is lost` },
      },
      {
        kind: 'grant.released',
        subject: `guest/${guest.name}`,
        message: `${guest.name} is stopped: ${grant.host}, where it ran, is lost`,
        details: { epoch: grant.epoch },
      },
    )
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

function failuresOf(state: ClusterState, guest: Guest): number {
  return state.observations.get(guest.id)?.value.failures ?? 0
}

function factsOf(previous: Grant | undefined, recovering: boolean, { state, verdicts }: CoordinatorInput): string[] {
  const facts: string[] = []
  if (!previous) facts.push('it never ran before')
  else if (recovering)
    facts.push(`it was granted to ${previous.host} at epoch ${previous.epoch}, and ${previous.host} is lost`)
  else
    facts.push(
      `its run at epoch ${previous.epoch} on ${previous.host} ended ${previous.clean ? 'in order' : 'without a last flush'}`,
    )
  for (const { value: host } of state.hosts.values()) {
    const status = state.statuses.get(host.id)?.value
    if (status?.state === 'lost') facts.push(`${host.id} is lost: ${status.reason}`)
    else if (verdicts.get(host.id) === 'silent-here') facts.push(`${host.id} is not heard here, but others hear it`)
  }
  return facts
}

function explainWait(plans: readonly ServingPlan[]): string {
  const hosts = new Set<string>()
  const copies: string[] = []
  for (const plan of plans) {
    if (plan.kind !== 'wait') continue
    for (const host of plan.forHosts) hosts.add(host)
    for (const copy of plan.staleCopies)
      copies.push(
        `${copy.host} has a copy that stopped at epoch ${copy.sinceEpoch}, ${new Date(copy.since).toISOString()}`,
      )
  }
  const stale = copies.length > 0 ? `; ${copies.join('; ')}` : '; there is no other copy'
  return `the only current copy of its data is on ${[...hosts].join(' and ')}, which is down${stale}`
}

function* finishOperations({ state, wallMs }: CoordinatorInput): Generator<PlannedAction> {
  for (const { value: operation } of state.operations.values()) {
    if (operation.state === 'succeeded' || operation.state === 'failed') continue
    const outcome = operationOutcome(operation, state)
    if (outcome.state !== 'succeeded' && outcome.state !== 'failed') continue
    yield { action: { kind: 'finish-operation', operation: { ...outcome, finishedAt: wallMs } }, events: [] }
  }
}

/** What a user's word about one guest changes in the records. */
import type { SetGuest } from '@stead/api/endpoints/guests.ts'
import { failure } from '@stead/core/errors.ts'
import { problemOf } from '@stead/core/ha/planning-problem.ts'
import { planServing } from '@stead/core/ha/serving.ts'
import type { ClusterState, Versioned } from '@stead/core/model/cluster.ts'
import type { Guest } from '@stead/core/model/guest.ts'
import type { HostId } from '@stead/core/model/ids.ts'
import { KEYS } from '@stead/core/model/keys.ts'
import { isActive, volumesOf } from '@stead/core/model/records.ts'
import { sentenceOf } from '@stead/core/planning/objection.ts'
import { placeGuests } from '@stead/core/planning/place.ts'
import type { Write } from '@stead/core/ports/store.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import type { Change } from './change.ts'

export function startChange(state: ClusterState, known: Versioned<Guest>, acceptDataLoss: boolean): Result<Change> {
  const { value: guest } = known
  if (guest.deleting) return fail(failure('conflict', `${guest.name} is being deleted`))
  const { forceStop: _forceStop, acceptDataLoss: _old, ...rest } = guest
  let next: Guest = {
    ...rest,
    forceStop: false,
    desired: 'running',
    ha: guest.ha === 'ignored' ? 'ignored' : 'started',
  }
  if (acceptDataLoss) {
    const copy = freshestStaleCopy(state, guest)
    if (!copy.ok) return copy
    next = { ...next, acceptDataLoss: { host: copy.value, atEpoch: state.grants.get(guest.id)?.value.epoch ?? 0 } }
  }
  const writes: Write[] = [put(next)]
  // A user's start forgets earlier failures; what a running guest reports of itself is left alone.
  if (!isActive(state.grants.get(guest.id)?.value)) writes.push({ kind: 'delete', key: KEYS.observation(guest.id) })
  return ok(change('vm.start', known, writes))
}

export function stopChange(known: Versioned<Guest>, force: boolean, timeoutMs: number | undefined): Change {
  const { value: guest } = known
  const { shutdownTimeoutMs: _old, ...rest } = guest
  const next: Guest = {
    ...rest,
    desired: 'stopped',
    forceStop: force,
    ha: guest.ha === 'ignored' ? 'ignored' : 'stopped',
    ...(timeoutMs === undefined ? {} : { shutdownTimeoutMs: timeoutMs }),
  }
  return change('vm.stop', known, [put(next)])
}

export function deleteChange(known: Versioned<Guest>): Result<Change> {
  return ok(change('vm.delete', known, [put({ ...known.value, desired: 'stopped', forceStop: true, deleting: true })]))
}

/** Settings that a user may change at any time; `memoryBytes` and `cpus` only while the guest is stopped. */
export type GuestSettings = Omit<SetGuest, 'acceptBreach'>

export function setChange(state: ClusterState, known: Versioned<Guest>, body: GuestSettings): Result<Change> {
  const { value: guest } = known
  if (guest.deleting) return fail(failure('conflict', `${guest.name} is being deleted`))
  const { ha, memoryBytes, cpus } = body
  const settings = Object.fromEntries(
    SETTINGS.flatMap((name) => (body[name] === undefined ? [] : [[name, body[name]]])),
  )
  if (Object.keys(settings).length === 0 && ha === undefined)
    return fail(failure('bad_request', 'Nothing is to be changed', { hint: 'Give at least one setting' }))
  const runs = isActive(state.grants.get(guest.id)?.value)
  if ((memoryBytes !== undefined || cpus !== undefined) && (runs || guest.desired === 'running'))
    return fail(
      failure('conflict', `${guest.name} must be stopped before its memory or processors are changed`, {
        hint: `\`stead vm stop ${guest.name}\` first`,
      }),
    )
  const desired = ha === undefined || ha === 'ignored' ? guest.desired : ha === 'started' ? 'running' : 'stopped'
  const kind = desired === guest.desired ? 'vm.set' : desired === 'running' ? 'vm.start' : 'vm.stop'
  const next: Guest = {
    ...guest,
    ...settings,
    ...(ha === undefined ? {} : { ha, desired, forceStop: false }),
  }
  const writes: Write[] = [put(next)]
  if (ha !== undefined && desired === 'running' && !runs)
    writes.push({ kind: 'delete', key: KEYS.observation(guest.id) })
  return ok(change(kind, known, writes))
}

const SETTINGS = ['priority', 'maxRestart', 'maxRelocate', 'failback', 'memoryBytes', 'cpus'] as const

/**
 * A guest that runs is asked to move, if the planner lets it run there; one that does not starts there next. The host
 * is kept as its preference, so that a rule's wish does not call it back at once.
 */
export function relocateChange(
  state: ClusterState,
  known: Versioned<Guest>,
  to: HostId,
  isUp: (host: HostId) => boolean,
): Result<Change> {
  const { value: guest } = known
  if (guest.deleting) return fail(failure('conflict', `${guest.name} is being deleted`))
  const grant = state.grants.get(guest.id)?.value
  if (guest.desired === 'stopped' && !isActive(grant))
    return ok(change('vm.set', known, [put({ ...guest, preferredHost: to })]))
  if (isActive(grant) && grant.host === to && guest.moveTo === undefined)
    return fail(failure('conflict', `${guest.name} is on ${to} already`, { hint: 'Name another host' }))
  if (guest.desired === 'stopped' || (isActive(grant) && grant.state === 'recalled'))
    return fail(failure('conflict', `${guest.name} is being stopped`, { hint: 'Wait until it has stopped' }))
  if (isActive(grant) && !isUp(grant.host))
    return fail(
      failure('conflict', `${guest.name} cannot be moved off ${grant.host}, which is not online`, {
        hint: 'It is recovered by itself once the host is recorded lost',
      }),
    )
  const next: Guest = { ...guest, moveTo: to, preferredHost: to }
  const objection = moveTargets(state, guest, isUp).find(({ host }) => host === to)
  if (objection?.reason)
    return fail(
      failure('conflict', `${guest.name} cannot move to ${to}: ${objection.reason}`, {
        hint: `\`stead vm move-targets ${guest.name}\` says where it can`,
      }),
    )
  return ok(change('vm.relocate', known, [put(next)]))
}

export interface MoveTarget {
  readonly host: HostId
  /** Why it can't go there; empty when it can. */
  readonly reason: string
  readonly merits: readonly string[]
}

/** Every host judged for the guest as the coordinator would, the best first. */
export function moveTargets(state: ClusterState, guest: Guest, isUp: (host: HostId) => boolean): MoveTarget[] {
  const { moveTo: _asked, ...free } = guest
  const changed = new Map([[guest.id, free]])
  const placement = placeGuests(problemOf({ state, isUp, needing: new Set([guest.id]), changed }))
  return placement.judge(guest.id).map(({ host, objection, merits }) => ({
    host,
    reason: objection === undefined ? '' : sentenceOf(objection),
    merits,
  }))
}

function freshestStaleCopy(state: ClusterState, guest: Guest): Result<HostId> {
  const usable = (host: HostId) => state.statuses.get(host)?.value.state === 'online'
  const previous = state.grants.get(guest.id)?.value
  for (const { value: volume } of volumesOf(state, guest) ?? []) {
    const plan = planServing(volume, previous, usable, undefined, 0)
    if (plan.kind === 'serve') continue
    const copy = plan.staleCopies[0]
    if (!copy)
      return fail(
        failure('waits_for_host', `No copy of ${volume.name} can be reached, not even a stale one`, {
          hint: `Bring ${plan.forHosts.join(' or ')} back`,
        }),
      )
    return ok(copy.host)
  }
  return fail(
    failure('conflict', `${guest.name} has a current copy that can be reached; nothing needs to be lost`, {
      hint: 'Start it without --accept-data-loss',
    }),
  )
}

function change(kind: string, { value: guest, revision }: Versioned<Guest>, writes: readonly Write[]): Change {
  return {
    kind,
    subject: `guest/${guest.id}`,
    compares: [{ key: KEYS.guest(guest.id), modRevision: revision }],
    writes,
    events: [],
  }
}

function put(guest: Guest): Write {
  return { kind: 'put', key: KEYS.guest(guest.id), value: JSON.stringify(guest) }
}

/** What a user's word about one guest changes in the records. */
import type { SetGuest } from '@stead/api/endpoints/guests.ts'
import { failure } from '@stead/core/errors.ts'
import { moveTargets, objectionToLiveMoveOf, objectionToMove } from '@stead/core/ha/move-request.ts'
import { planServing } from '@stead/core/ha/serving.ts'
import type { ClusterState, Versioned } from '@stead/core/model/cluster.ts'
import type { Guest } from '@stead/core/model/guest.ts'
import type { HostId } from '@stead/core/model/ids.ts'
import { KEYS } from '@stead/core/model/keys.ts'
import type { GuestPlatform, WatchdogAction } from '@stead/core/model/platform.ts'
import { isActive, volumesOf } from '@stead/core/model/records.ts'
import type { Write } from '@stead/core/ports/store.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import type { Change } from './change.ts'
import { changedContainer } from './container-settings.ts'
import { hasSize, lackOfRoom, resized } from './guest-size.ts'
import { lifecycleSettings, objectionTo } from './lifecycle-settings.ts'
import { rootCopyChange, rootMoveChange } from './root-copy-changes.ts'

export function startChange(state: ClusterState, known: Versioned<Guest>, acceptDataLoss: boolean): Result<Change> {
  const { value: guest } = known
  if (guest.deleting) return fail(failure('conflict', `${guest.name} is being deleted`))
  if (guest.template) return fail(isTemplate(guest))
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

function isTemplate({ name }: Guest) {
  return failure('conflict', `${name} is a template and is never started`, {
    hint: `Clone it: \`stead vm clone ${name} NEW\``,
  })
}

export function stopChange(known: Versioned<Guest>, force: boolean, timeoutMs: number | undefined): Result<Change> {
  const { value: guest } = known
  const refused = objectionTo(guest, 'stop')
  if (refused) return fail(refused)
  const { shutdownTimeoutMs: _old, ...rest } = guest
  const next: Guest = {
    ...rest,
    desired: 'stopped',
    forceStop: force,
    ha: guest.ha === 'ignored' ? 'ignored' : 'stopped',
    ...(timeoutMs === undefined ? {} : { shutdownTimeoutMs: timeoutMs }),
  }
  return ok(change('vm.stop', known, [put(next)]))
}

export function restartChange(state: ClusterState, known: Versioned<Guest>): Result<Change> {
  const { value: guest } = known
  const refused = objectionTo(guest, 'stop')
  if (refused) return fail(refused)
  const grant = state.grants.get(guest.id)?.value
  if (!isActive(grant) || grant.state !== 'held' || guest.desired !== 'running')
    return fail(
      failure('conflict', `${guest.name} does not run`, {
        hint: `\`stead ${guest.kind} start ${guest.name}\` starts it`,
      }),
    )
  if (grant.handover) return fail(failure('conflict', `${guest.name} is being moved to ${grant.handover.to}`))
  return ok(change('vm.restart', known, [put({ ...guest, restartEpoch: grant.epoch })]))
}

export function deleteChange(known: Versioned<Guest>): Result<Change> {
  const refused = objectionTo(known.value, 'delete')
  if (refused) return fail(refused)
  return ok(change('vm.delete', known, [put({ ...known.value, desired: 'stopped', forceStop: true, deleting: true })]))
}

/** Settings that a user may change at any time; those of `STOPPED_ONLY` only while the guest is stopped. */
export type GuestSettings = Omit<SetGuest, 'acceptBreach'>

export function setChange(
  state: ClusterState,
  known: Versioned<Guest>,
  body: GuestSettings,
  isUp: (host: HostId) => boolean,
  nowMs: number,
): Result<Change> {
  const { value: guest } = known
  if (guest.deleting) return fail(failure('conflict', `${guest.name} is being deleted`))
  if (guest.template && body.ha === 'started') return fail(isTemplate(guest))
  const { ha, watchdog, rootCopy } = body
  const lifecycle = lifecycleSettings(body)
  const settings = Object.fromEntries(
    SETTINGS.flatMap((name) => (body[name] === undefined ? [] : [[name, body[name]]])),
  )
  const contained = body.container ? changedContainer(state, guest, body.container) : ok(guest)
  if (!contained.ok) return contained
  const isEmpty = Object.keys(settings).length === 0 && Object.keys(lifecycle).length === 0 && !body.container
  if (isEmpty && ha === undefined && watchdog === undefined && rootCopy === undefined && !hasSize(body))
    return fail(failure('bad_request', 'Nothing is to be changed', { hint: 'Give at least one setting' }))
  const runs = isActive(state.grants.get(guest.id)?.value)
  if (STOPPED_ONLY.some((name) => body[name] !== undefined) && (runs || guest.desired === 'running'))
    return fail(
      failure('conflict', `${guest.name} must be stopped before its display or watchdog are changed`, {
        hint: `\`stead vm stop ${guest.name}\` first`,
      }),
    )
  const sized = resized(contained.value, body, runs || guest.desired === 'running')
  if (!sized.ok) return sized
  const desired = ha === undefined || ha === 'ignored' ? guest.desired : ha === 'started' ? 'running' : 'stopped'
  const kind = desired === guest.desired ? 'vm.set' : desired === 'running' ? 'vm.start' : 'vm.stop'
  const refused = desired === 'stopped' && guest.desired === 'running' ? objectionTo(guest, 'stop') : undefined
  if (refused) return fail(refused)
  const copied = rootCopy ? rootCopyChange(state, guest, rootCopy, { isUp, nowMs }) : ok(undefined)
  if (!copied.ok) return copied
  const { rootCopy: kept, ...rest } = sized.value
  const policy = rootCopy === undefined ? kept : copied.value?.policy
  const next: Guest = {
    ...rest,
    ...(policy ? { rootCopy: policy } : {}),
    ...settings,
    ...(Object.keys(lifecycle).length === 0 ? {} : { lifecycle: { ...guest.lifecycle, ...lifecycle } }),
    ...(watchdog === undefined ? {} : { platform: withWatchdog(guest.platform, watchdog) }),
    ...(ha === undefined ? {} : { ha, desired, forceStop: false }),
  }
  const roomless = runs ? lackOfRoom(state, next, isUp) : undefined
  if (roomless) return fail(roomless)
  const writes: Write[] = [put(next), ...(copied.value?.writes ?? [])]
  if (ha !== undefined && desired === 'running' && !runs)
    writes.push({ kind: 'delete', key: KEYS.observation(guest.id) })
  const made = change(kind, known, writes)
  return ok({ ...made, compares: [...made.compares, ...(copied.value?.compares ?? [])] })
}

const STOPPED_ONLY = ['display', 'watchdog'] as const
const SETTINGS = ['priority', 'maxRestart', 'maxRelocate', 'failback', 'agent', 'display'] as const
function withWatchdog(platform: GuestPlatform = {}, watchdog: WatchdogAction | null): GuestPlatform {
  const { watchdog: _old, ...rest } = platform
  return watchdog === null ? rest : { ...rest, watchdog }
}

/**
 * A guest that runs is asked to move, if the planner lets it run there; one that does not starts there next. The host
 * is kept as its preference, so that a rule's wish does not call it back at once.
 */
export function relocateChange(
  state: ClusterState,
  known: Versioned<Guest>,
  to: HostId,
  isUp: (host: HostId) => boolean,
  nowMs: number,
): Result<Change> {
  const { value: guest } = known
  const objection = objectionToMove(state, guest, to, isUp)
  if (objection) return fail(objection)
  const ofRoot = rootMoveChange(state, known, to, { isUp, nowMs })
  if (ofRoot) return ofRoot
  const runs = guest.desired === 'running' || isActive(state.grants.get(guest.id)?.value)
  if (!runs) return ok(change('vm.set', known, [put({ ...guest, preferredHost: to })]))
  const next: Guest = { ...guest, moveTo: to, moveHow: 'restart', preferredHost: to }
  return ok(change('vm.relocate', known, [put(next)]))
}

/** To `to`, or to the host that suits it best. It moves without a break, or stays where it is. */
export function migrateChange(
  state: ClusterState,
  known: Versioned<Guest>,
  to: HostId | undefined,
  isUp: (host: HostId) => boolean,
  postCopy: boolean,
): Result<Change> {
  const { value: guest } = known
  if (postCopy && guest.kind === 'ct')
    return fail(failure('bad_request', `${guest.name} is a container, whose memory moves while it stands still`))
  const target = to === undefined ? bestTarget(state, guest, isUp) : ok(to)
  if (!target.ok) return target
  const objection = objectionToLiveMoveOf(state, guest, target.value, isUp)
  if (objection) return fail(objection)
  const { cancelledHandover: _earlier, ...rest } = guest
  const next: Guest = {
    ...rest,
    moveTo: target.value,
    moveHow: postCopy ? 'post-copy' : 'live',
    preferredHost: target.value,
  }
  return ok(change('vm.migrate', known, [put(next)]))
}

export function cancelMigrationChange(state: ClusterState, known: Versioned<Guest>): Result<Change> {
  const { value: guest } = known
  const handover = state.grants.get(guest.id)?.value.handover
  if (!handover && guest.moveTo === undefined)
    return fail(failure('conflict', `${guest.name} is not being moved`, { hint: 'It stays where it is' }))
  const { moveTo: _to, moveHow: _how, ...rest } = guest
  return ok(
    change('vm.cancel-migration', known, [
      put({ ...rest, ...(handover ? { cancelledHandover: handover.epoch } : {}) }),
    ]),
  )
}

function bestTarget(state: ClusterState, guest: Guest, isUp: (host: HostId) => boolean): Result<HostId> {
  const at = state.grants.get(guest.id)?.value.host
  const best = moveTargets(state, guest, isUp, 'live').find(({ host, reason }) => reason === '' && host !== at)
  if (best) return ok(best.host)
  return fail(
    failure('conflict', `No other host can take ${guest.name} now`, {
      hint: `\`stead vm move-targets ${guest.name}\` says why`,
    }),
  )
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

export function change(kind: string, { value: guest, revision }: Versioned<Guest>, writes: readonly Write[]): Change {
  return {
    kind,
    subject: `guest/${guest.id}`,
    compares: [{ key: KEYS.guest(guest.id), modRevision: revision }],
    writes,
    events: [],
  }
}

export function put(guest: Guest): Write {
  return { kind: 'put', key: KEYS.guest(guest.id), value: JSON.stringify(guest) }
}

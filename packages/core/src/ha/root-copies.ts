/**
 * Copies of native roots: where they are to be, what is to be done next about them, and what the records say after each
 * step. Pure decisions; who takes the steps is `host/root-copier.ts`. docs/internals/native-roots.md
 */
import { failure, type Failure } from '../errors.ts'
import type { ClusterState } from '../model/cluster.ts'
import type { Guest } from '../model/guest.ts'
import type { HostId, VolumeId } from '../model/ids.ts'
import { inSync, isActive, promisedPoolBytes } from '../model/records.ts'
import { LATE_AFTER_INTERVALS, type RootCopy, type RootCopyPolicy } from '../model/root-copy.ts'
import type { Removal, ReplicaMove, Volume } from '../model/volume.ts'
import { fail, ok, type Result } from '../result.ts'
import { isDrained } from './drain.ts'

/** While its guest runs on, what is sent for a move is not older than this when the guest is stopped. */
const NEAR_FOR_MS = 30_000

export type RootStep =
  /** A copy that is wanted gets its place. */
  | { readonly kind: 'begin'; readonly copy: RootCopy }
  /** Nobody wants it any more. */
  | { readonly kind: 'end'; readonly copy: RootCopy }
  /** What the copy lacks is sent. `last`: its guest stands still for it, and goes on there. */
  | { readonly kind: 'send'; readonly copy: RootCopy; readonly last: boolean }
  /** The move comes to nothing. */
  | { readonly kind: 'stay'; readonly reason: string }

/** The one host that has the root itself. */
export function homeOf(volume: Volume | undefined): HostId | undefined {
  return volume && inSync(volume)[0]?.host
}

export function copyOn({ copies = [] }: Volume, host: HostId | undefined): RootCopy | undefined {
  return copies.find((copy) => copy.host === host)
}

export function isLostHost(state: ClusterState, host: HostId | undefined): boolean {
  return host !== undefined && state.statuses.get(host)?.value.state === 'lost'
}

/** What its home does next; undefined: nothing is due. */
export function nextRootStep(
  state: ClusterState,
  volume: Volume,
  isUp: (host: HostId) => boolean,
  nowMs: number,
): RootStep | undefined {
  const guest = state.guests.get(volume.guest)?.value
  if (!guest || guest.deleting || !volume.ready || volume.attachment !== undefined) return undefined
  const { move, copies = [] } = volume
  const runs = isActive(state.grants.get(guest.id)?.value)
  if (move?.to !== undefined) {
    if (runs && guest.moveTo !== move.to) return { kind: 'stay', reason: 'it was called off' }
    if (isLostHost(state, move.to)) return { kind: 'stay', reason: `${move.to} is lost` }
    if (move.forDrain && !move.near && !isDrained(state, move.from))
      return { kind: 'stay', reason: `${move.from} is not drained any more` }
  }
  const follower = guest.rootCopy && followerOf(state, volume, guest.rootCopy, isUp)
  const surplus = copies.find(({ host }) => host !== follower && host !== move?.to)
  if (surplus) return { kind: 'end', copy: surplus }
  const moving = copyOn(volume, move?.to)
  if (moving && isUp(moving.host) && isSendDueForMove(volume, moving, runs, nowMs))
    return { kind: 'send', copy: moving, last: !runs }
  if (!guest.rootCopy || follower === undefined) return undefined
  const copy = copyOn(volume, follower)
  if (copy)
    return isUp(follower) && isDue(guest.rootCopy, copy, nowMs) ? { kind: 'send', copy, last: false } : undefined
  const pool = poolForRoot(state, volume, follower, isUp)
  return pool.ok ? { kind: 'begin', copy: { host: follower, pool: pool.value, since: nowMs } } : undefined
}

function isSendDueForMove({ move }: Volume, { newest }: RootCopy, runs: boolean, nowMs: number): boolean {
  if (!runs || !move?.near || !newest) return true
  return nowMs - newest.at > NEAR_FOR_MS
}

function isDue({ everyMs }: RootCopyPolicy, { newest }: RootCopy, nowMs: number): boolean {
  // A clock that was set back must not keep it from being made.
  return newest === undefined || nowMs >= newest.at + everyMs || newest.at > nowMs + everyMs
}

/** The host of the copy that follows: the one that was named, unless that has the root itself; else one that has room. */
function followerOf(
  state: ClusterState,
  volume: Volume,
  { to }: RootCopyPolicy,
  isUp: (host: HostId) => boolean,
): HostId | undefined {
  const home = homeOf(volume)
  if (to !== undefined && to !== home) return to
  const present = (volume.copies ?? []).find(({ host }) => host !== home && host !== volume.move?.to)
  return present?.host ?? roomiestHost(state, volume, isUp)
}

function roomiestHost(state: ClusterState, volume: Volume, isUp: (host: HostId) => boolean): HostId | undefined {
  return [...state.hosts.values()]
    .map(({ value }) => value)
    .filter(({ id }) => id !== volume.move?.to && poolForRoot(state, volume, id, isUp).ok)
    .toSorted((a, b) => freeBytes(state, b.id) - freeBytes(state, a.id) || a.order - b.order)[0]?.id
}

function freeBytes(state: ClusterState, host: HostId): number {
  const pools = state.hosts.get(host)?.value.pools ?? []
  const free = pools.flatMap(({ name, capacityBytes, subvolumes }) =>
    subvolumes ? [capacityBytes - promisedPoolBytes(state, host, name)] : [],
  )
  return Math.max(0, ...free)
}

/** The pool that takes the root or a copy of it there, or why none can. */
export function poolForRoot(
  state: ClusterState,
  volume: Volume,
  to: HostId,
  isUp: (host: HostId) => boolean,
): Result<string> {
  const host = state.hosts.get(to)?.value
  if (!host) return fail(failure('not_found', `There is no host ${to}`, { hint: 'See `stead host list`' }))
  if (host.role === 'witness') return fail(refuse(`${to} is a witness and keeps no data`))
  if (homeOf(volume) === to) return fail(refuse(`the root itself is on ${to}`))
  if (!isUp(to)) return fail(refuse(`${to} is not online`))
  const present = copyOn(volume, to)
  if (present) return ok(present.pool)
  const isLeft =
    [...state.removals.values()].some(({ value }) => value.volume === volume.id && value.host === to) ||
    [...state.volumes.values()].some(({ value }) => value.takesOver === volume.id && value.replicas[0]?.host === to)
  if (isLeft) return fail(refuse(`an earlier root is still being put away on ${to}`, 'Try again in a moment'))
  const pools = host.pools.filter(({ subvolumes }) => subvolumes)
  if (pools.length === 0) return fail(refuse(`none of the pools of ${to} is on btrfs`))
  const free = (name: string, capacityBytes: number) => capacityBytes - promisedPoolBytes(state, to, name)
  const [best] = pools.toSorted((a, b) => free(b.name, b.capacityBytes) - free(a.name, a.capacityBytes))
  const room = best ? free(best.name, best.capacityBytes) : 0
  if (best && room >= volume.sizeBytes) return ok(best.name)
  return fail(failure('no_capacity', `${best?.name} on ${to} has ${Math.max(0, room)} bytes free`))
}

/** The copy that the policy asks for, or why there can be none. */
export function plannedCopy(
  state: ClusterState,
  volume: Volume,
  policy: RootCopyPolicy,
  isUp: (host: HostId) => boolean,
  nowMs: number,
): Result<RootCopy> {
  const host = followerOf(state, volume, policy, isUp)
  const present = copyOn(volume, host)
  if (present) return ok(present)
  if (host !== undefined) {
    const pool = poolForRoot(state, volume, host, isUp)
    return pool.ok
      ? ok({ host, pool: pool.value, since: nowMs })
      : fail({ ...pool.error, message: `No copy can be on ${host}: ${pool.error.message}` })
  }
  const why = [...state.hosts.keys()].map((id) => poolForRoot(state, volume, id, isUp))
  const reasons = why.flatMap((each) => (each.ok ? [] : [each.error.message])).join('; ')
  return fail(failure('no_capacity', `No other host can hold a copy: ${reasons}`))
}

/** Why the root cannot be moved now, wherever it is to go; undefined when it can. */
export function whyRootStays(state: ClusterState, volume: Volume): Failure | undefined {
  const name = state.guests.get(volume.guest)?.value.name ?? volume.guest
  if (volume.move) return refuse(`The root of ${name} is being moved to ${volume.move.to} already`)
  if (!volume.ready || volume.growTo !== undefined || homeOf(volume) === undefined)
    return refuse(`The root of ${name} is being changed`, 'Wait until that is done')
  const snapshots = [...state.snapshots.values()].filter(({ value }) => value.guest === volume.guest)
  return snapshots.length === 0
    ? undefined
    : refuse(
        `${name} has snapshots, which a native root does not take along: ${snapshots.map(({ value }) => value.name).join(', ')}`,
        `Delete them first: \`stead ct snapshot delete ${name} …\``,
      )
}

/** The record with the move begun, or why it cannot be. */
export function withRootMove(
  state: ClusterState,
  volume: Volume,
  to: HostId,
  isUp: (host: HostId) => boolean,
  nowMs: number,
  why: Pick<ReplicaMove, 'forDrain'> = {},
): Result<Volume> {
  const name = state.guests.get(volume.guest)?.value.name ?? volume.guest
  const from = homeOf(volume)
  const stays = whyRootStays(state, volume)
  if (stays || from === undefined) return fail(stays ?? refuse(`The root of ${name} is nowhere`))
  const pool = poolForRoot(state, volume, to, isUp)
  if (!pool.ok) return fail({ ...pool.error, message: `${name} cannot move to ${to}: ${pool.error.message}` })
  const copies = copyOn(volume, to)
    ? (volume.copies ?? [])
    : [...(volume.copies ?? []), { host: to, pool: pool.value, since: nowMs }]
  return ok({ ...volume, copies, move: { to, from, since: nowMs, ...why } })
}

/** The move has come to nothing: the root is where it was. */
export function withoutRootMove(
  { move, ...volume }: Volume,
  reason: string,
  keepsCopy: boolean,
  nowMs: number,
): { readonly volume: Volume; readonly removal?: Removal } {
  if (move?.to === undefined) return { volume }
  const failedMove = { to: move.to, reason, at: nowMs, times: (volume.failedMove?.times ?? 0) + 1 }
  const stays: Volume = { ...volume, failedMove }
  return keepsCopy ? { volume: stays } : withoutCopy(stays, move.to)
}

/** The copy is as the root was at that moment; nothing else has changed about it. */
export function withSent(
  volume: Volume,
  host: HostId,
  newest: NonNullable<RootCopy['newest']>,
  isNear: boolean,
): Volume {
  const { move } = volume
  const sent = withCopy(volume, host, (copy) => {
    const { trouble: _over, late: _late, ...rest } = copy
    return { ...rest, newest }
  })
  return isNear && move?.to === host ? { ...sent, move: { ...move, near: true } } : sent
}

export function withTrouble(volume: Volume, host: HostId, message: string, nowMs: number): Volume {
  return withCopy(volume, host, (copy) => ({
    ...copy,
    trouble: { message, since: copy.trouble?.since ?? nowMs },
  }))
}

export function withLate(volume: Volume, host: HostId): Volume {
  return withCopy(volume, host, (copy) => ({ ...copy, late: true }))
}

export function withoutCopy(volume: Volume, host: HostId): { readonly volume: Volume; readonly removal?: Removal } {
  const copy = copyOn(volume, host)
  if (!copy) return { volume }
  return { volume: leaving(volume, host), removal: { host, pool: copy.pool, volume: volume.id } }
}

/** The root is where its last copy was sent; what was the root until now is removed. */
export function withRootMoved(volume: Volume): { readonly volume: Volume; readonly removal: Removal } | undefined {
  const { move, failedMove: _over, ...rest } = volume
  const copy = copyOn(volume, move?.to)
  const [before] = inSync(volume)
  if (!copy?.newest || !before) return undefined
  const { host, pool } = copy
  const moved: Volume = { ...leaving(rest, host), replicas: [{ host, pool, state: 'in-sync' }] }
  return { volume: moved, removal: { host: before.host, pool: before.pool, volume: volume.id } }
}

/** `aside`: what the lost host has, as a volume of nobody's: nothing of it is ever started or overwritten. */
export function withRootFromCopy(
  volume: Volume,
  host: HostId,
  epoch: number,
): { readonly volume: Volume; readonly aside: Volume } | undefined {
  const { move: _calledOff, failedMove: _over, ...rest } = volume
  const copy = copyOn(volume, host)
  const [before] = inSync(volume)
  if (!copy?.newest || !before) return undefined
  const { id, guest, project, form, name, sizeBytes, syncPoint } = volume
  const aside: Volume = {
    ...{ id: asideId(id, epoch), guest, ...(project === undefined ? {} : { project }) },
    ...{ name: `${name}-left-on-${before.host}`, ...(form === undefined ? {} : { form }), sizeBytes, ready: true },
    replicas: [{ host: before.host, pool: before.pool, state: 'in-sync' }],
    ...{ syncPoint, attachment: 'detached', takesOver: id },
  }
  return { volume: { ...leaving(rest, host), replicas: [{ host, pool: copy.pool, state: 'in-sync' }] }, aside }
}

/** Of its kind, new, and the same whoever decides it: an epoch is given up once. */
function asideId(volume: VolumeId, epoch: number): VolumeId {
  const mark = `a51de${epoch.toString(16).padStart(7, '0')}`
  return `${volume.slice(0, Math.max(0, volume.length - mark.length))}${mark}` as VolumeId
}

/**
 * The host whose stale data the guest may be started from when nothing current can be reached: as an administrator has
 * said for this one time, or of a native root as its policy says, once the root's host is recorded lost.
 */
export function copyToStartFrom(
  state: ClusterState,
  guest: Guest,
  volume: Volume,
  isUsable: (host: HostId) => boolean,
): HostId | undefined {
  const epoch = state.grants.get(guest.id)?.value.epoch ?? 0
  if (guest.acceptDataLoss?.atEpoch === epoch) return guest.acceptDataLoss.host
  const mayStart = volume.form === 'subvolume' && guest.rootCopy?.onLoss === 'start-from-copy'
  if (!mayStart || !isLostHost(state, homeOf(volume))) return undefined
  return newestCopies(volume, isUsable)[0]?.host
}

export function newestCopies({ copies = [] }: Volume, isUsable: (host: HostId) => boolean): readonly RootCopy[] {
  return copies
    .filter(({ host, newest }) => newest !== undefined && isUsable(host))
    .toSorted((a, b) => (b.newest?.epoch ?? 0) - (a.newest?.epoch ?? 0) || (b.newest?.at ?? 0) - (a.newest?.at ?? 0))
}

export function isLate(policy: RootCopyPolicy, { newest, since }: RootCopy, nowMs: number): boolean {
  return nowMs - (newest?.at ?? since) > LATE_AFTER_INTERVALS * policy.everyMs
}

function withCopy(volume: Volume, host: HostId, change: (copy: RootCopy) => RootCopy): Volume {
  const copies = (volume.copies ?? []).map((copy) => (copy.host === host ? change(copy) : copy))
  return { ...volume, copies }
}

function leaving({ copies = [], ...volume }: Volume, host: HostId): Volume {
  const left = copies.filter((copy) => copy.host !== host)
  return left.length === 0 ? volume : { ...volume, copies: left }
}

function refuse(message: string, hint?: string): Failure {
  return failure('conflict', message, hint === undefined ? {} : { hint })
}

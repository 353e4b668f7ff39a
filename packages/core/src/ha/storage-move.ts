/**
 * Where a volume has its replicas may change while its guest runs: one comes, one goes, or one takes another one's place.
 * Pure decisions, each a step from one record to the next. Who takes which step, and why no crash between two of them
 * loses anything, is in docs/internals/storage-move.md.
 */
import { failure, type Failure } from '../errors.ts'
import type { ClusterState } from '../model/cluster.ts'
import type { Grant } from '../model/grant.ts'
import type { Guest } from '../model/guest.ts'
import type { HostId } from '../model/ids.ts'
import { inSync, isActive, isFillable, isWhole, promisedPoolBytes, replicaOn } from '../model/records.ts'
import type { SnapshotId } from '../model/snapshot.ts'
import type { Removal, Replica, ReplicaMove, Volume } from '../model/volume.ts'
import { fail, ok, type Result } from '../result.ts'
import { isOnlyOn } from './carried-snapshots.ts'
import type { Progress } from './hardware-operations.ts'

export const REPLICAS_MAX = 3

/** What a user asks for. Pools may be left out: the only replica's, and the roomiest. */
export interface MoveRequest {
  readonly from?: { readonly host: HostId; readonly pool?: string }
  readonly to?: { readonly host: HostId; readonly pool?: string }
}

/** The record with the move in it, or why it cannot be begun. Nothing is done before the record is committed. */
export function plannedMove(
  state: ClusterState,
  volume: Volume,
  { from, to }: MoveRequest,
  isUp: (host: HostId) => boolean,
  nowMs: number,
): Result<Volume> {
  const leaving = from && replicaOn(volume, from.host)
  const refusal =
    whyBound(volume) ??
    whyNotNow(state, volume) ??
    (from === undefined && to === undefined
      ? refuse('It is not said what is to change', 'Give --from, --to or both')
      : undefined) ??
    (from && (!leaving || (from.pool !== undefined && from.pool !== leaving.pool))
      ? refuse(
          `There is no replica on ${placeName(from)}`,
          `They are on ${volume.replicas.map(placeName).join(' and ')}`,
        )
      : undefined) ??
    (from && !to ? (whyNotWithout(volume, from.host, isUp) ?? whyKept(state, volume, from.host)) : undefined)
  if (refusal) return fail(refusal)
  if (!to) return ok({ ...volume, move: { from: from!.host, since: nowMs } })
  // From pool to pool of one host: it has one replica of the volume, which changes its place.
  const isWithin = leaving !== undefined && to.host === leaving.host
  if (isWithin && leaving.state !== 'in-sync')
    return fail(refuse(`The replica on ${leaving.host} is not in sync`, 'Wait until it is'))
  const pool = roomFor(state, volume, to, isUp, isWithin ? leaving.pool : undefined)
  if (!pool.ok) return pool
  if (!from && volume.replicas.length >= REPLICAS_MAX)
    return fail(
      refuse(`It has ${volume.replicas.length} replicas, as many as it may`, 'Say with --from which is to leave'),
    )
  const reason = 'it is being made'
  const incoming: Replica = {
    host: to.host,
    pool: pool.value,
    state: 'stale',
    stale: { sinceEpoch: 0, since: nowMs, reason, cause: 'unknown' },
    incoming: 'to-be-made',
  }
  const move: ReplicaMove = { to: to.host, ...(from ? { from: from.host } : {}), since: nowMs }
  if (isWithin) return ok({ ...volume, move: { ...move, incoming } })
  return ok({ ...volume, replicas: [...volume.replicas, incoming], move })
}

/** The new replica's file is there: from now on it is brought up to date like any stale one. */
export function withFileMade(volume: Volume, host: HostId, carried: readonly SnapshotId[] = []): Volume {
  const { move, ...made } = withIncoming(volume, host, 'being-filled')
  return move ? { ...made, move: { ...move, ...(carried.length > 0 ? { carried } : {}) } } : made
}

/** The file is made, and given the snapshots before anything else. */
export function withSnapshotsFirst(volume: Volume, host: HostId): Volume {
  return withIncoming(volume, host, 'taking-snapshots')
}

function withIncoming(volume: Volume, host: HostId, incoming: NonNullable<Replica['incoming']>): Volume {
  const change = (replica: Replica): Replica =>
    replica.host === host && !isFillable(replica) ? { ...replica, incoming } : replica
  const { move } = volume
  return {
    ...volume,
    replicas: volume.replicas.map(change),
    ...(move?.incoming ? { move: { ...move, incoming: change(move.incoming) } } : {}),
  }
}

/** The replica that this host is to make the file of. */
export function toBeMadeOn({ replicas, move }: Volume, host: HostId): Replica | undefined {
  return [...replicas, ...(move?.incoming ? [move.incoming] : [])].find(
    (replica) => replica.host === host && !isFillable(replica),
  )
}

export type ChangingVolume = Volume & { readonly move: ReplicaMove & { readonly incoming: Replica } }

/**
 * The other pool's replica can take its place as soon as it has the same: all replicas are current, so that the new one,
 * which keeps no record of earlier changes, is asked for none.
 */
export function canChangePool(volume: Volume): volume is ChangingVolume {
  const { incoming } = volume.move ?? {}
  return incoming !== undefined && incoming.incoming === 'being-filled' && volume.ready && isWhole(volume)
}

/** The new file is the replica from here on, and the old one counts for nothing. The guest stands still, or does not run. */
export function withPoolChanged(volume: Volume): Volume {
  if (!canChangePool(volume)) return volume
  const { incoming, ...move } = volume.move
  const { host, pool } = incoming
  const leaving = replicaOn(volume, host)
  if (!leaving) return volume
  return {
    ...volume,
    replicas: volume.replicas.map((replica) => (replica === leaving ? { host, pool, state: 'in-sync' } : replica)),
    move: { ...move, leaving: { host, pool: leaving.pool } },
  }
}

/**
 * Whether the next step is due: `leave`, the replica that is to go is taken out of the record; `finish`, nothing is left
 * to do but to remove its file. Undefined while there is something to wait for.
 */
export function dueStep(volume: Volume): 'leave' | 'finish' | undefined {
  const { move } = volume
  if (!move || !volume.ready) return undefined
  const { to, from, leaving, incoming } = move
  if (leaving) return 'finish'
  // `withPoolChanged` is its only step.
  if (incoming) return undefined
  const current = new Set(inSync(volume).map(({ host }) => host))
  if (to !== undefined && !current.has(to)) return undefined
  if (from === undefined || !replicaOn(volume, from)) return 'finish'
  current.delete(from)
  return current.size > 0 ? 'leave' : undefined
}

/**
 * The same for a guest that runs, which has these legs. Nothing is given up for a new replica that is current by the
 * record alone, and no file goes that is still written to.
 */
export function isStepDue(volume: Volume, hasLeg: (host: HostId) => boolean): boolean {
  const { to, from, leaving } = volume.move ?? {}
  switch (dueStep(volume)) {
    case 'leave':
      if (to !== undefined) return hasLeg(to)
      return inSync(volume).some(({ host }) => host !== from && hasLeg(host))
    case 'finish':
      // Another pool's file has taken its place: the disk was connected anew, to that one.
      return leaving === undefined || replicaOn(volume, leaving.host) !== undefined || !hasLeg(leaving.host)
    default:
      return false
  }
}

/** From here on the replica that goes counts for nothing. What is not due changes nothing. */
export function withoutLeaving(volume: Volume): Volume {
  const replica = volume.move?.from === undefined ? undefined : replicaOn(volume, volume.move.from)
  if (dueStep(volume) !== 'leave' || !volume.move || !replica) return volume
  const { host, pool } = replica
  return {
    ...volume,
    replicas: volume.replicas.filter((each) => each !== replica),
    move: { ...volume.move, leaving: { host, pool } },
  }
}

/** The move is over; `removal` is the file that nobody needs any more. What is not due changes nothing. */
export function withMoveFinished(volume: Volume): { readonly volume: Volume; readonly removal?: Removal } {
  if (dueStep(volume) !== 'finish') return { volume }
  const { move, ...rest } = volume
  return { volume: rest, ...(move?.leaving ? { removal: { ...move.leaving, volume: volume.id } } : {}) }
}

/** The new replica goes away again and nothing else changes. Refused while it is current: nothing current is given away. */
export function withoutMove(volume: Volume): Result<{ readonly volume: Volume; readonly removal?: Removal }> {
  const { move, ...rest } = volume
  if (!move) return fail(refuse('None of its replicas is being moved'))
  if (move.leaving) return fail(refuse(`The replica on ${move.leaving.host} has left already`, 'Move it back'))
  const incoming = move.incoming ?? (move.to === undefined ? undefined : replicaOn(volume, move.to))
  if (!incoming) return ok({ volume: rest })
  if (incoming.state === 'in-sync' || inSync(volume).length === 0)
    return fail(
      refuse(`The replica on ${incoming.host} is complete`, 'Wait until the move has ended, then move it back'),
    )
  const replicas = volume.replicas.filter((each) => each !== incoming)
  return ok({
    volume: { ...rest, replicas },
    removal: { host: incoming.host, pool: incoming.pool, volume: volume.id },
  })
}

/**
 * The old replica holds something of a snapshot that no other one does: one that was begun when the move was, or whose
 * only holder could not be asked. It stays until that is deleted.
 */
export function isKeptBySnapshots(state: ClusterState, volume: Volume): boolean {
  const isDue = dueStep(volume) === 'leave' || canChangePool(volume)
  return isDue && volume.move?.from !== undefined && whyKept(state, volume, volume.move.from) !== undefined
}

/** A replica of one of its disks comes or goes. Then no snapshot is begun. */
export function hasMovingReplica(state: ClusterState, guest: Guest): boolean {
  return guest.volumes.some((id) => state.volumes.get(id)?.value.move !== undefined)
}

/**
 * Who takes the next step while the guest does not run: the host that has the new replica, so that it is up and has its
 * data. After an unclean end nobody does: only the guest's next run makes its replicas equal.
 */
export function moverAtRest(volume: Volume, grant: Grant | undefined): HostId | undefined {
  if (grant && (grant.state !== 'released' || !grant.clean)) return undefined
  const { to, from } = volume.move ?? {}
  const current = inSync(volume).map(({ host }) => host)
  return current.find((host) => host === to) ?? (to === undefined ? current.find((host) => host !== from) : undefined)
}

/** How far it is, in words and from 0 to 1. */
export function moveProgress(state: ClusterState, volume: Volume): Progress {
  const { to, from, leaving } = volume.move ?? {}
  const incoming = volume.move?.incoming ?? (to === undefined ? undefined : replicaOn(volume, to))
  const running = (progress: number, message: string): Progress => ({ state: 'running', progress, message })
  if (!volume.move) return { state: 'succeeded', progress: 1, message: 'done' }
  if (volume.form === 'subvolume') return rootProgress(state, volume, to)
  const grant = state.grants.get(volume.guest)?.value
  if (grant?.state === 'released' && !grant.clean)
    return {
      state: 'waiting',
      progress: 0.5,
      message: 'it goes on when the guest runs again: its last run ended unclean',
    }
  if (isKeptBySnapshots(state, volume))
    return { state: 'waiting', progress: 0.9, message: `it goes on when the guest's snapshots are deleted` }
  if (leaving) return running(0.95, `the replica on ${placeName(leaving)} is removed`)
  if (incoming && incoming.state !== 'in-sync' && state.statuses.get(incoming.host)?.value.state === 'lost')
    return { state: 'waiting', progress: 0.5, message: `it goes on when ${incoming.host} is back` }
  if (incoming?.incoming === 'taking-snapshots')
    return running(0.2, `copying the snapshots to ${volume.move.incoming ? placeName(incoming) : incoming.host}`)
  if (incoming?.incoming === 'to-be-made') return running(0.1, `making a replica on ${incoming.host}`)
  if (volume.move.incoming && !isWhole(volume))
    return { state: 'waiting', progress: 0.4, message: 'it goes on when all replicas are in sync' }
  if (incoming && incoming.state !== 'in-sync')
    return running(0.4, `copying to ${volume.move.incoming ? placeName(incoming) : incoming.host}`)
  return running(0.9, from === undefined ? 'complete' : `the replica on ${from} leaves`)
}

function rootProgress(state: ClusterState, volume: Volume, to: HostId | undefined): Progress {
  const home = inSync(volume)[0]?.host
  if (home !== undefined && state.statuses.get(home)?.value.state === 'lost')
    return { state: 'waiting', progress: 0.3, message: `it goes on when ${home} is back` }
  const runs = isActive(state.grants.get(volume.guest)?.value)
  if (!runs) return { state: 'running', progress: 0.6, message: `sending the rest of its root to ${to}` }
  if (volume.move?.near) return { state: 'running', progress: 0.4, message: 'about to stop it' }
  return { state: 'running', progress: 0.2, message: `sending its root to ${to}, while it runs` }
}

function whyBound({ form, name }: Volume): Failure | undefined {
  if (form !== 'subvolume') return undefined
  return refuse(
    `${name} is a subvolume, which nothing mirrors: it moves with its container`,
    '`stead ct migrate NAME --to HOST`; for a root on a mirrored disk dump the container and restore it',
  )
}

function whyNotNow(state: ClusterState, volume: Volume): Failure | undefined {
  const guest = state.guests.get(volume.guest)?.value
  if (volume.move)
    return refuse('One of its replicas is being moved already', `\`stead volume show ${volume.id}\` says how far it is`)
  if (volume.growTo !== undefined) return refuse('It is being enlarged', 'Wait until that is done')
  if (!volume.ready) return refuse('It is not ready: it is being made or rolled back', 'Wait until that has ended')
  if (volume.attachment !== undefined)
    return refuse(`It is no part of a guest: ${volume.attachment}`, 'Give it to a guest first')
  if (!guest || guest.deleting) return refuse('Its guest is being deleted')
  const snapshot = [...state.snapshots.values()].find(
    ({ value }) => value.guest === guest.id && value.state !== 'ready',
  )
  return (
    snapshot && refuse(`The snapshot ${snapshot.value.name} of ${guest.name} is being made`, 'Wait until it is ready')
  )
}

function whyKept(state: ClusterState, volume: Volume, host: HostId): Failure | undefined {
  const kept = [...state.snapshots.values()].find(({ value }) => isOnlyOn(value, volume, host))?.value
  if (!kept) return undefined
  const name = state.guests.get(volume.guest)?.value.name ?? volume.guest
  return refuse(
    `Only the replica on ${host} holds the snapshot ${kept.name}`,
    `Give --to: it moves along. Or \`stead vm snapshot delete ${name} ${kept.name}\``,
  )
}

function whyNotWithout(volume: Volume, host: HostId, isUp: (host: HostId) => boolean): Failure | undefined {
  const others = inSync(volume).filter((replica) => replica.host !== host)
  if (others.some((replica) => isUp(replica.host))) return undefined
  return refuse(
    `The replica on ${host} is its only current one that can be reached`,
    'Give --to: a new one takes its place',
  )
}

function isRemovedFrom({ removals }: ClusterState, { id }: Volume, host: HostId): boolean {
  return [...removals.values()].some(({ value }) => value.volume === id && value.host === host)
}

/** The pool that takes the new replica. */
function roomFor(
  state: ClusterState,
  volume: Volume,
  to: { readonly host: HostId; readonly pool?: string },
  isUp: (host: HostId) => boolean,
  /** Of the replica on the same host whose place the new one takes. */
  presentPool?: string,
): Result<string> {
  const host = state.hosts.get(to.host)?.value
  if (!host) return fail(failure('not_found', `There is no host ${to.host}`, { hint: 'See `stead host list`' }))
  if (host.role !== 'compute') return fail(refuse(`${to.host} is a witness and keeps no data`, 'Name another host'))
  if (!isUp(to.host)) return fail(refuse(`${to.host} is not online`, 'Name another host, or wait until it is back'))
  if (presentPool === undefined && replicaOn(volume, to.host))
    return fail(
      refuse(
        `${to.host} has a replica of it already`,
        `To change its pool: \`--from ${to.host} --to ${to.host}/POOL\``,
      ),
    )
  if (presentPool !== undefined && to.pool === presentPool)
    return fail(refuse(`The replica on ${to.host} is in ${presentPool} already`, 'Name another pool'))
  if (isRemovedFrom(state, volume, to.host))
    return fail(refuse(`An earlier replica is still being removed from ${to.host}`, 'Try again in a moment'))
  const free = ({ name, capacityBytes }: { name: string; capacityBytes: number }) =>
    capacityBytes - promisedPoolBytes(state, to.host, name)
  const pools = host.pools.filter(({ name }) => name !== presentPool && (to.pool === undefined || name === to.pool))
  const [best] = pools.toSorted((a, b) => free(b) - free(a))
  if (!best)
    return fail(
      failure(
        'not_found',
        `${to.host} has no ${presentPool === undefined ? '' : 'other '}pool${to.pool === undefined ? '' : ` ${to.pool}`}`,
        {
          hint: `\`stead host show ${to.host}\` names its pools`,
        },
      ),
    )
  if (free(best) >= volume.sizeBytes) return ok(best.name)
  return fail(
    failure(
      'no_capacity',
      `${best.name} on ${to.host} has ${Math.max(0, free(best))} bytes free, and ${volume.sizeBytes} are needed`,
    ),
  )
}

const placeName = ({ host, pool }: { readonly host: HostId; readonly pool?: string }) =>
  pool === undefined ? host : `${host}/${pool}`

function refuse(message: string, hint?: string): Failure {
  return failure('conflict', message, hint === undefined ? {} : { hint })
}

/**
 * The storage side of a replica that comes or goes: its file is made by the host that is to hold it, and while the guest
 * does not run that host also takes the steps that follow. docs/internals/storage-move.md.
 */
import type { FailureCode } from '../errors.ts'
import { holderChanges, snapshotsToCarry } from '../ha/carried-snapshots.ts'
import {
  dueStep,
  isKeptBySnapshots,
  moverAtRest,
  toBeMadeOn,
  withFileMade,
  withMoveFinished,
  withoutLeaving,
  withoutMove,
  withSnapshotsFirst,
} from '../ha/storage-move.ts'
import type { ClusterState, Versioned } from '../model/cluster.ts'
import type { VolumeId } from '../model/ids.ts'
import { KEYS } from '../model/keys.ts'
import type { SnapshotId } from '../model/snapshot.ts'
import type { Removal, Replica, Volume } from '../model/volume.ts'
import type { Compare, Write } from '../ports/store.ts'
import { ok, type Result } from '../result.ts'
import { failedOperationWrites } from './ended-operations.ts'
import type { HostContext } from './host-context.ts'
import { carrySnapshots } from './snapshot-carrying.ts'
import { moveFinished, moveUndone } from './storage-events.ts'
import { replaceVolume } from './replace-volume.ts'

const RETRY_MS = 500
const NOTE_TRIES = 100
/** Answers that say nothing about whether the file can be made. */
const PASSING: ReadonlySet<FailureCode> = new Set(['host_unreachable', 'store_timeout', 'no_quorum'])

/** What is written with the record whose move ends, and what that relies on. */
export function movedChanges(state: ClusterState, before: Volume): ReturnType<typeof holderChanges> {
  const { writes, compares } = holderChanges(state, before)
  return { writes: [...removalWrite(withMoveFinished(before).removal), ...writes], compares }
}

export function removalWrite(removal: Removal | undefined): readonly Write[] {
  if (!removal) return []
  return [
    { kind: 'put', key: KEYS.removal(removal.host, removal.volume, removal.pool), value: JSON.stringify(removal) },
  ]
}

/** Of this host's own replica that is to be made. One for which there is no room goes away again, and the move with it. */
export async function makeIncoming(context: HostContext, id: VolumeId): Promise<void> {
  const { self, volumesOn, clock, log, mirror } = context
  const known = context.mirror.state.volumes.get(id)
  const own = known && toBeMadeOn(known.value, self)
  if (!known || !own) return
  const isTaking = own.incoming === 'taking-snapshots'
  if (!isTaking && snapshotsToCarry(mirror.state, known.value).length > 0)
    return void (await put(context, known, withSnapshotsFirst(known.value, self)))
  // What an earlier try, or an earlier agent, has left half made.
  const cleared = isTaking ? await volumesOn(self).removeReplica(id, own.pool) : ok()
  if (!cleared.ok) return clock.sleep(RETRY_MS)
  const { sizeBytes, content } = known.value
  // All of it is written anew. Blocks that are shared with an image stay shared.
  const shared = content?.linked ? content : undefined
  const made = await volumesOn(self).createReplica({ volume: id, pool: own.pool, sizeBytes }, shared)
  const carried = made.ok && isTaking ? await takeSnapshots(context, known.value, own) : made.ok ? ok([]) : made
  if (carried.ok) return noteMade(context, known, carried.value)
  const { error } = carried
  log.warn('a replica that is to be moved here could not be made', { volume: id, cause: error })
  // What keeps snapshots from being copied may pass, but not that they do not fit.
  if (PASSING.has(error.code) || (isTaking && error.code !== 'no_capacity')) return clock.sleep(RETRY_MS)
  const undone = withoutMove(known.value)
  if (!undone.ok) return clock.sleep(RETRY_MS)
  const { volume, removal } = undone.value
  const besides = [...removalWrite(removal), ...failedOperationWrites(context, `volume/${id}`, error)]
  if (await put(context, known, volume, besides))
    context.events.tell(moveUndone(volume, guestName(context, volume), error.message))
}

/** Ends when the move is called off. */
async function takeSnapshots(
  context: HostContext,
  volume: Volume,
  own: Replica,
): Promise<Result<readonly SnapshotId[]>> {
  const over = new AbortController()
  const off = context.mirror.onChange((state) => {
    const now = state.volumes.get(volume.id)?.value
    if (!now || now.move?.since !== volume.move?.since || !toBeMadeOn(now, context.self)) over.abort()
  })
  const carried = await carrySnapshots(context, volume, own, over.signal)
  off()
  return carried
}

/** What was copied is not copied again because something else has changed in the record meanwhile. */
async function noteMade(context: HostContext, asked: Versioned<Volume>, carried: readonly SnapshotId[]): Promise<void> {
  for (let tries = 0; tries < NOTE_TRIES; tries++) {
    const known = context.mirror.state.volumes.get(asked.value.id)
    if (!known || known.value.move?.since !== asked.value.move?.since) return
    if (await put(context, known, withFileMade(known.value, context.self, carried))) return
  }
}

/** The next step of a volume whose guest does not run, where it is this host's to take. */
export async function moveOnAtRest(context: HostContext, id: VolumeId): Promise<void> {
  const { mirror, self } = context
  const known = mirror.state.volumes.get(id)
  if (!known?.value.move) return
  const grant = mirror.state.grants.get(known.value.guest)
  if (moverAtRest(known.value, grant?.value) !== self) return
  const step = isKeptBySnapshots(mirror.state, known.value) ? undefined : dueStep(known.value)
  // Nobody may begin to run it meanwhile: a run takes its steps itself, with what it has open.
  const atRest = { key: KEYS.grant(known.value.guest), modRevision: grant?.revision ?? 0n }
  if (step === 'leave') await put(context, known, withoutLeaving(known.value), [], [atRest])
  if (step !== 'finish') return
  const { volume } = withMoveFinished(known.value)
  const { writes, compares } = movedChanges(mirror.state, known.value)
  if (await put(context, known, volume, writes, [atRest, ...compares]))
    context.events.tell(moveFinished(volume, known.value.move, guestName(context, volume)))
}

function put(
  context: HostContext,
  known: Versioned<Volume>,
  next: Volume,
  besides: readonly Write[] = [],
  compares: readonly Compare[] = [],
): Promise<boolean> {
  return replaceVolume(context, known, next, { besides, compares, retryMs: RETRY_MS })
}

function guestName({ mirror }: HostContext, { guest }: Volume): string {
  return mirror.state.guests.get(guest)?.value.name ?? guest
}

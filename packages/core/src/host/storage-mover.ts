/**
 * The storage side of a replica that comes or goes: its file is made by the host that is to hold it, and while the guest
 * does not run that host also takes the steps that follow. docs/internals/storage-move.md.
 */
import type { FailureCode } from '../errors.ts'
import {
  dueStep,
  isKeptBySnapshots,
  moverAtRest,
  toBeMadeOn,
  withFileMade,
  withMoveFinished,
  withoutLeaving,
  withoutMove,
} from '../ha/storage-move.ts'
import type { Versioned } from '../model/cluster.ts'
import type { VolumeId } from '../model/ids.ts'
import { KEYS } from '../model/keys.ts'
import type { Removal, Volume } from '../model/volume.ts'
import type { Compare, Write } from '../ports/store.ts'
import { failedOperationWrites } from './failed-operations.ts'
import type { HostContext } from './host-context.ts'
import { moveFinished, moveUndone } from './storage-events.ts'

const RETRY_MS = 500
/** Answers that say nothing about whether the file can be made. */
const PASSING: ReadonlySet<FailureCode> = new Set(['host_unreachable', 'store_timeout', 'no_quorum'])

/** What is written with the record whose move ends. */
export function removalWrites(before: Volume): readonly Write[] {
  return removalWrite(withMoveFinished(before).removal)
}

export function removalWrite(removal: Removal | undefined): readonly Write[] {
  if (!removal) return []
  return [{ kind: 'put', key: KEYS.removal(removal.host, removal.volume), value: JSON.stringify(removal) }]
}

/** Of this host's own replica that is to be made. One for which there is no room goes away again, and the move with it. */
export async function makeIncoming(context: HostContext, id: VolumeId): Promise<void> {
  const { self, volumesOn, clock, log } = context
  const known = context.mirror.state.volumes.get(id)
  const own = known && toBeMadeOn(known.value, self)
  if (!known || !own) return
  const { sizeBytes, content } = known.value
  // All of it is written anew. Blocks that are shared with an image stay shared.
  const shared = content?.linked ? content : undefined
  const made = await volumesOn(self).createReplica({ volume: id, pool: own.pool, sizeBytes }, shared)
  if (made.ok) return void (await put(context, known, withFileMade(known.value, self)))
  log.warn('a replica that is to be moved here could not be made', { volume: id, cause: made.error })
  if (PASSING.has(made.error.code)) return clock.sleep(RETRY_MS)
  const undone = withoutMove(known.value)
  if (!undone.ok) return clock.sleep(RETRY_MS)
  const { volume, removal } = undone.value
  const besides = [...removalWrite(removal), ...failedOperationWrites(context, `volume/${id}`, made.error)]
  if (await put(context, known, volume, besides))
    context.events.tell(moveUndone(volume, guestName(context, volume), made.error.message))
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
  const { volume, removal } = withMoveFinished(known.value)
  if (await put(context, known, volume, removalWrite(removal), [atRest]))
    context.events.tell(moveFinished(volume, known.value.move, guestName(context, volume)))
}

async function put(
  { store, clock }: HostContext,
  { value: { id }, revision }: Versioned<Volume>,
  next: Volume,
  besides: readonly Write[] = [],
  compares: readonly Compare[] = [],
): Promise<boolean> {
  const outcome = await store.transact({
    compares: [{ key: KEYS.volume(id), modRevision: revision }, ...compares],
    writes: [{ kind: 'put', key: KEYS.volume(id), value: JSON.stringify(next) }, ...besides],
  })
  if (outcome.ok && outcome.value.committed) return true
  await clock.sleep(outcome.ok ? 20 : RETRY_MS)
  return false
}

function guestName({ mirror }: HostContext, { guest }: Volume): string {
  return mirror.state.guests.get(guest)?.value.name ?? guest
}

/**
 * Gives a replica that is being made what the guest's snapshots hold, the oldest first: each is copied into the new file
 * and cut there, so that the host keeps it in its own way. Only then the file is filled with what the disk holds now.
 */
import { snapshotsToCarry, type CarriedSnapshot } from '../ha/carried-snapshots.ts'
import { failure } from '../errors.ts'
import type { SnapshotId } from '../model/snapshot.ts'
import type { Replica, Volume } from '../model/volume.ts'
import { fail, ok, type Result } from '../result.ts'
import type { HostContext } from './host-context.ts'
import { copyTarget } from './leg-paths.ts'

/** `own`: the new replica, on this host. After a failure it is of no use, and made anew. */
export async function carrySnapshots(
  context: HostContext,
  volume: Volume,
  own: Replica,
  signal: AbortSignal,
): Promise<Result<readonly SnapshotId[]>> {
  const here = context.volumesOn(context.self)
  const carried: SnapshotId[] = []
  for (const each of snapshotsToCarry(context.mirror.state, volume)) {
    const { id } = each.snapshot
    const copied = await copyContent(context, volume, own, each, signal)
    if (!copied.ok) return copied
    for (const step of ['prepareSnapshot', 'cutSnapshot', 'sealSnapshot'] as const) {
      const done = await here[step](volume.id, own.pool, id)
      if (!done.ok) return done
    }
    const image = await copyImage(context, volume, own, each)
    if (!image.ok) return image
    carried.push(id)
  }
  return ok(carried)
}

async function copyContent(
  context: HostContext,
  volume: Volume,
  own: Replica,
  { snapshot, sources }: CarriedSnapshot,
  signal: AbortSignal,
): Promise<Result<void>> {
  const { self, mirror, volumesOn } = context
  const here = volumesOn(self)
  const epoch = mirror.state.grants.get(volume.guest)?.value.epoch ?? 0
  const target = { volume: volume.id, pool: own.pool, epoch, sizeBytes: volume.sizeBytes, forSnapshots: true }
  let error = failure('waits_for_host', `No host that holds ${snapshot.name} is up`)
  for (const source of sources.filter(({ host }) => mirror.state.statuses.get(host)?.value.state !== 'lost')) {
    if (signal.aborted) return fail(failure('conflict', 'The move was called off'))
    const exported = await here.exportAsTarget(target)
    if (!exported.ok) return exported
    const { exportName } = exported.value
    const copied = await volumesOn(source.host).copy(
      {
        ...{ volume: volume.id, pool: source.pool, epoch, snapshot: snapshot.id },
        // Most of it is what the one before holds too, which the file has already.
        ...{ select: 'all', compare: true },
        target: copyTarget(mirror.state, source.host, { host: self, pool: own.pool }, exported.value),
      },
      () => undefined,
      signal,
    )
    // Nothing is written to it any more when it is cut.
    const ended = await here.revokeExport(volume.id, own.pool, exportName)
    if (!ended.ok) return ended
    if (copied.ok) return here.flush(volume.id, own.pool)
    error = copied.error
  }
  return fail(error)
}

async function copyImage(
  { self, memory }: HostContext,
  { id }: Volume,
  { pool }: Replica,
  { snapshot, images }: CarriedSnapshot,
): Promise<Result<void>> {
  if (!snapshot.memory || images.length === 0) return ok()
  const places = images.map((image) => ({ host: image.host, pool: image.pool, volume: id }))
  return memory.copyImage({ ...snapshot.memory, snapshot: snapshot.id }, places, { host: self, pool, volume: id })
}

/**
 * A replica leaves while its guest runs: first the record, then the quorum, and only then its file. Called with all other
 * surgery on the guest's disks kept away. docs/internals/storage-move.md.
 */
import { isKeptBySnapshots, isStepDue, withMoveFinished, withoutLeaving } from '../ha/storage-move.ts'
import type { ClusterState } from '../model/cluster.ts'
import type { GuestId, HostId, VolumeId } from '../model/ids.ts'
import { replicaOn } from '../model/records.ts'
import type { Volume } from '../model/volume.ts'
import type { HostContext } from './host-context.ts'
import type { KeptLeg } from './kept-leg.ts'
import { ANSWER_MS_MAX } from './leg-paths.ts'
import { mayGoOnWith, type RunRecords } from './run-records.ts'
import { moveFinished } from './storage-events.ts'
import { movedChanges } from './storage-mover.ts'

export interface DepartingDisk {
  readonly context: HostContext
  readonly guest: GuestId
  /** The guest's. */
  readonly name: string
  readonly records: RunRecords
  readonly volume: VolumeId
  readonly legs: Map<HostId, KeptLeg>
  readonly signal: AbortSignal
  readonly giveUp: (reason: string) => void
  /** Resumes the guest; undefined when it could not be. */
  readonly goOn: (startedMs: number) => Promise<number | undefined>
}

/** A step of the volume's move is due, or the disk writes to a replica that the record has given up. */
export function mustLetGo(state: ClusterState, volume: Volume, legs: ReadonlyMap<HostId, KeptLeg>): boolean {
  const isDue = isStepDue(volume, (host) => legs.has(host)) && !isKeptBySnapshots(state, volume)
  return isDue || [...legs.keys()].some((host) => !replicaOn(volume, host))
}

export async function letReplicasGo(disk: DepartingDisk): Promise<void> {
  const { context, records, volume, legs, signal, name } = disk
  const hasLeg = (host: HostId) => legs.has(host)
  const known = context.mirror.state.volumes.get(volume)?.value
  const mayGiveUp = known && !isKeptBySnapshots(context.mirror.state, known) && (await isAnswering(disk))
  const recorded = await records.changeVolume(
    volume,
    (record) => (mayGiveUp && isStepDue(record, hasLeg) ? withoutLeaving(record) : record),
    signal,
  )
  if (recorded.kind === 'deposed') return
  for (const leg of [...legs.values()])
    if (!replicaOn(recorded.value, leg.leg.host as HostId) && !(await takeOut(disk, leg, recorded.value))) return
  const finished = await records.changeVolume(
    volume,
    (record) => (isStepDue(record, hasLeg) ? withMoveFinished(record).volume : record),
    signal,
    (before) => movedChanges(context.mirror.state, before),
  )
  const { move } = recorded.value
  if (finished.kind === 'recorded' && move && !finished.value.move)
    context.events.tell(moveFinished(finished.value, move, name))
}

/** All legs: nothing is given up for one that has just fallen silent. */
async function isAnswering({ context, legs }: DepartingDisk): Promise<boolean> {
  const answers = await Promise.all(
    [...legs.values()].map(({ leg }) => context.legWatch.ask(leg.endpoint, ANSWER_MS_MAX)),
  )
  return answers.every((health) => health === 'alive')
}

/** False: the guest cannot go on without the leg, or not at all. */
async function takeOut(disk: DepartingDisk, leg: KeptLeg, volume: Volume): Promise<boolean> {
  const { context, guest, legs, giveUp, goOn } = disk
  const host = leg.leg.host as HostId
  if (
    !mayGoOnWith(
      volume,
      [...legs.keys()].filter((each) => each !== host),
    )
  )
    return false
  const startedMs = context.clock.monotonicMs()
  const paused = await context.guests.pause(guest)
  if (!paused.ok) giveUp(`QEMU does not answer: ${paused.error.message}`)
  const dropped = paused.ok ? await context.guests.dropLeg(guest, disk.volume, host) : paused
  if (paused.ok && !dropped.ok) giveUp(`the leg to ${host} could not be removed: ${dropped.error.message}`)
  if (!dropped.ok) return false
  leg.stopWatch()
  legs.delete(host)
  return (await goOn(startedMs)) !== undefined
}

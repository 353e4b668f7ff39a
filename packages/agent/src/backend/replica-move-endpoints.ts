/** Replicas that come and go while their guest runs: what a user's word changes in the volume's record. */
import { failure, type Failure } from '@stead/core/errors.ts'
import { plannedMove, withoutMove, type MoveRequest } from '@stead/core/ha/storage-move.ts'
import { failedOperationWrites } from '@stead/core/host/ended-operations.ts'
import { removalWrite } from '@stead/core/host/storage-mover.ts'
import type { ClusterState, Versioned } from '@stead/core/model/cluster.ts'
import type { HostId, VolumeId } from '@stead/core/model/ids.ts'
import { KEYS } from '@stead/core/model/keys.ts'
import { filesOf } from '@stead/core/model/records.ts'
import type { Volume } from '@stead/core/model/volume.ts'
import type { Compare, Write } from '@stead/core/ports/store.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import type { MoveReplica } from '@stead/api/endpoints/replica-moves.ts'
import type { ApiBackend } from '../http/backend.ts'
import type { Change } from './change.ts'
import type { Desk } from './desk.ts'

type Answers = Pick<ApiBackend, 'volume.move' | 'volume.cancel-move'>

export function replicaMoveEndpoints(desk: Desk): Answers {
  const { clock } = desk.context
  return {
    'volume.move': async ({ params, body }, request) => {
      const operation = await desk.change(request, () =>
        desk.loaded((state) => moveChange(state, params.volume, requestOf(body), desk.isUp, clock.wallMs())),
      )
      return operation.ok ? ok(await desk.started(operation.value)) : operation
    },
    'volume.cancel-move': async ({ params }, request) => {
      const operation = await desk.change(request, () =>
        desk.loaded((state) =>
          cancelChange(state, params.volume, (subject, error) => failedOperationWrites(desk.context, subject, error)),
        ),
      )
      return operation.ok ? ok(await desk.started(operation.value)) : operation
    },
  }
}

export function moveChange(
  state: ClusterState,
  id: string,
  request: MoveRequest,
  isUp: (host: HostId) => boolean,
  nowMs: number,
): Result<Change> {
  const known = findVolume(state, id)
  if (!known.ok) return known
  const planned = plannedMove(state, known.value.value, request, isUp, nowMs)
  if (!planned.ok) return planned
  const { move } = planned.value
  const compares: Compare[] = [{ key: KEYS.volume(planned.value.id), modRevision: known.value.revision }]
  // Where an earlier replica is still to be removed, a new one would be taken for it.
  for (const { host, pool } of filesOf(planned.value))
    if (host === move?.to) compares.push({ key: KEYS.removal(host, planned.value.id, pool), modRevision: 0n })
  const what = [move?.to && `to ${move.to}`, move?.from && `from ${move.from}`].filter(Boolean).join(' ')
  return ok({
    kind: 'volume.move',
    subject: `volume/${planned.value.id}`,
    compares,
    writes: [{ kind: 'put', key: KEYS.volume(planned.value.id), value: JSON.stringify(planned.value) }],
    events: [
      {
        kind: 'replica.moving',
        subject: `volume/${planned.value.id}`,
        message: `a replica of ${planned.value.name} of ${nameOfGuest(state, planned.value)} is to move ${what}`,
      },
    ],
  })
}

export function cancelChange(
  state: ClusterState,
  id: string,
  fails: (subject: string, error: Failure) => readonly Write[],
): Result<Change> {
  const known = findVolume(state, id)
  if (!known.ok) return known
  const undone = withoutMove(known.value.value)
  if (!undone.ok) return undone
  const { volume, removal } = undone.value
  const error = failure('conflict', 'It was called off')
  return ok({
    kind: 'volume.cancel-move',
    subject: `volume/${volume.id}`,
    compares: [{ key: KEYS.volume(volume.id), modRevision: known.value.revision }],
    writes: [
      { kind: 'put', key: KEYS.volume(volume.id), value: JSON.stringify(volume) },
      ...removalWrite(removal),
      ...fails(`volume/${volume.id}`, error),
    ],
    events: [
      {
        kind: 'replica.move-failed',
        subject: `volume/${volume.id}`,
        message: `${volume.name} of ${nameOfGuest(state, volume)} stays where it is: the move was called off`,
      },
    ],
  })
}

function findVolume(state: ClusterState, id: string): Result<Versioned<Volume>> {
  const known = state.volumes.get(id as VolumeId)
  return known ? ok(known) : fail(failure('not_found', `There is no volume ${id}`, { hint: 'See `stead volume list`' }))
}

function requestOf({ from, to }: MoveReplica): MoveRequest {
  const place = ({ host, pool }: NonNullable<MoveReplica['to']>) => ({
    host: host as HostId,
    ...(pool === undefined ? {} : { pool }),
  })
  return { ...(from ? { from: place(from) } : {}), ...(to ? { to: place(to) } : {}) }
}

function nameOfGuest(state: ClusterState, { guest }: Volume): string {
  return state.guests.get(guest)?.value.name ?? guest
}

/** What a user's word about a volume's size changes in the records. Pure. */
import { failure, type Failure } from '@stead/core/errors.ts'
import { isLeaving } from '@stead/core/host/volume-attachment.ts'
import type { ClusterState } from '@stead/core/model/cluster.ts'
import type { VolumeId } from '@stead/core/model/ids.ts'
import { KEYS } from '@stead/core/model/keys.ts'
import { isWhole, promisedPoolBytes } from '@stead/core/model/records.ts'
import type { Volume } from '@stead/core/model/volume.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import type { Change } from './change.ts'

export function resizeVolumeChange(state: ClusterState, id: string, sizeBytes: number): Result<Change> {
  const known = state.volumes.get(id as VolumeId)
  if (!known) return fail(failure('not_found', `There is no volume ${id}`, { hint: 'See `stead volume list`' }))
  const { value: volume, revision } = known
  const objection = objectionTo(state, volume, sizeBytes) ?? roomProblem(state, volume, sizeBytes)
  if (objection) return fail(objection)
  return ok({
    kind: 'volume.resize',
    subject: `volume/${volume.id}`,
    compares: [{ key: KEYS.volume(volume.id), modRevision: revision }],
    writes: [{ kind: 'put', key: KEYS.volume(volume.id), value: JSON.stringify({ ...volume, growTo: sizeBytes }) }],
    events: [],
  })
}

function objectionTo(state: ClusterState, volume: Volume, sizeBytes: number): Failure | undefined {
  const { id, name, role, ready, growTo } = volume
  const guest = state.guests.get(volume.guest)?.value
  if (role !== undefined) return failure('conflict', `${name} is part of the machine itself, not a disk`)
  if (sizeBytes < volume.sizeBytes && volume.form !== 'subvolume')
    return failure(
      'bad_request',
      `The volume ${id} has ${volume.sizeBytes} bytes, and a volume is never made smaller`,
      {
        hint: 'Add a smaller disk, copy what is to be kept inside the guest, and remove this one',
      },
    )
  if (sizeBytes === volume.sizeBytes) return failure('bad_request', `The volume ${id} has that size already`)
  if (!ready || volume.attachment === 'joining')
    return failure('conflict', `The volume ${id} is still being made`, { hint: 'Wait until it is there' })
  if (isLeaving(volume) || (guest?.deleting && volume.attachment !== 'detached'))
    return failure('conflict', `The volume ${id} is being taken away`)
  if (growTo !== undefined)
    return failure('conflict', `The volume ${id} is being enlarged to ${growTo} bytes`, {
      hint: 'Wait until that is done',
    })
  if (volume.move)
    return failure('conflict', `A replica of the volume ${id} is being moved`, { hint: 'Wait until it has moved' })
  if (!isWhole(volume)) {
    const behind = volume.replicas.filter((replica) => replica.state !== 'in-sync').map(({ host }) => host)
    return failure('conflict', `The replica on ${behind.join(', ')} is not in sync`, {
      hint: `Wait until it is (\`stead volume show ${id}\`), then ask again`,
    })
  }
  const away = volume.replicas.filter(({ host }) => state.statuses.get(host)?.value.state !== 'online')
  return away.length === 0
    ? undefined
    : failure('conflict', `${away.map(({ host }) => host).join(', ')} must be online to make room for it`)
}

function roomProblem(state: ClusterState, volume: Volume, sizeBytes: number): Failure | undefined {
  const missing = sizeBytes - volume.sizeBytes
  for (const { host, pool } of volume.replicas) {
    const { capacityBytes = 0 } = state.hosts.get(host)?.value.pools.find(({ name }) => name === pool) ?? {}
    const free = capacityBytes - promisedPoolBytes(state, host, pool)
    if (missing > free)
      return failure(
        'no_capacity',
        `Pool ${pool} on ${host} has ${Math.max(0, free)} bytes free, ${missing} are missing`,
        {
          hint: 'Free space there, or raise the capacity of the pool',
        },
      )
  }
  return undefined
}

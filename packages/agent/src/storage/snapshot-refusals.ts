/** Why a replica's snapshot is refused, and what helps. */
import { failure } from '@stead/core/errors.ts'
import type { VolumeId } from '@stead/core/model/ids.ts'
import { SNAPSHOTS_MAX } from '@stead/core/model/snapshot.ts'

export function tooMany(volume: VolumeId) {
  return failure('conflict', `Volume ${volume} holds ${SNAPSHOTS_MAX} snapshots or layers, as many as it may`, {
    hint: 'Delete older snapshots, and wait until they are merged (`stead vm snapshot list`)',
  })
}

export function cutAlready(volume: VolumeId) {
  return failure('conflict', `The snapshot of volume ${volume} is cut already`)
}

export function notPrepared(volume: VolumeId) {
  return failure('conflict', `No snapshot of volume ${volume} is prepared here`)
}

export function neverCut(volume: VolumeId) {
  return failure('conflict', `The snapshot of volume ${volume} was never cut`)
}

export function openedByOlder(volume: VolumeId) {
  return failure('conflict', `Volume ${volume} was opened by an older version, which knows no snapshots`, {
    hint: 'Stop the guest and start it again',
  })
}

/** What is asked of a new container whose root is to be a subvolume of its host. Pure. */
import type { CreateGuest } from '@stead/api/endpoints/guests.ts'
import { failure, type Failure } from '@stead/core/errors.ts'
import type { ClusterState } from '@stead/core/model/cluster.ts'
import type { HostId } from '@stead/core/model/ids.ts'
import type { Volume } from '@stead/core/model/volume.ts'
import { describeRoom, roomiestPool } from './pool-room.ts'

interface PlannedRoot {
  readonly sizeBytes: number
  readonly pool?: string | undefined
  readonly form?: Volume['form']
}

/** What a root that is a subvolume cannot have. */
export function nativeRootProblem({ disks, container }: CreateGuest): Failure | undefined {
  if (container?.root !== 'native') return undefined
  if (disks.length > 1)
    return failure('bad_request', 'A container with a native root has no further disks', {
      hint: 'Make the root larger, or take a root on a mirrored disk',
    })
  return disks[0]?.replicas === 1
    ? undefined
    : failure('bad_request', 'A native root has one replica: nothing mirrors it', { hint: 'Say `replicas: 1`' })
}

/** Of a root that can be nowhere else than where the container runs. */
export function hostsWithoutRoomFor(state: ClusterState, disk: PlannedRoot | undefined): Record<HostId, string> {
  if (disk?.form === undefined) return {}
  const { pool, sizeBytes, form } = disk
  const hosts = [...state.hosts.values()].map(({ value }) => value)
  return Object.fromEntries(
    hosts
      .filter((host) => roomiestPool(state, host, pool, sizeBytes, new Map(), form).length === 0)
      .map((host) => [host.id, describeRoom(state, host, pool, form)]),
  )
}

/** What such a root gives away. */
export function nativeRootWarning(name: string, host: HostId | undefined): string {
  return `${name} is unprotected: its root is a subvolume of ${host}, which nothing mirrors. It runs nowhere else, and stands still while that host is down; what only that host has is lost with its disks.`
}

/** What is asked of a new container whose root is to be a subvolume of its host, and of the copy that follows it. Pure. */
import type { CreateGuest, SetGuest } from '@stead/api/endpoints/guests.ts'
import { failure, type Failure } from '@stead/core/errors.ts'
import { plannedCopy } from '@stead/core/ha/root-copies.ts'
import type { ClusterState } from '@stead/core/model/cluster.ts'
import type { HostId } from '@stead/core/model/ids.ts'
import type { RootCopyPolicy } from '@stead/core/model/root-copy.ts'
import type { Volume } from '@stead/core/model/volume.ts'
import { ok, type Result } from '@stead/core/result.ts'
import { describeRoom, roomiestPool } from './pool-room.ts'

interface PlannedRoot {
  readonly sizeBytes: number
  readonly pool?: string | undefined
  readonly form?: Volume['form']
}

export type AskedCopy = NonNullable<SetGuest['rootCopy']>

/** What a root that is a subvolume cannot have, and what no other one has. */
export function nativeRootProblem({ disks, container, rootCopy }: CreateGuest): Failure | undefined {
  if (container?.root !== 'native')
    return rootCopy
      ? failure('bad_request', 'Only a native root is followed by a copy', {
          hint: 'Give the container a native root, or say nothing of a copy: its disks are mirrored',
        })
      : undefined
  if (disks.length > 1)
    return failure('bad_request', 'A container with a native root has no further disks', {
      hint: 'Make the root larger, or take a root on a mirrored disk',
    })
  return disks[0]?.replicas === 1
    ? undefined
    : failure('bad_request', 'A native root has one replica: nothing mirrors it', { hint: 'Say `replicas: 1`' })
}

/** Of a root that can be nowhere else than where the container runs, and not where its copy is to be. */
export function hostsWithoutRoomFor(
  state: ClusterState,
  disk: PlannedRoot | undefined,
  copy: AskedCopy | undefined,
): Record<HostId, string> {
  if (disk?.form === undefined) return {}
  const { pool, sizeBytes, form } = disk
  const hosts = [...state.hosts.values()].map(({ value }) => value)
  return Object.fromEntries([
    ...hosts
      .filter((host) => roomiestPool(state, host, pool, sizeBytes, new Map(), form).length === 0)
      .map((host) => [host.id, describeRoom(state, host, pool, form)]),
    ...(copy?.to == null ? [] : [[copy.to, 'the copy of its root is to be there']]),
  ])
}

export function keptPolicy({ to, everyMs, onLoss }: AskedCopy): RootCopyPolicy {
  return { ...(to == null ? {} : { to: to as HostId }), everyMs, onLoss }
}

/** The room of the copy is promised with the root's own. */
export function withFirstCopy(
  state: ClusterState,
  volumes: readonly Volume[],
  policy: RootCopyPolicy | undefined,
  isUp: (host: HostId) => boolean,
  nowMs: number,
): Result<readonly Volume[]> {
  const [root, ...others] = volumes
  if (!policy || !root) return ok(volumes)
  const copy = plannedCopy(state, root, policy, isUp, nowMs)
  return copy.ok ? ok([{ ...root, copies: [copy.value] }, ...others]) : copy
}

/** What such a root gives away. */
export function nativeRootWarning({ name, rootCopy }: CreateGuest, root: Volume | undefined): string {
  const host = root?.replicas[0]?.host
  if (rootCopy) {
    const then = rootCopy.onLoss === 'wait' ? 'it waits for it' : 'it starts from the copy'
    const every = `${Math.round(rootCopy.everyMs / 60_000)} min`
    return `${name} is mirrored by nothing: its root is a subvolume of ${host}, which a copy on ${root?.copies?.[0]?.host} follows every ${every}. When ${host} is lost, ${then}; what was written since the copy is lost with its disks.`
  }
  return `${name} is unprotected: its root is a subvolume of ${host}, which nothing mirrors. It runs nowhere else, and stands still while that host is down; what only that host has is lost with its disks.`
}

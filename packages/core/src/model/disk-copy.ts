/** The disks of a guest that does not run on their way into files: for a template, a clone or an administrator. */
import { failure, type Failure } from '../errors.ts'
import type { ClusterState } from './cluster.ts'
import type { FileMaking } from './file-making.ts'
import type { Guest } from './guest.ts'
import type { GuestId, HostId, VolumeId } from './ids.ts'
import { inSync, isActive, volumesOf } from './records.ts'

/** `name` is the id of what it is for: of the guest that becomes a template, of the new guest, of the volume. */
export interface DiskCopy extends FileMaking {
  readonly purpose: 'template' | 'clone' | 'file'
  /** Whose disks are read. Of a volume that is kept without a guest: of which guest it was. */
  readonly guest: GuestId
  /** Those that are read, in their order. */
  readonly volumes: readonly VolumeId[]
  /** Of a clone: it shares the files' blocks instead of copying them once more. */
  readonly linked?: true
}

/** Subject of the operation. */
export function copySubject({ purpose, name }: Pick<DiskCopy, 'purpose' | 'name'>): string {
  return `${purpose === 'file' ? 'volume' : 'guest'}/${name}`
}

/** Why a guest's disks cannot be read now. */
export function objectionToReading(state: ClusterState, guest: Guest): Failure | undefined {
  if (guest.deleting) return failure('conflict', `${guest.name} is being deleted`)
  if (volumesOf(state, guest)?.some(({ value }) => value.form === 'subvolume'))
    return failure('conflict', `The root of ${guest.name} is a subvolume, no disk that could be copied`, {
      hint: `Clone it (\`stead ct clone\`), or dump it: \`stead ct dump ${guest.name}\``,
    })
  if (guest.desired === 'stopped' && !isActive(state.grants.get(guest.id)?.value)) return undefined
  const kind = guest.kind
  return failure('conflict', `${guest.name} must be stopped before its disks are copied`, {
    hint: `\`stead ${kind} stop ${guest.name}\` first`,
  })
}

/** Why a copy that was begun can come to nothing any more. */
export function objectionToCopy(state: ClusterState, copy: DiskCopy): Failure | undefined {
  const { purpose, name, volumes, guest: id } = copy
  const guest = state.guests.get(id)?.value
  const isGone = volumes.some((volume) => !state.volumes.has(volume)) || (!guest && purpose !== 'file')
  if (isGone) return failure('conflict', 'What was being copied was deleted')
  if (guest && (purpose !== 'file' || guest.volumes.some((volume) => volumes.includes(volume)))) {
    const objection = objectionToReading(state, guest)
    if (objection) return objection
  }
  const clone = purpose === 'clone' ? state.guests.get(name as GuestId)?.value : undefined
  if (purpose === 'clone' && (!clone || clone.deleting)) return failure('conflict', 'The guest was deleted meanwhile')
  return undefined
}

/**
 * The host that should do it: of those that are usable, the one that has most of the disks in its own pools. None when
 * a disk has no current replica on any of them.
 */
export function copyingHost(
  state: ClusterState,
  volumes: readonly VolumeId[],
  isUsable: (host: HostId) => boolean,
  first?: HostId,
): HostId | undefined {
  const counts = new Map<HostId, number>()
  for (const id of volumes) {
    const volume = state.volumes.get(id)?.value
    const hosts = (volume ? inSync(volume) : []).map(({ host }) => host).filter(isUsable)
    if (hosts.length === 0) return undefined
    for (const host of hosts) counts.set(host, (counts.get(host) ?? 0) + 1)
  }
  const most = Math.max(...counts.values())
  const able = [...counts].filter(([, count]) => count === most).map(([host]) => host)
  return able.find((host) => host === first) ?? able[0]
}

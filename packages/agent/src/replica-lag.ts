/** How far the stale replicas of a volume are behind, as its source's dirty bitmaps say. */
import type { HostContext } from '@stead/core/host/host-context.ts'
import type { VolumeId } from '@stead/core/model/ids.ts'

/** Undefined when nobody can tell now. */
export async function lagBytes({ mirror, volumesOn }: HostContext, id: VolumeId): Promise<number | undefined> {
  const volume = mirror.state.volumes.get(id)?.value
  const source = volume?.replicas.find(
    (replica) => replica.state === 'in-sync' && mirror.state.statuses.get(replica.host)?.value.state === 'online',
  )
  if (!volume || !source) return undefined
  if (volume.replicas.some((replica) => replica.stale?.cause === 'unknown')) return undefined
  const info = await volumesOn(source.host).inspect(id, source.pool)
  return info.ok ? info.value.bitmaps.reduce((sum, bitmap) => sum + bitmap.dirtyBytes, 0) : undefined
}

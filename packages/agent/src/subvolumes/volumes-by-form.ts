/** This host's replicas of either form behind one port: who asks says only of a new one which it is. */
import type { VolumeId } from '@stead/core/model/ids.ts'
import type { VolumeHost } from '@stead/core/ports/volume-host.ts'
import { ok } from '@stead/core/result.ts'
import type { SubvolumeVolumes } from './subvolume-volumes.ts'

export function volumesByForm(images: VolumeHost, subvolumes: SubvolumeVolumes): VolumeHost {
  const of = (volume: VolumeId, pool: string): VolumeHost => (subvolumes.has(volume, pool) ? subvolumes : images)
  return {
    createReplica: (spec, content) => (spec.form === 'subvolume' ? subvolumes : images).createReplica(spec, content),
    reserveReplica: (spec) => of(spec.volume, spec.pool).reserveReplica(spec),
    removeReplica: (volume, pool) => of(volume, pool).removeReplica(volume, pool),
    exportToGuest: (request) => of(request.volume, request.pool).exportToGuest(request),
    serveAnew: (request) => of(request.volume, request.pool).serveAnew(request),
    exportAsTarget: (request) => of(request.volume, request.pool).exportAsTarget(request),
    revokeBelow: (volume, pool, epoch) => of(volume, pool).revokeBelow(volume, pool, epoch),
    revokeExport: (volume, pool, name) => of(volume, pool).revokeExport(volume, pool, name),
    inspect: (volume, pool) => of(volume, pool).inspect(volume, pool),
    dirtyBytes: (volume, pool, bitmap) => of(volume, pool).dirtyBytes(volume, pool, bitmap),
    addBitmap: (volume, pool, ...rest) => of(volume, pool).addBitmap(volume, pool, ...rest),
    removeBitmap: (volume, pool, ...rest) => of(volume, pool).removeBitmap(volume, pool, ...rest),
    dirtyRanges: (volume, pool, bitmap) => of(volume, pool).dirtyRanges(volume, pool, bitmap),
    copy: (request, ...rest) => of(request.volume, request.pool).copy(request, ...rest),
    flush: (volume, pool) => of(volume, pool).flush(volume, pool),
    digests: (volume, pool, range) => of(volume, pool).digests(volume, pool, range),
    prepareSnapshot: (volume, pool, snapshot) => of(volume, pool).prepareSnapshot(volume, pool, snapshot),
    cutSnapshot: (volume, pool, snapshot) => of(volume, pool).cutSnapshot(volume, pool, snapshot),
    sealSnapshot: (volume, pool, snapshot) => of(volume, pool).sealSnapshot(volume, pool, snapshot),
    releaseSnapshot: (volume, pool, snapshot) => of(volume, pool).releaseSnapshot(volume, pool, snapshot),
    mergeLayers: (volume, pool) => of(volume, pool).mergeLayers(volume, pool),
    rollBackReplica: (volume, pool, snapshot) => of(volume, pool).rollBackReplica(volume, pool, snapshot),
    heldSnapshots: async () => {
      const [ofImages, ofSubvolumes] = await Promise.all([images.heldSnapshots(), subvolumes.heldSnapshots()])
      if (!ofImages.ok) return ofImages
      return ofSubvolumes.ok ? ok([...ofImages.value, ...ofSubvolumes.value]) : ofSubvolumes
    },
  }
}

/** Which files the records name: these must be kept, the others were left over. */
import type { ClusterState } from './cluster.ts'
import type { Guest } from './guest.ts'
import type { BlobId } from './ids.ts'
import type { Image } from './volume.ts'

export function blobsOfImage({ blob, moreDisks = [] }: Image): BlobId[] {
  return [blob, ...moreDisks.map((disk) => disk.blob)]
}

/** What must be on a host before the guest can start there. */
export function blobsOfGuest({ boot, media, platform, template }: Guest): BlobId[] {
  const boots = boot.kind === 'kernel' ? [boot.kernel, ...(boot.initrd === undefined ? [] : [boot.initrd])] : []
  const lies = [media?.cdrom?.medium?.blob, media?.cloudInit?.blob, platform?.firmware?.code].filter(
    (blob) => blob !== undefined,
  )
  return [
    ...boots,
    ...lies,
    ...[...(template?.disks ?? []), ...(template?.firmware ? [template.firmware] : [])].map((disk) => disk.blob),
  ]
}

export function referencedBlobs(state: ClusterState): ReadonlySet<BlobId> {
  const blobs = new Set<BlobId>()
  const add = (found: readonly BlobId[]) => found.forEach((blob) => blobs.add(blob))
  for (const { value } of state.images.values()) add(blobsOfImage(value))
  for (const { value } of state.imports.values()) add([value.source, ...value.files])
  for (const { value } of state.copies.values()) add(value.files)
  for (const { value } of state.backups.values()) if (value.file) add([value.file.blob])
  for (const { value } of state.guests.values()) add(blobsOfGuest(value))
  for (const { value } of state.volumes.values()) if (value.content) add([value.content.blob])
  return blobs
}

/** What a new disk starts with that was asked to start from an image. Pure. */
import { failure } from '@stead/core/errors.ts'
import type { ClusterState } from '@stead/core/model/cluster.ts'
import { templateByName } from '@stead/core/model/container-template.ts'
import type { Image, VolumeContent } from '@stead/core/model/volume.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'

interface DiskOfImage {
  readonly sizeBytes: number
  /** Of an image of several disks; the first when absent. */
  readonly imageDisk?: number
  readonly linked?: boolean
}

export function imageFor({ images }: ClusterState, name: string, isRoot = false): Image | undefined {
  return (isRoot ? templateByName(images, name) : images.get(name))?.value
}

export function contentOf(image: Image, disk: DiskOfImage): Result<VolumeContent> {
  const part = [image, ...(image.moreDisks ?? [])][disk.imageDisk ?? 0]
  if (!part)
    return fail(
      failure('bad_request', `The image ${image.name} has no disk ${disk.imageDisk}`, {
        hint: 'See `stead image list`',
      }),
    )
  if (part.virtualSizeBytes > disk.sizeBytes)
    return fail(
      failure(
        'bad_request',
        `The image ${image.name} needs ${part.virtualSizeBytes} bytes, the disk has ${disk.sizeBytes}`,
        { hint: 'Give a larger --disk' },
      ),
    )
  if (disk.linked && part.format !== 'qcow2')
    return fail(
      failure('bad_request', `The image ${image.name} is raw and cannot be shared`, {
        hint: 'Leave out --linked, or import it again',
      }),
    )
  return ok({ blob: part.blob, format: part.format, ...(disk.linked ? { linked: true as const } : {}) })
}

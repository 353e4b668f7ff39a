/** Volumes, files and images. */
import { failure } from '@stead/core/errors.ts'
import type { BlobId, VolumeId } from '@stead/core/model/ids.ts'
import { blobsOfImage } from '@stead/core/model/blob-references.ts'
import type { ClusterState } from '@stead/core/model/cluster.ts'
import { KEYS } from '@stead/core/model/keys.ts'
import type { Image } from '@stead/core/model/volume.ts'
import { fail, ok } from '@stead/core/result.ts'
import type { ApiBackend } from '../http/backend.ts'
import type { Desk } from './desk.ts'
import { imageView, volumeView, type ViewContext } from './views.ts'

/** How long an answer waits until all hosts have the files that it names; the sending goes on. */
const SPREAD_WAIT_MS = 1_000
/** An image survives the loss of two hosts; the others fetch it when they need it. */
export const IMAGE_COPIES = 3

/** A client that waits too long asks another host; who lacks a file later fetches it then. */
export async function spreadFiles({ context }: Desk, files: readonly BlobId[], copies?: number): Promise<void> {
  await Promise.race([context.spreadBlobs(files, copies), context.clock.sleep(SPREAD_WAIT_MS)])
}

export async function viewWithLag(desk: Desk, volumes: readonly VolumeId[]): Promise<ViewContext> {
  const stale = volumes.filter((id) =>
    desk.state.volumes.get(id)?.value.replicas.some((replica) => replica.state !== 'in-sync'),
  )
  const lags = await Promise.all(stale.map(async (id) => [id, await desk.context.lagBytes(id)] as const))
  return {
    ...desk.view(),
    lagBytes: new Map(lags.flatMap(([id, bytes]) => (bytes === undefined ? [] : [[id, bytes] as const]))),
  }
}

type Answers = Pick<
  ApiBackend,
  | 'volume.list'
  | 'volume.show'
  | 'blob.put'
  | 'blob.received'
  | 'blob.stat'
  | 'image.list'
  | 'image.import'
  | 'image.delete'
>

export function storageEndpoints(desk: Desk): Answers {
  const { store, blobs, clock, images } = desk.context
  return {
    'volume.list': async () => desk.loaded(() => ok({ items: [...desk.liveViews.volumes()] })),
    'volume.show': async ({ params }) => {
      const volume = desk.state.volumes.get(params.volume as VolumeId)
      if (!volume)
        return desk.loaded(() =>
          fail(failure('not_found', `There is no volume ${params.volume}`, { hint: 'See `stead volume list`' })),
        )
      return ok(volumeView(await viewWithLag(desk, [volume.value.id]), volume))
    },

    'blob.received': async ({ params }) => ok({ receivedBytes: await blobs.receivedBytes(params.digest) }),
    'blob.put': async ({ params, query, upload }) => {
      const put = await blobs.put(params.digest, upload.stream, query.offset)
      return put.ok ? ok() : put
    },
    'blob.stat': async ({ params }) =>
      blobs.find(params.digest) === undefined ? fail(failure('not_found', `${params.digest} is not here`)) : ok(),

    'image.list': async () =>
      desk.loaded((state) => ok({ items: [...state.images.values()].map(({ value }) => imageView(value)) })),
    'image.import': async ({ body }) => {
      if (desk.state.images.has(body.name)) return nameTaken(body.name)
      const path = await blobs.ensure(body.blob)
      if (!path.ok) return path
      const imported = await images.import({
        path: path.value,
        format: body.format,
        virtualSizeMax: largestPoolBytes(desk.state),
      })
      if (!imported.ok) return imported
      const { kind, disks, hardware } = imported.value
      const [first = { blob: body.blob, format: 'raw' as const, virtualSizeBytes: await blobs.sizeBytes(body.blob) }] =
        disks
      const more = disks.slice(1)
      const image: Image = {
        name: body.name,
        kind,
        ...first,
        ...(more.length === 0 ? {} : { moreDisks: more }),
        ...(hardware ? { hardware } : {}),
        createdAt: clock.wallMs(),
      }
      await spreadFiles(desk, blobsOfImage(image), IMAGE_COPIES)
      const outcome = await store.transact({
        compares: [{ key: KEYS.image(body.name), modRevision: 0n }],
        writes: [{ kind: 'put', key: KEYS.image(body.name), value: JSON.stringify(image) }],
      })
      if (!outcome.ok) return outcome
      return outcome.value.committed ? ok(imageView(image)) : nameTaken(body.name)
    },
    'image.delete': async ({ params }) => {
      if (!desk.state.images.has(params.image))
        return desk.loaded(() =>
          fail(failure('not_found', `There is no image ${params.image}`, { hint: 'See `stead image list`' })),
        )
      const sharing = guestsSharing(desk.state, params.image)
      if (sharing.length > 0)
        return fail(
          failure('conflict', `The image ${params.image} is shared by ${sharing.join(', ')}`, {
            hint: 'Delete those guests first; as long as they are there, no room would become free',
          }),
        )
      const outcome = await store.transact({
        compares: [],
        writes: [{ kind: 'delete', key: KEYS.image(params.image) }],
      })
      return outcome.ok ? ok() : outcome
    },
  }
}

function nameTaken(name: string) {
  return fail(
    failure('name_taken', `An image named ${name} exists`, { hint: 'Choose another name, or delete that image first' }),
  )
}

/** A disk that no pool could hold is of no use to anybody. */
export function largestPoolBytes({ hosts }: ClusterState): number {
  return Math.max(0, ...[...hosts.values()].flatMap(({ value }) => value.pools.map((pool) => pool.capacityBytes)))
}

/** Names of the guests whose disks have the image as their lowest layer. */
export function guestsSharing({ images, volumes, guests }: ClusterState, name: string): string[] {
  const image = images.get(name)?.value
  const blobs = new Set(image ? blobsOfImage(image) : [])
  const found = [...volumes.values()].filter(({ value: { content } }) => content?.linked && blobs.has(content.blob))
  return [...new Set(found.map(({ value }) => guests.get(value.guest)?.value.name ?? value.guest))]
}

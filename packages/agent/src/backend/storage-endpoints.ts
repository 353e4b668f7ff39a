/** Volumes, files and images. */
import { isAbsolute } from 'node:path'
import { failure } from '@stead/core/errors.ts'
import type { BlobId, VolumeId } from '@stead/core/model/ids.ts'
import { KEYS } from '@stead/core/model/keys.ts'
import { fail, ok } from '@stead/core/result.ts'
import type { ApiBackend } from '../http/backend.ts'
import type { Desk } from './desk.ts'
import { volumeView, type ViewContext } from './views.ts'

/** How long an answer waits until all hosts have the files that it names; the sending goes on. */
const SPREAD_WAIT_MS = 1_000

/** A client that waits too long asks another host; who lacks a file later fetches it then. */
export async function spreadFiles({ context }: Desk, files: readonly BlobId[]): Promise<void> {
  await Promise.race([context.spreadBlobs(files), context.clock.sleep(SPREAD_WAIT_MS)])
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
  'volume.list' | 'volume.show' | 'blob.put' | 'blob.stat' | 'image.list' | 'image.import' | 'image.delete'
>

export function storageEndpoints(desk: Desk): Answers {
  const { store, blobs, clock, checkImage } = desk.context
  return {
    'volume.list': async () =>
      desk.loaded((state) =>
        ok({ items: [...state.volumes.values()].map((volume) => volumeView(desk.view(), volume)) }),
      ),
    'volume.show': async ({ params }) => {
      const volume = desk.state.volumes.get(params.volume as VolumeId)
      if (!volume)
        return desk.loaded(() =>
          fail(failure('not_found', `There is no volume ${params.volume}`, { hint: 'See `stead volume list`' })),
        )
      return ok(volumeView(await viewWithLag(desk, [volume.value.id]), volume))
    },

    'blob.put': async ({ params, upload }) => {
      const put = await blobs.put(params.digest, upload.stream)
      return put.ok ? ok() : put
    },
    'blob.stat': async ({ params }) =>
      blobs.find(params.digest) === undefined ? fail(failure('not_found', `${params.digest} is not here`)) : ok(),

    'image.list': async () =>
      desk.loaded((state) => ok({ items: [...state.images.values()].map(({ value }) => ({ ...value })) })),
    'image.import': async ({ body }) => {
      const path = await blobs.ensure(body.blob)
      if (!path.ok) return path
      if (!isAbsolute(path.value)) return fail(failure('internal', 'A blob has no absolute path'))
      const checked = await checkImage(path.value, body.format)
      if (!checked.ok) return checked
      const image = { ...body, virtualSizeBytes: checked.value.virtualSizeBytes, createdAt: clock.wallMs() }
      await spreadFiles(desk, [body.blob])
      const outcome = await store.transact({
        compares: [{ key: KEYS.image(body.name), modRevision: 0n }],
        writes: [{ kind: 'put', key: KEYS.image(body.name), value: JSON.stringify(image) }],
      })
      if (!outcome.ok) return outcome
      return outcome.value.committed
        ? ok(image)
        : fail(
            failure('name_taken', `An image named ${body.name} exists`, {
              hint: 'Choose another name, or delete that image first',
            }),
          )
    },
    'image.delete': async ({ params }) => {
      if (!desk.state.images.has(params.image))
        return desk.loaded(() =>
          fail(failure('not_found', `There is no image ${params.image}`, { hint: 'See `stead image list`' })),
        )
      const outcome = await store.transact({
        compares: [],
        writes: [{ kind: 'delete', key: KEYS.image(params.image) }],
      })
      return outcome.ok ? ok() : outcome
    },
  }
}

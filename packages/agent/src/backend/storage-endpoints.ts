/** Volumes and files. */
import { failure } from '@stead/core/errors.ts'
import type { BlobId, VolumeId } from '@stead/core/model/ids.ts'
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

type Answers = Pick<ApiBackend, 'volume.list' | 'volume.show' | 'blob.put' | 'blob.received' | 'blob.stat'>

export function storageEndpoints(desk: Desk): Answers {
  const { blobs } = desk.context
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
      const put = await blobs.put(params.digest, upload.stream, query.offset, upload.sizeBytes)
      return put.ok ? ok() : put
    },
    'blob.stat': async ({ params }) =>
      blobs.find(params.digest) === undefined ? fail(failure('not_found', `${params.digest} is not here`)) : ok(),
  }
}

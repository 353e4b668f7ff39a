/** From what a user says of CDs, boot order and cloud-init to what the guest's record holds. */
import type { MediaRequest } from '@stead/api/endpoints/media.ts'
import { failure } from '@stead/core/errors.ts'
import { blobsOfGuest } from '@stead/core/model/blob-references.ts'
import type { ClusterState } from '@stead/core/model/cluster.ts'
import type { Guest } from '@stead/core/model/guest.ts'
import { KEYS } from '@stead/core/model/keys.ts'
import type { GuestMedia, Medium } from '@stead/core/model/media.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import { Readable } from 'node:stream'
import { seedImage, type Seed } from '../cloud-init/seed.ts'
import type { ApiBackend } from '../http/backend.ts'
import type { Desk } from './desk.ts'
import { spreadFiles } from './storage-endpoints.ts'

export interface PlannedMedia {
  readonly media?: GuestMedia
  /** The image that must be on the hosts before the record names it. */
  readonly seed?: Seed
}

/** What the guest has now with the request laid over it. */
export function planMedia(
  state: ClusterState,
  guest: Pick<Guest, 'id' | 'name' | 'nics' | 'media'>,
  request: MediaRequest,
): Result<PlannedMedia> {
  const cdrom = request.cdrom === undefined ? ok(guest.media?.cdrom) : driveWith(state, request.cdrom)
  if (!cdrom.ok) return cdrom
  const seed = request.cloudInit ? seedImage(guest, request.cloudInit) : undefined
  const cloudInit =
    seed && request.cloudInit ? { settings: request.cloudInit, blob: seed.blob } : guest.media?.cloudInit
  const bootOrder = request.bootOrder ?? guest.media?.bootOrder
  const media: GuestMedia = {
    ...(cdrom.value ? { cdrom: cdrom.value } : {}),
    ...(bootOrder ? { bootOrder } : {}),
    ...(cloudInit ? { cloudInit } : {}),
  }
  return ok({ ...(Object.keys(media).length === 0 ? {} : { media }), ...(seed ? { seed } : {}) })
}

function driveWith(state: ClusterState, name: string | null): Result<{ readonly medium?: Medium }> {
  if (name === null) return ok({})
  const image = state.images.get(name)?.value
  if (!image)
    return fail(
      failure('not_found', `There is no image ${name}`, { hint: 'Import it: `stead image import NAME FILE.iso`' }),
    )
  if (image.kind !== 'iso')
    return fail(
      failure('bad_request', `${name} is a disk image, not a CD`, { hint: 'A disk starts from it with --image' }),
    )
  return ok({ medium: { blob: image.blob, name } })
}

/** Puts a seed where every host finds it. */
export async function keepSeed(desk: Desk, seed: Seed | undefined): Promise<Result<void>> {
  if (!seed) return ok()
  const { blob, content } = seed
  const kept = await desk.context.blobs.keep(blob, () => Readable.from([content]))
  if (!kept.ok) return kept
  await spreadFiles(desk, [seed.blob])
  return ok()
}

export function mediaEndpoints(desk: Desk): Pick<ApiBackend, 'guest.media'> {
  return {
    'guest.media': async ({ params, body }, request) => {
      const known = desk.findGuest(params.guest)
      if (!known.ok) return known
      const planned = planMedia(desk.state, known.value.value, body)
      if (!planned.ok) return planned
      if (!request.whatIf) {
        const kept = await keepSeed(desk, planned.value.seed)
        if (!kept.ok) return kept
      }
      const operation = await desk.changeGuest(params.guest, request, ({ value: guest, revision }) => {
        if (guest.deleting) return fail(failure('conflict', `${guest.name} is being deleted`))
        const plan = planMedia(desk.state, guest, body)
        if (!plan.ok) return plan
        const { media: _old, ...rest } = guest
        const next: Guest = { ...rest, ...(plan.value.media ? { media: plan.value.media } : {}) }
        return ok({
          kind: 'vm.set',
          subject: `guest/${guest.id}`,
          compares: [{ key: KEYS.guest(guest.id), modRevision: revision }],
          writes: [{ kind: 'put', key: KEYS.guest(guest.id), value: JSON.stringify(next) }],
          events: [],
        })
      })
      if (!operation.ok) return operation
      // A CD is needed wherever the guest may have to start.
      const guest = desk.findGuest(params.guest)
      if (guest.ok && !request.whatIf) await spreadFiles(desk, blobsOfGuest(guest.value.value))
      return ok(await desk.started(operation.value))
    },
  }
}

/** Images, and those on their way: the hosts that are to make them find the records. */
import { failure } from '@stead/core/errors.ts'
import { failedImport } from '@stead/core/host/import-records.ts'
import { blobsOfImage } from '@stead/core/model/blob-references.ts'
import type { ClusterState, Versioned } from '@stead/core/model/cluster.ts'
import { imageSubject, type ImageImport } from '@stead/core/model/image-import.ts'
import type { HostId } from '@stead/core/model/ids.ts'
import { KEYS } from '@stead/core/model/keys.ts'
import { projectExists } from '@stead/core/model/project.ts'
import type { Image } from '@stead/core/model/volume.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import type { ApiBackend } from '../http/backend.ts'
import { endRecord } from './end-record.ts'
import type { Change } from './change.ts'
import type { Desk } from './desk.ts'
import { imageView } from './views.ts'

type Answers = Pick<ApiBackend, 'image.list' | 'image.import' | 'image.cancel-import' | 'image.delete'>

export function imageEndpoints(desk: Desk): Answers {
  const { mirror, clock, events } = desk.context
  return {
    'image.list': async () => desk.loaded((state) => ok({ items: [...state.images.values()].map(imageView) })),
    'image.import': async ({ body }, request) => {
      const target = { kind: 'disk', format: body.format } as const
      const { name, blob: source, project } = body
      const operation = await desk.change(request, () => importChange(desk, { name, source, target, project }))
      return operation.ok ? ok({ image: body.name, ...(await desk.started(operation.value)) }) : operation
    },
    'image.cancel-import': ({ params }) => {
      const error = failure('conflict', 'the import was called off', { hint: 'Import it again if it is wanted' })
      return endRecord(desk, {
        find: (state) => state.imports.get(params.image),
        end: (seen) => failedImport({ mirror, clock, events }, seen, error),
        missing: () =>
          failure('not_found', `No image ${params.image} is being imported`, {
            hint: 'It has ended; see `stead operation list`',
          }),
      })
    },
    'image.delete': async ({ params }, request) => {
      const operation = await desk.change(request, () => deleteChange(desk, params.image))
      if (!operation.ok) return operation
      await desk.started(operation.value)
      return ok()
    },
  }
}

function deleteChange(desk: Desk, name: string): Result<Change> {
  return desk.loaded((state) => {
    const image = state.images.get(name)
    if (image) return imageDeletion(state, image)
    const hint = state.imports.has(name)
      ? `It is being imported: \`stead image cancel ${name}\``
      : 'See `stead image list`'
    return fail(failure('not_found', `There is no image ${name}`, { hint }))
  })
}

export function imageDeletion(state: ClusterState, { value: { name, kind }, revision }: Versioned<Image>) {
  const sharing = guestsSharing(state, name)
  if (sharing.length > 0)
    return fail(
      failure('conflict', `The ${kind === 'root' ? 'template' : 'image'} ${name} is shared by ${sharing.join(', ')}`, {
        hint: 'Delete those guests first; as long as they are there, no room would become free',
      }),
    )
  return ok({
    ...{ kind: 'image.delete', subject: imageSubject(name), events: [] },
    compares: [{ key: KEYS.image(name), modRevision: revision }],
    writes: [{ kind: 'delete', key: KEYS.image(name) } as const],
  })
}

/** The record that makes a host begin. Its key, and that of the image, make the name unique. */
export function importChange(desk: Desk, { project, ...wanted }: WantedImport): Result<Change> {
  const { random, clock } = desk.context
  return desk.loaded((state) => {
    const { name } = wanted
    if (state.images.has(name) || state.imports.has(name)) return nameTaken(state, name)
    if (project !== undefined && !projectExists(state, project))
      return fail(failure('not_found', `There is no project ${project}`, { hint: 'See `stead project list`' }))
    const host = worker(desk)
    if (!host) return fail(failure('no_capacity', 'No host that runs guests is up', { hint: 'See `stead host list`' }))
    const owned = project === undefined ? {} : { project }
    const record: ImageImport = {
      ...{ ...wanted, ...owned, id: random.uuid(), host },
      ...{ begun: 0, progress: { step: 'waiting' }, files: [], createdAt: clock.wallMs() },
    }
    return ok({
      ...{ kind: 'image.import', subject: imageSubject(name), ...owned },
      compares: [
        ...[KEYS.image(name), KEYS.imageImport(name)].map((key) => ({ key, modRevision: 0n })),
        // It is still there when the import begins; from then on the record keeps it from being deleted.
        ...(project === undefined
          ? []
          : [{ key: KEYS.project(project), modRevision: state.projects.get(project)?.revision ?? 0n }]),
      ],
      writes: [{ kind: 'put', key: KEYS.imageImport(name), value: JSON.stringify(record) }],
      events: [],
    })
  })
}

interface WantedImport extends Pick<ImageImport, 'name' | 'source' | 'target'> {
  readonly project: string | undefined
}

/** This host, to which the file was most likely sent, unless it runs no guests: a witness has no room, and no QEMU. */
function worker({ state, isUp, context }: Desk): HostId | undefined {
  const able = [...state.hosts.values()].filter(({ value }) => value.role === 'compute' && isUp(value.id))
  return (able.find(({ value }) => value.id === context.self) ?? able[0])?.value.id
}

function nameTaken(state: ClusterState, name: string) {
  if (state.imports.has(name))
    return fail(
      failure('name_taken', `An image named ${name} is being imported`, {
        hint: 'Choose another name, or wait until that has ended: `stead operation list`',
      }),
    )
  const isTemplate = state.images.get(name)?.value.kind === 'root'
  return fail(
    isTemplate
      ? failure('name_taken', `There is a template ${name} already`, {
          hint: 'Give another --version, or delete that one first: `stead template delete`',
        })
      : failure('name_taken', `An image named ${name} exists`, {
          hint: 'Choose another name, or delete that image first',
        }),
  )
}

/** Names of the guests whose disks have the image as their lowest layer. */
function guestsSharing({ images, volumes, guests }: ClusterState, name: string): string[] {
  const image = images.get(name)?.value
  const blobs = new Set(image ? blobsOfImage(image) : [])
  const found = [...volumes.values()].filter(({ value: { content } }) => content?.linked && blobs.has(content.blob))
  return [...new Set(found.map(({ value }) => guests.get(value.guest)?.value.name ?? value.guest))]
}

/** Templates of containers: images of kind `root`, one for each version. */
import { failure } from '@stead/core/errors.ts'
import type { ClusterState, Versioned } from '@stead/core/model/cluster.ts'
import {
  isTemplate,
  templateByName,
  templateImageName,
  templateNameOf,
  type TemplateImage,
} from '@stead/core/model/container-template.ts'
import { KEYS } from '@stead/core/model/keys.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import type { ApiBackend } from '../http/backend.ts'
import type { Desk } from './desk.ts'
import { guestsSharing, IMAGE_COPIES, largestPoolBytes, spreadFiles } from './storage-endpoints.ts'
import { rootFactsView } from './views.ts'

const OWN_COPY_MS = 1_000
/** A root with more is no template: ext4 itself needs a quarter of a kilobyte for each. */
const FILES_MAX = 2_000_000
/** Of one day, without versions of their own. */
const IMPORTS_A_DAY_MAX = 100

type Answers = Pick<ApiBackend, 'template.list' | 'template.show' | 'template.import' | 'template.delete'>

export function containerTemplateEndpoints(desk: Desk): Answers {
  const { store, blobs, clock, images, mirror } = desk.context
  return {
    'template.list': async () =>
      desk.loaded((state) => {
        const roots = [...state.images.values()].filter(isTemplate)
        return ok({ items: roots.map(({ value }) => templateView(state, value)) })
      }),
    'template.show': async ({ params }) => {
      const image = findTemplate(desk, params.template)
      return image.ok ? ok(templateView(desk.state, image.value.value)) : image
    },
    'template.import': async ({ body }) => {
      const version = body.version ?? versionOfDay(desk.state, body.name, clock.wallMs())
      const name = templateImageName(body.name, version)
      if (desk.state.images.has(name)) return versionTaken(name)
      const path = await blobs.ensure(body.blob)
      if (!path.ok) return path
      const imported = await images.importRoot({
        ...{ path: path.value, source: body.blob, filesMax: FILES_MAX, bytesMax: largestPoolBytes(desk.state) },
        ...(body.init ? { init: body.init } : {}),
        ...(body.haltSignal === undefined ? {} : { haltSignal: body.haltSignal }),
      })
      if (!imported.ok) return imported
      const { disk, facts, leftOut } = imported.value
      const image: TemplateImage = { name, kind: 'root', ...disk, root: facts, createdAt: clock.wallMs() }
      await spreadFiles(desk, [disk.blob], IMAGE_COPIES)
      const outcome = await store.transact({
        compares: [{ key: KEYS.image(name), modRevision: 0n }],
        writes: [{ kind: 'put', key: KEYS.image(name), value: JSON.stringify(image) }],
      })
      if (!outcome.ok) return outcome
      if (!outcome.value.committed) return versionTaken(name)
      // Who makes a container of it next, here, must find it.
      await mirror.until((state) => state.images.has(name), clock.sleep(OWN_COPY_MS))
      return ok({ template: templateView(desk.state, image, true), leftOut: [...leftOut] })
    },
    'template.delete': async ({ params }) => {
      const image = findTemplate(desk, params.template)
      if (!image.ok) return image
      const { name } = image.value.value
      const sharing = guestsSharing(desk.state, name)
      if (sharing.length > 0)
        return fail(
          failure('conflict', `The template ${name} is shared by ${sharing.join(', ')}`, {
            hint: 'Delete those guests first; as long as they are there, no room would become free',
          }),
        )
      // Not what has become the newest in the meantime.
      const outcome = await store.transact({
        compares: [{ key: KEYS.image(name), modRevision: image.value.revision }],
        writes: [{ kind: 'delete', key: KEYS.image(name) }],
      })
      if (!outcome.ok) return outcome
      return outcome.value.committed ? ok() : fail(failure('changed_meanwhile', `${name} was changed meanwhile`))
    },
  }
}

function findTemplate(desk: Desk, name: string): Result<Versioned<TemplateImage>> {
  return desk.loaded((state) => {
    const image = templateByName(state.images, name)
    return image
      ? ok(image)
      : fail(failure('not_found', `There is no template ${name}`, { hint: 'See `stead template list`' }))
  })
}

function templateView(state: ClusterState, image: TemplateImage, newest?: boolean) {
  const { blob, virtualSizeBytes, createdAt, root } = image
  const { name, version } = templateNameOf(image)
  return {
    ...{ name, version, newest: newest ?? templateByName(state.images, name)?.value.name === image.name },
    ...{ blob, imageBytes: virtualSizeBytes, createdAt, ...rootFactsView(root) },
  }
}

/** `2026-11-22`, and `2026-11-22.2` for the second of that day. */
function versionOfDay({ images }: ClusterState, name: string, wallMs: number): string {
  const day = new Date(wallMs).toISOString().slice(0, 10)
  for (let count = 1; count < IMPORTS_A_DAY_MAX; count++) {
    const version = count === 1 ? day : `${day}.${count}`
    if (!images.has(templateImageName(name, version))) return version
  }
  return day
}

function versionTaken(name: string) {
  return fail(
    failure('name_taken', `There is a template ${name} already`, {
      hint: 'Give another --version, or delete that one first: `stead template delete`',
    }),
  )
}

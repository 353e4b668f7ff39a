/** Templates of containers: images of kind `root`, one for each version. */
import { failure } from '@stead/core/errors.ts'
import { clusterPolicyOf } from '@stead/core/ha/planning-problem.ts'
import type { ClusterState, Versioned } from '@stead/core/model/cluster.ts'
import {
  isTemplate,
  templateByName,
  templateImageName,
  templateNameOf,
  type TemplateImage,
} from '@stead/core/model/container-template.ts'
import { imageSubject } from '@stead/core/model/image-import.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import type { ApiBackend } from '../http/backend.ts'
import type { Desk } from './desk.ts'
import { imageDeletion, importChange } from './image-endpoints.ts'
import { trustedSignature } from './template-trust.ts'
import { rootFactsView } from './views.ts'

/** Of one day, without versions of their own. */
const IMPORTS_A_DAY_MAX = 100

type Answers = Pick<ApiBackend, 'template.list' | 'template.show' | 'template.import' | 'template.delete'>

export function containerTemplateEndpoints(desk: Desk): Answers {
  const { clock } = desk.context
  return {
    'template.list': async () =>
      desk.loaded((state) => {
        const roots = [...state.images.values()].filter(isTemplate)
        return ok({ items: roots.map((root) => templateView(state, root)) })
      }),
    'template.show': async ({ params }) => {
      const image = findTemplate(desk, params.template)
      return image.ok ? ok(templateView(desk.state, image.value)) : image
    },
    'template.import': async ({ body }, request) => {
      const { init, haltSignal } = body
      // Each try looks anew: another import of today may have taken the version, and the policy may have changed.
      const operation = await desk.change(request, () => {
        const signature = trustedSignature(clusterPolicyOf(desk.state), body.signature)
        if (!signature.ok) return signature
        const target = {
          kind: 'root',
          ...(init ? { init } : {}),
          ...(haltSignal === undefined ? {} : { haltSignal }),
          ...(signature.value ? { signature: signature.value } : {}),
        } as const
        const version = body.version ?? versionOfDay(desk.state, body.name, clock.wallMs())
        const name = templateImageName(body.name, version)
        return importChange(desk, { name, source: body.blob, target, project: body.project })
      })
      if (!operation.ok) return operation
      const template = operation.value.subject.slice(imageSubject('').length)
      return ok({ template, ...(await desk.started(operation.value)) })
    },
    'template.delete': async ({ params }, request) => {
      const operation = await desk.change(request, () => {
        const image = findTemplate(desk, params.template)
        return image.ok ? imageDeletion(desk.state, image.value) : image
      })
      if (!operation.ok) return operation
      await desk.started(operation.value)
      return ok()
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

function templateView(state: ClusterState, { value: image, revision }: Versioned<TemplateImage>) {
  const { blob, virtualSizeBytes, createdAt, root } = image
  const { name, version } = templateNameOf(image)
  return {
    ...{ name, version, newest: templateByName(state.images, name)?.value.name === image.name },
    ...{ blob, imageBytes: virtualSizeBytes, createdAt, ...rootFactsView(root) },
    revision: String(revision),
  }
}

/** `2026-11-22`, and `2026-11-22.2` for the second of that day. */
function versionOfDay({ images, imports }: ClusterState, name: string, wallMs: number): string {
  const day = new Date(wallMs).toISOString().slice(0, 10)
  for (let count = 1; count < IMPORTS_A_DAY_MAX; count++) {
    const version = count === 1 ? day : `${day}.${count}`
    const image = templateImageName(name, version)
    if (!images.has(image) && !imports.has(image)) return version
  }
  return day
}

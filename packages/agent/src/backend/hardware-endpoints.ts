/** Disks and network cards of a guest. */
import { ok } from '@stead/core/result.ts'
import type { ApiBackend } from '../http/backend.ts'
import type { Desk } from './desk.ts'
import {
  addDiskChange,
  addNicChange,
  deleteVolumeChange,
  removeDiskChange,
  removeNicChange,
  setDiskChange,
  setNicChange,
} from './hardware-changes.ts'
import { resizeVolumeChange } from './volume-resize.ts'
import { spreadFiles } from './storage-endpoints.ts'

type Answers = Pick<
  ApiBackend,
  | 'guest.disk-add'
  | 'guest.disk-remove'
  | 'guest.disk-set'
  | 'guest.nic-add'
  | 'guest.nic-remove'
  | 'guest.nic-set'
  | 'volume.resize'
  | 'volume.delete'
>

export function hardwareEndpoints(desk: Desk): Answers {
  const { self, clock, random, verdicts } = desk.context
  return {
    'guest.disk-add': async ({ params, body }, request) => {
      const image = 'image' in body && body.image !== undefined ? desk.state.images.get(body.image)?.value : undefined
      if (image) await spreadFiles(desk, [image.blob])
      let warnings: readonly string[] = []
      const operation = await desk.changeGuest(params.guest, request, (guest) => {
        const context = {
          state: desk.state,
          self,
          verdicts: verdicts(),
          uuid: () => random.uuid(),
          wallMs: clock.wallMs(),
        }
        const added = addDiskChange(context, guest, body)
        if (!added.ok) return added
        warnings = added.value.warnings
        return ok(added.value.change)
      })
      return operation.ok ? ok({ ...(await desk.started(operation.value)), warnings: [...warnings] }) : operation
    },
    'guest.disk-remove': async ({ params, query }, request) => {
      const operation = await desk.changeGuest(params.guest, request, (guest) =>
        removeDiskChange(desk.state, guest, params.disk, query.volume ?? 'keep'),
      )
      return operation.ok ? ok(await desk.started(operation.value)) : operation
    },
    'guest.disk-set': async ({ params, body }, request) => {
      const operation = await desk.changeGuest(params.guest, request, (guest) =>
        setDiskChange(desk.state, guest, params.disk, body),
      )
      return operation.ok ? ok(await desk.started(operation.value)) : operation
    },
    'guest.nic-add': async ({ params, body }, request) => {
      const operation = await desk.changeGuest(params.guest, request, (guest) => addNicChange(guest, body))
      return operation.ok ? ok(await desk.started(operation.value)) : operation
    },
    'guest.nic-remove': async ({ params }, request) => {
      const operation = await desk.changeGuest(params.guest, request, (guest) =>
        removeNicChange(guest, Number(params.nic)),
      )
      return operation.ok ? ok(await desk.started(operation.value)) : operation
    },
    'guest.nic-set': async ({ params, body }, request) => {
      const operation = await desk.changeGuest(params.guest, request, (guest) =>
        setNicChange(guest, Number(params.nic), body),
      )
      return operation.ok ? ok(await desk.started(operation.value)) : operation
    },
    'volume.resize': async ({ params, body }, request) => {
      const operation = await desk.change(request, () =>
        desk.loaded((state) => resizeVolumeChange(state, params.volume, body.sizeBytes)),
      )
      return operation.ok ? ok(await desk.started(operation.value)) : operation
    },
    'volume.delete': async ({ params }, request) => {
      const operation = await desk.change(request, () =>
        desk.loaded((state) => deleteVolumeChange(state, params.volume)),
      )
      return operation.ok ? ok(await desk.started(operation.value)) : operation
    },
  }
}

/** A container like one with a native root: its root is a snapshot of the other one's, made where that is. Pure. */
import type { CreateGuest } from '@stead/api/endpoints/guests.ts'
import { failure } from '@stead/core/errors.ts'
import type { Versioned } from '@stead/core/model/cluster.ts'
import type { Guest } from '@stead/core/model/guest.ts'
import { KEYS } from '@stead/core/model/keys.ts'
import type { Volume } from '@stead/core/model/volume.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import { planCreate, type CreateContext, type CreatePlan } from './create-plan.ts'
import type { Change } from './change.ts'
import { createChange } from './guest-endpoints.ts'

export function nativeCloneChange(
  context: CreateContext,
  source: Versioned<Guest>,
  root: Versioned<Volume>,
  like: CreateGuest,
): Result<Change> {
  const planned = plannedClone(context, source.value, root.value, like)
  if (!planned.ok) return planned
  const made = createChange(planned.value)
  const same = [
    { key: KEYS.guest(source.value.id), modRevision: source.revision },
    { key: KEYS.volume(root.value.id), modRevision: root.revision },
  ]
  return ok({ ...made, compares: [...made.compares, ...same] })
}

function plannedClone(context: CreateContext, source: Guest, root: Volume, like: CreateGuest): Result<CreatePlan> {
  const home = root.replicas[0]
  if (source.deleting || home === undefined || !root.ready || root.move)
    return fail(failure('conflict', `The root of ${source.name} is being changed`, { hint: 'Wait until that is done' }))
  if (like.host !== undefined && like.host !== home.host)
    return fail(
      failure('conflict', `A clone of ${source.name} begins on ${home.host}, where its root is`, {
        hint: `Clone it there, then \`stead ct migrate ${like.name} --to ${like.host}\``,
      }),
    )
  const disk = { ...like.disks[0]!, sizeBytes: root.sizeBytes, replicas: 1 as const, pool: home.pool }
  const container = { ...like.container!, root: 'native' as const }
  const planned = planCreate(
    { ...context, contentsToCome: true },
    { ...like, host: home.host, disks: [disk], container },
  )
  if (!planned.ok) return planned
  const volumes = planned.value.volumes.map(({ awaitsContent: _none, ...volume }) => ({ ...volume, cloneOf: root.id }))
  return ok({ ...planned.value, volumes })
}

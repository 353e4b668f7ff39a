import { failure } from '@stead/core/errors.ts'
import { replicaGrantOf, type ReplicaGrant } from '@stead/core/ha/export-gate.ts'
import type { Grant } from '@stead/core/model/grant.ts'
import type { HostId, VolumeId } from '@stead/core/model/ids.ts'
import { KEYS } from '@stead/core/model/keys.ts'
import type { Volume } from '@stead/core/model/volume.ts'
import type { Store } from '@stead/core/ports/store.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'

/** The epoch that the cluster has granted, read linearizably: what decides whom this host serves. */
export async function readEpoch(store: Store, self: HostId, id: VolumeId, pool: string): Promise<Result<ReplicaGrant>> {
  const entry = await store.get(KEYS.volume(id))
  if (!entry.ok) return entry
  if (!entry.value) return fail(failure('not_found', `There is no volume ${id}`))
  const volume = JSON.parse(entry.value.value) as Volume
  const granted = await store.get(KEYS.grant(volume.guest))
  if (!granted.ok) return granted
  const grant = granted.value ? (JSON.parse(granted.value.value) as Grant) : undefined
  return ok(replicaGrantOf(grant, volume, self, pool))
}

/**
 * The coordinator's part of enlarging a volume: all replicas make room, then the record gets the size. Until then
 * nobody notices, and it can be undone; from then on every opening of a replica gives it that size.
 */
import type { Failure } from '../errors.ts'
import { KEYS } from '../model/keys.ts'
import type { Volume } from '../model/volume.ts'
import { failedOperationWrites } from './ended-operations.ts'
import type { HostContext } from './host-context.ts'

/** True once the record says how it ended. `mayPass`: whether a failure may be over when it is tried again. */
export async function makeRoom(
  context: HostContext,
  { id, growTo, replicas }: Volume,
  mayPass: (error: Failure) => boolean,
): Promise<boolean> {
  const { volumesOn, store, mirror, log } = context
  const reserve = (sizeBytes: number) =>
    Promise.all(replicas.map(({ host, pool }) => volumesOn(host).reserveReplica({ volume: id, pool, sizeBytes })))
  const answers = growTo === undefined ? [] : await reserve(growTo)
  const refused = answers.find((answer) => !answer.ok)
  const isHopeless = replicas.some(({ host }) => mirror.state.statuses.get(host)?.value.state === 'lost')
  if (refused && !isHopeless && mayPass(refused.error)) return false
  const known = mirror.state.volumes.get(id)
  if (!known || known.value.growTo !== growTo) return true
  const { growTo: wanted, ...kept } = known.value
  if (wanted === undefined) return true
  if (refused) log.warn('a volume is not enlarged', { volume: id, cause: refused.error })
  const outcome = await store.transact({
    compares: [{ key: KEYS.volume(id), modRevision: known.revision }],
    writes: [
      {
        kind: 'put',
        key: KEYS.volume(id),
        value: JSON.stringify(refused ? kept : { ...kept, sizeBytes: wanted }),
      },
      ...(refused ? failedOperationWrites(context, `volume/${id}`, refused.error) : []),
    ],
  })
  if (!outcome.ok || !outcome.value.committed) return false
  // What cannot be given back now is counted as taken until the volume is enlarged or deleted.
  if (refused) await reserve(kept.sizeBytes)
  return true
}

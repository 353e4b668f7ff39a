/** Of views that are followed, those that may be seen. */
import type { LiveBatch, LiveChange, LiveKind } from '@stead/api/endpoints/live-views.ts'
import { CLUSTER_PATH, hostPath, subjectPath, volumePath } from '@stead/core/access/object-path.ts'
import type { Privilege } from '@stead/core/access/privilege.ts'
import type { ClusterState } from '@stead/core/model/cluster.ts'
import type { OperationId } from '@stead/core/model/ids.ts'
import { isAsyncIterable } from '../http/streamed-reply.ts'

export const LIVE_PRIVILEGES: Readonly<Record<LiveKind, Privilege>> = {
  cluster: 'cluster.view',
  host: 'host.view',
  guest: 'guest.view',
  volume: 'volume.view',
  operation: 'operation.view',
}

export const LIVE_PATHS: Readonly<Record<LiveKind, (state: ClusterState, id: string) => string>> = {
  cluster: () => CLUSTER_PATH,
  host: (_state, id) => hostPath(id),
  guest: (state, id) => subjectPath(state, `guest/${id}`),
  volume: volumePath,
  operation: (state, id) => {
    const { subject = 'cluster', project } = state.operations.get(id as OperationId)?.value ?? {}
    return subjectPath(state, subject, project)
  },
}

/** What stops being visible is gone, for who may not see it any more; of what he never saw he is not told that it goes. */
export function visibleViews(
  value: LiveBatch | AsyncIterable<LiveBatch>,
  /** Asked for each batch: what may be seen changes. */
  seesNow: () => (change: LiveChange) => boolean,
): LiveBatch | AsyncIterable<LiveBatch> {
  if (!isAsyncIterable(value)) return { ...value, changes: value.changes.filter(seesNow()) }
  return filtered(value, seesNow)
}

async function* filtered(source: AsyncIterable<LiveBatch>, seesNow: () => (change: LiveChange) => boolean) {
  const shown = new Set<string>()
  let isBegun = false
  /** It goes on where another stream of the same client has stopped: what that one has shown is not known here. */
  let goesOn: boolean | undefined
  for await (const batch of source) {
    goesOn ??= !batch.reset
    if (batch.reset) shown.clear()
    const sees = seesNow()
    const changes = batch.changes.flatMap((change): LiveChange[] => {
      const name = `${change.kind}/${change.id}`
      if (change.view !== null && sees(change)) {
        shown.add(name)
        return [change]
      }
      return shown.delete(name) || goesOn ? [{ ...change, view: null }] : []
    })
    if (changes.length > 0 || !isBegun) yield { ...batch, changes }
    isBegun ||= batch.complete
  }
}

/** What the cluster's policy says of a change after which a loss would leave guests without a place. */
import { recordDecoder } from '@stead/api/records.ts'
import { failure } from '@stead/core/errors.ts'
import { breachesMadeBy } from '@stead/core/ha/loss-admission.ts'
import { clusterPolicyOf } from '@stead/core/ha/planning-problem.ts'
import { applyBatch } from '@stead/core/model/cluster-reducer.ts'
import type { ClusterState } from '@stead/core/model/cluster.ts'
import type { HostId } from '@stead/core/model/ids.ts'
import type { StoreChange, Write } from '@stead/core/ports/store.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'

/** In one message. */
const BREACHES_NAMED = 5

/** Whether the policy asks what a change would mean for a loss. */
export function isJudged(state: ClusterState): boolean {
  const { hostFailures, onBreach } = clusterPolicyOf(state).admission
  return hostFailures > 0 && onBreach !== 'ignore'
}

/** The warnings that come with the change; or the refusal. */
export function admitChange(
  state: ClusterState,
  writes: readonly Write[],
  isUp: (host: HostId) => boolean,
  acceptBreach: boolean,
): Result<string[]> {
  if (!isJudged(state)) return ok([])
  const texts = breachesMadeBy(state, stateAfter(state, writes), isUp).map(({ text }) => text)
  if (texts.length === 0) return ok([])
  const more = texts.length - BREACHES_NAMED
  const named = [...texts.slice(0, BREACHES_NAMED), ...(more > 0 ? [`and so for ${more} more losses`] : [])]
  if (clusterPolicyOf(state).admission.onBreach === 'warn' || acceptBreach) return ok(named)
  return fail(failure('admission', `The cluster's policy refuses this: ${named.join('; ')}`))
}

/** The records as they would read once the writes were done. */
export function stateAfter(state: ClusterState, writes: readonly Write[]): ClusterState {
  const changes = writes.flatMap((write): StoreChange[] => {
    if (write.kind === 'delete') return [{ kind: 'delete', key: write.key, modRevision: NOT_YET }]
    // Only what is no record is deleted by prefix.
    if (write.kind === 'delete-prefix') return []
    const { key, value } = write
    return [{ kind: 'put', entry: { key, value, createRevision: NOT_YET, modRevision: NOT_YET } }]
  })
  return applyBatch(state, { kind: 'changes', changes, revision: NOT_YET }, recordDecoder).state
}

/** A revision that no record has. */
const NOT_YET = -1n

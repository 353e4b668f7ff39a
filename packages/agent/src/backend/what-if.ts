/** "What if?" on the live records. */
import { foresightView, type ForesightView, type SuppositionRequest } from '@stead/api/foresight-view.ts'
import { measuredFigures, type Figures } from '@stead/core/foresight/figures.ts'
import { foresee, foreseeSingleFailures } from '@stead/core/foresight/foresee.ts'
import { suppositionOf } from '@stead/core/foresight/request.ts'
import type { ClusterState } from '@stead/core/model/cluster.ts'
import { ok, type Result } from '@stead/core/result.ts'
import type { History } from '../history.ts'
import type { ApiBackend } from '../http/backend.ts'
import type { Desk } from './desk.ts'

/** Enough of the past for medians, not so much that an old cluster's answer would be of its first year. */
const EVENTS_READ = 2_000

export function whatIfEndpoints(desk: Desk): Pick<ApiBackend, 'foresight.ask' | 'foresight.single-failures'> {
  const { history, clock } = desk.context
  return {
    'foresight.ask': async ({ body }) =>
      desk.loaded((state) => askForesight(state, figuresOf(state, history), clock.wallMs(), body.suppose)),

    'foresight.single-failures': async () =>
      desk.loaded((state) => ok(everySingleFailure(state, figuresOf(state, history), clock.wallMs()))),
  }
}

export function figuresOf(state: ClusterState, history: History): Figures {
  const kinds = ['grant.committed', 'guest.started', 'guest.stopped', 'replica.stale']
  return measuredFigures(state, history.list({ kinds, limit: EVENTS_READ }))
}

function askForesight(
  state: ClusterState,
  figures: Figures,
  wallMs: number,
  suppose: SuppositionRequest,
): Result<ForesightView> {
  const supposition = suppositionOf(state, suppose)
  if (!supposition.ok) return supposition
  return ok(foresightView(foresee(state, supposition.value, { figures, wallMs }), state))
}

function everySingleFailure(
  state: ClusterState,
  figures: Figures,
  wallMs: number,
): { items: ForesightView[]; skipped: number } {
  const { harmful, skipped } = foreseeSingleFailures(state, { figures, wallMs })
  return { items: harmful.map((one) => foresightView(one, state)), skipped }
}

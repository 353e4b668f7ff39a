/** "What if?" on the live records. */
import { createHash } from 'node:crypto'
import {
  foresightView,
  type ForeseenView,
  type ForesightView,
  type SuppositionRequest,
} from '@stead/api/foresight-view.ts'
import type { ResponseOf } from '@stead/api/endpoint.ts'
import type { EndpointOf } from '@stead/api/endpoints.ts'
import { failure } from '@stead/core/errors.ts'
import { measuredFigures, type Figures } from '@stead/core/foresight/figures.ts'
import { foresee } from '@stead/core/foresight/foresee.ts'
import { suppositionOf } from '@stead/core/foresight/request.ts'
import { fileOf } from '@stead/core/model/cluster-file-state.ts'
import type { ClusterState } from '@stead/core/model/cluster.ts'
import type { Guest } from '@stead/core/model/guest.ts'
import type { GuestId } from '@stead/core/model/ids.ts'
import { KEYS } from '@stead/core/model/keys.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import type { History } from '../history.ts'
import type { ApiBackend } from '../http/backend.ts'
import type { Change } from './change.ts'
import type { Desk } from './desk.ts'
import { everyFailureView, SingleFailures } from './every-single-failure.ts'

/** Enough of the past for medians, not so much that an old cluster's answer would be of its first year. */
const EVENTS_READ = 2_000

export function whatIfEndpoints(
  desk: Desk,
): Pick<ApiBackend, 'cluster.export' | 'foresight.ask' | 'foresight.single-failures'> {
  const { history, clock } = desk.context
  const failures = new SingleFailures(clock)
  return {
    'cluster.export': async () =>
      desk.loaded((state) => ok(structuredClone(fileOf(state)) as ResponseOf<EndpointOf<'cluster.export'>>)),

    'foresight.ask': async ({ body }) =>
      desk.loaded((state) => askForesight(state, figuresOf(state, history), clock.wallMs(), body.suppose)),

    'foresight.single-failures': async ({ query }, { signal }) => {
      const loaded = desk.loaded(() => ok())
      if (!loaded.ok) return loaded
      const answer = await failures.ask(signal, () => ({
        state: desk.state,
        options: { figures: figuresOf(desk.state, history), wallMs: clock.wallMs() },
      }))
      if (!answer) return fail(failure('timeout', 'Nobody waits for the answer any more'))
      return ok(everyFailureView(answer, desk.state, { brief: query.brief === true }))
    },
  }
}

/** The change is made up and foreseen, not made. The answer is the failure `foreseen`, since nothing was done. */
export async function foreseeChange(
  desk: Desk,
  make: () => Result<Change> | Promise<Result<Change>>,
): Promise<Result<never>> {
  const change = await make()
  if (!change.ok) return change
  const view = foreseenView(desk, change.value)
  return fail(failure('foreseen', view.summary, { cause: view }))
}

/** For clusters whose policy demands it: what the change does must be what the client has seen. */
export function requireForeseen(desk: Desk, change: Change, shown: string | undefined): Result<void> {
  const { token, summary } = foreseenView(desk, change)
  if (shown === token) return ok()
  const why = shown === undefined ? '' : ' It would now do something else than what was foreseen.'
  return fail(failure('what_if_required', `The cluster's policy demands a look first.${why} It would mean: ${summary}`))
}

function foreseenView(desk: Desk, change: Change): ForeseenView {
  const { state } = desk
  const { supposition = { kind: 'change', summary: inWords(state, change), writes: change.writes } } = change
  const figures = figuresOf(state, desk.context.history)
  const view = foresightView(foresee(state, supposition, { figures, wallMs: desk.context.clock.wallMs() }), state)
  return { ...view, token: tokenOf(view) }
}

/** As the command that would make it: `vm stop web`. */
function inWords(state: ClusterState, { kind, subject, writes }: Change): string {
  const [, id = ''] = subject.split('/')
  const made = writes.find((write) => write.kind === 'put' && write.key === KEYS.guest(id as GuestId))
  const guest =
    state.guests.get(id as GuestId)?.value ?? (made && (JSON.parse((made as { value: string }).value) as Guest))
  return `\`${kind.replace('.', ' ')} ${guest?.name ?? id}\` is done`
}

/** Stands for the outcome: who goes where and what is at risk; not for times, which differ at each look. */
function tokenOf({ guests, data, breaches, canDecide }: ForesightView): string {
  const outcome = [
    guests.map(({ name, from, to, interruptions }) => [name, from, to, interruptions]),
    data.map(({ text }) => text),
    breaches.map(({ text }) => text),
    canDecide,
  ]
  return createHash('sha256').update(JSON.stringify(outcome)).digest('hex').slice(0, 16)
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

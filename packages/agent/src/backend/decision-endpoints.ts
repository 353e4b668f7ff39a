/** What was decided on any host, and the same decision made again. */
import type { ResponseOf } from '@stead/api/endpoint.ts'
import type { EndpointOf } from '@stead/api/endpoints.ts'
import { failure } from '@stead/core/errors.ts'
import { replay } from '@stead/core/foresight/decision-record.ts'
import { fail, ok } from '@stead/core/result.ts'
import type { ApiBackend } from '../http/backend.ts'
import type { Desk } from './desk.ts'

export function decisionEndpoints(desk: Desk): Pick<ApiBackend, 'decision.list' | 'decision.replay'> {
  const { decisions } = desk.context
  const iso = (wallMs: number) => new Date(wallMs).toISOString()
  return {
    'decision.list': async () => {
      const found = await decisions.list()
      const items = found.toSorted((a, b) => b.decidedAt - a.decidedAt)
      return ok({
        items: items.map(({ id, decidedAt, choices }) => ({
          id,
          decidedAt: iso(decidedAt),
          choices: choices.map((one) => ({ ...one })),
        })),
      })
    },
    'decision.replay': async ({ params }) => {
      const record = await decisions.find(params.decision)
      if (!record)
        return fail(
          failure('not_found', `No host that can be reached has the decision ${params.decision}`, {
            hint: 'See `stead decision list`; each is kept on the host that decided, the newest thousand',
          }),
        )
      const { id, decidedAt, recorded, differences, reasons } = replay(record)
      return ok({
        id,
        decidedAt: iso(decidedAt),
        recorded: recorded.map((one) => ({ ...one })),
        same: differences.length === 0,
        differences: differences.map((one) => ({ ...one })),
        reasons: reasons.map(
          (one) => structuredClone(one) as ResponseOf<EndpointOf<'decision.replay'>>['reasons'][number],
        ),
      })
    },
  }
}

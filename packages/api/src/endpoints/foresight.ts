import { z } from 'zod'
import { endpoint } from '../endpoint.ts'
import { foresightSchema, foresightsSchema, suppositionSchema } from '../foresight-view.ts'

export const FORESIGHT_ENDPOINTS = {
  'foresight.ask': endpoint({
    id: 'foresight.ask',
    whatIf: 'harmless',
    method: 'POST',
    path: '/v1/what-if',
    summary: 'Say what a failure or a change would do',
    permission: 'cluster.view',
    body: z.strictObject({ suppose: suppositionSchema }),
    response: foresightSchema,
    status: 200,
    answerWithinMs: 30_000,
  }),
  'foresight.single-failures': endpoint({
    id: 'foresight.single-failures',
    method: 'GET',
    path: '/v1/what-if/every-single-failure',
    summary: 'Say what each single failure would do',
    permission: 'cluster.view',
    response: foresightsSchema,
    status: 200,
    answerWithinMs: 60_000,
  }),
} as const

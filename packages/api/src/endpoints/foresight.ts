import { z } from 'zod'
import { clusterFileSchema } from '../cluster-file.ts'
import { endpoint } from '../endpoint.ts'
import { queryBoolean } from './parameters.ts'
import { foresightSchema, foresightsSchema, suppositionSchema } from '../foresight-view.ts'

export const FORESIGHT_ENDPOINTS = {
  'cluster.export': endpoint({
    id: 'cluster.export',
    method: 'GET',
    path: '/v1/cluster/file',
    summary: 'Print the cluster as a file, to ask "what if" of it elsewhere',
    permission: 'cluster.view',
    on: 'cluster',
    response: clusterFileSchema,
    status: 200,
  }),
  'foresight.ask': endpoint({
    id: 'foresight.ask',
    whatIf: 'harmless',
    method: 'POST',
    path: '/v1/what-if',
    summary: 'Say what a failure or a change would do',
    permission: 'cluster.view',
    on: 'cluster',
    body: z.strictObject({ suppose: suppositionSchema }),
    response: foresightSchema,
    unrecorded: true,
    status: 200,
    answerWithinMs: 30_000,
  }),
  'foresight.single-failures': endpoint({
    id: 'foresight.single-failures',
    method: 'GET',
    path: '/v1/what-if/every-single-failure',
    summary: 'Say what each single failure would do',
    permission: 'cluster.view',
    on: 'cluster',
    query: z.strictObject({
      brief: queryBoolean.optional().describe('Without guests, data, breaches and times: only how many there are'),
    }),
    response: foresightsSchema,
    status: 200,
    answerWithinMs: 60_000,
  }),
} as const

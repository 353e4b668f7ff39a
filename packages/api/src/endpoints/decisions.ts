import { z } from 'zod'
import { endpoint } from '../endpoint.ts'
import { decisionSchema } from '../records.ts'

const choice = z.object({
  subject: z.string().describe('`guest/<name>` or `host/<name>`'),
  choice: z.string().describe('What was decided about it'),
})
const decisionId = z.string().describe('As `plan` in `explain` names it')

export const DECISION_ENDPOINTS = {
  'decision.list': endpoint({
    id: 'decision.list',
    method: 'GET',
    path: '/v1/decisions',
    summary: 'List what was decided, newest first',
    permission: 'cluster.view',
    on: 'cluster',
    response: z.object({
      items: z.array(z.object({ id: decisionId, decidedAt: z.string(), choices: z.array(choice) })),
    }),
    listedBy: ['id'],
    status: 200,
    answerWithinMs: 10_000,
  }),
  'decision.replay': endpoint({
    id: 'decision.replay',
    method: 'GET',
    path: '/v1/decisions/{decision}/replay',
    summary: 'Make a decision again with the code that runs now, and show the difference',
    permission: 'cluster.view',
    on: 'cluster',
    params: z.strictObject({ decision: decisionId }),
    response: z.object({
      id: decisionId,
      decidedAt: z.string(),
      recorded: z.array(choice).describe('What was decided then'),
      same: z.boolean(),
      differences: z.array(z.object({ subject: z.string(), was: z.string(), isNow: z.string() })),
      reasons: z.array(decisionSchema).describe('Facts and candidates, where the same was decided again'),
    }),
    status: 200,
    answerWithinMs: 10_000,
  }),
} as const

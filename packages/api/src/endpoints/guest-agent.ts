/** What the agent inside a guest can do for those outside. */
import { z } from 'zod'
import { endpoint } from '../endpoint.ts'
import { guestParams } from './parameters.ts'

const ANSWER_WITHIN_MS = 10_000
/** How long a request may wait for a program in the guest. */
const EXECUTE_MS_MAX = 600_000

export const guestInterfaceSchema = z.object({
  name: z.string(),
  mac: z.string().describe('Empty where there is none'),
  addresses: z.array(z.string()).describe('With prefix length: `192.0.2.7/24`'),
})

const executeBody = z.strictObject({
  command: z.array(z.string()).min(1).max(1_000).describe('The program and its arguments; no shell reads them'),
  input: z.string().max(1_048_576).optional().describe('For its standard input'),
  timeoutMs: z
    .number()
    .int()
    .min(100)
    .max(EXECUTE_MS_MAX)
    .default(30_000)
    .describe('How long to wait for its end, ms; it is not ended then'),
})

export const GUEST_AGENT_ENDPOINTS = {
  'guest-agent.ping': endpoint({
    id: 'guest-agent.ping',
    method: 'GET',
    path: '/v1/guests/{guest}/agent/ping',
    summary: 'Ask whether the agent inside a guest answers',
    permission: 'guest.view',
    on: 'guest',
    params: guestParams,
    response: z.object({ guest: z.string(), answeredMs: z.number().describe('How long the answer took, ms') }),
    status: 200,
    answerWithinMs: ANSWER_WITHIN_MS,
  }),
  'guest-agent.info': endpoint({
    id: 'guest-agent.info',
    method: 'GET',
    path: '/v1/guests/{guest}/agent',
    summary: 'Show what the agent inside a guest tells of its system',
    permission: 'guest.view',
    on: 'guest',
    params: guestParams,
    response: z.object({
      guest: z.string(),
      system: z.string().describe('As the guest calls itself; empty when it does not say'),
      kernel: z.string(),
      hostname: z.string(),
      agentVersion: z.string(),
      fileSystems: z.enum(['frozen', 'thawed']),
    }),
    status: 200,
    answerWithinMs: ANSWER_WITHIN_MS,
  }),
  'guest-agent.addresses': endpoint({
    id: 'guest-agent.addresses',
    method: 'GET',
    path: '/v1/guests/{guest}/agent/addresses',
    summary: "List a guest's network addresses, as its agent tells them",
    permission: 'guest.view',
    on: 'guest',
    params: guestParams,
    response: z.object({ guest: z.string(), interfaces: z.array(guestInterfaceSchema) }),
    status: 200,
    answerWithinMs: ANSWER_WITHIN_MS,
  }),
  'guest-agent.execute': endpoint({
    id: 'guest-agent.execute',
    method: 'POST',
    path: '/v1/guests/{guest}/agent/execute',
    summary: "Run a program inside a guest, where the guest's settings allow it",
    permission: 'guest.execute',
    on: 'guest',
    params: guestParams,
    body: executeBody,
    response: z.object({
      guest: z.string(),
      exitCode: z.number().int().nullable().describe('null: a signal ended it'),
      signal: z.number().int().nullable(),
      stdout: z.string(),
      stderr: z.string(),
      truncated: z.boolean().describe('It said more than the agent keeps'),
    }),
    unrecorded: true,
    status: 200,
    whatIf: 'none',
    answerWithinMs: EXECUTE_MS_MAX,
  }),
} as const

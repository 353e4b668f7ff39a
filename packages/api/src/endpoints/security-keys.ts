/** Security keys and passkeys (WebAuthn): beside the password, and instead of it. */
import { z } from 'zod'
import { endpoint } from '../endpoint.ts'
import { noContent } from './parameters.ts'
import { addedKey, answerOfKey, keyOptions, shownKey } from './security-key-answers.ts'
import { form, signInViewSchema } from './sign-in.ts'

const OWN = { permission: 'none', on: 'self', whatIf: 'none', unrecorded: true } as const

export const SECURITY_KEY_ENDPOINTS = {
  'auth.begin-key': endpoint({
    ...{ id: 'auth.begin-key', method: 'POST', path: '/v1/auth/key', ...OWN, public: true },
    summary: 'Ask what a security key must answer',
    body: z.strictObject({
      pending: z
        .string()
        .max(100)
        .optional()
        .describe('Of a sign-in whose password was right; absent: without a password'),
    }),
    response: keyOptions,
    status: 200,
  }),
  'auth.key': endpoint({
    ...{ id: 'auth.key', method: 'POST', path: '/v1/auth/key/answer', ...OWN, public: true },
    summary: 'Sign in by a security key alone, which asks for a PIN or a finger',
    body: z.strictObject({ ...shownKey.shape, response: answerOfKey, form }),
    response: signInViewSchema,
    status: 200,
    answerWithinMs: 10_000,
  }),
  'factor.begin-key': endpoint({
    ...{ id: 'factor.begin-key', method: 'POST', path: '/v1/auth/second-factors/keys/options', ...OWN },
    summary: 'Begin to add a security key',
    dutiful: true,
    response: keyOptions,
    status: 200,
  }),
  'factor.add-key': endpoint({
    ...{ id: 'factor.add-key', method: 'POST', path: '/v1/auth/second-factors/keys', ...OWN },
    summary: 'Add a security key; the first second factor gives recovery codes',
    dutiful: true,
    body: z.strictObject({
      name: z.string().min(1).max(60),
      response: addedKey,
      sealed: z.string().max(2_000),
    }),
    response: z.object({
      recoveryCodes: z.array(z.string()).describe('Empty where there were some; nobody can ever see them again'),
      session: signInViewSchema.describe('Instead of the one by which the request came'),
    }),
    status: 200,
  }),
  'factor.remove-key': endpoint({
    ...{ id: 'factor.remove-key', method: 'DELETE', path: '/v1/auth/second-factors/keys/{key}', ...OWN },
    summary: "Remove one of one's own security keys",
    params: z.strictObject({ key: z.string().describe("The key's id") }),
    response: noContent,
    status: 204,
  }),
} as const

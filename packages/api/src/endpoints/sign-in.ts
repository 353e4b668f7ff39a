/** Signing in, and what people do with their own password and sessions. */
import { PASSWORD_LENGTH_MAX } from '@stead/core/access/password-rules.ts'
import { SECOND_FACTOR_METHODS } from '@stead/core/access/second-factor.ts'
import { z } from 'zod'
import { endpoint } from '../endpoint.ts'
import { noContent } from './parameters.ts'
import { keyViewSchema, shownKey } from './security-key-answers.ts'

/** A little more than may be set, so that who types too much is told so, or that it is wrong. */
const password = z.string().max(4 * PASSWORD_LENGTH_MAX)
const code = z.string().regex(/^\d{6}$/, 'must be six digits')
export const form = z
  .enum(['cookie', 'token'])
  .default('token')
  .describe('`cookie`: for browsers; changes then need the header `X-Stead-Forgery-Token`')

export const signInViewSchema = z.object({
  state: z
    .enum(['signed-in', 'second-factor'])
    .describe('`second-factor`: one of `methods` must be shown with `pending`'),
  user: z.string(),
  pending: z.string().nullable(),
  methods: z.array(z.enum(SECOND_FACTOR_METHODS)),
  expiresAt: z.string().nullable().describe('ISO 8601, UTC: when the session ends at the latest'),
  must: z.enum(['change-password', 'add-second-factor']).nullable().describe('What must be done before anything else'),
  token: z.string().nullable().describe('To be sent as `Authorization: Bearer`; null of a cookie'),
  device: z.string().nullable().describe('To be shown at the next sign-in of this user: it is a known device then'),
  forgeryToken: z.string().nullable().describe('Of a cookie: to be sent as `X-Stead-Forgery-Token` with every change'),
})
export type SignInView = z.output<typeof signInViewSchema>

export const sessionViewSchema = z.object({
  id: z.string(),
  user: z.string(),
  current: z.boolean().describe('By which this request comes'),
  form: z.enum(['cookie', 'token']),
  createdAt: z.string(),
  usedAt: z.string(),
  expiresAt: z.string(),
  address: z.string(),
  client: z.string(),
})
export type SessionView = z.output<typeof sessionViewSchema>

const OWN = { permission: 'none', on: 'self', whatIf: 'none' } as const
const userParams = z.strictObject({ user: z.string() })

export const SIGN_IN_ENDPOINTS = {
  'auth.authority': endpoint({
    ...{ id: 'auth.authority', method: 'GET', path: '/v1/auth/authority', ...OWN },
    summary: "Show the authority of this host's public port",
    dutiful: true,
    response: z.object({
      certificate: z.string().describe('PEM'),
      fingerprint: z.string().describe('SHA-256, upper-case pairs with colons'),
    }),
    status: 200,
  }),
  'auth.sign-in': endpoint({
    ...{ id: 'auth.sign-in', method: 'POST', path: '/v1/auth/sign-in', ...OWN },
    summary: 'Sign in with a password',
    public: true,
    body: z.strictObject({
      user: z.string().min(1).max(130),
      password,
      form,
      device: z.string().max(200).optional().describe('What an earlier sign-in on this device has given'),
    }),
    response: signInViewSchema,
    unrecorded: true,
    status: 200,
    answerWithinMs: 10_000,
  }),
  'auth.second-factor': endpoint({
    ...{ id: 'auth.second-factor', method: 'POST', path: '/v1/auth/second-factor', ...OWN },
    summary: 'Show the second factor of a sign-in whose password was right',
    public: true,
    body: z
      .strictObject({
        pending: z.string().max(100),
        code: code.optional(),
        recoveryCode: z.string().max(40).optional(),
        key: shownKey.optional(),
      })
      .refine(
        ({ code, recoveryCode, key }) => [code, recoveryCode, key].filter((one) => one !== undefined).length === 1,
        'must have a code, a recovery code or the answer of a security key',
      ),
    response: signInViewSchema,
    unrecorded: true,
    status: 200,
    answerWithinMs: 10_000,
  }),
  'factor.list': endpoint({
    ...{ id: 'factor.list', method: 'GET', path: '/v1/auth/second-factors', ...OWN },
    summary: "Show one's own second factors",
    dutiful: true,
    response: z.object({
      totp: z.boolean(),
      keys: z.array(keyViewSchema),
      recoveryCodes: z.number().int().describe('That are left'),
      demanded: z.boolean().describe('By one of the groups'),
    }),
    status: 200,
  }),
  'factor.begin-totp': endpoint({
    ...{ id: 'factor.begin-totp', method: 'POST', path: '/v1/auth/second-factors/totp', ...OWN },
    summary: 'Begin to add codes of an app (TOTP) as second factor',
    dutiful: true,
    response: z.object({ secret: z.string().describe('Base32'), uri: z.string().describe('For a QR code') }),
    unrecorded: true,
    status: 200,
  }),
  'factor.add-totp': endpoint({
    ...{ id: 'factor.add-totp', method: 'PUT', path: '/v1/auth/second-factors/totp', ...OWN },
    summary: 'Add the codes of an app, by one of them; gives recovery codes',
    dutiful: true,
    body: z.strictObject({ code }),
    response: z.object({
      recoveryCodes: z.array(z.string()).describe('Each is good once; nobody can ever see them again'),
      session: signInViewSchema.describe('Instead of the one by which the request came'),
    }),
    unrecorded: true,
    status: 200,
  }),
  'factor.remove': endpoint({
    ...{ id: 'factor.remove', method: 'DELETE', path: '/v1/auth/second-factors', ...OWN },
    summary: "Remove one's own second factors",
    response: noContent,
    unrecorded: true,
    status: 204,
  }),
  'user.remove-second-factors': endpoint({
    ...{ id: 'user.remove-second-factors', method: 'DELETE', path: '/v1/users/{user}/second-factors', whatIf: 'none' },
    ...{ permission: 'access.manage', on: 'access' },
    summary: 'Remove the second factors of a user who has lost them; his sessions end',
    params: userParams,
    response: noContent,
    status: 204,
  }),
  'auth.sign-out': endpoint({
    ...{ id: 'auth.sign-out', method: 'POST', path: '/v1/auth/sign-out', ...OWN },
    summary: 'End the session by which the request comes',
    dutiful: true,
    response: noContent,
    unrecorded: true,
    status: 204,
  }),
  'auth.password': endpoint({
    ...{ id: 'auth.password', method: 'PUT', path: '/v1/auth/password', ...OWN },
    summary: "Change one's own password; all sessions end, and a new one begins",
    dutiful: true,
    body: z.strictObject({
      current: password.optional().describe('Not needed after signing in with a one-time password'),
      next: password,
    }),
    response: signInViewSchema,
    unrecorded: true,
    status: 200,
    answerWithinMs: 10_000,
  }),
  'session.list': endpoint({
    ...{ id: 'session.list', method: 'GET', path: '/v1/auth/sessions', ...OWN },
    summary: "List one's own sessions",
    response: z.object({ items: z.array(sessionViewSchema) }),
    listedBy: ['id'],
    status: 200,
  }),
  'session.end': endpoint({
    ...{ id: 'session.end', method: 'DELETE', path: '/v1/auth/sessions/{session}', ...OWN },
    summary: "End one of one's own sessions",
    params: z.strictObject({ session: z.string().describe("The session's id") }),
    response: noContent,
    unrecorded: true,
    status: 204,
  }),
  'user.end-sessions': endpoint({
    ...{ id: 'user.end-sessions', method: 'DELETE', path: '/v1/users/{user}/sessions', whatIf: 'none' },
    ...{ permission: 'access.manage', on: 'access' },
    summary: 'End all sessions of a user',
    params: userParams,
    response: noContent,
    status: 204,
  }),
  'user.reset-password': endpoint({
    ...{ id: 'user.reset-password', method: 'POST', path: '/v1/users/{user}/password-reset', whatIf: 'none' },
    ...{ permission: 'access.manage', on: 'access' },
    summary: 'Give a user a one-time password instead of his own; his sessions end',
    params: userParams,
    response: z.object({
      user: z.string(),
      password: z.string().describe('Works once; nobody can ever see it again'),
      expiresAt: z.string(),
    }),
    status: 200,
  }),
} as const

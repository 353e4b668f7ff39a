/**
 * What a host needs to find a cluster and to know it: addresses, the fingerprint of the authority, and a secret that
 * opens the door once. One word, to be carried by a person. The store keeps the secret's digest only.
 */
import { createHash } from 'node:crypto'
import { z } from 'zod'
import { failure } from '@stead/core/errors.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'

const PREFIX = 'stead-join-'

const tokenSchema = z.object({
  cluster: z.string(),
  /** What it makes of a host, for whoever carries it; the cluster decides by its own record. Absent: an older token. */
  role: z.enum(['compute', 'witness']).optional(),
  /** SHA-256 of the authority's certificate, hexadecimal. */
  fingerprint: z.string().regex(/^[0-9a-f]{64}$/),
  addresses: z.array(z.string()).min(1),
  port: z.int(),
  secret: z.string().min(32),
})
export type JoinToken = z.infer<typeof tokenSchema>

/** What the store keeps of it, under the digest. */
export const invitationSchema = z.object({ role: z.enum(['compute', 'witness']), expiresAt: z.number() })
export type Invitation = z.infer<typeof invitationSchema>

export const INVITATIONS_PREFIX = '/stead-secrets/invitations/'

export function invitationKey(secret: string): string {
  return `${INVITATIONS_PREFIX}${createHash('sha256').update(secret).digest('hex')}`
}

export function writeToken(token: JoinToken): string {
  return `${PREFIX}${Buffer.from(JSON.stringify(token)).toString('base64url')}`
}

export function readToken(text: string): Result<JoinToken> {
  const wrong = (cause?: unknown) =>
    fail(
      failure('bad_request', 'This is no token for joining a cluster', {
        hint: 'Make one on a host of the cluster: stead host invite',
        cause,
      }),
    )
  if (!text.startsWith(PREFIX)) return wrong()
  try {
    const parsed = tokenSchema.safeParse(JSON.parse(Buffer.from(text.slice(PREFIX.length), 'base64url').toString()))
    return parsed.success ? ok(parsed.data) : wrong(parsed.error)
  } catch (cause) {
    return wrong(cause)
  }
}
